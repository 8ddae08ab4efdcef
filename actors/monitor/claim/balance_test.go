package claim

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

func (n *node) balance(t *testing.T) messages.ChannelBalance {
	t.Helper()
	b := n.resolve(t).Balance()
	if b.Total != b.Available+b.InHTLCs+b.Awaiting+b.Contested+b.Swept+b.Fees+b.Lost {
		t.Fatalf("%+v", b)
	}
	return b
}

func wantBalance(t *testing.T, n *node, want messages.ChannelBalance) {
	t.Helper()
	got := n.balance(t)
	want.Total = want.Available + want.InHTLCs + want.Awaiting + want.Contested + want.Swept + want.Fees + want.Lost
	if got != want {
		t.Fatalf("at height %d\n%+v, want\n%+v", n.f.Height, got, want)
	}
}

// TestBalanceOfOurClose follows the money from the open channel to the wallet. We are the funder, with 1,000,000 of 2,000,000.
func TestBalanceOfOurClose(t *testing.T) {
	n := newNode(true)
	n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1), testHTLC(1, 300, 1100, 3), testHTLC(2, 30_000, 1100, 3)}, []facts.HTLC{testHTLC(0, 40_000, 1200, 2)})
	n.at(testHeight - 1)
	const (
		fee   = (1124 + 3*172) * 1000 / 1000 // BOLT 3, of three HTLCs that are not dust, at 1000 sat per 1000 weight units
		local = 1_000_000 - 80_300 - fee - 660
	)
	open := messages.ChannelBalance{Available: local, InHTLCs: 80_300, Fees: fee + 660}
	wantBalance(t, n, open)
	n.apply(facts.ForceClosed{Reason: facts.CloseByUser})
	wantBalance(t, n, messages.ChannelBalance{Awaiting: local, InHTLCs: 80_300, Fees: fee + 660})

	n.closeOurs()
	const fees = fee + 660 + 300 // the dust HTLC went there
	matures := uint32(testHeight + holderDelay - 1)
	wantBalance(t, n, messages.ChannelBalance{Awaiting: local, InHTLCs: 80_000, Fees: fees, SpendableAt: matures})
	n.learn(0, 2) // what is offered to us counts from here on
	wantBalance(t, n, messages.ChannelBalance{Awaiting: local + 40_000, InHTLCs: 80_000, Fees: fees, SpendableAt: matures})
	n.take(t, testHeight+1, n.htlcOutput(t, false, 0).op, stageOf(preimageOf(2)))
	wantBalance(t, n, messages.ChannelBalance{Awaiting: local + 40_000, InHTLCs: 80_000, Fees: fees, SpendableAt: matures})
	n.at(1100)
	wantBalance(t, n, messages.ChannelBalance{Awaiting: local + 40_000, Contested: 80_000, Fees: fees, SpendableAt: matures})
	n.take(t, 1101, n.htlcOutput(t, true, 0).op, direct(preimageOf(1)))
	n.take(t, 1101, n.htlcOutput(t, true, 2).op, stageOf(nil))
	wantBalance(t, n, messages.ChannelBalance{Awaiting: local + 70_000, Lost: 50_000, Fees: fees, SpendableAt: matures})
	n.at(matures)
	n.due(t)
	wantBalance(t, n, messages.ChannelBalance{Available: local, Awaiting: 70_000, Lost: 50_000, Fees: fees, SpendableAt: matures + 1})
	n.at(1101 + holderDelay)
	n.due(t)
	wantBalance(t, n, messages.ChannelBalance{Available: local + 70_000, Lost: 50_000, Fees: fees})
	if _, ok := n.resolve(t).ResolvedAt(); ok {
		t.Fatal("resolved while nothing is swept")
	}
	n.take(t, 1300, n.find(t, ownDelayed).op, direct(nil))
	n.take(t, 1300, n.find(t, anchor).op, wire.TxWitness{sig, scr})
	n.take(t, 1301, n.htlcOutput(t, false, 0).stage.op, direct(nil))
	if _, ok := n.resolve(t).ResolvedAt(); ok {
		t.Fatal("resolved while a second stage is not swept")
	}
	n.take(t, 1302, n.htlcOutput(t, true, 2).stage.op, direct(nil))
	wantBalance(t, n, messages.ChannelBalance{Swept: local + 70_000 + 330, Lost: 50_000, Fees: fees - 330})
	if at, ok := n.resolve(t).ResolvedAt(); !ok || at != 1302 {
		t.Fatalf("resolved %v at %d", ok, at)
	}
}

