package userevents

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/lnactor/lnactor/messages"
)

func event(id string) messages.UserEvent { return messages.UserEvent{ID: id} }

func next(t *testing.T, q *Queue) *Delivery {
	t.Helper()
	d, err := q.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestReturnedEventsComeAgainBeforeLaterOnes(t *testing.T) {
	var handled []string
	q := NewQueue(func(id string) { handled = append(handled, id) })
	q.Put(messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("a"), event("b"), event("c")}})
	a, b := next(t, q), next(t, q)
	a.Return()
	if d := next(t, q); d.Event.ID != "a" {
		t.Fatalf("got %s", d.Event.ID)
	}
	b.Ack()
	b.Ack()
	if q.Len() != 2 || !slices.Equal(handled, []string{"b", "b"}) {
		t.Fatalf("left %d, handled %v", q.Len(), handled)
	}
	if d := next(t, q); d.Event.ID != "c" {
		t.Fatalf("got %s", d.Event.ID)
	}
}

func TestNewIncarnationTellsAll(t *testing.T) {
	q := NewQueue(func(string) {})
	q.Put(messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("a"), event("b")}})
	old := next(t, q)
	q.Put(messages.UserEvents{Incarnation: 2})
	q.Put(messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("late")}})
	q.Put(messages.UserEvents{Incarnation: 2, Events: []messages.UserEvent{event("a"), event("a")}})
	old.Return() // of the older list: no second copy
	if d := next(t, q); d.Event.ID != "a" {
		t.Fatalf("got %s", d.Event.ID)
	}
	if q.Len() != 1 {
		t.Fatalf("%d events", q.Len())
	}
}

func TestNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue(func(string) {})
		got := make(chan string)
		go func() {
			d, err := q.Next(context.Background())
			if err != nil {
				got <- err.Error()
				return
			}
			got <- d.Event.ID
		}()
		synctest.Wait()
		q.Put(messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("x")}})
		if id := <-got; id != "x" {
			t.Fatal(id)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := q.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		q.Close()
		if _, err := q.Next(context.Background()); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	})
}

// What was handled counts, also when a new incarnation of the manager has told it again meanwhile.
func TestHandledWhileToldAgain(t *testing.T) {
	q := NewQueue(func(string) {})
	q.Put(messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("a")}})
	old := next(t, q)
	q.Put(messages.UserEvents{Incarnation: 2, Events: []messages.UserEvent{event("a"), event("b")}})
	old.Ack()
	if d := next(t, q); d.Event.ID != "b" || q.Len() != 1 {
		t.Fatalf("got %s, %d left", d.Event.ID, q.Len())
	}
}

// Giving back twice makes no second copy.
func TestReturnOnce(t *testing.T) {
	q := NewQueue(func(string) {})
	q.Put(messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("a"), event("b")}})
	a := next(t, q)
	a.Return()
	a.Return()
	if d := next(t, q); d.Event.ID != "a" {
		t.Fatalf("got %s", d.Event.ID)
	}
	if d := next(t, q); d.Event.ID != "b" {
		t.Fatalf("got %s twice", d.Event.ID)
	}
}

// The oldest event that is not handled is known whatever the order of the handling.
func TestOldest(t *testing.T) {
	q := NewQueue(func(string) {})
	at := func(position uint64, unhandled int) {
		t.Helper()
		if p, n := q.Oldest(); p != position || n != unhandled {
			t.Fatalf("position %d of %d, want %d of %d", p, n, position, unhandled)
		}
	}
	at(0, 0)
	var events []messages.UserEvent
	for _, id := range []string{"a", "b", "c"} {
		events = append(events, messages.UserEvent{ID: id})
	}
	q.Put(messages.UserEvents{Incarnation: 1, Events: events})
	var held []*Delivery
	for range 3 {
		d, err := q.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, d)
	}
	at(1, 3)
	held[1].Ack()
	at(1, 2)
	held[0].Ack()
	at(3, 1)
	q.Put(messages.UserEvents{Incarnation: 2, Events: events[2:]})
	at(4, 1)
	held[2].Ack()
	at(0, 0)
}
