package interceptor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewQueue()
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan uint64, 8)
		go func() {
			for {
				m, err := q.Next(ctx)
				if err != nil {
					close(got)
					return
				}
				got <- m.HTLCID
			}
		}()
		synctest.Wait()
		q.Put(messages.InterceptHTLC{HTLCID: 1})
		synctest.Wait()
		q.Put(messages.InterceptHTLC{HTLCID: 1}) // again, after it was handed out: a restart
		q.Put(messages.InterceptHTLC{HTLCID: 2})
		synctest.Wait()
		cancel()
		synctest.Wait()
		var all []uint64
		for id := range got {
			all = append(all, id)
		}
		if len(all) != 3 || all[0] != 1 || all[1] != 1 || all[2] != 2 {
			t.Fatalf("handed out: %v", all)
		}
	})
	q := NewQueue()
	q.Put(messages.InterceptHTLC{HTLCID: 1})
	q.Put(messages.InterceptHTLC{HTLCID: 1}) // nobody has seen it yet
	if _, err := q.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("a repeat was queued: %v", err)
	}
}

// TestStartAsksAgain: what the dead incarnation was told may be lost.
func TestStartAsksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env, err := kit.NewEnv(kit.NewSystem(nil), "node", kit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(env.Kill)
		q := NewQueue()
		manager := actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(messages.InterceptorStarted); ok {
				env.Tell(messages.InterceptorAddr, messages.InterceptHTLC{HTLCID: 7})
			}
		})
		if _, err := env.Spawn(nil, messages.ManagerAddr, env.Props(func() actor.Actor { return manager })); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := env.Spawn(nil, messages.InterceptorAddr, env.Props(New(env, q))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if m, err := q.Next(t.Context()); err != nil || m.HTLCID != 7 {
			t.Fatalf("%+v %v", m, err)
		}
	})
}
