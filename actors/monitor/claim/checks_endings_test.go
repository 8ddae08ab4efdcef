package claim_test

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// mine adds blocks with what the mempool has, and lets both sides act on each.
func (w *world) mine(n int) {
	w.Helper()
	for range n {
		w.told(must(w.chain.Mine(1))[0])
	}
}

// mineTxs adds a block with exactly these transactions: the others come too late.
func (w *world) mineTxs(txs ...*wire.MsgTx) {
	w.Helper()
	w.told(must(w.chain.MineTxs(txs...)))
}

func (w *world) told(block *wire.MsgBlock) {
	w.Helper()
	for _, s := range w.sides() {
		s.connect(w.height(), block)
	}
	w.act()
}

// act lets both sides broadcast, and checks what must hold after every block.
func (w *world) act() {
	w.Helper()
	for _, s := range w.sides() {
		s.act()
		if s.plunder != nil {
			s.plunder()
		}
	}
	for _, s := range w.sides() {
		if !s.down {
			s.check()
		}
	}
}

// reorg replaces the last blocks by one more.
func (w *world) reorg(depth int, opts ...regtest.ReorgOption) {
	w.Helper()
	w.deep = w.deep || depth >= 6
	w.shaken = w.height() + 1
	fork := w.height() - uint32(depth)
	if err := w.chain.Reorg(depth, depth+1, opts...); err != nil {
		w.Fatalf("reorg: %v", err)
	}
	hash := must(w.chain.BlockHash(int32(fork)))
	for _, s := range w.sides() {
		s.disconnect(fork, hash)
		for h := fork + 1; h <= w.height(); h++ {
			s.connect(h, must(w.chain.Block(int32(h))))
		}
	}
	w.act()
}

// fate is what the chain says of an HTLC, read from the chain alone.
type fate struct {
	decider   chainhash.Hash
	depth     uint32
	fulfilled bool // its preimage is in a block
	lacking   bool // the commitment has no output of it
}

// fate tells what decided an HTLC of this side, if something did.
func (s *side) fate(h *facts.HTLC, outbound bool) (f fate, ok bool) {
	txid, ok := s.w.chain.Spender(s.w.funding)
	if !ok {
		return f, false
	}
	c := s.w.find(txid)
	f.decider, f.lacking = txid, true
	if c != nil {
		for i := range c.tx.HTLCs {
			g := &c.tx.HTLCs[i]
			if g.ID != h.ID || g.Offered != (outbound == (c.owner == s.name)) {
				continue
			}
			op := wire.OutPoint{Hash: txid, Index: g.OutputIndex}
			spender, ok := s.w.chain.Spender(op)
			if !ok {
				return f, false
			}
			f.decider, f.lacking, f.fulfilled = spender, false, reveals(s.w.tx(spender), op, h.Hash)
			if next, moved := s.punishable(c, f.decider, op); moved && !outbound {
				if f.decider, ok = s.w.chain.Spender(next); !ok {
					return f, false // the second stage can still be punished
				}
			}
		}
	}
	f.depth = uint32(s.w.chain.Confirmations(f.decider))
	return f, true
}

// punishable is the output of a second stage of the peer on a commitment that it revoked.
func (s *side) punishable(c *held, stage chainhash.Hash, op wire.OutPoint) (out wire.OutPoint, ok bool) {
	if c.owner == s.name || c.tx.Number >= s.f.CounterpartyNumber || s.made[stage] {
		return out, false
	}
	for i, in := range s.w.tx(stage).TxIn {
		if in.PreviousOutPoint == op {
			return wire.OutPoint{Hash: stage, Index: uint32(i)}, true
		}
	}
	return out, false
}

func (w *world) tx(txid chainhash.Hash) *wire.MsgTx {
	tx, _, err := w.chain.Tx(txid)
	return must(tx, err)
}

