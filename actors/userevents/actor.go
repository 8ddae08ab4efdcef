package userevents

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// New makes the actor at messages.EventsAddr: it passes the manager's events to the queue. The queue outlives the actor; a message that it crashed
// over does not, so every incarnation has the manager tell again.
func New(env *kit.Env, q *Queue) actor.Producer {
	return func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				env.Tell(messages.ManagerAddr, messages.EventsStarted{Incarnation: env.NextIncarnation()})
			case messages.UserEvents:
				q.Put(m)
			}
		})
	}
}
