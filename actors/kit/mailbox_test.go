package kit

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

// Four senders, a crash every hundred messages: nothing but the crashing messages is lost, nothing overtakes.
func TestOrderPerSenderOverRestarts(t *testing.T) {
	e := newEnv(t, Options{})
	const senders, each = 4, 5000
	type msg struct{ sender, n int }
	var got [senders][]int
	count, finished := 0, make(chan struct{})
	spawn(t, e, "a", user(func(ctx actor.Context) {
		m := ctx.Message().(msg)
		got[m.sender] = append(got[m.sender], m.n)
		if count++; count == senders*each {
			close(finished)
		}
		if count%100 == 0 {
			panic("ouch")
		}
	}))
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for n := range each {
				e.Tell("a", msg{s, n})
			}
		})
	}
	wg.Wait()
	<-finished
	for s := range senders {
		if len(got[s]) != each || !slices.IsSorted(got[s]) {
			t.Fatalf("sender %d: %d messages, sorted %v", s, len(got[s]), slices.IsSorted(got[s]))
		}
	}
}

// The name of an actor is known before the spawn is through; protoactor's mailboxes are bricked by a message at that moment.
func TestSendWhileSpawning(t *testing.T) {
	e := newEnv(t, Options{})
	m := newMailbox(e, 0, nil)
	m.PostUserMessage("early")
	m.PostUserMessage(nil)
	if m.UserMessageCount() != 1 {
		t.Fatal("nil was queued or the early message was not")
	}
	for i := range 300 {
		at := messages.MonitorAddr([32]byte{byte(i), byte(i >> 8)})
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					e.Tell(at, "early")
				}
			}
		}()
		pid := spawn(t, e, at, user(func(ctx actor.Context) {
			if ctx.Sender() != nil {
				ctx.Respond("alive")
			}
		}))
		if _, err := Ask(context.Background(), e, at, "?"); err != nil {
			t.Fatal(err)
		}
		close(stop)
		<-done
		e.System.Root.Stop(pid)
	}
}

func TestHighWater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []bool
		e := newEnv(t, Options{HighWater: 10, Pressure: func(_ string, _ int, high bool) { log = append(log, high) }})
		gate := make(chan struct{})
		spawn(t, e, "a", user(func(actor.Context) { <-gate }))
		for range 12 {
			e.Tell("a", "x")
		}
		synctest.Wait()
		if d := e.Depth("a"); d != 11 {
			t.Fatal(d)
		}
		close(gate)
		synctest.Wait()
		if !slices.Equal(log, []bool{true, false}) || e.Depth("a") != 0 {
			t.Fatal(log, e.Depth("a"))
		}
	})
}

func TestMailboxGivesMemoryBack(t *testing.T) {
	e := newEnv(t, Options{})
	done := make(chan struct{})
	spawn(t, e, "a", user(func(ctx actor.Context) {
		if ctx.Message() == "done" {
			close(done)
		}
	}))
	for range 100_000 {
		e.Tell("a", "x")
	}
	e.Tell("a", "done")
	<-done
	if _, err := Ask(t.Context(), e, "nobody", "x"); err == nil {
		t.Fatal()
	}
	v, _ := e.mailboxes.Load("alice/a")
	m := v.(*mailbox)
	for range 3 { // both slices have to come round
		m.PostUserMessage("x")
		for m.UserMessageCount() > 0 {
			runtime.Gosched()
		}
	}
	e.Kill()
	if n := cap(m.user) + cap(m.userOut.items); n > 2*keep {
		t.Fatal("keeps room for", n)
	}
}

// Whoever asked an actor that stopped instead is told so.
func TestUnreadQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		spawn(t, e, "a", user(func(ctx actor.Context) {
			time.Sleep(time.Second)
			ctx.Stop(ctx.Self())
		}))
		e.Tell("a", "work")
		synctest.Wait()
		e.Tell("a", "unread")
		if _, err := Ask(t.Context(), e, "a", "?"); !errors.Is(err, ErrNoActor) {
			t.Fatal(err)
		}
	})
}

// Stopped actors leave the books.
func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		pid := spawn(t, e, "a", func(actor.Context) {})
		e.System.Root.Stop(pid)
		synctest.Wait()
		e.mailboxes.Range(func(k, _ any) bool { t.Error("still there:", k); return true })
	})
}
