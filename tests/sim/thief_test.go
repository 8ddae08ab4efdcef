package sim

import (
	"math/rand/v2"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/ln"
)

// thief has bob's keys and all that bob ever held. He does whatever the chain lets him do, in the mempool or, as a friend of miners, directly in a
// block. What he may not do is keep alice's transactions out of the blocks until a delay is over: before he takes what she could have had, at least
// patienceBlocks blocks must have taken what the mempool held.
type thief struct {
	w *world
	r *rand.Rand

	close    *held // commitment that he means to bring about, nil for none
	at       int32 // from this height on
	eager    int   // of 4 moves that he could make, so many are made
	miner    bool  // has miners as friends
	pinner   bool
	forgets  int // of 4 outputs that he could have, so many are left alone
	reorgs   int // that are still to come
	pinUntil int32

	coins  []wire.OutPoint // for fees
	stages []secondStage
	pins   map[chainhash.Hash]bool // in the mempool, and in no block before pinUntil
	open   map[wire.OutPoint]int   // blocks that took the mempool since an output is there
	done   map[wire.OutPoint]bool  // left alone, or taken
	refuse int                     // moves that the chain did not let him make
	moves  int
}

// secondStage is the output of an HTLC transaction of his.
type secondStage struct {
	of    *held
	op    wire.OutPoint
	value int64
}

const (
	patienceBlocks = 4
	thiefCoin      = 20_000
)

func newThief(w *world, r *rand.Rand) *thief {
	t := &thief{
		w: w, r: r, at: w.chain.Height() + int32(r.IntN(10)), eager: 1 + r.IntN(4), miner: r.IntN(3) > 0, pinner: r.IntN(3) == 0,
		forgets: max(r.IntN(6)-4, 0), reorgs: r.IntN(3), pins: map[chainhash.Hash]bool{}, open: map[wire.OutPoint]int{}, done: map[wire.OutPoint]bool{},
	}
	if all := w.held[1]; r.IntN(8) > 0 {
		t.close = all[len(all)-1]
		if r.IntN(4) > 0 {
			t.close = all[r.IntN(len(all))]
			if other := all[r.IntN(len(all))]; len(other.tx.HTLCs) > len(t.close.tx.HTLCs) {
				t.close = other // there is more to take
			}
		}
	}
	var outs []*wire.TxOut
	for range 12 {
		outs = append(outs, wire.NewTxOut(thiefCoin, adversaryScript))
	}
	tx, err := w.chain.Pay(outs...)
	if err != nil {
		panic(err)
	}
	for i := range outs {
		t.coins = append(t.coins, wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)})
	}
	return t
}

// act makes the moves of one block. What it returns is for the block itself.
func (t *thief) act() (direct []*wire.MsgTx) {
	w := t.w
	if _, spent := w.chain.Spender(w.funding); !spent {
		if t.close != nil && w.chain.Height() >= t.at {
			if tx := t.close.signed(); w.chain.Broadcast(tx) != nil && t.miner {
				direct = append(direct, tx)
			}
		}
		return direct
	}
	for _, m := range t.options() {
		if t.r.IntN(4) >= t.eager {
			continue
		}
		if t.r.IntN(4) < t.forgets {
			t.done[m.op] = true
			continue
		}
		t.moves++
		if t.miner && t.r.IntN(2) == 0 {
			direct = append(direct, m.make(nil))
			continue
		}
		tx := m.make(t.fee)
		if w.chain.Broadcast(tx) != nil {
			t.refuse++
			continue
		}
		if t.pinner && w.chain.Height() < t.pinUntil {
			t.pin(tx)
		}
	}
	return direct
}

// fee adds a coin to a transaction that has no fee of its own.
func (t *thief) fee(tx *wire.MsgTx) {
	op := t.coins[t.r.IntN(len(t.coins))]
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: op, Sequence: wire.MaxTxInSequenceNum - 2, Witness: wire.TxWitness{adversaryWitness}})
	fee := int64(400)
	if !t.pinner {
		fee += t.r.Int64N(5000)
	}
	tx.AddTxOut(wire.NewTxOut(thiefCoin-fee, adversaryScript))
}

