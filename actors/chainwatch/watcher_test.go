package chainwatch

import (
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

func TestWatchAddedLate(t *testing.T) {
	t.Run("same block", func(t *testing.T) {
		h := newHarness(t, 200)
		h.register(1, h.f.tip())
		h.log = nil
		commitment := spend(1, out(1))
		output := wire.OutPoint{Hash: commitment.TxHash()}
		h.f.mine(commitment, spend(2, output))
		h.sync()
		h.want("w1: block 201 tx1@201")
		h.watch(1, 201, output)
		h.want("w1: block 201 tx2@201")
		h.watch(1, 201, output)
		h.want() // a repeat does not look back again
	})
	t.Run("repeat from further down", func(t *testing.T) {
		h := newHarness(t, 200)
		h.register(1, h.f.tip())
		h.f.mine(spend(1, out(5)))
		h.f.mine(spend(2, out(1)))
		h.sync()
		h.watch(1, 202, out(5))
		h.want("w1: block 200", "w1: block 202 tx2@202")
		h.watch(1, 201, out(5))
		h.want("w1: block 202 tx1@201")
	})
	t.Run("later blocks", func(t *testing.T) {
		h := newHarness(t, 200)
		h.register(1, h.f.tip())
		h.register(2, h.f.tip())
		h.log = nil
		h.f.mine(spend(1, out(1)))
		h.f.mine(spend(2, out(5)))
		h.f.mine(spend(3, out(2)))
		h.f.mine(spend(4, out(5)))
		h.sync()
		h.want("w1: block 201 tx1@201", "w2: block 203 tx3@203")
		h.watch(1, 201, out(5))
		h.want("w1: block 202 tx2@202", "w1: block 204 tx4@204") // ascending
		// Told of 203 before the watch came: the late match goes under that height.
		h.watch(2, 201, out(5))
		h.want("w2: block 203 tx2@202", "w2: block 204 tx4@204")
		h.f.mine(spend(5, out(5), out(1)))
		h.sync()
		h.want("w1: block 205 tx5@205", "w2: block 205 tx5@205")
	})
	t.Run("while catching up", func(t *testing.T) {
		h := newHarness(t, 200)
		h.f.mine(spend(1, out(1)), spend(2, out(5)))
		h.f.mine(spend(3, out(5)))
		h.f.mine(spend(4, out(1)), spend(5, out(6)))
		h.f.mineEmpty(5)
		h.restart()
		h.hold = true
		h.register(1, h.f.at(200))
		for range 3 {
			h.releaseOne()
		}
		h.want("w1: block 201 tx1@201")
		h.watch(1, 201, out(5)) // 201 and 202 are through
		h.watch(1, 205, out(6)) // still to come, and not before 205
		h.hold = false
		h.release()
		h.want("w1: block 201 tx2@201", "w1: block 202 tx3@202", "w1: block 203 tx4@203", "w1: block 208")
	})
	t.Run("future", func(t *testing.T) {
		h := newHarness(t, 200)
		h.register(1, h.f.tip())
		h.watch(1, 201, out(5))
		h.log = nil
		h.f.mine(spend(1, out(5)))
		h.sync()
		h.want("w1: block 201 tx1@201")
	})
}

func TestDuplicateRegistration(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.tip())
	h.register(1, h.f.tip())
	h.want("w1: block 200", "w1: block 200")
	h.register(1, h.f.at(198), func(r *messages.ChainRegister) { r.Incarnation = 2; r.Outpoints = []wire.OutPoint{out(9)} })
	h.register(1, h.f.tip()) // of a dead incarnation
	h.want("w1: block 200")
	h.watch(1, 201, out(1)) // also
	h.f.mine(spend(1, out(1)), spend(2, out(9)))
	h.sync()
	h.want("w1: block 201 tx2@201")
	if len(h.c.watchers) != 1 || len(h.c.index.outpoints) != 1 {
		t.Fatal("old registration left behind")
	}
}

func TestWake(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.at(190), func(r *messages.ChainRegister) { r.WakeAt = 195 })
	h.register(2, h.f.tip(), func(r *messages.ChainRegister) { r.WakeAt = 203 })
	h.register(3, h.f.tip(), func(r *messages.ChainRegister) { r.WakeAt = 203 })
	h.want("w1: block 195", "w1: block 200", "w2: block 200", "w3: block 200")
	h.wakeAt(3, 202) // replaces
	h.wakeAt(1, 199) // known already
	h.f.mine(spend(1, out(2)))
	h.f.mineEmpty(2)
	h.sync()
	h.want("w2: block 201 tx1@201", "w3: block 202", "w2: block 203")
	h.f.mineEmpty(5)
	h.sync()
	h.want()
	h.wakeAt(3, 205) // passed meanwhile: now
	h.want("w3: block 208")
	h.wakeAt(3, 205)
	h.want()
}

