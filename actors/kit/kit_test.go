package kit

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

func newEnv(t testing.TB, opts Options) *Env {
	t.Helper()
	e, err := NewEnv(NewSystem(nil), "alice", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

func spawn(t testing.TB, e *Env, at messages.Addr, receive func(actor.Context)) *actor.PID {
	t.Helper()
	pid, err := e.Spawn(nil, at, e.Props(func() actor.Actor { return actor.ReceiveFunc(receive) }))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// user runs f for messages that are not protoactor's own.
func user(f func(actor.Context)) func(actor.Context) {
	return func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting, *actor.Terminated:
		default:
			f(ctx)
		}
	}
}

func TestNodeNames(t *testing.T) {
	for _, name := range []string{"", "a/b", "~a"} {
		if _, err := NewEnv(NewSystem(nil), name, Options{}); !errors.Is(err, ErrNode) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAsk(t *testing.T) {
	e := newEnv(t, Options{})
	spawn(t, e, "echo", user(func(ctx actor.Context) {
		switch ctx.Message() {
		case "crash":
			panic("ouch")
		case "silence":
		default:
			e.Tell(SenderAddr(ctx), ctx.Message())
		}
	}))
	if got, err := Ask(context.Background(), e, "echo", "hello"); got != "hello" || err != nil {
		t.Fatal(got, err)
	}
	var fault messages.Fault
	if _, err := Ask(context.Background(), e, "echo", "crash"); !errors.As(err, &fault) {
		t.Fatal(err)
	}
	if fault.Actor != "alice/echo" || fault.Message != "string" || fault.Reason != "ouch" || fault.Request != "crash" {
		t.Fatalf("%+v", fault)
	}
	if _, err := Ask(context.Background(), e, "nobody", "hello"); !errors.Is(err, ErrNoActor) {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		spawn(t, e, "mute", func(actor.Context) {})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := Ask(ctx, e, "mute", "silence"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

// Names are absolute in the node, whoever the parent is.
func TestSpawnUnderParent(t *testing.T) {
	e := newEnv(t, Options{})
	spawn(t, e, "parent", func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			if _, err := e.Spawn(ctx, "child/1", e.Props(func() actor.Actor {
				return actor.ReceiveFunc(user(func(ctx actor.Context) { ctx.Respond(ctx.Parent().Id) }))
			})); err != nil {
				panic(err)
			}
		}
	})
	for range 100 { // the parent starts asynchronously
		got, err := Ask(context.Background(), e, "child/1", "parent?")
		if errors.Is(err, ErrNoActor) {
			runtime.Gosched()
			continue
		}
		if got != "alice/parent" || err != nil {
			t.Fatal(got, err)
		}
		break
	}
	if _, err := e.Spawn(nil, "parent", e.Props(func() actor.Actor { return nil })); !errors.Is(err, actor.ErrNameExists) {
		t.Fatal(err)
	}
}

// Whatever Receive does, the actor handles the next message, with a new instance.
func TestNothingBricks(t *testing.T) {
	ways := map[string]func(){
		"panic":  func() { panic("ouch") },
		"nil":    func() { panic(nil) },
		"error":  func() { panic(errors.New("ouch")) },
		"goexit": runtime.Goexit,
	}
	for name, die := range ways {
		for _, when := range []string{"user", "started", "restarting"} {
			t.Run(name+" in "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := newEnv(t, Options{})
					instances := 0
					_, err := e.Spawn(nil, "a", e.Props(func() actor.Actor {
						instances++
						n := instances
						return actor.ReceiveFunc(func(ctx actor.Context) {
							switch m := ctx.Message().(type) {
							case *actor.Started:
								if when == "started" && n == 1 {
									die()
								}
							case *actor.Restarting:
								if when == "restarting" {
									die()
								}
							case string:
								if m == "die" {
									die()
								}
								ctx.Respond(n)
							}
						})
					}))
					if err != nil {
						t.Fatal(err)
					}
					e.Tell("a", "die")
					got, err := Ask(t.Context(), e, "a", "which?")
					want := 2
					if when == "started" {
						want = 3
					}
					if got != want || err != nil {
						t.Fatal(got, err)
					}
				})
			})
		}
	}
}

// A panic on the way out neither hangs the stop nor brings the actor back.
func TestPanicWhileStopping(t *testing.T) {
	for _, die := range []func(){func() { panic("ouch") }, runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			e := newEnv(t, Options{})
			var started int
			pid := spawn(t, e, "a", func(ctx actor.Context) {
				switch ctx.Message().(type) {
				case *actor.Started:
					started++
				default:
					die()
				}
			})
			if err := e.System.Root.StopFuture(pid).Wait(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if started != 1 {
				t.Fatal("resurrected")
			}
			if _, err := e.Spawn(nil, "a", e.Props(func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) })); err != nil {
				t.Fatal("name not free:", err)
			}
		})
	}
}

