package claim_test

import (
	"testing"

	"github.com/btcsuite/btcd/wire"
	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// TestRandomEndings closes a channel in a random state by a random commitment, with random preimages, delays and reorganisations. A failure prints
// the seed: go test -run TestRandomEndings -rapid.seed=N.
func TestRandomEndings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := &random{T: t, w: newWorld(t, rapid.Bool().Draw(t, "a funds"))}
		r.w.hasty = true
		for range rapid.IntRange(0, 60).Draw(t, "messages") {
			r.message()
		}
		r.close()
		for i := range rapid.IntRange(1, 30).Draw(t, "blocks") {
			r.block(i)
		}
		r.w.finish()
		r.w.outcomes()
	})
}

type random struct {
	*rapid.T
	w         *world
	secrets   uint32
	added     [2]int
	adversary *adversary
	reorgs    int
	starved   bool // the last block had nothing of the mempool: the next one does, or the delays would mean nothing
}

// message is one that the protocol allows now.
func (r *random) message() {
	i := rapid.IntRange(0, 1).Draw(r.T, "side")
	s := r.w.sides()[i]
	switch rapid.IntRange(0, 3).Draw(r.T, "message") {
	case 0:
		if !s.f.Unrevoked {
			r.sign(i, s)
		}
	case 1, 2: // what the peer said, in its order
		switch p := s.peer; {
		case p.sent != nil && (p.revoke == nil || p.sentFirst):
			s.receive()
		case p.revoke != nil:
			s.acked()
		}
	case 3:
		for _, h := range facts.Sorted(s.f.Inbound) {
			if h.State == facts.RcvdAddAckRevocation && h.Resolution == nil {
				s.decide(h.ID, rapid.Bool().Draw(r.T, "fulfil"))
				return
			}
		}
	}
}

func (r *random) sign(i int, s *side) {
	var adds []facts.HTLC
	for range rapid.IntRange(0, 3).Draw(r.T, "adds") {
		if r.added[i] == 12 {
			break
		}
		r.added[i]++
		if r.secrets++; r.secrets > 1 && rapid.IntRange(0, 7).Draw(r.T, "same hash") == 0 {
			r.secrets--
		}
		sat := rapid.SampledFrom([]uint64{1, 399, 8_000, 11_999, 12_000, 20_000, 50_000}).Draw(r.T, "sat")
		expiry := r.w.expiry(rapid.Uint32Range(1, 30).Draw(r.T, "expiry"))
		adds = append(adds, s.htlc(len(adds), sat, expiry, r.secrets))
	}
	var removes []uint64
	for _, h := range facts.Sorted(s.f.Inbound) {
		if h.State == facts.RcvdAddAckRevocation && h.Resolution != nil && rapid.Bool().Draw(r.T, "remove") {
			removes = append(removes, h.ID)
		}
	}
	s.sign(adds, removes...)
}

// close broadcasts one commitment or two.
func (r *random) close() {
	for _, s := range r.w.sides() {
		s.thorough = rapid.IntRange(0, 3).Draw(r.T, "thorough") == 0
	}
	s := r.w.sides()[rapid.IntRange(0, 1).Draw(r.T, "closer")]
	back := min(rapid.IntRange(0, 4).Draw(r.T, "back"), len(s.held)-1)
	if back == 0 {
		s.apply(facts.ForceClosed{Reason: facts.CloseByUser})
		if rapid.IntRange(0, 3).Draw(r.T, "both") == 0 {
			s.peer.apply(facts.ForceClosed{Reason: facts.CloseByUser})
		}
	} else {
		c := s.held[len(s.held)-1-back]
		known := map[ln.Hash]bool{}
		for i := range c.tx.HTLCs {
			if h := &c.tx.HTLCs[i]; !h.Offered && rapid.Bool().Draw(r.T, "known") {
				known[h.Hash] = true
			}
		}
		r.adversary = s.corrupt(c, known)
		r.w.broadcast(c.signed)
	}
	r.w.act()
}

// block is one more, or a reorganisation of the last ones.
func (r *random) block(i int) {
	for _, s := range r.w.sides() {
		if s.down {
			continue
		}
		for _, h := range facts.Sorted(s.f.Inbound) {
			if h.Decidable() && h.Resolution == nil && rapid.IntRange(0, 15).Draw(r.T, "learn") == 0 {
				s.decide(h.ID, true)
			}
		}
	}
	r.w.act()
	kind := rapid.IntRange(0, 9).Draw(r.T, "block")
	if r.starved {
		kind = 9
	}
	r.starved = kind < 3
	switch {
	case kind == 0 && i > 0 && r.reorgs < 3:
		r.reorgs++
		depth := rapid.IntRange(1, min(i, 5)).Draw(r.T, "depth")
		var opts []regtest.ReorgOption
		switch s := r.w.sides()[rapid.IntRange(0, 1).Draw(r.T, "other")]; rapid.IntRange(0, 2).Draw(r.T, "how") {
		case 0:
			opts = append(opts, regtest.DropAllTxs())
		case 1:
			if sp := r.first().f.Spent; !s.down && sp != nil && r.w.height()-sp.Height < uint32(depth) {
				opts = append(opts, regtest.WithBlock(0, s.current().signed))
			}
		}
		r.w.reorg(depth, opts...)
	case kind == 1:
		r.w.wait(1)
	case kind == 2 && r.adversary != nil:
		r.w.mineTxs(distinct(r.adversary.loot())...)
	default:
		r.w.mine(1)
	}
}

// first is a side with a monitor.
func (r *random) first() *side {
	if r.w.a.down {
		return r.w.b
	}
	return r.w.a
}

// distinct leaves out a transaction that spends what an earlier one does.
func distinct(txs []*wire.MsgTx) (out []*wire.MsgTx) {
	spent := map[wire.OutPoint]bool{}
	for _, tx := range txs {
		clash := false
		for _, in := range tx.TxIn {
			clash = clash || spent[in.PreviousOutPoint]
			spent[in.PreviousOutPoint] = true
		}
		if !clash {
			out = append(out, tx)
		}
	}
	return out
}
