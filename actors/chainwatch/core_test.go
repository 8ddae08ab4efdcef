package chainwatch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/messages"
)

func TestMatching(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.tip())
	h.register(2, h.f.tip(), func(r *messages.ChainRegister) { r.Scripts = [][]byte{{7}, nil} })
	h.want("w1: block 200", "w2: block 200")

	h.f.mine()
	h.sync()
	h.want() // a block without a match costs nothing

	// One transaction for both, another only by script; one match a transaction although two inputs hit.
	h.watch(1, 202, out(11))
	h.f.mine(spend(5, out(1), out(11), out(2)), spend(6), spend(7))
	h.sync()
	h.want("w1: block 202 tx5@202", "w2: block 202 tx5@202 tx7@202")

	h.run(h.c.unregister(messages.ChainUnregister{Channel: chanID(1), Incarnation: 0}))
	h.f.mine(spend(8, out(1)))
	h.sync()
	h.want("w1: block 203 tx8@203") // an older incarnation ends nothing
	h.run(h.c.unregister(messages.ChainUnregister{Channel: chanID(1), Incarnation: 1}))
	h.f.mine(spend(9, out(1)))
	h.sync()
	h.want()
	if len(h.c.index.outpoints) != 1 {
		t.Fatalf("index keeps %d outpoints", len(h.c.index.outpoints))
	}
}

func TestMessageContent(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.at(150), func(r *messages.ChainRegister) { r.Incarnation = 9 })
	id := h.f.mine(spend(5), spend(6, out(1)))
	h.sync()
	b := h.sent[1].Msg.(messages.ChainBlock)
	if b.Incarnation != 9 || b.Hash != id.hash || b.Tip != 201 || b.Matches[0].TxIndex != 2 {
		t.Fatalf("%+v", b)
	}
}

func TestReorgs(t *testing.T) {
	for depth := 1; depth <= 5; depth++ {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			h := newHarness(t, 200)
			for i := 1; i <= 3; i++ {
				h.register(i, h.f.at(190))
			}
			h.wakeAt(3, 201)
			h.log = nil
			h.f.mine(spend(1, out(1))) // in block 201
			h.f.mineEmpty(depth - 1)
			h.sync()
			h.want("w1: block 201 tx1@201", "w3: block 201")

			// Only those who were told of something above the fork hear of it; the wish to be woken is served again.
			h.f.cut(depth)
			h.f.mine()
			h.f.mine(spend(2, out(1), out(2)))
			h.f.mineEmpty(depth)
			h.sync()
			h.want("w1: fork 200", "w3: fork 200", "w3: block 201", "w1: block 202 tx2@202", "w2: block 202 tx2@202")
			if h.c.tip() != h.f.tip() {
				t.Fatal("not at the tip")
			}
		})
	}
}

func TestReorgKeepsLaterWish(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.tip())
	h.wakeAt(1, 201)
	h.f.mine()
	h.sync()
	h.wakeAt(1, 203)
	h.log = nil
	h.f.cut(1)
	h.f.mineEmpty(4)
	h.sync()
	h.want("w1: fork 200", "w1: block 201", "w1: block 203")
}

func TestReorgsSeenOneByOneAndShrinking(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.tip())
	h.run(h.c.subscribe(messages.ChainSubscribe{To: "wallet"}))
	h.want("w1: block 200", "wallet: tip 200 -0 +0")
	h.f.mine(spend(1, out(1)))
	h.f.mine()
	h.sync()
	h.want("w1: block 201 tx1@201", "wallet: tip 201 -0 +1", "wallet: tip 202 -0 +1")
	h.f.cut(2)
	h.sync()
	h.want("w1: fork 200", "wallet: tip 200 -2 +0")
	h.f.mineEmpty(3)
	h.f.cut(1)
	h.sync()
	h.want("wallet: tip 201 -0 +1", "wallet: tip 202 -0 +1")
	h.f.cut(2)
	h.f.mineEmpty(3)
	h.sync()
	h.want("wallet: tip 201 -2 +1", "wallet: tip 202 -0 +1", "wallet: tip 203 -0 +1")
}

