package kit

import (
	"context"
	"errors"
	"runtime"
	"strings"
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
		inTurn, finish := false, false
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
