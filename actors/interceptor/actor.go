package interceptor

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// New makes the actor at messages.InterceptorAddr: it passes the manager's questions to the queue, which outlives it.
func New(env *kit.Env, q *Queue) actor.Producer {
	return func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case *actor.Started:
				env.Tell(messages.ManagerAddr, messages.InterceptorStarted{Incarnation: env.NextIncarnation()})
			case messages.InterceptHTLC:
				q.Put(m)
			}
		})
	}
}