func TestDeepReorgStartsAgain(t *testing.T) {
	h := newHarness(t, 400)
	h.f.cut(window + 1)
	h.f.mineEmpty(window + 2)
	h.sync()
	if !errors.Is(h.fatal, errDeepReorg) {
		t.Fatal(h.fatal)
	}
}

func TestLongGapOfTheSource(t *testing.T) {
	h := newHarness(t, 200)
	h.register(1, h.f.tip())
	h.log = nil
	for i := range 1000 {
		if i == 700 {
			h.f.mine(spend(1, out(1)))
		}
		h.f.mine()
	}
	h.sync()
	h.want("w1: block 901 tx1@901")
	if len(h.c.hashes) > 2*window+1 {
		t.Fatal("the known chain grows")
	}
}

func TestCatchUpFromDifferentHeights(t *testing.T) {
	h := newHarness(t, 500)
	at := map[int]uint32{}
	for i := range 50 {
		at[i] = h.f.mine(spend(uint32(i), out(i))).height
		h.f.mineEmpty(3)
	}
	h.restart()
	h.hold = true
	for i := range 50 {
		h.register(i, h.f.at(at[i]-uint32(i%3)-1))
	}
	h.f.reads = 0
	h.hold = false
	h.release()
	if most := int(h.f.tip().height-500) * 2; h.f.reads > most {
		t.Fatalf("%d blocks read for 50 watchers, want at most two passes, %d", h.f.reads, most)
	}
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("w%d: block %d tx%d@%d", i, at[i], i, at[i]))
	}
	tip := h.f.tip().height
	// All matches in order of the blocks, then each is told once that it has caught up.
	if got := h.log[:50]; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %q", got)
	}
	ends := h.log[50:]
	slices.Sort(ends)
	if len(ends) != 50 || ends[0] != fmt.Sprintf("w0: block %d", tip) || len(slices.Compact(ends)) != 50 {
		t.Fatalf("got %q", ends)
	}
}

// TestRestartMidCatchUp is scenario 30: each watcher resumes from its own height, and nobody misses a block or is told one twice but for
// its cursor's own.
func TestRestartMidCatchUp(t *testing.T) {
	const n = 2000
	h := newHarness(t, 100)
	rng := rand.New(rand.NewPCG(1, 2))
	spentAt := make([][]uint32, n)
	for height := uint32(101); height <= 300; height++ {
		var txs []*wire.MsgTx
		for range 20 {
			i := rng.IntN(n)
			if !slices.Contains(spentAt[i], height) {
				spentAt[i] = append(spentAt[i], height)
				txs = append(txs, spend(uint32(i), out(i)))
			}
		}
		h.f.mine(txs...)
	}
	cursor := make([]uint32, n)
	heard := make([]map[uint32]bool, n)
	for i := range cursor {
		cursor[i] = uint32(100 + rng.IntN(150))
		heard[i] = make(map[uint32]bool)
		for _, at := range spentAt[i] {
			if at <= cursor[i] {
				heard[i][at] = true
			}
		}
	}
	for round := range 6 {
		h.restart()
		h.hold = true
		for i := range n {
			h.register(i, h.f.at(cursor[i]))
		}
		steps := 40 // killed in the middle of catching up
		if round == 5 {
			steps = 1 << 30
		}
		h.sent = nil
		for range steps {
			if len(h.held) == 0 {
				break
			}
			h.releaseOne()
		}
		for _, d := range h.sent {
			var i int
			if _, err := fmt.Sscanf(string(d.To), "w%d", &i); err != nil {
				t.Fatal(err)
			}
			b := d.Msg.(messages.ChainBlock)
			if b.Height < cursor[i] {
				t.Fatalf("watcher %d went back from %d to %d", i, cursor[i], b.Height)
			}
			for _, m := range b.Matches {
				if heard[i][m.Height] && m.Height != cursor[i] {
					t.Fatalf("watcher %d heard of block %d twice", i, m.Height)
				}
				heard[i][m.Height] = true
			}
			cursor[i] = b.Height
		}
	}
	for i := range n {
		if cursor[i] != 300 || len(heard[i]) != len(spentAt[i]) {
			t.Fatalf("watcher %d at %d heard %d of %d", i, cursor[i], len(heard[i]), len(spentAt[i]))
		}
	}
}

