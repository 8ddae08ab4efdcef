package userevents

import (
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// crashOnce crashes the events actor over its first list.
type crashOnce struct{ done bool }

func (c *crashOnce) Before(_ string, msg any) {
	if _, ok := msg.(messages.UserEvents); ok && !c.done {
		c.done = true
		panic("injected")
	}
}
func (*crashOnce) After(string, any) {}

// What the actor crashed over is told again, because its new incarnation asks for it.
func TestCrashLosesNoEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env, err := kit.NewEnv(kit.NewSystem(nil), "node", kit.Options{Faults: &crashOnce{}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(env.Kill)
		q := NewQueue(func(string) {})
		manager := actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(messages.EventsStarted); ok {
				env.Tell(messages.EventsAddr, messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("a")}})
			}
		})
		for at, p := range map[messages.Addr]actor.Producer{
			messages.ManagerAddr: func() actor.Actor { return manager }, messages.EventsAddr: New(env, q),
		} {
			if _, err := env.Spawn(nil, at, env.Props(p)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		env.Tell(messages.EventsAddr, messages.UserEvents{Incarnation: 1, Events: []messages.UserEvent{event("a")}})
		synctest.Wait()
		if q.Len() != 1 {
			t.Fatalf("%d events", q.Len())
		}
	})
}
