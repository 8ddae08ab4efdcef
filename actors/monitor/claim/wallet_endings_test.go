package claim_test

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/messages"
)

// wallet answers BuildClaim with real coins of the chain, as messages.BuildClaim says.
type wallet struct {
	w       *world
	name    string
	witness []byte
	script  []byte

	utxos map[wire.OutPoint]int64
	order []wire.OutPoint // of arrival: coins are used oldest first
	held  map[wire.OutPoint]uint64
	start int64 // what it had at first
	rates func(target uint32) uint64
}

const walletDust = 330

// newWallet finds its coins in the chain's last block.
func newWallet(w *world, name string) *wallet {
	v := &wallet{w: w, name: name, rates: rateByTarget}
	v.witness, v.script = walletScript(name)
	v.rescan()
	v.start = v.total()
	return v
}

func rateByTarget(target uint32) uint64 {
	switch {
	case target <= 1:
		return 3000
	case target <= 3:
		return 2000
	case target <= 6:
		return 1500
	}
	return 1100
}

func (v *wallet) total() (sum int64) {
	for _, value := range v.utxos {
		sum += value
	}
	return sum
}

// firstBlock holds the coins of both wallets.
var firstBlock = func() int32 { snap, _ := base(); return must(snap.Open()).Height() }()

func (v *wallet) rescan() {
	v.utxos, v.order = map[wire.OutPoint]int64{}, nil
	if v.held == nil {
		v.held = map[wire.OutPoint]uint64{}
	}
	for h := firstBlock; h <= v.w.chain.Height(); h++ {
		v.connect(must(v.w.chain.Block(h)))
	}
}

// connect is idempotent, so that a rescan may run ahead of the blocks.
func (v *wallet) connect(block *wire.MsgBlock) {
	for _, tx := range block.Transactions {
		for _, in := range tx.TxIn {
			delete(v.utxos, in.PreviousOutPoint)
		}
		for i, out := range tx.TxOut {
			if !bytes.Equal(out.PkScript, v.script) {
				continue
			}
			op := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}
			if _, spent := v.w.chain.Spender(op); !spent && v.utxos[op] == 0 {
				v.utxos[op] = out.Value
				v.order = append(v.order, op)
			}
		}
	}
}

func (v *wallet) release(id uint64) {
	for op, by := range v.held {
		if by == id {
			delete(v.held, op)
		}
	}
}

// weight of a claim: fixed parts, inputs, outputs.
func weight(inputs []messages.ClaimInput, coins int, outs []*wire.TxOut) uint64 {
	w := 4*(4+4+1+1) + 2
	for _, in := range inputs {
		w += 4*41 + int(in.WitnessWeight)
	}
	w += coins * (4*41 + 2 + 12)
	for _, o := range outs {
		w += 4 * (9 + len(o.PkScript))
	}
	return uint64(w)
}

