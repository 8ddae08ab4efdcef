package manager

import (
	"cmp"
	"container/heap"
	"time"
)

// alarms are what waits for a time of day, or for a block height. They are in memory only: what depends on one asks for it again after a restart.
// Whoever sets one stops it when it has nothing to do any more, so that there are never more of them than of what they are for.
type alarms[T any] struct {
	compare func(a, b T) int
	queue   []*alarm[T]
	seq     uint64
}

type alarm[T any] struct {
	at    T
	seq   uint64 // ties go to the older one
	run   func() // nil: it has run, or was stopped
	in    *alarms[T]
	index int // in the queue
}

type (
	clockAlarm = alarm[time.Time]
	blockAlarm = alarm[uint32]
)

// timers are the alarms by time of day, which the shell has to wake the core for.
type timers struct {
	alarms[time.Time]
	asked time.Time // the wake that the shell was asked for last
}

func newTimers() timers { return timers{alarms: alarms[time.Time]{compare: time.Time.Compare}} }

func newHeights() alarms[uint32] { return alarms[uint32]{compare: cmp.Compare[uint32]} }

// after runs f once in d from now, between two messages, unless it is stopped before.
func (m *Manager) after(d time.Duration, f func()) *clockAlarm { return m.timers.set(m.now.Add(d), f) }

// at runs f once at a height, or with the next block if that is past, unless it is stopped before.
func (m *Manager) at(height uint32, f func()) *blockAlarm { return m.heights.set(height, f) }

func (q *alarms[T]) set(at T, f func()) *alarm[T] {
	q.seq++
	a := &alarm[T]{at: at, seq: q.seq, run: f, in: q}
	heap.Push(q, a)
	return a
}

// stop is for one that may be nil, or have run.
func (a *alarm[T]) stop() {
	if a == nil || a.run == nil {
		return
	}
	a.run = nil
	if a.index >= 0 {
		heap.Remove(a.in, a.index)
	}
}

// due takes out what is due. An earlier one of them may stop a later one.
func (q *alarms[T]) due(now T) (out []*alarm[T]) {
	for len(q.queue) > 0 && q.compare(q.queue[0].at, now) <= 0 {
		out = append(out, heap.Pop(q).(*alarm[T])) //nolint:forcetypeassert // container/heap
	}
	return out
}

// ring runs what is due, and tells whether there was anything.
func (q *alarms[T]) ring(now T) bool {
	due := q.due(now)
	for _, a := range due {
		if f := a.run; f != nil {
			a.run = nil
			f()
		}
	}
	return len(due) > 0
}

// runTimers runs what is due, and what that asks for at once.
func (m *Manager) runTimers() {
	for m.timers.ring(m.now) {
	}
}

// runHeights runs what is due, but not what that asks for: it comes with the next block.
func (m *Manager) runHeights() { m.heights.ring(m.height) }

// ask is when the shell has to wake the core, zero if it knows already.
func (t *timers) ask() time.Time {
	if len(t.queue) == 0 || !t.asked.IsZero() && !t.queue[0].at.Before(t.asked) {
		return time.Time{}
	}
	t.asked = t.queue[0].at
	return t.asked
}

// Len implements heap.Interface, as those below.
func (q *alarms[T]) Len() int { return len(q.queue) }

func (q *alarms[T]) Less(i, j int) bool {
	a, b := q.queue[i], q.queue[j]
	if c := q.compare(a.at, b.at); c != 0 {
		return c < 0
	}
	return a.seq < b.seq
}

func (q *alarms[T]) Swap(i, j int) {
	q.queue[i], q.queue[j] = q.queue[j], q.queue[i]
	q.queue[i].index, q.queue[j].index = i, j
}

func (q *alarms[T]) Push(x any) {
	a := x.(*alarm[T]) //nolint:forcetypeassert // container/heap
	a.index = len(q.queue)
	q.queue = append(q.queue, a)
}

func (q *alarms[T]) Pop() any {
	last := len(q.queue) - 1
	a := q.queue[last]
	q.queue[last] = nil
	q.queue, a.index = q.queue[:last], -1
	return a
}