func TestNewBlocksAndReorgDuringCatchUp(t *testing.T) {
	h := newHarness(t, 200)
	h.f.mine(spend(1, out(1)))
	h.f.mineEmpty(9)
	h.restart()
	h.hold = true
	h.register(1, h.f.at(200))
	for range 5 { // the cursor's block is read again, then 201..204
		h.releaseOne()
	}
	h.want("w1: block 201 tx1@201")
	h.f.mine(spend(2, out(1)))
	h.sync()
	h.want() // behind what is still to be read
	h.f.cut(9)
	h.f.mine()
	h.f.mine(spend(3, out(1)))
	h.f.mineEmpty(10)
	h.sync()
	h.want()
	h.hold = false
	h.release()
	h.want("w1: block 204 tx3@204", "w1: block 214")
	h.f.cut(14)
	h.f.mineEmpty(20)
	h.sync()
	h.want("w1: fork 200")
}

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

func TestRegisterBeforeTheChainIsKnown(t *testing.T) {
	h := &harness{t: t, f: newFakeChain(200), c: newCore()}
	h.f.down = chain.ErrUnreachable
	h.sync()
	h.register(1, h.f.at(199))
	h.run(h.c.subscribe(messages.ChainSubscribe{To: "wallet"}))
	h.want()
	if h.retries != 1 {
		t.Fatal("no retry asked for")
	}
	h.run(h.c.retry())
	if h.retries != 2 {
		t.Fatal("no second retry asked for")
	}
	h.f.down = nil
	h.sync() // a hint does not cut the back-off short
	h.want()
	h.run(h.c.retry())
	h.want("wallet: tip 200 -0 +0", "w1: block 200")
	if h.c.failures != 0 {
		t.Fatal("back-off not reset")
	}
}

func TestWrongChainIsFatal(t *testing.T) {
	h := &harness{t: t, f: newFakeChain(5), c: newCore()}
	h.f.down = chain.ErrWrongChain
	h.sync()
	if !errors.Is(h.fatal, chain.ErrWrongChain) {
		t.Fatal(h.fatal)
	}
}

func TestBlockVanishesWhileReading(t *testing.T) {
	h := newHarness(t, 200)
	h.f.mineEmpty(3)
	h.restart()
	h.hold = true
	h.register(1, h.f.at(200))
	gone := h.f.at(201).hash
	saved := h.f.blocks[gone]
	delete(h.f.blocks, gone)
	h.hold = false
	h.release()
	if h.retries == 0 {
		t.Fatal("no retry")
	}
	h.f.blocks[gone] = saved
	h.run(h.c.retry())
	h.want("w1: block 203")
}

