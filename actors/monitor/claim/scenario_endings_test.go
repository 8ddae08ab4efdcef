package claim_test

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// commitAll makes HTLCs of both sides that are irrevocably committed.
func (w *world) commitAll(a, b []facts.HTLC) {
	w.a.round(a)
	w.b.round(b)
	w.settle()
}

// forceClose broadcasts the side's commitment and confirms it.
func (s *side) forceClose() {
	s.w.Helper()
	s.apply(facts.ForceClosed{Reason: facts.CloseByUser})
	s.w.act()
	s.w.mine(1)
}

// broadcast gives a transaction to the mempool.
func (w *world) broadcast(tx *wire.MsgTx) {
	w.Helper()
	if err := w.chain.Broadcast(tx); err != nil {
		w.Fatalf("broadcast: %v", err)
	}
}

// wait adds blocks without the mempool's transactions: what was broadcast is stuck.
func (w *world) wait(n int) {
	w.Helper()
	for range n {
		w.told(must(w.chain.MineEmpty(1))[0])
	}
}

// later advances by full blocks to a height.
func (w *world) until(height uint32) {
	w.Helper()
	for w.height() < height {
		w.mine(1)
	}
}

// TestScenario23SixDeepRevoked: each output of a revoked commitment is swept, and failures come six blocks after that output's spend, not the
// commitment's.
func TestScenario23SixDeepRevoked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	w.commitAll([]facts.HTLC{w.a.htlc(0, 20_000, w.expiry(40), 1), w.a.htlc(1, 21_000, w.expiry(41), 2)}, []facts.HTLC{w.b.htlc(0, 22_000, w.expiry(40), 3)})
	old := w.b.current()
	for range 6 {
		w.b.round(nil)
		w.a.round(nil)
	}
	w.b.corrupt(old, nil)
	w.broadcast(old.signed)
	w.mine(1)
	confirmed := w.height()
	w.wait(3)
	w.mine(1)
	spent := w.height()
	for _, h := range facts.Sorted(w.a.f.Outbound) {
		if f, ok := w.a.fate(h, true); !ok || f.depth != 1 || f.fulfilled {
			t.Fatalf("htlc %d at height %d: %+v", h.ID, spent, f)
		}
	}
	w.until(confirmed + 5)
	if len(w.a.failed) > 0 {
		t.Fatalf("failed %v six blocks after the commitment", w.a.failed)
	}
	w.until(spent + 4)
	if len(w.a.failed) > 0 {
		t.Fatalf("failed %v before the sixth confirmation", w.a.failed)
	}
	w.until(spent + 5)
	if len(w.a.failed) != 2 {
		t.Fatalf("failed %v at the sixth confirmation", w.a.failed)
	}
	w.finish()
	w.outcomes()
	if leaves, _ := w.leaves(); len(leaves) < 5 {
		t.Fatalf("%d outputs", len(leaves))
	}
}

// TestScenario24RevokedOverlaps: the HTLCs of a revoked commitment and of the current one overlap; all that live are failed back, each once.
func TestScenario24RevokedOverlaps(t *testing.T) {
	t.Parallel()
	for _, deep := range []bool{false, true} {
		t.Run(fmt.Sprintf("fast adversary %v", deep), func(t *testing.T) {
			w := newWorld(t, false)
			w.commitAll([]facts.HTLC{w.a.htlc(0, 20_000, w.expiry(30), 1), w.a.htlc(1, 21_000, w.expiry(3), 2), w.a.htlc(2, 22_000, w.expiry(32), 3)},
				[]facts.HTLC{w.b.htlc(0, 23_000, w.expiry(2), 4)})
			old := w.b.current()
			w.b.decide(0, false)
			w.b.round(nil, 0)
			w.settle()
			w.a.round([]facts.HTLC{w.a.htlc(0, 24_000, w.expiry(30), 5), w.a.htlc(1, 300, w.expiry(30), 6)})
			w.settle()
			if w.a.failed[0] != 1 {
				t.Fatalf("htlc 0 was failed off chain: %v", w.a.failed)
			}
			w.a.failed = map[uint64]int{}
			known := w.hashes()
			if deep {
				known = w.hashes(2)
			}
			adversary := w.b.corrupt(old, known)
			w.broadcast(old.signed)
			w.mine(1)
			for i := 0; deep && i < 4; i++ {
				w.mineTxs(adversary.loot()...)
			}
			w.finish()
			if deep {
				if w.a.claimed[1] != 1 || len(w.a.failed) != 3 {
					t.Fatalf("claimed %v, failed %v", w.a.claimed, w.a.failed)
				}
			} else if len(w.a.claimed) > 0 || len(w.a.failed) != 4 {
				t.Fatalf("claimed %v, failed %v", w.a.claimed, w.a.failed)
			}
			w.outcomes()
		})
	}
}

