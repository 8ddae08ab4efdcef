package wallet

import (
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/wallet/txauthor"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
)

// Errors of Bump, beside those of Pay.
var (
	// ErrNotPending: no payment of this wallet that waits for a block has this id.
	ErrNotPending = errors.New("wallet: no unconfirmed payment of this wallet has this transaction id")

	// ErrHasChild: replacing a transaction kills what spends it.
	ErrHasChild = errors.New("wallet: another transaction of ours spends the change of this one: raise the fee of that one, which pays for both")

	// ErrNotReplaceable: the transaction was made by a version that did not allow it.
	ErrNotReplaceable = errors.New("wallet: the transaction does not allow that it is replaced: wait, or spend its change with a high fee")
)

// Bump replaces a payment that is in no block by one of the same outputs with a higher fee (BIP 125). The change pays for it, then further coins of the
// wallet. As with Pay, the owner makes the Snapshot durable before the transaction leaves; Resend takes it back. keep is to be left, as in Payment.
// The chain decides which of the two confirms, and never both.
func (w *HD) Bump(txid chainhash.Hash, rate chainfee.SatPerKWeight, keep btcutil.Amount) (*Funded, error) {
	if err := checkFeeRate(rate); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.ledger
	old, ok := l.pending[txid]
	if !ok || !l.sent[txid] {
		return nil, fmt.Errorf("%w: %v", ErrNotPending, txid)
	}
	r, err := w.replacement(old)
	if err != nil {
		return nil, err
	}
	if rate*chainfee.SatPerKWeight(r.oldWeight) <= chainfee.SatPerKWeight(r.oldFee)*1000 {
		return nil, fmt.Errorf("%w: %v, it pays as much already", ErrBadFeeRate, rate)
	}
	left := btcutil.Amount(0)
	coins := l.spendable(false) // nothing unconfirmed may be added (BIP 125, rule 2)
	for _, c := range coins {
		left += c.value
	}
	for !r.settle(rate) {
		if len(coins) == 0 || coins[0].value <= feeOf(rate, coinWeight) {
			return nil, &InsufficientFundsError{Need: r.total + r.missing, Have: r.total}
		}
		left -= coins[0].value
		if err := w.addCoin(r.AuthoredTx, coins[0], replaceable); err != nil {
			return nil, err
		}
		r.total += coins[0].value
		coins = coins[1:]
	}
	if left += r.change; left < keep {
		return nil, &ReserveError{Keep: keep, Left: left}
	}
	if err := w.payOut(r); err != nil {
		return nil, err
	}
	funded, err := w.sign(r.AuthoredTx, r.outputs)
	if err != nil {
		return nil, err
	}
	if err := l.addPending(funded.Tx); err != nil { // evicts the old one
		return nil, err
	}
	l.sent[funded.Tx.TxHash()] = true
	return funded, nil
}

// Resend puts a payment back in the place of what replaced it.
func (w *HD) Resend(tx *wire.MsgTx) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ledger.addPending(tx); err != nil {
		return err
	}
	if txid := tx.TxHash(); w.ledger.pending[txid] != nil {
		w.ledger.sent[txid] = true
	}
	return nil
}

// replacement is a payment that is made anew.
type replacement struct {
	*txauthor.AuthoredTx
	outputs      []*wire.TxOut // without change
	changeScript []byte        // of the old one; nil: it had none
	oldFee       btcutil.Amount
	oldWeight    int64

	total   btcutil.Amount // of the inputs
	change  btcutil.Amount // 0: none
	missing btcutil.Amount
}

// replacement takes a payment apart.
func (w *HD) replacement(old *wire.MsgTx) (*replacement, error) {
	l := w.ledger
	r := &replacement{AuthoredTx: &txauthor.AuthoredTx{Tx: wire.NewMsgTx(old.Version), ChangeIndex: -1}, oldWeight: txWeight(old)}
	for _, in := range old.TxIn {
		c := l.coins[in.PreviousOutPoint]
		switch {
		case c == nil:
			return nil, fmt.Errorf("%w: %v has lost a coin", ErrNotPending, old.TxHash())
		case in.Sequence > replaceable:
			return nil, ErrNotReplaceable
		}
		if err := w.addCoin(r.AuthoredTx, c, in.Sequence); err != nil {
			return nil, err
		}
		r.total += c.value
	}
	r.oldFee = r.total
	for i, out := range old.TxOut {
		r.oldFee -= btcutil.Amount(out.Value)
		if _, spent := l.spentBy[wire.OutPoint{Hash: old.TxHash(), Index: uint32(i)}]; spent {
			return nil, ErrHasChild
		}
		if ref, ours := l.scripts.lookup(out.PkScript); ours && ref.branch == branchChange && r.changeScript == nil {
			r.changeScript = out.PkScript
			continue
		}
		r.outputs = append(r.outputs, wire.NewTxOut(out.Value, out.PkScript))
	}
	return r, nil
}

func (w *HD) addCoin(a *txauthor.AuthoredTx, c *coin, sequence uint32) error {
	script, err := w.script(c.ref)
	if err != nil {
		return err
	}
	in := wire.NewTxIn(&c.op, nil, nil)
	in.Sequence = sequence
	a.Tx.AddTxIn(in)
	a.PrevScripts = append(a.PrevScripts, script)
	a.PrevInputValues = append(a.PrevInputValues, c.value)
	a.TotalInput += c.value
	return nil
}

// settle works the change out, 0 if what is left is not worth an output; false if the inputs do not suffice, and how much is missing.
func (r *replacement) settle(rate chainfee.SatPerKWeight) bool {
	rest := r.total
	size := 4 + 4 + 2 + len(r.Tx.TxIn)*inputSize
	for _, out := range r.outputs {
		rest -= btcutil.Amount(out.Value)
		size += out.SerializeSize()
	}
	fee := func(size int) btcutil.Amount {
		weight := int64(4*size + 2 + len(r.Tx.TxIn)*coinWitness)
		perKB := int64(r.oldFee) * 1000 / vsize(r.oldWeight) // nodes compare this, rounded down, and want more
		better := btcutil.Amount(((perKB+1)*vsize(weight) + 999) / 1000)
		return max(feeOf(rate, weight), better, r.oldFee+btcutil.Amount(vsize(weight))) // it pays for its own way too (BIP 125, rule 4)
	}
	if r.change = rest - fee(size+outputSize); r.change >= dustLimit {
		return true
	}
	r.change, r.missing = 0, fee(size)-rest
	return r.missing <= 0
}

// payOut adds the outputs.
func (w *HD) payOut(r *replacement) error {
	for _, out := range r.outputs {
		r.Tx.AddTxOut(out)
	}
	if r.change == 0 {
		return nil
	}
	if r.changeScript == nil {
		ref := keyRef{branchChange, w.ledger.scripts.next.Change}
		_, script, err := w.ledger.scripts.address(ref)
		if err != nil {
			return err
		}
		if err := w.take(ref); err != nil {
			return err
		}
		r.changeScript = script
	}
	r.ChangeIndex = len(r.Tx.TxOut)
	r.Tx.AddTxOut(wire.NewTxOut(int64(r.change), r.changeScript))
	return nil
}
