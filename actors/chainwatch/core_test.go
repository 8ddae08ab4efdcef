package chainwatch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

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

// blockCost measures connecting blocks with 200 transactions and one match, with so many channels watched.
// TestBlockCostsWhatMatches counts instead of measuring: no watcher but those that match may be touched.
// TestReorgTakesBackWhatALookBackHasSeen: a live watcher looks back, and what it had seen before leaves the chain meanwhile.
