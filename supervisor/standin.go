package supervisor

import (
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// produce makes the child's next instance: itself, or who stands in for it.
func (c *child) produce(env *kit.Env) actor.Actor {
	switch c.role.Load() {
	case roleStandIn:
		return c.spec.StandIn()
	case roleSink:
		return &sink{env: env, child: c}
	default:
		return c.spec.Producer()
	}
}

// sink takes the place of a quarantined child. What it drops is counted and not logged: it may be much, and it may be secret.
type sink struct {
	env   *kit.Env
	child *child
}

func (s *sink) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting, *actor.Terminated:
	case messages.Fault: // answering it could go on for ever
		s.child.dropped.Add(1)
	default:
		s.child.dropped.Add(1)
		if to := ctx.Sender(); to != nil {
			ctx.Send(to, messages.Fault{Actor: ctx.Self().Id, Message: fmt.Sprintf("%T", m), Reason: "quarantined", Request: m})
		}
	}
}