// TestBalanceOfTheirClose: as the fundee, on their commitment.
func TestBalanceOfTheirClose(t *testing.T) {
	n := newNode(false)
	n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1)}, []facts.HTLC{testHTLC(0, 40_000, 1050, 2), testHTLC(1, 41_000, 1050, 3)})
	n.at(testHeight - 1)
	wantBalance(t, n, messages.ChannelBalance{Available: 950_000, InHTLCs: 50_000})
	n.learn(0, 2)
	n.closeTheirs()
	wantBalance(t, n, messages.ChannelBalance{Awaiting: 990_000, InHTLCs: 50_000, Fees: 330, SpendableAt: testHeight + 5})
	n.at(1050)
	n.due(t)
	wantBalance(t, n, messages.ChannelBalance{Available: 950_000, Contested: 40_000, InHTLCs: 50_000, Fees: 330})
	n.take(t, 1051, n.htlcOutput(t, false, 0).op, stageOf(nil)) // they were faster
	n.take(t, 1051, n.find(t, toRemote).op, wire.TxWitness{sig, scr})
	n.take(t, 1101, n.htlcOutput(t, true, 0).op, direct(nil))
	wantBalance(t, n, messages.ChannelBalance{Swept: 1_000_000, Lost: 40_000, Fees: 330})
	n.at(1110)
	n.due(t)
	if _, ok := n.resolve(t).ResolvedAt(); ok {
		t.Fatal("an HTLC that the counterparty may take is waited for")
	}
	n.at(1150)
	n.due(t)
	if at, ok := n.resolve(t).ResolvedAt(); !ok || at != 1101 {
		t.Fatalf("resolved %v at %d", ok, at)
	}
}

// TestBalanceOfJustice: what a cheater left is contested until it is taken.
func TestBalanceOfJustice(t *testing.T) {
	for _, funder := range []bool{true, false} {
		n := newNode(funder)
		n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1)}, []facts.HTLC{testHTLC(0, 40_000, 1100, 2)})
		old := n.peer.current()
		n.sign(revoked, nil)
		n.spend(facts.SpendRevoked, old)
		local, remote := uint64(old.Tx.TxOut[old.ToOwnerIndex].Value), uint64(old.Tx.TxOut[old.ToOtherIndex].Value)
		fees := uint64(330)
		if funder {
			fees = testCapacity - local - remote - 90_000
		}
		wantBalance(t, n, messages.ChannelBalance{Contested: local + 90_000, Awaiting: remote, Fees: fees, SpendableAt: testHeight + 5})
		n.take(t, testHeight+1, n.htlcOutput(t, true, 0).op, stageOf(preimageOf(1)))
		n.take(t, testHeight+1, n.htlcOutput(t, false, 0).op, direct(make([]byte, 33)))
		wantBalance(t, n, messages.ChannelBalance{Contested: local + 50_000, Awaiting: remote, Swept: 40_000, Fees: fees, SpendableAt: testHeight + 5})
		n.take(t, testHeight+2, n.htlcOutput(t, true, 0).stage.op, direct([]byte{1}))
		n.take(t, testHeight+theirDelay, n.find(t, revokedDelayed).op, direct(nil))
		n.due(t)
		b := n.balance(t)
		if b.Lost == 0 || b.Lost+b.Swept != local+90_000 || b.Available != remote {
			t.Fatalf("%+v", b)
		}
	}
}

