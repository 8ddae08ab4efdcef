package kit

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

type secret struct{ Key [32]byte }

type numbered struct {
	receive func(actor.Context)
	n       uint64
}

func (a *numbered) Receive(ctx actor.Context) { a.receive(ctx) }
func (a *numbered) Incarnation() uint64       { return a.n }

func vitalsOf(t *testing.T, e *Env, name string) Vitals {
	t.Helper()
	var out []Vitals
	e.Each(func(v Vitals) {
		if v.Name == name {
			out = append(out, v)
		}
	})
	if len(out) != 1 {
		t.Fatalf("%d actors %q", len(out), name)
	}
	return out[0]
}

// A ping is answered behind the work that waits, and not at all by an actor that hangs; what hangs can be seen from outside.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		wedge := make(chan struct{})
		instances := uint64(0)
		_, err := e.Spawn(nil, "a", e.Props(func() actor.Actor {
			instances++
			return &numbered{n: 100 + instances, receive: func(ctx actor.Context) {
				switch m := ctx.Message().(type) {
				case Ping:
					t.Error("an actor sees a ping")
				case secret:
					<-wedge
				case string:
					panic(m)
				}
			}}
		}))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Ping(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if err := e.Ping(t.Context(), "nobody"); !errors.Is(err, ErrNoActor) {
			t.Fatal(err)
		}
		synctest.Wait()
		before := vitalsOf(t, e, "a")
		if before.Busy || before.Queued != 0 || before.Instances != 1 || before.Incarnation != 101 {
			t.Fatalf("%+v", before)
		}

		e.Tell("a", secret{Key: [32]byte{1, 2, 3}})
		e.Tell("a", "die")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Ping(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		v := vitalsOf(t, e, "a")
		if !v.Busy || v.Queued != 2 || v.Handled != before.Handled+1 {
			t.Fatalf("%+v", v)
		}
		if got := e.Recent("a"); len(got) == 0 || got[len(got)-1] != "kit.secret" {
			t.Fatalf("the last message is not what it hangs in: %v", got)
		}
		close(wedge)
		if err := e.Ping(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if v := vitalsOf(t, e, "a"); v.Busy || v.Instances != 2 || v.Incarnation != 102 {
			t.Fatalf("after a restart: %+v", v)
		}
	})
}

type reasons struct{ got chan any }

func (r reasons) Receive(actor.Context) {}

func (r reasons) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	r.got <- reason
	s.StopChildren(child)
}

func dieWith(key [32]byte, when string) {
	if when != "" {
		panic("ouch")
	}
	_ = key
}

// A crash tells what was handled before it, by type, and where, without a value of anything.
func TestCrashHoldsNoValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, Options{})
		sup := reasons{make(chan any, 1)}
		_, err := e.Spawn(nil, "sup", e.Props(func() actor.Actor {
			return &spawner{reasons: sup, child: func() actor.Actor {
				return actor.ReceiveFunc(func(ctx actor.Context) {
					if m, ok := ctx.Message().(secret); ok && m.Key[0] == 0xab {
						dieWith(m.Key, "now")
					}
				})
			}, env: e}
		}))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range traced {
			e.Tell("child", 1)
		}
		e.Tell("child", secret{})
		e.Tell("child", secret{Key: [32]byte{0xab, 0xcd, 0xef}})
		crash := (<-sup.got).(*Crash)
		want := append(slices.Repeat([]string{"int"}, traced-2), "kit.secret", "kit.secret")
		if !slices.Equal(crash.Recent, want) {
			t.Errorf("recent messages %v", crash.Recent)
		}
		stack := string(crash.Stack)
		if !strings.Contains(stack, "kit.dieWith\n") || strings.Contains(stack, "0x") || strings.Contains(stack, "171") {
			t.Errorf("stack:\n%s", stack)
		}
	})
}

type spawner struct {
	reasons
	env   *Env
	child actor.Producer
}

func (s *spawner) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		if _, err := s.env.Spawn(ctx, "child", s.env.Props(s.child)); err != nil {
			panic(err)
		}
	}
}