// reveals tells whether the input that spends an output has the preimage in its witness.
func reveals(tx *wire.MsgTx, op wire.OutPoint, hash [32]byte) bool {
	for _, in := range tx.TxIn {
		if in.PreviousOutPoint != op {
			continue
		}
		for _, item := range in.Witness {
			if len(item) == 32 && sha256.Sum256(item) == hash {
				return true
			}
		}
	}
	return false
}

// check is what must hold at every block.
func (s *side) check() {
	s.w.Helper()
	if s.dirty {
		s.balanced()
		if s.thorough {
			s.restarted()
		}
		if len(s.res().Due()) > 0 {
			s.w.Fatalf("%s: something is due after all was done", s.name)
		}
		if s.wake = s.res().WakeAt(); s.wake != 0 && s.wake <= s.f.Height {
			s.w.Fatalf("%s: wakes at %d, it is %d", s.name, s.wake, s.f.Height)
		}
		s.dirty = false
	}
	for id, n := range s.claimed {
		if n > 1 {
			s.w.Fatalf("%s: outbound htlc %d was claimed %d times", s.name, id, n)
		}
	}
	for id, n := range s.failed {
		if n > 1 {
			s.w.Fatalf("%s: outbound htlc %d failed %d times", s.name, id, n)
		}
		if s.claimed[id] > 0 && !s.w.deep && !s.early[id] {
			s.w.Fatalf("%s: outbound htlc %d failed and was claimed", s.name, id)
		}
	}
	if s.f.Spent == nil || s.behind {
		return
	}
	for _, h := range facts.Sorted(s.f.Outbound) {
		s.checkOutbound(h)
	}
	for _, h := range facts.Sorted(s.f.Inbound) {
		s.checkInbound(h)
	}
}

// checkOutbound: Claimed at one confirmation of the preimage, Failed at exactly six of what decided.
func (s *side) checkOutbound(h *facts.HTLC) {
	s.w.Helper()
	f, decided := s.fate(h, true)
	if decided && f.fulfilled && s.claimed[h.ID] != 1 {
		s.w.Fatalf("%s: the preimage of outbound htlc %d is on chain and it is not claimed", s.name, h.ID)
	}
	if s.claimed[h.ID] > 0 && (h.Preimage == nil || sha256.Sum256(h.Preimage[:]) != h.Hash) {
		s.w.Fatalf("%s: outbound htlc %d is claimed without its preimage", s.name, h.ID)
	}
	if !decided && s.w.height() >= h.CLTVExpiry+100 {
		return // not worth a claim, and nobody took it
	}
	final := decided && !f.fulfilled && f.depth >= 6
	if s.w.deep || s.early[h.ID] {
		return
	}
	if want := final && h.Preimage == nil; want != (s.failed[h.ID] == 1) {
		s.w.Fatalf("%s: at height %d outbound htlc %d (%v) failed %d times, decided %v by %+v", s.name, s.w.height(), h.ID, h.State, s.failed[h.ID], decided, f)
	}
	if want := decided && f.depth >= 6; want != (h.Fate != facts.FateOpen) && h.Preimage == nil {
		s.w.Fatalf("%s: at height %d outbound htlc %d has fate %d, decided %v by %+v", s.name, s.w.height(), h.ID, h.Fate, decided, f)
	}
}

// checkInbound: resolved at exactly six confirmations of what decided.
func (s *side) checkInbound(h *facts.HTLC) {
	s.w.Helper()
	if s.resolved[h.ID] > 1 {
		s.w.Fatalf("%s: inbound htlc %d was resolved %d times", s.name, h.ID, s.resolved[h.ID])
	}
	if s.w.deep || h.State >= facts.RcvdRemoveRevocation {
		return
	}
	f, decided := s.fate(h, false)
	if !decided && s.w.height() >= h.CLTVExpiry+100 {
		return // nobody waits for it any more
	}
	if want := decided && f.depth >= 6; want != (s.resolved[h.ID] == 1) {
		s.w.Fatalf("%s: at height %d inbound htlc %d (%v) was resolved %d times, decided %v by %+v", s.name, s.w.height(), h.ID, h.State, s.resolved[h.ID], decided, f)
	}
	settled := f.lacking && h.Resolution.Fulfilled() // its money may be in a balance already
	if decided && f.depth >= 6 && f.fulfilled != (h.Fate == facts.FateFulfilled) && !settled && s.f.Spent.Spend != facts.SpendRevoked {
		s.w.Fatalf("%s: inbound htlc %d has fate %d, decided by %+v", s.name, h.ID, h.Fate, f)
	}
}

