package kit

import (
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

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

// What comes while an actor waits for its children to stop, to stop itself, is not handled: a child spawned now would never be stopped, and
// its parent would wait for it. Who asked learns that there is no answer.
func TestMessagesDuringStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		pid, _ := e.Spawn(nil, "parent", parentOf(e, func(_ int, ctx actor.Context) {
			if ctx.Message() == "another" {
				e.Spawn(ctx, "late", e.Props(func() actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) }))
			}
		}))
		synctest.Wait()
		e.Tell("child", time.Second)
		synctest.Wait()
		stopped := e.System.Root.StopFuture(pid)
		synctest.Wait()
		if _, err := Ask(t.Context(), e, "parent", "another"); !errors.Is(err, ErrNoActor) {
			t.Error(err)
		}
		if err := stopped.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, ok := e.System.ProcessRegistry.Get(e.PID("late")); ok {
			t.Fatal("an actor was spawned by one that was stopping")
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

type holding struct{ disposed *int }

func (h holding) Dispose() { *h.disposed++ }

// What a message holds open is closed when it reaches nobody, and not when it arrives.
func TestDispose(t *testing.T) {
	for _, c := range []struct {
		to   messages.Addr
		die  bool
		want int
	}{{"a", false, 0}, {"a", true, 1}, {"nobody", false, 1}} {
		synctest.Test(t, func(t *testing.T) {
			e := newEnv(t, Options{})
			spawn(t, e, "a", func(ctx actor.Context) {
				if _, ok := ctx.Message().(holding); ok && c.die {
					panic("ouch")
				}
			})
			disposed := 0
			e.Tell(c.to, holding{&disposed})
			synctest.Wait()
			if disposed != c.want {
				t.Fatal(c, disposed)
			}
		})
	}
}