// TestMutualClose: there is nothing to claim.
func TestMutualClose(t *testing.T) {
	n := newNode(true)
	script := []byte{0, 20, 1}
	n.apply(facts.HolderShutdown{Script: script})
	tx := txSpending(nil, n.f.Tx.Funding)
	tx.TxOut = []*wire.TxOut{wire.NewTxOut(999_000, script), wire.NewTxOut(1_000_000, []byte{0, 20, 2})}
	n.apply(facts.MutualClosed{Tx: tx})
	wantBalance(t, n, messages.ChannelBalance{Awaiting: 1_000_000 - 1124 - 660, Fees: 1124 + 660})
	n.apply(facts.FundingSpent{Txid: tx.TxHash(), Height: testHeight, Spend: facts.SpendMutualClose, Tx: tx})
	n.at(testHeight + 2)
	r := n.resolve(t)
	if at, ok := r.ResolvedAt(); !ok || at != testHeight || len(r.Watches())+len(r.Plan().Build)+len(r.Due()) != 0 || r.WakeAt() != 0 {
		t.Fatalf("resolved %v at %d", ok, at)
	}
	wantBalance(t, n, messages.ChannelBalance{Swept: 999_000, Fees: 1000})
}

// TestWatches: an output is watched until its spend is a hundred blocks deep, its second stage as well.
func TestWatches(t *testing.T) {
	n := withHTLCs()
	n.closeOurs()
	count := len(n.resolve(t).Watches()) // to_local, two HTLCs, our anchor
	if count != 4 {
		t.Fatalf("%d watches", count)
	}
	o := n.htlcOutput(t, false, 0).op
	tx, _ := n.take(t, testHeight+3, o, stageOf(preimageOf(2)))
	list := n.resolve(t).Watches()
	if len(list) != 5 {
		t.Fatalf("%d watches", len(list))
	}
	for i, w := range list {
		if w.Output == o && list[i+1] != (Watch{Output: wire.OutPoint{Hash: tx.TxHash()}, FromHeight: testHeight + 3}) {
			t.Fatalf("%+v", list)
		}
	}
	n.at(testHeight + 101)
	if got := len(n.resolve(t).Watches()); got != 5 {
		t.Fatalf("%d watches", got)
	}
	n.at(testHeight + 102)
	if got := len(n.resolve(t).Watches()); got != 4 {
		t.Fatalf("%d watches of what is a hundred blocks deep", got)
	}
}

// TestWakeAt: at the heights that WakeAt does not name nothing is due and nothing is planned that was not before.
func TestWakeAt(t *testing.T) {
	for name, spend := range closings {
		t.Run(name, func(t *testing.T) {
			n := newNode(true)
			n.both([]facts.HTLC{
				forward(testHTLC(0, 50_000, 1030, 1), 1070), testHTLC(1, 51_000, 1025, 2), testHTLC(2, 360, 1025, 3), testHTLC(3, 300, 1025, 3),
			}, []facts.HTLC{testHTLC(0, 40_000, 1050, 4), testHTLC(1, 41_000, 1020, 5), testHTLC(2, 310, 1020, 5)})
			n.learn(0, 4)
			spend(n)
			state := func() string {
				r := n.resolve(t)
				p := r.Plan()
				s := fmt.Sprint(p.Ended, len(p.Keep), shape(p))
				for _, q := range p.Build {
					s += fmt.Sprint(q.ID, q.Build.MinFeeSat)
				}
				_, ok := r.ResolvedAt()
				return s + fmt.Sprint(ok)
			}
			for h := uint32(testHeight); h < 1320; h++ {
				n.due(t)
				n.claim(t, 300)
				switch h {
				case 1003:
					n.take(t, h, n.find(t, anchor).op, wire.TxWitness{sig, scr})
				case 1012:
					n.take(t, h, n.htlcOutput(t, false, 0).op, direct(preimageOf(4)))
				}
				n.due(t)
				wake, was := n.resolve(t).WakeAt(), state()
				n.at(h + 1)
				if wake == h+1 {
					continue
				}
				if wake != 0 && wake <= h {
					t.Fatalf("wakes at %d, it is %d", wake, h)
				}
				if due := n.resolve(t).Due(); len(due) != 0 {
					t.Fatalf("due at %d, wakes at %d: %+v", h+1, wake, due)
				}
				if is := state(); is != was {
					t.Fatalf("at %d, wakes at %d:\n%s, was\n%s", h+1, wake, is, was)
				}
			}
		})
	}
}
