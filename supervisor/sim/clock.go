package sim

import (
	"container/heap"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// timer fires once. It belongs to a life of a node, or to none.
type timer struct {
	due   time.Time
	name  string
	node  *node
	to    *actor.PID
	msg   any
	fn    func() // instead of to and msg
	index int    // in the heap, -1 when it has fired or was cancelled
}

type timers []*timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h timers) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].index, h[j].index = i, j }
func (h *timers) Push(x any)        { t := x.(*timer); t.index = len(*h); *h = append(*h, t) }
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}

// push arms a timer, a nanosecond later if its instant is taken: timers due at one instant would fire in an order that means nothing.
func (s *Sim) push(t *timer) (cancel func()) {
	for s.instants[t.due.UnixNano()] {
		t.due = t.due.Add(1)
	}
	s.instants[t.due.UnixNano()] = true
	heap.Push(&s.timers, t)
	return func() {
		if t.index >= 0 && t.index < len(s.timers) && s.timers[t.index] == t {
			heap.Remove(&s.timers, t.index)
			delete(s.instants, t.due.UnixNano())
		}
	}
}

// fire fires the timer that is due first.
func (s *Sim) fire() {
	t := heap.Pop(&s.timers).(*timer)
	delete(s.instants, t.due.UnixNano())
	if t.fn != nil {
		s.trace.add(s, "timer", t.name, "", "")
		t.fn()
		return
	}
	s.trace.add(s, "timer", t.to.Id, typeName(t.msg), s.describe(t.msg))
	s.system.Root.Send(t.to, t.msg)
}

// After calls f on the scheduler's goroutine once d has passed, crashes notwithstanding: for transports, and for what the test itself does
// in the middle of things. The name is for the trace.
func (s *Sim) After(d time.Duration, name string, f func()) (cancel func()) {
	return s.push(&timer{due: s.now.Add(d), name: name, fn: f})
}

// clock is the virtual time as one life of a node sees it.
type clock struct{ node *node }

func (c clock) Now() time.Time { return c.node.sim.now }

func (c clock) After(d time.Duration, to *actor.PID, msg any) (cancel func()) {
	if c.node.dead {
		return func() {}
	}
	return c.node.sim.push(&timer{due: c.node.sim.now.Add(max(d, 0)), node: c.node, to: to, msg: msg})
}
