package userevents

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/messages"
)

// Producer makes the actor at messages.EventsAddr: it passes the manager's events to the queue.
func Producer(q *Queue) actor.Producer {
	return func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if m, ok := ctx.Message().(messages.UserEvents); ok {
				q.Put(m)
			}
		})
	}
}
