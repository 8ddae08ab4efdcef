package monitor

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/internal/facts"
)

// TestQueueAgainstAModel compares with a plain list.
func TestQueueAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []uint64
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "add") == 0 {
				model = append(model, q.add(facts.ChannelReady{}).Seq)
				continue
			}
			seq := rapid.Uint64Range(0, q.last+1).Draw(t, "seq")
			have := false
			for i, s := range model {
				if s == seq {
					have = true
					model = append(model[:i:i], model[i+1:]...)
					break
				}
			}
			if got := q.get(seq) != nil; got != have {
				t.Fatalf("get(%d) = %v", seq, got)
			}
			q.remove(seq)
		}
		if q.len() != len(model) {
			t.Fatalf("%d events, want %d", q.len(), len(model))
		}
		for i, e := range q.all() {
			if e.Seq != model[i] {
				t.Fatalf("event %d is %d, want %d", i, e.Seq, model[i])
			}
		}
	})
}

// Acknowledging a backlog of a million, newest first or oldest first, must not take quadratic time.
func TestQueueTakesNoScans(t *testing.T) {
	for _, backwards := range []bool{false, true} {
		var q queue
		const n = 1_000_000
		for range n {
			q.add(facts.ChannelReady{})
		}
		for i := range uint64(n) {
			seq := i + 1
			if backwards {
				seq = n - i
			}
			q.remove(seq)
		}
		if q.len() != 0 || q.events != nil {
			t.Fatalf("%d left", q.len())
		}
	}
}

// The oldest event is known whatever the order of the acknowledgements, and a queue that is worked off from the front keeps no memory.
func TestOldest(t *testing.T) {
	var q queue
	if q.oldest() != 0 {
		t.Fatal(q.oldest())
	}
	for range 1000 {
		q.add(facts.HTLCAccepted{})
	}
	for _, ack := range []struct{ seq, oldest uint64 }{{5, 1}, {2, 1}, {1, 3}, {3, 4}, {4, 6}, {999, 6}} {
		if q.remove(ack.seq); q.oldest() != ack.oldest {
			t.Fatalf("after %d was acknowledged the oldest is %d, want %d", ack.seq, q.oldest(), ack.oldest)
		}
	}
	for seq := uint64(6); seq < 998; seq++ {
		q.remove(seq)
		if got, want := q.len(), int(998-seq)+1; q.oldest() != seq+1 || got != want {
			t.Fatalf("after %d: oldest %d, %d left, want %d", seq, q.oldest(), got, want)
		}
	}
	if q.trimmed > 64 || cap(q.events) > 64 {
		t.Fatalf("%d trimmed, room for %d events", q.trimmed, cap(q.events))
	}
	q.remove(998)
	q.remove(1000)
	if q.oldest() != 0 || q.len() != 0 || q.add(facts.HTLCAccepted{}).Seq != 1001 || q.oldest() != 1001 {
		t.Fatalf("%+v", q)
	}
}
