package userevents

import (
	"container/heap"
	"context"
	"errors"
	"sync"

	"github.com/lnactor/lnactor/messages"
)

// ErrClosed says that the node has stopped: no more events come. Those not handled come after its next start.
var ErrClosed = errors.New("the node has stopped; events that were not handled come again after its next start")

// Queue is the meeting point of the manager's events and their consumers. It is safe for concurrent use.
type Queue struct {
	handled func(id string) // tells the manager

	mu     sync.Mutex
	inc    uint64
	last   uint64            // position of the newest event
	known  map[string]*entry // not handled
	free   entries           // of those, not in a consumer's hands
	told   []*entry          // all, in order; those at the front are handled or not
	wake   chan struct{}     // closed and replaced when something can be taken
	closed bool
}

type entry struct {
	ev   messages.UserEvent
	pos  uint64 // in the order in which the manager told them
	done bool   // handled under an older incarnation while it waited here
}

// entries is a heap by position.
type entries []*entry

func (h entries) Len() int           { return len(h) }
func (h entries) Less(i, j int) bool { return h[i].pos < h[j].pos }
func (h entries) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *entries) Push(x any)        { *h = append(*h, x.(*entry)) } //nolint:forcetypeassert // container/heap
func (h *entries) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}

// NewQueue makes a queue; handled is called, without the queue's lock, for each event that was handled.
func NewQueue(handled func(id string)) *Queue {
	return &Queue{handled: handled, known: map[string]*entry{}, wake: make(chan struct{})}
}

// Put takes what the manager says. A new incarnation tells all that is not handled, so what an older one told is dropped.
func (q *Queue) Put(m messages.UserEvents) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.Incarnation < q.inc {
		return
	}
	if m.Incarnation > q.inc {
		q.inc, q.known, q.free, q.told = m.Incarnation, map[string]*entry{}, nil, nil
	}
	for _, ev := range m.Events {
		if q.known[ev.ID] == nil {
			q.last++
			e := &entry{ev: ev, pos: q.last}
			q.known[ev.ID] = e
			q.told = append(q.told, e)
			heap.Push(&q.free, e)
		}
	}
	q.signal()
}

// Close ends all waiting with ErrClosed.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
}

// Len is the number of events not handled.
func (q *Queue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.known)
}

func (q *Queue) signal() {
	close(q.wake)
	q.wake = make(chan struct{})
}

// Delivery is an event in the hands of a consumer, who calls Ack or Return.
type Delivery struct {
	Event messages.UserEvent
	q     *Queue
	e     *entry

	returned bool // under the queue's lock
}

// Next waits for the oldest event that no other consumer holds.
func (q *Queue) Next(ctx context.Context) (*Delivery, error) {
	for {
		d, wake, err := q.take()
		if d != nil || err != nil {
			return d, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (q *Queue) take() (*Delivery, <-chan struct{}, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, nil, ErrClosed
	}
	for len(q.free) > 0 {
		e := heap.Pop(&q.free).(*entry) //nolint:forcetypeassert // container/heap
		if !e.done {
			return &Delivery{Event: e.ev, q: q, e: e}, nil, nil
		}
	}
	return nil, q.wake, nil
}

// Ack says that the event was handled. Only now may what caused it be acknowledged (rule 24). It may be called more than once.
func (d *Delivery) Ack() {
	q := d.q
	q.mu.Lock()
	if e := q.known[d.Event.ID]; e != nil {
		e.done = true // also where a new incarnation has told the event again: the handling counts
		delete(q.known, d.Event.ID)
		q.forget()
	}
	q.mu.Unlock()
	q.handled(d.Event.ID)
}

// Return gives the event back, unhandled: it is delivered again before all later ones.
func (d *Delivery) Return() {
	q := d.q
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known[d.Event.ID] == d.e && !d.returned {
		d.returned = true
		heap.Push(&q.free, d.e)
		q.signal()
	}
}
