package claim_test

import (
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/ln"
)

// adversary is a side that broadcasts a commitment it should not, and takes from it whatever the scripts allow as soon as they do.
type adversary struct {
	s     *side
	c     *held
	knows map[ln.Hash]bool // preimages
	took  map[wire.OutPoint]*wire.MsgTx
}

// corrupt turns a side into an adversary. knows are the hashes whose preimages it has.
func (s *side) corrupt(c *held, knows map[ln.Hash]bool) *adversary {
	a := &adversary{s: s, c: c, knows: knows, took: map[wire.OutPoint]*wire.MsgTx{}}
	s.down, s.plunder = true, a.act
	return a
}

// act broadcasts all that could be had. The chain may refuse: the honest side was faster.
func (a *adversary) act() {
	switch txid, spent := a.s.w.chain.Spender(a.s.w.funding); {
	case !spent:
		_ = a.s.w.chain.Broadcast(a.c.signed)
	case txid != a.c.tx.Txid:
		a.s.revive()
		return
	}
	for _, tx := range a.loot() {
		a.s.made[tx.TxHash()] = true
		_ = a.s.w.chain.Broadcast(tx)
	}
}

// revive makes an adversary honest, whose commitment lost: its monitor catches up with the chain.
func (s *side) revive() {
	s.w.Helper()
	s.down, s.plunder = false, nil
	for h := s.f.Height + 1; h <= s.w.height(); h++ {
		s.connect(h, must(s.w.chain.Block(int32(h))))
	}
	s.act()
}

// loot are the transactions that could confirm in the next block.
func (a *adversary) loot() (txs []*wire.MsgTx) {
	w := a.s.w
	at, err := w.chain.TxOut(wire.OutPoint{Hash: a.c.tx.Txid, Index: uint32(max(a.c.tx.ToOwnerIndex, 0))})
	if txid, ok := w.chain.Spender(w.funding); !ok || txid != a.c.tx.Txid {
		return nil
	}
	delay := int32(a.s.f.Tx.HolderToSelfDelay)
	if err == nil && a.c.tx.ToOwnerIndex >= 0 && w.chain.Height()-at.Height+1 >= delay {
		txs = append(txs, a.delayed(wire.OutPoint{Hash: a.c.tx.Txid, Index: uint32(a.c.tx.ToOwnerIndex)}, a.c.tx.ToOwnerScript, at.TxOut.Value))
	}
	for i := range a.c.tx.HTLCs {
		h := &a.c.tx.HTLCs[i]
		op := wire.OutPoint{Hash: a.c.tx.Txid, Index: h.OutputIndex}
		if tx := a.took[op]; tx != nil {
			out := wire.OutPoint{Hash: tx.TxHash()}
			if got, err := w.chain.TxOut(out); err == nil && w.chain.Height()-got.Height+1 >= delay {
				txs = append(txs, a.delayed(out, a.c.tx.SecondStageScript, got.TxOut.Value))
				continue
			}
		}
		if _, err := w.chain.TxOut(op); err == nil && (h.Offered && h.CLTVExpiry <= w.height() || !h.Offered && a.knows[h.Hash]) {
			txs = append(txs, a.stage(i))
		}
	}
	return txs
}

// stage is the second stage of an HTLC, with a coin for the fee.
func (a *adversary) stage(i int) *wire.MsgTx {
	h := &a.c.tx.HTLCs[i]
	op := h.Tx.TxIn[0].PreviousOutPoint
	if tx := a.took[op]; tx != nil {
		return tx
	}
	v := a.s.wallet
	usable := v.usable(1 << 62)
	for len(usable) > 0 && v.held[usable[0]] != 0 {
		usable = usable[1:]
	}
	coin := usable[0]
	v.held[coin] = 1 << 62
	spend := h.Tx.Copy()
	spend.AddTxIn(&wire.TxIn{PreviousOutPoint: coin, Sequence: wire.MaxTxInSequenceNum - 2, Witness: wire.TxWitness{v.witness}})
	spend.AddTxOut(wire.NewTxOut(v.utxos[coin]-2000, v.script))
	var preimage *[32]byte
	if !h.Offered {
		p := [32]byte(a.s.w.secrets[h.Hash])
		preimage = &p
	}
	sig := must(a.s.keys.SignHolderHTLC(keyIndex, &a.s.f.Tx, a.c.tx, i, spend))
	tx := must(a.c.tx.CompleteHTLC(i, spend, sig, a.c.htlcSigs[i], preimage))
	a.took[op] = tx
	a.s.made[tx.TxHash()] = true
	return tx
}

// delayed sweeps an output of the owner after its delay.
func (a *adversary) delayed(op wire.OutPoint, script []byte, value int64) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: op, Sequence: uint32(a.s.f.Tx.HolderToSelfDelay)})
	tx.AddTxOut(wire.NewTxOut(value-300, a.s.wallet.script))
	spend := &chankeys.Spend{Path: chankeys.PathDelayed, Point: a.c.tx.Keys.PerCommitmentPoint, WitnessScript: script, Value: btcutil.Amount(value)}
	tx.TxIn[0].Witness = must(a.s.keys.SignSpend(keyIndex, spend, tx, 0))
	a.s.made[tx.TxHash()] = true
	return tx
}