func TestCursors(t *testing.T) {
	h := newHarness(t, 400)
	stale := h.f.tip()
	h.f.cut(3)
	h.f.mine(spend(1, out(1)))
	h.f.mineEmpty(4)
	h.restart()

	h.hold = true
	h.register(1, stale)
	h.register(2, stale)
	h.want("w1: fork 397") // the other asks when the block that is being read has come
	h.hold = false
	h.release()
	h.want("w1: block 398 tx1@398", "w2: fork 397", "w1: block 402", "w2: block 402")

	// Old, but on the chain; not to be checked; forgotten by the source; ahead of the source.
	h.register(3, h.f.at(10))
	h.register(4, blockID{height: 10})
	h.register(5, blockID{height: 20, hash: chainhash.Hash{1}})
	h.register(6, blockID{height: 390, hash: chainhash.Hash{1}})
	h.want("w3: block 402", "w4: block 402", "w5: fork 0", "w5: block 402", "w6: fork 246", "w6: block 402")
	h.register(7, blockID{height: 404, hash: chainhash.Hash{2}})
	h.register(8, blockID{height: 404})
	h.want()
	h.f.mineEmpty(2)
	h.sync()
	h.want("w7: fork 260", "w8: block 404", "w7: block 404")
}

func TestReorgTakesBackWhatALookBackHasSeen(t *testing.T) {
	h := newHarness(t, 205)
	h.register(1, h.f.tip())
	h.want("w1: block 205")
	h.hold = true
	h.watch(1, 203, out(5))
	h.releaseOne()
	h.releaseOne()
	h.watch(1, 300, out(6)) // notes how far out(5) was looked for
	h.f.cut(3)
	h.f.mine(spend(8, out(1)), spend(9, out(5)))
	h.f.mineEmpty(3)
	h.sync()
	h.hold = false
	h.release()
	h.want("w1: fork 202", "w1: block 203 tx8@203 tx9@203")
}

func TestLaterWishReplacesEarlier(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.tip())
	h.wakeAt(1, 202)
	h.wakeAt(1, 204)
	h.log = nil
	h.f.mineEmpty(3)
	h.sync()
	h.want()
	h.f.mine()
	h.sync()
	h.want("w1: block 204")
}

// A watcher registers, is told of blocks that it has not read yet, and registers again with its older cursor, because it hears ChainStarted late.
// It will read what it was told, so a reorganisation before it has caught up must be told as well.
func TestRegisterTwiceThenReorg(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.tip())
	cursor := h.f.tip()
	h.f.mine(spend(1, out(1)))
	h.f.mine()
	h.sync()
	h.want("w1: block 200", "w1: block 201 tx1@201")

	h.hold = true
	h.register(1, cursor)
	h.f.cut(2)
	h.f.mineEmpty(3)
	h.sync()
	h.hold = false
	h.release()
	h.want("w1: fork 200", "w1: block 203")
}

// The graph's registration is no channel's: whatever id a peer gets for a channel, it neither replaces the graph's nor hears for it.
func TestGraphIsNoChannel(t *testing.T) {
	c := newCore()
	c.register(messages.ChainRegister{Graph: true, Incarnation: 3, To: messages.GraphAddr, Outpoints: []wire.OutPoint{{Index: 1}}})
	c.register(messages.ChainRegister{Incarnation: 9, To: messages.MonitorAddr(ln.ChannelID{}), Outpoints: []wire.OutPoint{{Index: 2}}})
	c.watch(messages.ChainWatch{Graph: true, Incarnation: 3, Outpoints: []wire.OutPoint{{Index: 5}}})
	if len(c.watchers) != 2 || len(c.index.outpoints) != 3 {
		t.Fatalf("%d watchers of %d outpoints", len(c.watchers), len(c.index.outpoints))
	}
	c.unregister(messages.ChainUnregister{Incarnation: 9})
	if w := c.watchers[watcherKey{graph: true}]; len(c.watchers) != 1 || w == nil || w.to != messages.GraphAddr {
		t.Fatalf("%d watchers, the graph's is %v", len(c.watchers), w)
	}
}