// pin keeps a claim unconfirmed for a while, with descendants that make it expensive to replace.
func (t *thief) pin(tx *wire.MsgTx) {
	t.pins[tx.TxHash()] = true
	from := tx
	for range t.r.IntN(4) {
		out := len(from.TxOut) - 1
		next := wire.NewMsgTx(2)
		next.AddTxIn(&wire.TxIn{
			PreviousOutPoint: wire.OutPoint{Hash: from.TxHash(), Index: uint32(out)}, Sequence: wire.MaxTxInSequenceNum,
			Witness: wire.TxWitness{adversaryWitness},
		})
		next.AddTxOut(wire.NewTxOut(from.TxOut[out].Value-400, adversaryScript))
		if next.TxOut[0].Value < 1000 || t.w.chain.Broadcast(next) != nil {
			return
		}
		t.pins[next.TxHash()] = true
		from = next
	}
}

// move is a transaction that he could make now. pay adds what pays for a second stage; all others pay out of what they take.
type move struct {
	op   wire.OutPoint
	make func(pay func(*wire.MsgTx)) *wire.MsgTx
}

// options are the legal moves on a channel that is closed, in a fixed order.
func (t *thief) options() (list []move) {
	w := t.w
	h, txid, _ := w.closed(w.funding)
	if h == nil {
		return nil
	}
	next := uint32(w.chain.Height() + 1)
	for i := range h.tx.HTLCs {
		x := &h.tx.HTLCs[i]
		op := wire.OutPoint{Hash: txid, Index: x.OutputIndex}
		his := x.Offered == (h.owner == 1) // he offered it, so he has it back after the expiry
		preimage := w.preimageFor(1, x.Hash)
		switch {
		case t.gone(op):
		case his && (next <= x.CLTVExpiry || h.owner == 0 && t.open[op] < patienceBlocks):
		case !his && preimage == nil:
		case his && h.owner == 1 && t.open[op] < patienceBlocks && !w.stale(h):
		case h.owner == 1:
			if his {
				preimage = nil
			}
			list = append(list, move{op, func(pay func(*wire.MsgTx)) *wire.MsgTx { return t.stage(h, i, preimage, pay) }})
		default:
			s := &chankeys.Spend{
				Path: chankeys.PathHTLCPreimage, Point: h.tx.Keys.PerCommitmentPoint, WitnessScript: x.WitnessScript,
				Value: x.Amount.ToSatoshis(),
			}
			lockTime := uint32(0)
			if his {
				s.Path, lockTime = chankeys.PathHTLCTimeout, x.CLTVExpiry
			} else {
				s.Preimage = (*[32]byte)(preimage)
			}
			list = append(list, t.take(s, op, 1, lockTime))
		}
	}
	list = t.main(list, h, txid)
	for _, s := range t.stages {
		if !t.gone(s.op) {
			list = t.delayed(list, s.of, s.op, s.value, s.of.tx.SecondStageScript)
		}
	}
	return list
}

// main adds what he has in the commitment beside HTLCs.
func (t *thief) main(list []move, h *held, txid chainhash.Hash) []move {
	index, script := h.tx.ToOtherIndex, h.tx.ToOtherScript
	if h.owner == 1 {
		index, script = h.tx.ToOwnerIndex, h.tx.ToOwnerScript
	}
	op := wire.OutPoint{Hash: txid, Index: uint32(max(index, 0))}
	if index < 0 || t.gone(op) {
		return list
	}
	value := h.tx.Tx.TxOut[index].Value
	if h.owner == 1 {
		return t.delayed(list, h, op, value, script)
	}
	return append(list, t.take(&chankeys.Spend{Path: chankeys.PathToRemote, WitnessScript: script, Value: btcutil.Amount(value)}, op, 1, 0))
}

// delayed adds an output that is his after his delay.
func (t *thief) delayed(list []move, h *held, op wire.OutPoint, value int64, script []byte) []move {
	delay := uint32(h.static.Tx.HolderToSelfDelay)
	if uint32(t.w.chain.Confirmations(op.Hash)) < delay || t.open[op] < patienceBlocks {
		return list
	}
	s := &chankeys.Spend{Path: chankeys.PathDelayed, Point: h.tx.Keys.PerCommitmentPoint, WitnessScript: script, Value: btcutil.Amount(value)}
	return append(list, t.take(s, op, delay, 0))
}