// hashes are those of secrets.
func (w *world) hashes(secrets ...uint32) map[ln.Hash]bool {
	out := map[ln.Hash]bool{}
	for _, s := range secrets {
		out[w.a.htlc(0, 1, 1, s).Hash] = true
	}
	return out
}

// TestScenario25LatePreimage: a preimage that is learned after the close claims the HTLCs of its own hash and no others, before their own expiries.
func TestScenario25LatePreimage(t *testing.T) {
	t.Parallel()
	for _, closer := range []int{0, 1} {
		t.Run([]string{"a", "b"}[closer]+" closes", func(t *testing.T) {
			w := newWorld(t, true)
			w.commitAll([]facts.HTLC{
				w.a.htlc(0, 20_000, w.expiry(30), 1), w.a.htlc(1, 20_000, w.expiry(22), 1), w.a.htlc(2, 20_000, w.expiry(22), 2), w.a.htlc(3, 20_000, w.expiry(30), 1),
			}, nil)
			w.sides()[closer].forceClose()
			w.mine(5)
			w.b.decide(0, true)
			w.b.decide(1, true)
			for _, q := range w.b.res().Plan().Build {
				if q.Deadline == 0 || q.Deadline > w.b.f.Inbound[0].CLTVExpiry {
					t.Fatalf("a claim has its deadline at %d", q.Deadline)
				}
			}
			w.act()
			w.finish()
			for id, h := range map[uint64]uint32{0: 1, 1: 1, 2: 2, 3: 1} {
				f, _ := w.a.fate(w.a.f.Outbound[id], true)
				if want := id < 2; f.fulfilled != want || (w.a.claimed[id] == 1) != want {
					t.Fatalf("htlc %d of secret %d: %+v, claimed %v, failed %v", id, h, f, w.a.claimed, w.a.failed)
				}
			}
			w.outcomes()
		})
	}
}

// TestScenario26ThreeHops is the part of the hop in the middle: what happens on chain downstream is passed back exactly, and the preimage from there
// claims upstream on chain.
func TestScenario26ThreeHops(t *testing.T) {
	t.Parallel()
	for _, closer := range []int{0, 1} {
		t.Run([]string{"a", "b"}[closer]+" closes", func(t *testing.T) {
			down, up := newWorld(t, true), newWorld(t, false)
			var adds []facts.HTLC
			for i := range 3 {
				h := down.a.htlc(i, 20_000+uint64(i), down.expiry(12), uint32(i))
				h.Source = &ln.Source{Forward: &ln.ForwardSource{HTLCID: uint64(i), CLTVExpiry: down.expiry(60)}}
				adds = append(adds, h)
			}
			down.commitAll(adds, nil)
			up.commitAll([]facts.HTLC{up.a.htlc(0, 20_010, up.expiry(60), 0), up.a.htlc(1, 20_011, up.expiry(60), 1), up.a.htlc(2, 20_012, up.expiry(60), 2)}, nil)
			down.b.decide(0, true)
			down.sides()[closer].forceClose()
			up.sides()[closer].forceClose()
			passed := map[uint64]bool{}
			for range 60 {
				down.mine(1)
				for id := range uint64(3) { // the manager of the hop
					if passed[id] || down.a.claimed[id]+down.a.failed[id] == 0 {
						continue
					}
					passed[id] = true
					up.b.decide(id, down.a.claimed[id] == 1)
				}
				up.mine(1)
			}
			down.finish()
			up.finish()
			for _, w := range []*world{down, up} {
				if w.a.claimed[0] != 1 || w.a.failed[1] != 1 || w.a.failed[2] != 1 || len(w.a.claimed)+len(w.a.failed) != 3 {
					t.Fatalf("claimed %v, failed %v", w.a.claimed, w.a.failed)
				}
				w.outcomes()
			}
			if up.b.f.Inbound[0].Fate != facts.FateFulfilled || up.b.f.Inbound[1].Fate != facts.FateFailed {
				t.Fatalf("upstream: %+v %+v", up.b.f.Inbound[0], up.b.f.Inbound[1])
			}
		})
	}
}

