package wallet

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/wallet/txauthor"
	"github.com/btcsuite/btcwallet/wallet/txrules"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
)

// ErrBadAddress: not an address, or one of another chain.
var ErrBadAddress = errors.New("wallet: not an address of this chain")

// ReserveError: the payment is possible, but would leave less than what is to be kept.
type ReserveError struct{ Keep, Left btcutil.Amount }

// Error says how much is missing.
func (e *ReserveError) Error() string {
	return fmt.Sprintf("wallet: %v would be left, %v are kept for the fees of channels: send %v less, or say that the reserve may be spent", max(e.Left, 0), e.Keep, e.Keep-e.Left)
}

// ParseAddress is the output script of an address. The error is ErrBadAddress.
func ParseAddress(address string, params *chaincfg.Params) ([]byte, error) {
	a, err := btcutil.DecodeAddress(address, params)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadAddress, err)
	}
	if !a.IsForNet(params) {
		return nil, fmt.Errorf("%w: it is of another chain than %s", ErrBadAddress, params.Name)
	}
	if _, ok := a.(*btcutil.AddressPubKey); ok {
		return nil, fmt.Errorf("%w: it is a bare public key", ErrBadAddress)
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadAddress, err)
	}
	return script, nil
}

// Payment is a transaction to somebody else.
type Payment struct {
	PkScript []byte
	Amount   btcutil.Amount // 0: all there is, less the fee and Keep
	FeeRate  chainfee.SatPerKWeight
	Keep     btcutil.Amount // to be left in coins that can be spent, the change included
}

