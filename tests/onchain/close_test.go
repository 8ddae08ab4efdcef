package onchain

import (
	"testing"

	"github.com/lnactor/lnactor"
)

// on runs a test on both chains.
func on(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) { f(t, newWorld(t, newEmbedded(t))) })
	t.Run("btcd", func(t *testing.T) {
		if testing.Short() {
			t.Skip("a btcd is built and run")
		}
		f(t, newWorld(t, newBtcd(t)))
	})
}

// conserved: what both had is what both have, less the fees of the blocks, to the satoshi; but for anchors, which are below what any wallet sweeps alone,
// and are what these transactions left behind.
func (w *world) conserved(t *testing.T, paidToBobSat uint64) {
	t.Helper()
	var before, after uint64
	for _, s := range w.sides() {
		before += s.before
		after += s.coins(t)
	}
	fees, left := w.fees(t), w.unclaimed(t)
	if before != after+fees+left {
		t.Errorf("before %d, after %d, fees %d, left %d: %d are missing", before, after, fees, left, int64(before-after-fees-left))
	}
	if left > 2*330 {
		t.Errorf("%d satoshis are left on chain, anchors are all that may be", left)
	}
	bob := w.bob.before + 300_000 + paidToBobSat
	if got := w.bob.coins(t); got > bob || got+fees < bob {
		t.Errorf("bob has %d, he should have %d less his fees", got, bob)
	}
}

// TestCooperative: both have their money as soon as the closing transaction confirms.
func TestCooperative(t *testing.T) {
	on(t, func(t *testing.T, w *world) {
		must(t, w.alice.node.CloseChannel(w.ctx, w.channel))
		w.resolve(t, func(int) {})
		w.conserved(t, 0)
	})
}

// TestForce: alice closes with payments of both directions in flight; of those to bob he claims one before and one after the close, the third times
// out; bob's to alice times out as well. Nodes are killed on the way, and there is a reorganisation.
func TestForce(t *testing.T) {
	on(t, func(t *testing.T, w *world) {
		toBob := w.hold(t, w.alice, w.bob, 3, 50_000_000)
		toAlice := w.hold(t, w.bob, w.alice, 2, 20_000_000)
		w.bob.node.Kill() // or he would fulfil off chain
		must(t, w.alice.node.ForceCloseChannel(w.ctx, w.channel))
		must(t, w.alice.node.ClaimPayment(w.ctx, toAlice[0]))
		w.open(t, w.bob)
		w.until(t, "bob may decide", func() bool { return w.bob.node.ClaimPayment(w.ctx, toBob[0]) == nil })
		w.resolve(t, func(block int) {
			switch block {
			case 3:
				must(t, w.bob.node.ClaimPayment(w.ctx, toBob[1]))
			case 5:
				w.ground.reorg(t, 3)
				w.follow(t)
			case 8, 30, 60, 170:
				w.kill(t, w.alice)
			case 9, 31, 100:
				w.kill(t, w.bob)
			}
		})
		if sent, failed := w.alice.outcomes(); sent != 2 || failed != 1 {
			t.Errorf("alice: %d sent, %d failed, want 2 and 1", sent, failed)
		}
		if sent, failed := w.bob.outcomes(); sent != 1 || failed != 1 {
			t.Errorf("bob: %d sent, %d failed, want 1 and 1", sent, failed)
		}
		w.conserved(t, 100_000-20_000)
		for _, s := range w.sides() {
			closed, _, err := s.node.ClosedChannels(w.ctx, nil, 0)
			must(t, err)
			want := lnactor.SpendKind(0)
			if len(closed) != 1 || closed[0].Spend == want || closed[0].SweptSat == 0 {
				t.Errorf("%s: %+v", s.name, closed)
			}
		}
	})
}
