package wallet

import (
	"errors"
	"fmt"
	"math"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
)

// Why there is no claim. *InsufficientFundsError is another reason: the coins do not suffice.
var (
	// ErrClaimTooExpensive: the fee needed is above the limit, or more than the outputs are worth.
	ErrClaimTooExpensive = errors.New("wallet: the claim costs more than it is worth")

	// ErrClaimUnneeded: the parent's own fee rate is high enough.
	ErrClaimUnneeded = errors.New("wallet: the parent's own fee is enough")

	// ErrClaimInvalid: the question makes no sense. A bug of who asks.
	ErrClaimInvalid = errors.New("wallet: impossible claim")
)

// ClaimSpec asks for a transaction that spends outputs of a channel.
//
// Its inputs come first and in order; those with an Output before all others, since input and output of a SIGHASH_SINGLE signature have one index.
// Then come the wallet's coins. Its outputs are the Outputs, then at most one to the wallet, with all that is not fee.
type ClaimSpec struct {
	Lock     LockID // names the claim: a repeat replaces the former transaction and gets its coins first
	Inputs   []ClaimInput
	LockTime uint32
	FeeRate  chainfee.SatPerKWeight // at least; of the transaction, and of Parent and it together
	WantRate chainfee.SatPerKWeight // rather than FeeRate, as far as MaxFee goes: a claim that pays too little may confirm, none never does
	MinFee   btcutil.Amount         // fee of all that it replaces, 0 for nothing: it pays more by what relaying it costs (BIP 125)
	MaxFee   btcutil.Amount         // to need more is ErrClaimTooExpensive
	Parent   *ClaimParent           // nil for none
}

// ClaimInput is an output of a channel.
type ClaimInput struct {
	OutPoint      wire.OutPoint
	Value         btcutil.Amount
	PkScript      []byte
	Sequence      uint32
	WitnessWeight int64       // upper bound
	Output        *wire.TxOut // to stand at the same index, nil for none
	Attach        bool        // does not pay for itself
}

// ClaimParent is the unconfirmed transaction that a claim pays for as well.
type ClaimParent struct {
	Weight int64
	Fee    btcutil.Amount
}

// BuiltClaim is a claim with the wallet's signatures and empty witnesses for the inputs asked for.
type BuiltClaim struct {
	Tx      *wire.MsgTx
	Fee     btcutil.Amount
	Weight  int64                  // upper bound
	FeeRate chainfee.SatPerKWeight // at least; of parent and claim together
}

const (
	// dustLimit of a P2WPKH output (BOLT 3, "Dust Limits").
	dustLimit = 294

	// inputSize and outputSize are without witness: outpoint, empty script, sequence; value and P2WPKH script.
	inputSize  = 32 + 4 + 1 + 4
	outputSize = 8 + 1 + 22

	// coinWitness is that of P2WPKH: count, signature of at most 72 bytes with its hash type, key.
	coinWitness = 1 + 1 + 72 + 1 + 33
	coinWeight  = 4*inputSize + coinWitness

	// maxWeight is what nodes relay.
	maxWeight = 400_000

	// replaceable signals BIP 125 and leaves the lock time in force.
	replaceable = wire.MaxTxInSequenceNum - 2
)

func (c *ClaimSpec) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrClaimInvalid, fmt.Errorf(format, args...))
	}
	if len(c.Inputs) == 0 {
		return bad("no inputs")
	}
	if c.MinFee < 0 || c.MinFee > btcutil.MaxSatoshi || c.MaxFee < 0 || c.FeeRate < 0 || c.FeeRate > math.MaxUint32 || c.WantRate < 0 {
		return bad("fee %d to %d at rate %d", c.MinFee, c.MaxFee, c.FeeRate)
	}
	if p := c.Parent; p != nil && (p.Weight <= 0 || p.Weight > math.MaxUint32 || p.Fee < 0 || p.Fee > btcutil.MaxSatoshi) {
		return bad("parent of weight %d with fee %d", p.Weight, p.Fee)
	}
	seen := make(map[wire.OutPoint]bool, len(c.Inputs))
	var in, out btcutil.Amount
	for i := range c.Inputs {
		x := &c.Inputs[i]
		switch {
		case seen[x.OutPoint]:
			return bad("input %v comes twice", x.OutPoint)
		case x.Value <= 0 || x.Value > btcutil.MaxSatoshi || in+x.Value > btcutil.MaxSatoshi:
			return bad("input %d of %d satoshis", i, x.Value)
		case x.WitnessWeight <= 0 || x.WitnessWeight > maxWeight:
			return bad("input %d has a witness of weight %d", i, x.WitnessWeight)
		case x.Output != nil && i > 0 && c.Inputs[i-1].Output == nil:
			return bad("input %d has an output of its own but follows one without", i)
		case x.Output != nil && (x.Output.Value < 0 || x.Output.Value > btcutil.MaxSatoshi):
			return bad("output %d of %d satoshis", i, x.Output.Value)
		}
		seen[x.OutPoint] = true
		in += x.Value
		if x.Output != nil {
			out += btcutil.Amount(x.Output.Value)
		}
	}
	if out > in {
		return bad("outputs of %d satoshis from inputs of %d", out, in)
	}
	if w := c.weight(0, true); w > maxWeight {
		return bad("weight %d, nodes relay %d", w, maxWeight)
	}
	return nil
}