// TestScenario28Balances: the balance of a channel at every block of its end, on either side, with dust, claims in flight and justice. That the parts
// add up, what is swept and that the total stays is checked at every block of every test (balanced); here the amounts are written down.
func TestScenario28Balances(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, true, 400, 400)
	w.commitAll([]facts.HTLC{w.a.htlc(0, 20_000, w.expiry(10), 1), w.a.htlc(1, 21_000, w.expiry(20), 2), w.a.htlc(2, 300, w.expiry(20), 3)},
		[]facts.HTLC{w.b.htlc(0, 22_000, w.expiry(20), 4), w.b.htlc(1, 23_000, w.expiry(10), 5)})
	const paid = 1124 + 4*172 + 2*330 // a commitment with four HTLCs at 1000 sat/kw, and the anchors (BOLT 3)
	const gift = 330                  // b's anchor, which a paid
	a, b := w.a.balanced(), w.b.balanced()
	if a.Total != 2_000_000 || b.Total != 2_000_000 || a.InHTLCs != 41_300 || b.InHTLCs != 45_000 || a.Fees != paid || b.Fees != 0 {
		t.Fatalf("open: a %+v, b %+v", a, b)
	}
	w.a.forceClose()
	a, b = w.a.balanced(), w.b.balanced()
	if a.InHTLCs != 41_000 || a.Awaiting != 2_000_000-41_000-a.Fees-a.Swept || a.Total != 2_000_000 || b.InHTLCs != 45_000 || b.Awaiting != 1_955_000 {
		t.Fatalf("confirmed: a %+v, b %+v", a, b)
	}
	w.b.decide(1, true)
	w.a.decide(0, true)
	if a, b = w.a.balanced(), w.b.balanced(); a.Total != 2_022_000 || b.Total != 2_021_000+gift {
		t.Fatalf("preimages: a %+v, b %+v", a, b)
	}
	w.act()
	w.until(w.a.f.Spent.Height + 4)
	if a, b = w.a.balanced(), w.b.balanced(); a.Lost != 21_000 || b.Lost != 22_000 || b.Swept < 21_000 || a.InHTLCs != 20_000 || b.InHTLCs != 23_000 {
		t.Fatalf("claimed: a %+v, b %+v", a, b)
	}
	w.until(w.a.f.Outbound[0].CLTVExpiry)
	if a, b = w.a.balanced(), w.b.balanced(); a.Contested != 20_000 || b.Contested != 23_000 {
		t.Fatalf("expired: a %+v, b %+v", a, b)
	}
	w.finish()
	if a, b = w.a.balanced(), w.b.balanced(); a.Swept+a.Fees != 2_000_000+22_000-21_000 || a.Lost != 21_000 || b.Swept+b.Fees != 2_000_000+21_000-22_000+gift || b.Lost != 22_000 {
		t.Fatalf("over: a %+v, b %+v", a, b)
	}
	w.outcomes()
}

// TestScenario29Replaced: our commitment is replaced by the counterparty's in a reorganisation, at each depth; claims are rebuilt for the new one.
func TestScenario29Replaced(t *testing.T) {
	t.Parallel()
	for depth := 1; depth <= 5; depth++ {
		for first := range 2 {
			t.Run(fmt.Sprintf("depth %d, %s first", depth, []string{"a", "b"}[first]), func(t *testing.T) {
				t.Parallel()
				w := prepared(6).clone(t)
				mine, theirs := w.sides()[first], w.sides()[1-first]
				mine.thorough, theirs.thorough = true, true
				mine.forceClose()
				w.mine(depth - 1)
				before := mine.f.Spent.Txid
				w.reorg(depth, regtest.WithBlock(0, theirs.current().signed))
				if mine.f.Spent == nil || mine.f.Spent.Txid == before || mine.f.Spent.Spend != facts.SpendCounterparty {
					t.Fatalf("spent by %+v", mine.f.Spent)
				}
				w.learn()
				w.finish()
				w.outcomes()
			})
		}
	}
}

