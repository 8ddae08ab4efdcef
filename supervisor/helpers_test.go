package supervisor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// world is a node with one supervisor at "sup" and what its children and events have told.
type world struct {
	t   *testing.T
	env *kit.Env

	mu        sync.Mutex
	events    []Event
	log       []string // "a1: hello" for instance 1 of child a
	instances map[messages.Addr]int
	stopped   error
}

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, instances: map[messages.Addr]int{}}
		env, err := kit.NewEnv(kit.NewSystem(nil), "alice", kit.Options{
			Jitter: func() float64 { return 1 }, // all of the back-off
			Stop:   func(err error) { w.stopped = err },
		})
		if err != nil {
			t.Fatal(err)
		}
		w.env = env
		defer env.Close()
		f(t, w)
	})
}

func (w *world) start(cfg Config) {
	w.t.Helper()
	cfg.Events = w.event
	if _, err := Start(w.env, "sup", cfg); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func (w *world) event(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

func (w *world) note(name messages.Addr, instance int, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%s%d: %s", name, instance, what))
}

// take returns what the children said since the last take, once all is quiet.
func (w *world) take() []string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	log := w.log
	w.log = nil
	return log
}

// restarts counts the restarts of a child.
func (w *world) restarts(name messages.Addr) (n int) {
	synctest.Wait()
	for _, e := range eventsOf[ChildRestarted](w) {
		if e.Child == name {
			n++
		}
	}
	return n
}

func eventsOf[E Event](w *world) (found []E) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e, ok := e.(E); ok {
			found = append(found, e)
		}
	}
	return found
}

var errDie = errors.New("told to die")

// worker is a child that notes what happens to it and does as told.
func (w *world) worker(name messages.Addr) actor.Producer {
	return func() actor.Actor {
		w.mu.Lock()
		w.instances[name]++
		n := w.instances[name]
		w.mu.Unlock()
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				w.note(name, n, "started")
			case *actor.Stopped:
				w.note(name, n, "stopped")
			case *actor.Stopping, *actor.Restarting, *actor.Terminated:
			case time.Duration: // work
				time.Sleep(m)
				w.note(name, n, "worked")
			case string:
				switch m {
				case "die":
					panic(errDie)
				case "exit":
					runtime.Goexit()
				case "stop":
					ctx.Stop(ctx.Self())
				case "which":
					ctx.Respond(n)
				default:
					w.note(name, n, m)
				}
			}
		})
	}
}

func (w *world) spec(name messages.Addr) ChildSpec {
	return ChildSpec{Name: name, Producer: w.worker(name), Backoff: Backoff{Min: time.Second, Max: time.Minute, Decay: time.Hour}}
}

func (w *world) ask(to messages.Addr, msg any) (any, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Hour)
	defer cancel()
	return kit.Ask(ctx, w.env, to, msg)
}

func (w *world) state(name messages.Addr) ChildInfo {
	w.t.Helper()
	got, err := w.ask("sup", ListChildren{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range got.(ChildList).Children {
		if c.Name == name {
			return c
		}
	}
	w.t.Fatal("no child", name)
	return ChildInfo{}
}
