package wallet

import (
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
)

// BuildClaim makes the transaction of a claim, signs what is the wallet's, and holds its coins under the claim's lock, on top of what that holds
// from before: the former transaction may yet confirm. Nothing is counted as spent: call ReserveClaim and AddUnconfirmed once the claim is durable.
//
// The wallet's output is to a receiving address, the same for all transactions of one lock, so that nothing is built on it before it confirms: a
// claim may be replaced. Errors: ErrClaimTooExpensive, ErrClaimUnneeded, ErrClaimInvalid, *InsufficientFundsError; with an error no coin is held.
func (w *HD) BuildClaim(c *ClaimSpec) (*BuiltClaim, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	draft, err := w.ledger.draftClaim(c)
	if err != nil {
		return nil, err
	}
	tx := wire.NewMsgTx(2)
	tx.LockTime = c.LockTime
	prevOuts := make([]*wire.TxOut, 0, len(c.Inputs)+len(draft.coins))
	for i := range c.Inputs {
		x := &c.Inputs[i]
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: x.OutPoint, Sequence: x.Sequence})
		prevOuts = append(prevOuts, wire.NewTxOut(int64(x.Value), x.PkScript))
		if x.Output != nil {
			tx.AddTxOut(wire.NewTxOut(x.Output.Value, x.Output.PkScript))
		}
	}
	ops := make([]wire.OutPoint, 0, len(draft.coins))
	for _, x := range draft.coins {
		script, err := w.script(x.ref)
		if err != nil {
			return nil, err
		}
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: x.op, Sequence: replaceable})
		prevOuts = append(prevOuts, wire.NewTxOut(int64(x.value), script))
		ops = append(ops, x.op)
	}
	var script []byte
	if draft.change != 0 {
		if script, err = w.claimScript(c); err != nil {
			return nil, err
		}
		tx.AddTxOut(wire.NewTxOut(int64(draft.change), script))
	}
	if err := w.signCoins(tx, prevOuts, len(c.Inputs)); err != nil {
		return nil, err
	}
	// Last, so that an error holds nothing.
	if err := w.ledger.lock(c.Lock, ops); err != nil {
		return nil, err
	}
	if script != nil {
		w.claimScripts[c.Lock] = script
	}
	built := &BuiltClaim{Tx: tx, Fee: draft.fee, Weight: draft.weight}
	fee, weight := draft.fee, draft.weight
	if c.Parent != nil {
		fee, weight = fee+c.Parent.Fee, weight+c.Parent.Weight
	}
	built.FeeRate = chainfee.SatPerKWeight(int64(fee) * 1000 / weight)
	return built, nil
}

// claimScript is where the wallet's part of a claim goes: where it went before, else to a fresh address, which is durable by now.
func (w *HD) claimScript(c *ClaimSpec) ([]byte, error) {
	if script, ok := w.claimScripts[c.Lock]; ok {
		return script, nil
	}
	for _, txid := range w.ledger.rivalIDs(c) {
		for _, out := range w.ledger.pending[txid].TxOut {
			if ref, ok := w.ledger.scripts.lookup(out.PkScript); ok && ref.branch == branchReceive {
				return out.PkScript, nil
			}
		}
	}
	_, script, err := w.newAddress()
	return script, err
}

// signCoins signs the inputs from one on, which are P2WPKH coins of ours, and runs their scripts.
func (w *HD) signCoins(tx *wire.MsgTx, prevOuts []*wire.TxOut, from int) error {
	fetcher := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range tx.TxIn {
		fetcher.AddPrevOut(in.PreviousOutPoint, prevOuts[i])
	}
	hashes := txscript.NewTxSigHashes(tx, fetcher)
	for i := from; i < len(tx.TxIn); i++ {
		out := prevOuts[i]
		ref, ok := w.ledger.scripts.lookup(out.PkScript)
		if !ok {
			return fmt.Errorf("wallet: no key for coin %v", tx.TxIn[i].PreviousOutPoint)
		}
		key, err := w.cfg.Keys.WalletKey(ref.branch, ref.index)
		if err != nil {
			return fmt.Errorf("wallet: key %d/%d: %w", ref.branch, ref.index, err)
		}
		tx.TxIn[i].Witness, err = txscript.WitnessSignature(tx, hashes, i, out.Value, out.PkScript, txscript.SigHashAll, key, true)
		if err != nil {
			return fmt.Errorf("wallet: sign: %w", err)
		}
		if err := runScript(tx, i, out, hashes, fetcher); err != nil {
			return err
		}
	}
	return nil
}

// ReserveClaim holds the wallet's inputs of a claim that is durable, also before the coins are known after a restart (rule 22): they are told by
// the keys in their witnesses. The channel's inputs are not held, for two claims may be after one output. The error is *ReservedError.
func (w *HD) ReserveClaim(lock LockID, tx *wire.MsgTx) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ops []wire.OutPoint
	for _, in := range tx.TxIn {
		if w.spendsOurs(in) {
			ops = append(ops, in.PreviousOutPoint)
		}
	}
	return w.ledger.lock(lock, ops)
}

// spendsOurs tells whether an input is signed with a key of the wallet.
func (w *HD) spendsOurs(in *wire.TxIn) bool {
	if _, ok := w.ledger.coins[in.PreviousOutPoint]; ok {
		return true
	}
	if len(in.Witness) != 2 || len(in.Witness[1]) != 33 {
		return false
	}
	script, err := txscript.NewScriptBuilder().AddOp(txscript.OP_0).AddData(btcutil.Hash160(in.Witness[1])).Script()
	if err != nil {
		return false
	}
	_, ok := w.ledger.scripts.lookup(script)
	return ok
}

// ReleaseClaim ends a claim: its coins are free, and a transaction of it that has not confirmed never will.
func (w *HD) ReleaseClaim(lock LockID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, op := range w.ledger.byLock[lock] {
		if txid, ok := w.ledger.spentBy[op]; ok {
			w.ledger.evict(txid)
		}
	}
	w.ledger.release(lock)
	delete(w.claimScripts, lock)
}

// HasCoins implements Wallet.
func (w *HD) HasCoins(ops []wire.OutPoint) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, op := range ops {
		if w.ledger.coins[op] == nil {
			return false
		}
	}
	return true
}