// surplus is what the inputs bring beyond their own outputs.
func (c *ClaimSpec) surplus() (sum btcutil.Amount) {
	for i := range c.Inputs {
		sum += c.Inputs[i].Value
		if out := c.Inputs[i].Output; out != nil {
			sum -= btcutil.Amount(out.Value)
		}
	}
	return sum
}

// takesCoins tells whether coins may be added: the inputs were never meant to pay for themselves.
func (c *ClaimSpec) takesCoins() bool {
	for i := range c.Inputs {
		if c.Inputs[i].Output != nil || c.Inputs[i].Attach {
			return true
		}
	}
	return false
}

func (c *ClaimSpec) ownOutputs() (n int) {
	for n < len(c.Inputs) && c.Inputs[n].Output != nil {
		n++
	}
	return n
}

// weight is an upper bound of the transaction's, with a number of coins and with or without an output to the wallet.
func (c *ClaimSpec) weight(coins int, change bool) int64 {
	inputs, outputs := len(c.Inputs)+coins, c.ownOutputs()
	size, witness := 4+4, 2+coins*coinWitness
	for i := range c.Inputs {
		witness += int(c.Inputs[i].WitnessWeight)
		if out := c.Inputs[i].Output; out != nil {
			size += out.SerializeSize()
		}
	}
	if change {
		outputs++
		size += outputSize
	}
	size += wire.VarIntSerializeSize(uint64(inputs)) + inputs*inputSize + wire.VarIntSerializeSize(uint64(outputs))
	return int64(4*size + witness)
}

// rival is a transaction that a claim replaces.
type rival struct {
	fee    btcutil.Amount
	weight int64
}

func vsize(weight int64) int64 { return (weight + 3) / 4 }

// fee is what a claim of this weight pays, exactly: what is wanted as far as that may be, and what it must, rounded up to the satoshi.
func (c *ClaimSpec) fee(weight int64, rivals []rival) btcutil.Amount {
	return max(c.least(weight, rivals), min(c.feeAt(c.want(), weight), c.MaxFee))
}

// feeAt is the fee at a rate, of a parent too.
func (c *ClaimSpec) feeAt(rate chainfee.SatPerKWeight, weight int64) btcutil.Amount {
	fee := feeOf(rate, weight)
	if c.Parent != nil {
		fee = max(fee, feeOf(rate, weight+c.Parent.Weight)-c.Parent.Fee)
	}
	return fee
}

// least is what a claim of this weight must pay.
func (c *ClaimSpec) least(weight int64, rivals []rival) btcutil.Amount {
	fee := c.feeAt(c.rate(), weight)
	replaced := c.MinFee
	var sum btcutil.Amount
	for _, r := range rivals {
		sum += r.fee
		// Nodes compare satoshis per 1000 virtual bytes, rounded down, and want more.
		perKB := int64(r.fee) * 1000 / vsize(r.weight)
		fee = max(fee, btcutil.Amount(((perKB+1)*vsize(weight)+999)/1000))
	}
	if replaced = max(replaced, sum); replaced > 0 {
		fee = max(fee, replaced+btcutil.Amount(vsize(weight))) // 1 sat/vB: the incremental relay fee
	}
	return fee
}

// rate is at least what nodes relay.
func (c *ClaimSpec) rate() chainfee.SatPerKWeight { return max(c.FeeRate, chainfee.FeePerKwFloor) }

// want is the rate to be had if MaxFee lets it. An absurd one, of a source that takes one unit for another, says nothing.
func (c *ClaimSpec) want() chainfee.SatPerKWeight {
	if c.WantRate > maxFeeRate {
		return c.rate()
	}
	return max(c.rate(), c.WantRate)
}

// feeOf rounds up.
func feeOf(rate chainfee.SatPerKWeight, weight int64) btcutil.Amount {
	return btcutil.Amount((int64(rate)*weight + 999) / 1000)
}

// claimDraft is a claim whose coins and output are decided.
type claimDraft struct {
	coins  []*coin
	change btcutil.Amount // 0: no output to the wallet
	fee    btcutil.Amount
	weight int64
}