// balanced is scenario 28: the parts add up at every block.
func (s *side) balanced() messages.ChannelBalance {
	s.w.Helper()
	b := s.res().Balance()
	if b.Available+b.InHTLCs+b.Awaiting+b.Contested+b.Swept+b.Fees+b.Lost != b.Total {
		s.w.Fatalf("%s: at height %d the balance does not add up: %+v", s.name, s.w.height(), b)
	}
	if b.SpendableAt != 0 && b.Awaiting == 0 {
		s.w.Fatalf("%s: at height %d something becomes spendable at %d, nothing waits: %+v", s.name, s.w.height(), b.SpendableAt, b)
	}
	s.placed(&b)
	return b
}

// phase is what the total of a balance depends on: the commitment, and the inbound HTLCs whose preimage is known.
type phase struct {
	spender chainhash.Hash
	known   int
}

// placed holds a balance against the chain: what is swept and what is lost, and that the total stays.
func (s *side) placed(b *messages.ChannelBalance) {
	s.w.Helper()
	txid, ok := s.w.chain.Spender(s.w.funding)
	if !ok || s.behind || s.f.Spent == nil || s.f.Spent.Txid != txid || s.w.find(txid) == nil || s.f.Height != s.w.height() {
		return
	}
	var swept, lost uint64
	leaves, _ := s.w.leaves()
	for _, l := range leaves {
		switch {
		case l.by == s.name:
			swept += uint64(l.value)
		case l.by != "" && l.what != "anchor" && l.mine == s.name:
			lost += uint64(l.value)
		}
	}
	ph := phase{spender: txid}
	for _, h := range s.f.Inbound {
		if h.Preimage != nil {
			ph.known++
		}
	}
	if b.Swept != swept {
		s.w.Fatalf("%s: at height %d %d sat are swept, the balance says %+v", s.name, s.w.height(), swept, *b)
	}
	if lost > b.Lost {
		s.w.Fatalf("%s: at height %d %d sat are lost, the balance says %+v", s.name, s.w.height(), lost, *b)
	}
	if was, ok := s.totals[ph]; ok && was != b.Total {
		s.w.Fatalf("%s: at height %d the total changes from %d: %+v", s.name, s.w.height(), was, *b)
	}
	s.totals[ph] = b.Total
}

// finish mines until nothing is left to wait for, and settles the accounts.
func (w *world) finish() {
	w.Helper()
	for range 250 {
		if w.done() {
			break
		}
		w.mine(1)
	}
	for _, s := range w.sides() {
		if s.down {
			continue
		}
		if _, ok := s.res().ResolvedAt(); !ok {
			w.Fatalf("%s: not resolved at height %d: watches %v, plan %+v, balance %+v", s.name, w.height(), s.res().Watches(), s.res().Plan(), s.res().Balance())
		}
		if !s.swept() {
			w.Fatalf("%s: not swept at height %d: %v", s.name, w.height(), s.spendable)
		}
	}
	w.mine(6)
	w.account()
}

func (w *world) done() bool {
	for _, s := range w.sides() {
		if s.down {
			continue
		}
		if _, ok := s.res().ResolvedAt(); !ok || !s.swept() {
			return false
		}
	}
	return true
}

// swept tells whether all that was handed to the wallet is in it.
func (s *side) swept() bool {
	for _, o := range s.spendable {
		if _, err := s.w.chain.TxOut(o.Output); err == nil && o.Kind != facts.SpendableAnchor && o.ValueSat >= 1000 {
			return false
		}
	}
	return true
}
