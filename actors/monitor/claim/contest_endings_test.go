package claim_test

import (
	"fmt"
	"testing"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// TestStuckClaims: what we broadcast does not confirm for long. Fees rise to the deadline, replacements are accepted, and the HTLC is won.
func TestStuckClaims(t *testing.T) {
	t.Parallel()
	for _, closer := range []int{0, 1} {
		t.Run([]string{"a", "b"}[closer]+" closes", func(t *testing.T) {
			w := newWorld(t, true)
			w.commitAll([]facts.HTLC{w.a.htlc(0, 50_000, w.expiry(25), 1), w.a.htlc(1, 51_000, w.expiry(25), 2)}, nil)
			w.b.decide(0, true)
			w.b.decide(1, true)
			w.stuck = true
			w.sides()[closer].forceClose()
			w.wait(20)
			if w.b.bumps == 0 {
				t.Fatalf("no fee was raised")
			}
			w.mine(1)
			w.finish()
			if len(w.a.claimed) != 2 {
				t.Fatalf("claimed %v", w.a.claimed)
			}
			w.outcomes()
		})
	}
}

// TestStuckCommitment: the commitment itself waits, and its fee is raised through the anchor.
func TestStuckCommitment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.commitAll([]facts.HTLC{w.a.htlc(0, 50_000, w.expiry(25), 1)}, nil)
	w.b.decide(0, true)
	w.stuck = true
	w.b.apply(facts.ForceClosed{Reason: facts.CloseByHTLCDeadline})
	w.act()
	w.wait(22)
	if w.b.bumps == 0 {
		t.Fatalf("no fee was raised")
	}
	w.finish()
	w.outcomes()
}

// TestEarlyFailure is the 3-block rule: a forward whose inbound HTLC expires is failed before its fate is known, once; what comes after is told if it
// is a preimage and not if it is a failure.
func TestEarlyFailure(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("preimage after it %v", late), func(t *testing.T) {
			w := newWorld(t, true)
			h := w.a.htlc(0, 20_000, w.expiry(40), 1)
			inbound := w.expiry(20)
			h.Source = &ln.Source{Forward: &ln.ForwardSource{CLTVExpiry: inbound}}
			w.commitAll([]facts.HTLC{h, w.a.htlc(1, 21_000, w.expiry(40), 2)}, nil)
			w.a.early[0] = true
			w.a.forceClose()
			w.until(inbound - 4)
			if len(w.a.failed) > 0 {
				t.Fatalf("failed %v four blocks before the expiry", w.a.failed)
			}
			w.until(inbound - 3)
			if w.a.failed[0] != 1 || len(w.a.failed) != 1 {
				t.Fatalf("failed %v three blocks before the expiry", w.a.failed)
			}
			if late {
				w.b.decide(0, true)
				w.b.decide(1, true)
				w.act()
				w.mine(1)
			}
			w.finish()
			if w.a.failed[0] != 1 || (w.a.claimed[0] == 1) != late {
				t.Fatalf("failed %v, claimed %v", w.a.failed, w.a.claimed)
			}
		})
	}
}

// TestDeepReorganisation: six blocks and more change what was told to be final. Nothing panics, nothing fails twice, and a preimage that turns up is
// reported.
func TestDeepReorganisation(t *testing.T) {
	t.Parallel()
	for depth := 6; depth <= 9; depth++ {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			w := newWorld(t, true)
			w.commitAll([]facts.HTLC{w.a.htlc(0, 20_000, w.expiry(3), 1), w.a.htlc(1, 300, w.expiry(30), 2)}, []facts.HTLC{w.b.htlc(0, 22_000, w.expiry(3), 3)})
			w.a.forceClose()
			w.until(w.expiry(2))
			w.mine(4)
			for len(w.a.failed) < 2 {
				w.mine(1)
			}
			// The new chain knows better: b had the preimage.
			b := w.b.corrupt(w.a.current(), nil)
			b.c = w.b.current()
			b.knows = w.hashes(1)
			w.reorg(int(w.height()-w.a.f.Spent.Height)+1, regtest.WithBlock(0, w.b.current().signed), regtest.DropAllTxs())
			w.mineTxs(b.loot()...)
			if w.a.claimed[0] != 1 {
				t.Fatalf("claimed %v", w.a.claimed)
			}
			w.mine(30)
			if w.a.failed[0] != 1 || w.a.failed[1] != 1 {
				t.Fatalf("failed %v", w.a.failed)
			}
		})
	}
}

// TestPinned: the peer's transaction sits in the mempool with a higher fee and does not confirm. Our claim is offered until it gets in.
func TestPinned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.commitAll([]facts.HTLC{w.a.htlc(0, 50_000, w.expiry(3), 1), w.a.htlc(1, 51_000, w.expiry(3), 2)}, nil)
	pin := w.b.corrupt(w.b.current(), w.hashes(1))
	w.b.plunder = nil
	w.broadcast(w.b.current().signed)
	w.mine(1)
	w.until(w.a.f.Outbound[0].CLTVExpiry - 2)
	stuck := pin.loot()
	for _, tx := range stuck {
		w.broadcast(tx)
	}
	w.wait(6)
	if len(w.a.claimed)+len(w.a.failed) > 0 {
		t.Fatalf("claimed %v, failed %v without a block", w.a.claimed, w.a.failed)
	}
	for _, tx := range stuck {
		w.chain.Evict(tx.TxHash())
	}
	w.a.dirty = true // a monitor broadcasts what it keeps at every block
	w.act()
	w.finish()
	if len(w.a.claimed) != 0 || len(w.a.failed) != 2 {
		t.Fatalf("claimed %v, failed %v", w.a.claimed, w.a.failed)
	}
	w.outcomes()
}

// TestSmallHTLCs: an HTLC above the dust limit that is not worth a claim of its own does not hold up the rest.
func TestSmallHTLCs(t *testing.T) {
	t.Parallel()
	for _, closer := range []int{0, 1} {
		for _, sat := range []uint64{400, 500, 700, 1_500} {
			t.Run(fmt.Sprintf("%d sat, %s closes", sat, []string{"a", "b"}[closer]), func(t *testing.T) {
				w := newWorldWith(t, true, 400, 400)
				w.commitAll([]facts.HTLC{w.a.htlc(0, sat, w.expiry(3), 1), w.a.htlc(1, 50_000, w.expiry(3), 2)},
					[]facts.HTLC{w.b.htlc(0, sat, w.expiry(20), 3)})
				w.a.decide(0, true)
				w.sides()[closer].forceClose()
				w.mine(30)
				if w.a.failed[1] != 1 {
					t.Fatalf("failed %v", w.a.failed)
				}
				w.mine(110)
				for _, s := range w.sides() {
					if !s.swept() {
						t.Fatalf("%s: not swept", s.name)
					}
					if _, ok := s.res().ResolvedAt(); !ok {
						t.Logf("%s: an HTLC of %d sat keeps the channel open: failed %v, balance %+v", s.name, sat, s.failed, s.balanced())
					}
				}
			})
		}
	}
}