// TestBothBroadcast: each side broadcasts its own commitment; one of them wins, and the loser's anchor claim is dropped.
func TestBothBroadcast(t *testing.T) {
	t.Parallel()
	for first := range 2 {
		w := prepared(5).clone(t)
		for i := range 2 {
			w.sides()[(first+i)%2].apply(facts.ForceClosed{Reason: facts.CloseByUser})
			w.sides()[(first+i)%2].act()
		}
		w.mine(1)
		w.learn()
		w.finish()
		w.outcomes()
		for _, s := range w.sides() {
			if n := len(s.f.OnChain.Claims); n > 0 {
				t.Fatalf("%s keeps %d claims", s.name, n)
			}
		}
	}
}

// TestMutualClose ends a channel by agreement, also when a reorganisation takes that back or puts a commitment in its place, be it a revoked one.
func TestMutualClose(t *testing.T) {
	t.Parallel()
	for _, instead := range []string{"same again", "dropped", "a's current", "b's current", "b's revoked"} {
		for depth := range 7 {
			t.Run(fmt.Sprintf("reorg %d %s", depth, instead), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, depth%2 == 0)
				w.a.round([]facts.HTLC{w.a.htlc(0, 20_000, w.expiry(30), 1)})
				w.settle()
				revoked := w.b.current()
				w.b.decide(0, true)
				w.b.round(nil, 0)
				w.settle()
				tx := w.mutualClose()
				w.broadcast(tx)
				w.mine(max(depth, 1))
				if depth > 0 {
					var opts []regtest.ReorgOption
					switch instead {
					case "dropped":
						opts = append(opts, regtest.DropAllTxs())
					case "a's current":
						opts = append(opts, regtest.WithBlock(0, w.a.current().signed))
					case "b's current":
						opts = append(opts, regtest.WithBlock(0, w.b.current().signed))
					case "b's revoked":
						w.b.corrupt(revoked, nil)
						opts = append(opts, regtest.WithBlock(0, revoked.signed))
					}
					w.reorg(depth, opts...)
					if instead == "dropped" {
						w.broadcast(tx)
					}
				}
				w.finish()
				if w.a.claimed[0] != 1 || len(w.a.failed) != 0 {
					t.Fatalf("claimed %v, failed %v", w.a.claimed, w.a.failed)
				}
			})
		}
	}
}

// mutualClose makes both sides agree.
func (w *world) mutualClose() *wire.MsgTx {
	var sigs []lnwire.Sig
	var txs []*commitment.CloseTx
	for _, s := range w.sides() {
		tx := must(commitment.MutualClose(&s.f.Tx, &commitment.Close{
			HolderScript: s.wallet.script, CounterpartyScript: s.peer.wallet.script,
			HolderMsat: lnwire.MilliSatoshi(s.f.HolderMsat), CounterpartyMsat: lnwire.MilliSatoshi(s.f.CounterpartyMsat), Fee: btcutil.Amount(500),
		}))
		txs, sigs = append(txs, tx), append(sigs, must(s.keys.SignMutualClose(keyIndex, &s.f.Tx, tx)))
	}
	signed := must(txs[0].Complete(&w.a.f.Tx, sigs[0], sigs[1]))
	for _, s := range w.sides() {
		s.apply(facts.HolderShutdown{Script: s.wallet.script})
		s.apply(facts.CounterpartyShutdown{Script: s.peer.wallet.script})
		s.apply(facts.MutualClosed{Tx: signed})
	}
	return signed
}

// TestBehind: the counterparty's commitment is newer than all that we know. Our own output on it is ours, and nothing that we can't know is told.
func TestBehind(t *testing.T) {
	t.Parallel()
	for depth := range 6 {
		t.Run(fmt.Sprintf("reorg %d", depth), func(t *testing.T) {
			w := prepared(6).clone(t)
			old, held := w.a.f.Clone(), len(w.a.held)
			for range 3 {
				w.a.round(nil)
				w.b.round(nil)
			}
			w.a.f, w.a.held, w.a.r, w.a.behind = old, w.a.held[:held], nil, true
			w.a.apply(facts.ProvenBehind{})
			w.b.forceClose()
			if depth > 0 {
				w.mine(depth - 1)
				w.reorg(depth)
			}
			w.finish()
			leaves, _ := w.leaves()
			for _, l := range leaves {
				if l.what == "to_remote" && l.by != "a" {
					t.Fatalf("our output of %d sat was spent by %q", l.value, l.by)
				}
			}
		})
	}
}