// draftClaim decides which coins a claim takes and what comes back: those that its lock holds first, then the smallest that is enough alone, then
// the largest, so that an anchor does not bind the largest coin.
func (l *ledger) draftClaim(c *ClaimSpec) (*claimDraft, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.FeeRate > maxFeeRate {
		return nil, fmt.Errorf("%w: at %d sat/kw", ErrClaimTooExpensive, c.FeeRate)
	}
	if p := c.Parent; p != nil && p.Fee >= feeOf(c.want(), p.Weight) {
		return nil, ErrClaimUnneeded
	}
	rivals := l.rivals(c)
	held, free := l.claimCoins(c)
	total := c.surplus()
	have := total
	for _, x := range append(held[:len(held):len(held)], free...) {
		have += x.value
	}
	var taken []*coin
	for {
		draft, least, ok := c.finish(taken, total, rivals)
		switch {
		case ok:
			return draft, nil
		case least > c.MaxFee:
			return nil, fmt.Errorf("%w: the fee is %v, the limit %v", ErrClaimTooExpensive, least, c.MaxFee)
		case !c.takesCoins():
			return nil, fmt.Errorf("%w: the fee is %v, the outputs are worth %v", ErrClaimTooExpensive, least, total)
		}
		var next *coin
		switch {
		case len(held) > 0:
			next, held = held[0], held[1:]
		case len(free) == 0:
			return nil, &InsufficientFundsError{Need: least, Have: have}
		default:
			at := 0
			for i := len(free) - 1; i > 0; i-- { // ascending
				if _, _, ok := c.finish(append(taken[:len(taken):len(taken)], free[i]), total+free[i].value, rivals); ok {
					at = i
					break
				}
			}
			next = free[at]
			free = append(free[:at:at], free[at+1:]...)
		}
		taken, total = append(taken, next), total+next.value
	}
}

// finish completes a draft if what there is suffices. least is the fee it takes.
func (c *ClaimSpec) finish(coins []*coin, total btcutil.Amount, rivals []rival) (_ *claimDraft, least btcutil.Amount, ok bool) {
	weight := c.weight(len(coins), true)
	fee := c.fee(weight, rivals)
	if weight <= maxWeight && fee <= c.MaxFee && total-fee >= dustLimit {
		return &claimDraft{coins: coins, change: total - fee, fee: fee, weight: weight}, fee, true
	}
	if c.ownOutputs() == 0 || fee > c.MaxFee && total-fee >= dustLimit { // no coin would make the latter cheaper
		return nil, fee, false
	}
	// What would be dust goes to the miner.
	weight = c.weight(len(coins), false)
	least = c.fee(weight, rivals)
	if weight > maxWeight || total < least || total > c.MaxFee || total-fee >= dustLimit {
		return nil, least, false
	}
	return &claimDraft{coins: coins, fee: total, weight: weight}, least, true
}

// coinCost is what it costs to add a coin, at about the rate that the claim will have.
func (c *ClaimSpec) coinCost() btcutil.Amount {
	weight := c.weight(1, true)
	if c.Parent != nil {
		weight += c.Parent.Weight
	}
	may := chainfee.SatPerKWeight(int64(min(c.MaxFee, btcutil.MaxSatoshi)) * 1000 / weight)
	return feeOf(max(c.rate(), min(c.want(), may)), coinWeight)
}

// claimCoins are the confirmed coins that a claim may take: those of its lock, also where the transaction that is to be replaced spends them, and
// those that nothing holds. Coins that cost more than they bring at this rate are left out. Unconfirmed ones are of no use: a replacement may not
// bring in new ones (BIP 125, rule 2).
func (l *ledger) claimCoins(c *ClaimSpec) (held, free []*coin) {
	cost := c.coinCost()
	for _, op := range l.byLock[c.Lock] {
		if x, ok := l.coins[op]; ok && x.height != 0 && l.mature(x) && x.value > cost {
			held = append(held, x)
		}
	}
	sortCoins(held)
	for _, x := range l.spendable(false) {
		if x.value > cost {
			free = append(free, x)
		}
	}
	return held, free
}

// rivals are the pending transactions that spend an input of the claim, as far as their fees are known.
func (l *ledger) rivals(c *ClaimSpec) (rivals []rival) {
	for _, txid := range l.rivalIDs(c) {
		tx := l.pending[txid]
		var in, out btcutil.Amount
		known := true
		for _, x := range tx.TxIn {
			v, ok := c.valueOf(x.PreviousOutPoint)
			if y, there := l.coins[x.PreviousOutPoint]; there {
				v, ok = y.value, true
			}
			in, known = in+v, known && ok
		}
		for _, x := range tx.TxOut {
			out += btcutil.Amount(x.Value)
		}
		if known && in >= out {
			rivals = append(rivals, rival{in - out, txWeight(tx)})
		}
	}
	return rivals
}

// rivalIDs are in the order of the claim's inputs.
func (l *ledger) rivalIDs(c *ClaimSpec) (ids []chainhash.Hash) {
	seen := make(map[chainhash.Hash]bool)
	for i := range c.Inputs {
		if txid, ok := l.spentBy[c.Inputs[i].OutPoint]; ok && !seen[txid] {
			seen[txid] = true
			ids = append(ids, txid)
		}
	}
	return ids
}

func (c *ClaimSpec) valueOf(op wire.OutPoint) (btcutil.Amount, bool) {
	for i := range c.Inputs {
		if c.Inputs[i].OutPoint == op {
			return c.Inputs[i].Value, true
		}
	}
	return 0, false
}

func txWeight(tx *wire.MsgTx) int64 {
	return int64(tx.SerializeSizeStripped()*3 + tx.SerializeSize())
}