// Pay makes and signs a payment and counts its coins as spent: it is in Sent until it is buried in the chain or Abandon is called. The owner makes
// the wallet's Snapshot durable before the transaction leaves. Errors: *InsufficientFundsError, *ReserveError, ErrBadOutput, ErrBadFeeRate.
func (w *HD) Pay(p *Payment) (*Funded, error) {
	if err := checkFeeRate(p.FeeRate); err != nil {
		return nil, err
	}
	if p.Amount < 0 || p.Keep < 0 {
		return nil, fmt.Errorf("%w: %v", ErrBadOutput, p.Amount)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	coins := w.ledger.spendable(w.cfg.SpendUnconfirmedChange)
	var have btcutil.Amount
	for _, c := range coins {
		have += c.value
	}
	out := wire.NewTxOut(int64(p.Amount), p.PkScript)
	changeRef := keyRef{branchChange, w.ledger.scripts.next.Change}
	_, changeScript, err := w.ledger.scripts.address(changeRef)
	if err != nil {
		return nil, err
	}
	var authored *txauthor.AuthoredTx
	if p.Amount == 0 {
		authored, err = w.authorAll(coins, out, p, changeScript)
	} else {
		if err := checkOutput(out); err != nil {
			return nil, err
		}
		authored, err = author(coins, w.script, []*wire.TxOut{out}, p.FeeRate, changeScript)
	}
	if err != nil {
		return nil, err
	}
	for _, in := range authored.Tx.TxIn {
		in.Sequence = replaceable // so that Bump can
	}
	fee := authored.TotalInput - txauthor.SumOutputValues(authored.Tx.TxOut)
	if left := have - btcutil.Amount(out.Value) - fee; left < p.Keep {
		return nil, &ReserveError{Keep: p.Keep, Left: left}
	}
	if authored.ChangeIndex >= 0 {
		if err := w.take(changeRef); err != nil {
			return nil, err
		}
	}
	funded, err := w.sign(authored, []*wire.TxOut{out})
	if err != nil {
		return nil, err
	}
	if err := w.ledger.addPending(funded.Tx); err != nil {
		return nil, err
	}
	w.ledger.sent[funded.Tx.TxHash()] = true
	return funded, nil
}

// authorAll spends every coin that is worth its fee, and sets the value of out.
func (w *HD) authorAll(coins []*coin, out *wire.TxOut, p *Payment, changeScript []byte) (*txauthor.AuthoredTx, error) {
	a := &txauthor.AuthoredTx{Tx: wire.NewMsgTx(wire.TxVersion), ChangeIndex: -1}
	cost := feeOf(p.FeeRate, coinWeight)
	for _, c := range coins {
		if c.value <= cost {
			break // the largest come first
		}
		script, err := w.script(c.ref)
		if err != nil {
			return nil, err
		}
		a.Tx.AddTxIn(wire.NewTxIn(&c.op, nil, nil))
		a.PrevScripts = append(a.PrevScripts, script)
		a.PrevInputValues = append(a.PrevInputValues, c.value)
		a.TotalInput += c.value
	}
	a.Tx.AddTxOut(out)
	change := p.Keep
	if change > 0 {
		change = max(change, dustLimit)
		a.ChangeIndex = 1
		a.Tx.AddTxOut(wire.NewTxOut(int64(change), changeScript))
	}
	n := len(a.Tx.TxIn)
	weight := int64(4*a.Tx.SerializeSizeStripped() + 2 + n*coinWitness)
	fee := feeOf(p.FeeRate, weight)
	if n == 0 || a.TotalInput <= fee {
		return nil, &InsufficientFundsError{Need: fee + dustLimit + change, Have: a.TotalInput}
	}
	if a.TotalInput-fee <= change {
		return nil, &ReserveError{Keep: p.Keep, Left: a.TotalInput - fee}
	}
	if weight > maxWeight {
		return nil, fmt.Errorf("%w: %d coins are too many for one transaction; send a part first", ErrBadOutput, n)
	}
	out.Value = int64(a.TotalInput - fee - change)
	return a, checkOutput(out)
}

func checkOutput(out *wire.TxOut) error {
	if err := txrules.CheckOutput(out, txrules.DefaultRelayFeePerKb); err != nil {
		return fmt.Errorf("%w: %w", ErrBadOutput, err)
	}
	return nil
}

func checkFeeRate(rate chainfee.SatPerKWeight) error {
	if rate < chainfee.AbsoluteFeePerKwFloor || rate > maxFeeRate {
		return fmt.Errorf("%w: %v, want %v to %v", ErrBadFeeRate, rate, chainfee.AbsoluteFeePerKwFloor, chainfee.SatPerKWeight(maxFeeRate))
	}
	return nil
}

// Sent are the transactions of Pay that are in no block, parents before children: to be broadcast until they are.
func (w *HD) Sent() []*wire.MsgTx {
	w.mu.Lock()
	defer w.mu.Unlock()
	var txs []*wire.MsgTx
	for _, txid := range w.ledger.order {
		if w.ledger.sent[txid] {
			txs = append(txs, w.ledger.pending[txid].Copy())
		}
	}
	return txs
}

// Coin is an output of the wallet that no confirmed transaction has spent.
type Coin struct {
	OutPoint wire.OutPoint
	Value    btcutil.Amount
	Address  string
	Height   uint32         // 0: unconfirmed
	Immature bool           // a block reward that can't be spent yet
	Reserved bool           // held for a channel or a claim
	SpentBy  chainhash.Hash // an unconfirmed transaction of ours; zero: none
}

// Coins are all coins, the largest first.
func (w *HD) Coins() ([]Coin, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.ledger
	all := make([]*coin, 0, len(l.coins))
	for _, c := range l.coins {
		all = append(all, c)
	}
	sortCoins(all)
	coins := make([]Coin, 0, len(all))
	for _, c := range all {
		addr, _, err := l.scripts.address(c.ref)
		if err != nil {
			return nil, err
		}
		_, reserved := l.locks[c.op]
		coins = append(coins, Coin{
			OutPoint: c.op, Value: c.value, Address: addr.EncodeAddress(), Height: c.height, Immature: c.height != 0 && !l.mature(c),
			Reserved: reserved, SpentBy: l.spentBy[c.op],
		})
	}
	return coins, nil
}