// take is a move with his keys alone.
func (t *thief) take(s *chankeys.Spend, op wire.OutPoint, sequence, lockTime uint32) move {
	return move{op, func(func(*wire.MsgTx)) *wire.MsgTx {
		fee := int64(300)
		if !t.pinner {
			fee += t.r.Int64N(300)
		}
		if int64(s.Value) < 1000 {
			fee = 200
		}
		return spendOutput(identities[1], t.w.held[1][0].static.KeyIndex, s, op, sequence, lockTime, fee, adversaryScript)
	}}
}

// stage makes an HTLC transaction of his and remembers its output.
func (t *thief) stage(h *held, i int, preimage *ln.Preimage, pay func(*wire.MsgTx)) *wire.MsgTx {
	tx := h.secondStage(i, preimage, pay)
	t.stages = append(t.stages, secondStage{of: h, op: wire.OutPoint{Hash: tx.TxHash()}, value: tx.TxOut[0].Value})
	return tx
}

// gone tells whether an output is not there to be taken, or left alone.
func (t *thief) gone(op wire.OutPoint) bool {
	if t.done[op] {
		return true
	}
	_, err := t.w.chain.TxOut(op)
	return err != nil
}

// mine makes the next block, or several in the place of others.
func (t *thief) mine(direct []*wire.MsgTx) {
	w := t.w
	if t.reorgs > 0 && t.r.IntN(12) == 0 {
		t.reorgs--
		t.reorganise()
		return
	}
	if w.chain.Height() >= t.pinUntil {
		clear(t.pins)
		t.pinUntil = w.chain.Height() + int32(t.r.IntN(12))
	}
	txs := t.block(direct)
	if _, err := w.chain.MineTxs(txs...); err != nil {
		t.refuse++
		w.mine(1)
	}
	t.countOpen()
}

// block is what goes into the next block: his transactions, and of the mempool what does not contradict them and is no pin.
func (t *thief) block(direct []*wire.MsgTx) (txs []*wire.MsgTx) {
	spent, out := map[wire.OutPoint]bool{}, map[chainhash.Hash]bool{}
	for _, tx := range direct {
		ok := true
		for _, in := range tx.TxIn {
			ok = ok && !spent[in.PreviousOutPoint]
		}
		for _, in := range tx.TxIn {
			spent[in.PreviousOutPoint] = true
		}
		if ok {
			txs = append(txs, tx)
		}
	}
	for _, tx := range t.w.chain.Mempool() {
		txid := tx.TxHash()
		left := t.pins[txid]
		for _, in := range tx.TxIn {
			left = left || spent[in.PreviousOutPoint] || out[in.PreviousOutPoint.Hash]
		}
		if left {
			out[txid] = true
			continue
		}
		txs = append(txs, tx)
	}
	return txs
}

// countOpen counts, for each output of the closed channel, the blocks that took the mempool while it was there.
func (t *thief) countOpen() {
	w := t.w
	h, txid, _ := w.closed(w.funding)
	if h == nil {
		clear(t.open)
		return
	}
	seen := map[wire.OutPoint]bool{}
	for i := range h.tx.Tx.TxOut {
		seen[wire.OutPoint{Hash: txid, Index: uint32(i)}] = true
	}
	for _, s := range t.stages {
		if w.chain.Confirmations(s.op.Hash) > 0 {
			seen[s.op] = true
		}
	}
	for op := range t.open {
		if !seen[op] {
			delete(t.open, op)
		}
	}
	for op := range seen {
		if w.nodes[0].asleep == 0 {
			t.open[op]++ // its own block included, which alice could not use
		}
	}
}

// reorganise replaces blocks, if he likes with another commitment in them.
func (t *thief) reorganise() {
	w := t.w
	depth := 1 + t.r.IntN(5)
	clear(t.open) // whatever was counted may be undone
	if all := w.held[1]; t.miner && t.r.IntN(2) == 0 {
		if w.chain.Reorg(depth, depth+1, regtest.WithBlock(t.r.IntN(depth+1), all[t.r.IntN(len(all))].signed())) == nil {
			return
		}
	}
	var opts []regtest.ReorgOption
	if t.r.IntN(3) == 0 {
		opts = append(opts, regtest.DropAllTxs())
	}
	if err := w.chain.Reorg(depth, depth+1, opts...); err != nil {
		w.wrong("reorg: %v", err)
	}
}