func TestBroadcast(t *testing.T) {
	h := newHarness(t, 200)
	tx := spend(1, out(1))
	low := &chain.BroadcastError{Code: chain.BroadcastFeeTooLow, Reason: "low"}
	h.f.broadcast = func(*wire.MsgTx) error { return low }
	h.run(h.c.broadcast(messages.Broadcast{Tx: tx, ReplyTo: "owner"}))
	h.want("owner: reply " + low.Error())
	h.f.mine()
	h.sync()
	h.want() // tried again, nothing new to say
	h.f.broadcast = nil
	h.f.mine()
	h.sync()
	h.want("owner: reply <nil>")
	if len(h.f.taken) != 3 {
		t.Fatalf("offered %d times", len(h.f.taken))
	}

	// Another owner of the same transaction gets an answer of its own kind.
	known := &chain.BroadcastError{Code: chain.BroadcastInMempool}
	h.f.broadcast = func(*wire.MsgTx) error { return known }
	h.run(h.c.broadcast(messages.Broadcast{Tx: tx, ReplyTo: "other"}))
	h.want("owner: reply <nil>", "other: reply <nil>")

	// Confirmed: silence. Thrown out by a reorganisation: offered again.
	h.f.mine(tx)
	h.sync()
	h.f.taken = nil
	h.f.mineEmpty(2)
	h.sync()
	if len(h.f.taken) != 0 {
		t.Fatal("confirmed transaction offered again")
	}
	h.f.cut(3)
	h.f.mineEmpty(4)
	h.sync()
	if len(h.f.taken) != 1 {
		t.Fatalf("offered %d times after the reorganisation", len(h.f.taken))
	}
	h.f.mine(tx)
	h.f.mineEmpty(forgetDepth)
	h.sync()
	if len(h.c.casts.byID) != 0 || len(h.c.casts.order) != 0 {
		t.Fatal("buried transaction kept")
	}

	h.run(h.c.broadcast(messages.Broadcast{Tx: spend(2)}))
	h.run(h.c.withdraw(messages.Withdraw{Txid: spend(2).TxHash()}))
	h.f.taken = nil
	h.f.mine()
	h.sync()
	if len(h.f.taken) != 0 {
		t.Fatal("withdrawn transaction offered again")
	}
	h.run(h.c.broadcast(messages.Broadcast{}))
	h.want()
}

func TestBroadcastSurvivesOutage(t *testing.T) {
	h := newHarness(t, 200)
	h.f.down = chain.ErrUnreachable
	h.run(h.c.broadcast(messages.Broadcast{Tx: spend(1), ReplyTo: "owner"}))
	h.want("owner: reply " + chain.ErrUnreachable.Error())
	h.run(h.c.retry())
	h.want()
	h.f.down = nil
	h.run(h.c.retry())
	h.want("owner: reply <nil>")
}

// blockCost measures connecting blocks with 200 transactions and one match, with so many channels watched.
func blockCost(t testing.TB, channels, blocks int) time.Duration {
	h := newHarness(t, 200)
	for i := range channels {
		h.register(i, h.f.tip())
	}
	for b := range blocks {
		var txs []*wire.MsgTx
		for i := range 200 {
			txs = append(txs, spend(uint32(b*1000+i), out(1_000_000+i)))
		}
		h.f.mine(append(txs, spend(1, out(b%10)))...)
	}
	h.log, h.sent = nil, nil
	start := time.Now()
	h.sync()
	took := time.Since(start)
	if len(h.sent) != blocks {
		t.Fatalf("%d messages for %d matches", len(h.sent), blocks)
	}
	return took
}

// TestBlockCostsWhatMatches counts instead of measuring: no watcher but those that match may be touched.
func TestBlockCostsWhatMatches(t *testing.T) {
	blockCost(t, 10, 50)
	blockCost(t, 10_000, 50)
}

func BenchmarkBlock10000Channels(b *testing.B) {
	for b.Loop() {
		few := blockCost(b, 10, 400)
		many := blockCost(b, 10_000, 400)
		b.ReportMetric(float64(many.Nanoseconds())/400, "ns/block@10000")
		b.ReportMetric(float64(few.Nanoseconds())/400, "ns/block@10")
		b.ReportMetric(float64(many)/float64(few), "ratio")
	}
}

// TestReorgTakesBackWhatALookBackHasSeen: a live watcher looks back, and what it had seen before leaves the chain meanwhile.
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

func TestBroadcastOfConfirmedIsNotRepeated(t *testing.T) {
	h := newHarness(t, 200)
	h.f.broadcast = func(*wire.MsgTx) error { return &chain.BroadcastError{Code: chain.BroadcastConfirmed} }
	h.run(h.c.broadcast(messages.Broadcast{Tx: spend(1), ReplyTo: "owner"}))
	h.want("owner: reply <nil>")
	h.f.mine()
	h.sync()
	if len(h.f.taken) != 1 {
		t.Fatalf("offered %d times", len(h.f.taken))
	}
	h.f.cut(2)
	h.f.mineEmpty(3)
	h.sync()
	if len(h.f.taken) != 2 {
		t.Fatalf("offered %d times after a reorganisation", len(h.f.taken))
	}
}