// parentOf makes an actor with one child, which sleeps for what it is sent.
func parentOf(e *Env, receive func(instance int, ctx actor.Context)) *actor.Props {
	instances := 0
	return e.Props(func() actor.Actor {
		instances++
		n := instances
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*actor.Started); ok {
				e.Spawn(ctx, "child", e.Props(func() actor.Actor {
					return actor.ReceiveFunc(func(ctx actor.Context) {
						if d, ok := ctx.Message().(time.Duration); ok {
							time.Sleep(d)
						}
					})
				}))
			}
			receive(n, ctx)
		})
	})
}

// A parent that panics over the end of its child, while it stops itself, still stops.
func TestPanicOverTerminatedWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		pid, _ := e.Spawn(nil, "parent", parentOf(e, func(_ int, ctx actor.Context) {
			if _, ok := ctx.Message().(*actor.Terminated); ok {
				panic("ouch")
			}
		}))
		if err := e.System.Root.StopFuture(pid).Wait(); err != nil {
			t.Fatal(err)
		}
	})
}

// What comes while an actor waits for its children to stop, to be restarted, is for its next instance.
func TestMessagesDuringRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		pid, _ := e.Spawn(nil, "parent", parentOf(e, func(n int, ctx actor.Context) {
			if ctx.Message() == "which" {
				ctx.Respond(n)
			}
		}))
		synctest.Wait()
		e.Tell("child", time.Second)
		synctest.Wait()
		p, _ := e.System.ProcessRegistry.Get(pid)
		p.SendSystemMessage(pid, &actor.Restart{})
		synctest.Wait()
		if n, err := Ask(t.Context(), e, "parent", "which"); n != 2 || err != nil {
			t.Fatal(n, err)
		}
	})
}

// A crashed instance hears nothing more, also not the system messages that overtake its restart.
func TestCrashedInstanceHearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		heard := false
		props := parentOf(e, func(_ int, ctx actor.Context) {
			switch ctx.Message().(type) {
			case string:
				panic("ouch")
			case *actor.Terminated:
				heard = true
			}
		})
		pid, _ := e.System.Root.Copy().WithGuardian(undecided{}).SpawnNamed(props, absolute+"parent")
		e.Tell("parent", "die")
		synctest.Wait()
		e.System.Root.Stop(e.PID("child"))
		synctest.Wait()
		if heard {
			t.Fatal("a crashed instance handled a message")
		}
		e.System.Root.Stop(pid)
		synctest.Wait()
	})
}

type undecided struct{}

func (undecided) HandleFailure(*actor.ActorSystem, actor.Supervisor, *actor.PID, *actor.RestartStatistics, any, any) {
}

// An actor that stops itself and panics in the same turn stays stopped.
func TestStopThenPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		var started int
		spawn(t, e, "a", func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case *actor.Started:
				started++
			case string:
				ctx.Stop(ctx.Self())
				panic("ouch")
			}
		})
		e.Tell("a", "go")
		synctest.Wait()
		if started != 1 {
			t.Fatal("resurrected")
		}
	})
}

