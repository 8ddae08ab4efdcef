package lnactor_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/kit"
)

// TestNodesShareAHostsActorSystem: two nodes live in the actor system of their host, beside its actors, which go on when the nodes are closed.
func TestNodesShareAHostsActorSystem(t *testing.T) {
	system := kit.NewSystem(nil)
	defer system.Shutdown()
	host := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if s, ok := ctx.Message().(string); ok {
			ctx.Respond(s + " yourself")
		}
	}))
	a, err := lnactor.Open(t.Context(), lnactor.Config{System: system, Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := lnactor.Open(t.Context(), lnactor.Config{System: system, Name: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if a.PID().Id != "a/node" || b.PID().Id != "b/node" || a.ID() == b.ID() {
		t.Fatalf("%s %s", a.PID(), b.PID())
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Balance(t.Context()); err != nil {
		t.Fatalf("the other node: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := system.Root.RequestFuture(host, "hello", -1).Result(); err != nil || got != "hello yourself" {
		t.Fatalf("the host's actor: %v, %v", got, err)
	}
	again, err := lnactor.Open(t.Context(), lnactor.Config{System: system, Name: "a"})
	if err != nil {
		t.Fatalf("the name of a closed node: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}