// build answers a request.
func (v *wallet) build(q *messages.BuildClaim, id uint64) messages.ClaimBuilt {
	refuse := func(code messages.ClaimCode, format string, args ...any) messages.ClaimBuilt {
		return messages.ClaimBuilt{Claim: id, Err: &messages.ClaimError{Code: code, Err: fmt.Errorf(format, args...)}}
	}
	if id == 0 || len(q.Inputs) == 0 || q.Target == 0 {
		return refuse(messages.ClaimInvalid, "claim %d with %d inputs and target %d", id, len(q.Inputs), q.Target)
	}
	var outs []*wire.TxOut
	pot, attach := int64(0), false
	for i, in := range q.Inputs {
		switch {
		case in.Output == nil:
			pot += int64(in.ValueSat)
			attach = attach || in.Attach
		case len(outs) != i:
			return refuse(messages.ClaimInvalid, "output of input %d can't stand at its index", i)
		default:
			outs = append(outs, in.Output)
			attach = true
			pot += int64(in.ValueSat) - in.Output.Value
		}
	}
	change := &wire.TxOut{PkScript: v.script}
	all := append(slices.Clone(outs), change)
	rate := max(v.rates(q.Target), uint64(q.MinFeePerKw), 253)
	var picked []wire.OutPoint
	var fee uint64
	usable := v.usable(id)
	for {
		size := weight(q.Inputs, len(picked), all)
		fee = (rate*size + 999) / 1000
		if p := q.Parent; p != nil {
			whole := (rate*(size+uint64(p.Weight)) + 999) / 1000
			if whole <= p.FeeSat+size/4 {
				return refuse(messages.ClaimUnneeded, "the parent pays %d", p.FeeSat)
			}
			fee = max(fee, whole-p.FeeSat)
		}
		if q.MinFeeSat > 0 { // BIP 125: what relaying it costs on top
			fee = max(fee, q.MinFeeSat+(size+3)/4)
		}
		if pot >= int64(fee)+walletDust {
			break
		}
		if !attach {
			return refuse(messages.ClaimTooExpensive, "the fee is %d of %d", fee, pot)
		}
		if len(usable) == 0 {
			return refuse(messages.ClaimNoCoins, "no coins for a fee of %d", fee)
		}
		picked = append(picked, usable[0])
		pot += v.utxos[usable[0]]
		usable = usable[1:]
	}
	if fee > q.MaxFeeSat {
		return refuse(messages.ClaimTooExpensive, "the fee is %d, at most %d is allowed", fee, q.MaxFeeSat)
	}
	v.release(id)
	tx := wire.NewMsgTx(2)
	tx.LockTime = q.LockTime
	for _, in := range q.Inputs {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: in.OutPoint, Sequence: in.Sequence})
	}
	for _, op := range picked {
		v.held[op] = id
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: op, Sequence: wire.MaxTxInSequenceNum - 2, Witness: wire.TxWitness{v.witness}})
	}
	for _, o := range outs {
		tx.AddTxOut(wire.NewTxOut(o.Value, o.PkScript))
	}
	tx.AddTxOut(wire.NewTxOut(pot-int64(fee), v.script))
	size := weight(q.Inputs, len(picked), all)
	if q.Parent != nil {
		return messages.ClaimBuilt{Claim: id, Tx: tx, FeeSat: fee, FeePerKw: uint32(1000 * (fee + q.Parent.FeeSat) / (size + uint64(q.Parent.Weight)))}
	}
	return messages.ClaimBuilt{Claim: id, Tx: tx, FeeSat: fee, FeePerKw: uint32(1000 * fee / size)}
}

// usable are the confirmed coins for a claim: those it has already first.
func (v *wallet) usable(id uint64) (out []wire.OutPoint) {
	var fresh []wire.OutPoint
	for _, op := range v.order {
		by, held := v.held[op]
		switch {
		case v.utxos[op] == 0:
		case held && by == id:
			out = append(out, op)
		case !held:
			fresh = append(fresh, op)
		}
	}
	return append(out, fresh...)
}

// checkWeight tests that the witnesses are no larger than the request said: else the fee rate is below what was wanted.
func (v *wallet) checkWeight(q *messages.BuildClaim, tx *wire.MsgTx, built messages.ClaimBuilt) {
	v.w.Helper()
	for i, in := range q.Inputs {
		if got := tx.TxIn[i].Witness.SerializeSize(); got > int(in.WitnessWeight) || got == 0 {
			v.w.Fatalf("%s: the witness of input %d weighs %d, announced were %d", v.name, i, got, in.WitnessWeight)
		}
		if tx.TxIn[i].PreviousOutPoint != in.OutPoint {
			v.w.Fatalf("%s: input %d is not the one asked for", v.name, i)
		}
	}
	if real := blockchain.GetTransactionWeight(btcutil.NewTx(tx)); real > int64(weight(q.Inputs, len(tx.TxIn)-len(q.Inputs), tx.TxOut)) {
		v.w.Fatalf("%s: a claim weighs %d", v.name, real)
	}
}
