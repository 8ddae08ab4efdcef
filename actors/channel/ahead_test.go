package channel

import (
	"maps"
	"testing"
)

// What is prepared changes no message: the same payments, with reconnects and crashes between them, are signed to the byte as without.
func TestPrepareChangesNothing(t *testing.T) {
	play := func(unprepared bool) *world {
		w := newWorld(t)
		w.unprepared = unprepared
		for i := range uint64(4) {
			w.a.add(2*i, 20_000_000)
			w.b.add(2*i+1, 10_000_000)
			w.run()
			w.b.decide(i, "fulfill")
			w.run()
			w.a.decide(i, "fail")
			w.run()
			if unprepared == (w.a.ch.ahead.holder != nil && w.a.ch.ahead.counterparty != nil) {
				t.Fatalf("unprepared %v, but ahead is %+v", unprepared, w.a.ch.ahead)
			}
			switch i {
			case 1:
				w.disconnect()
				w.run()
				if w.a.ch.ahead != (ahead{}) {
					t.Fatal("keys are kept without a connection")
				}
				w.connect()
				w.run()
				if w.a.ch.ahead.holder != nil {
					t.Fatal("keys are derived for a channel that is not used")
				}
			case 2:
				w.disconnect()
				w.b.restart(false)
				w.connect()
				w.run()
			}
		}
		w.agree()
		return w
	}
	with, without := play(false), play(true)
	if len(with.a.signed) < 10 || !maps.Equal(with.a.signed, without.a.signed) || !maps.Equal(with.b.signed, without.b.signed) {
		t.Fatalf("%d and %d commitments signed, differently", len(with.a.signed), len(without.a.signed))
	}
}

// Nothing prepared outlives what it was prepared for: each commitment has the keys of its own point.
func TestPreparedKeysAreOfTheNextPoints(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 20_000_000)
	w.run()
	for _, n := range []*node{w.a, w.b} {
		point, err := n.keys.PerCommitmentPoint(1, n.durable.HolderNumber+1)
		check(t, err)
		if got := n.ch.ahead.holder; got == nil || !got.PerCommitmentPoint.IsEqual(point) {
			t.Fatalf("%s: holder keys are of another commitment", n.name)
		}
		if got := n.peer.ch.ahead.counterparty; got == nil || !got.PerCommitmentPoint.IsEqual(point) {
			t.Fatalf("%s: counterparty keys are of another commitment", n.peer.name)
		}
	}
}