// A producer that panics or makes nothing is the actor's failure, not its parent's.
func TestBadProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		calls := 0
		if _, err := e.Spawn(nil, "a", e.Props(func() actor.Actor {
			if calls++; calls == 1 {
				panic("ouch")
			} else if calls == 2 {
				return nil
			}
			return actor.ReceiveFunc(user(func(ctx actor.Context) { ctx.Respond("here") }))
		})); err != nil {
			t.Fatal(err)
		}
		if got, err := Ask(t.Context(), e, "a", "?"); got != "here" || err != nil {
			t.Fatal(got, err)
		}
	})
}

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

func TestFaultPoints(t *testing.T) {
	e := newEnv(t, Options{Faults: faultFuncs{
		before: func(name string, msg any) {
			if msg == "before" {
				panic("injected")
			}
		},
		after: func(name string, msg any) {
			if msg == "after" {
				panic("injected")
			}
			if name != "alice/a" {
				panic(name)
			}
		},
	}})
	var got []any
	instances := 0
	e.Spawn(nil, "a", e.Props(func() actor.Actor {
		instances++
		return actor.ReceiveFunc(user(func(ctx actor.Context) {
			got = append(got, ctx.Message())
			if ctx.Message() == "done" {
				ctx.Respond(instances)
			}
		}))
	}))
	for _, m := range []string{"one", "before", "after", "two"} {
		e.Tell("a", m)
	}
	n, err := Ask(t.Context(), e, "a", "done")
	if n != 3 || err != nil || !slices.Equal(got, []any{"one", "after", "two", "done"}) {
		t.Fatal(n, err, got)
	}
}

type faultFuncs struct{ before, after func(string, any) }

func (f faultFuncs) Before(name string, msg any) { f.before(name, msg) }
func (f faultFuncs) After(name string, msg any)  { f.after(name, msg) }

// A killed node is silent at once, and a new one of the same name hears nothing of the old one's affairs.
func TestKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := NewSystem(nil)
		var stopped bool
		make := func() *Env {
			e, err := NewEnv(system, "alice", Options{})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		e := make()
		var inTurn, finish = false, false
		pid := spawn(t, e, "a", func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case *actor.Stopping, *actor.Stopped:
				stopped = true
			case string:
				inTurn = true
				time.Sleep(time.Second) // a turn that takes long, such as a sync
				finish = true
				e.Tell("a", "again")
				e.Spawn(ctx, "late", e.Props(func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) }))
			}
		})
		e.Clock.After(time.Minute, pid, "late")
		e.Tell("a", "go")
		e.Tell("a", "go")
		synctest.Wait()
		e.Kill()
		if !inTurn || !finish || stopped {
			t.Fatal(inTurn, finish, stopped)
		}
		next := make()
		defer next.Close()
		if next.NextIncarnation()>>32 == e.NextIncarnation()>>32 {
			t.Fatal("incarnations repeat")
		}
		var got []any
		spawn(t, next, "a", user(func(ctx actor.Context) { got = append(got, ctx.Message()) }))
		spawn(t, next, "late", func(actor.Context) {})
		e.Tell("a", "from the dead")
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(got) != 0 {
			t.Fatal(got)
		}
		if _, err := Ask(t.Context(), e, "a", "?"); !errors.Is(err, ErrNoActor) {
			t.Fatal(err)
		}
	})
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

func TestLogHasNoPayload(t *testing.T) {
	var out strings.Builder
	system := NewSystem(debugLog(&out))
	e, _ := NewEnv(system, "alice", Options{})
	defer e.Close()
	e.Tell("nobody", "secret")
	system.Logger().Error("x", "message", "secret")
	if s := out.String(); strings.Contains(s, "secret") || !strings.Contains(s, "alice/nobody") {
		t.Fatal(s)
	}
}
