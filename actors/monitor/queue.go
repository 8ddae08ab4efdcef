package monitor

import (
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
)

// queue holds the unacknowledged events of one monitor, oldest first. Seqs ascend, so an event is found by bisection, and an acknowledged one
// leaves a hole; holes are squeezed out when they are half of the queue. So each operation takes logarithmic time at most, amortized, whatever
// the order of the acknowledgements.
type queue struct {
	events  []facts.Event // Kind nil: a hole
	holes   int
	trimmed int    // taken off the front since the memory was given back
	last    uint64 // seq of the last event that was ever added
}

func (q *queue) len() int { return len(q.events) - q.holes }

// add assigns the next seq.
func (q *queue) add(k facts.EventKind) facts.Event {
	q.last++
	e := facts.Event{Seq: q.last, Kind: k}
	q.events = append(q.events, e)
	return e
}

// oldest is the seq of the first event, 0 if there is none.
func (q *queue) oldest() uint64 {
	if len(q.events) == 0 {
		return 0
	}
	return q.events[0].Seq
}

// get returns the event with this seq, nil if it was acknowledged or never made.
func (q *queue) get(seq uint64) *facts.Event {
	if i, ok := q.find(seq); ok {
		return &q.events[i]
	}
	return nil
}

// remove deletes the event with this seq, if it is there.
func (q *queue) remove(seq uint64) {
	i, ok := q.find(seq)
	if !ok {
		return
	}
	q.events[i].Kind = nil
	q.holes++
	for len(q.events) > 0 && isHole(q.events[0]) { // the first is never a hole
		q.events = q.events[1:]
		q.holes--
		q.trimmed++
	}
	if q.trimmed > 64 && q.trimmed > 3*len(q.events) {
		q.events, q.trimmed = slices.Clone(q.events), 0 // a burst is over: give its memory back
	}
	if q.holes*2 >= len(q.events) {
		q.events = slices.DeleteFunc(q.events, isHole)
		q.holes = 0
		if cap(q.events) > 64 && len(q.events)*4 < cap(q.events) {
			q.events = slices.Clip(slices.Clone(q.events)) // a burst is over: give its memory back
		}
		if len(q.events) == 0 {
			q.events = nil
		}
	}
}

// all returns a copy of the queue.
func (q *queue) all() []facts.Event {
	if q.len() == 0 {
		return nil
	}
	out := make([]facts.Event, 0, q.len())
	for _, e := range q.events {
		if e.Kind != nil {
			out = append(out, e)
		}
	}
	return out
}

func (q *queue) find(seq uint64) (int, bool) {
	i, ok := slices.BinarySearchFunc(q.events, seq, func(e facts.Event, s uint64) int {
		switch {
		case e.Seq < s:
			return -1
		case e.Seq > s:
			return 1
		}
		return 0
	})
	return i, ok && q.events[i].Kind != nil
}

func isHole(e facts.Event) bool { return e.Kind == nil }
