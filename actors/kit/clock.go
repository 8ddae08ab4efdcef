package kit

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// wallClock is the time of day. The timers of a killed node stay silent: their messages would reach its successor of the same name.
type wallClock struct{ env *Env }

func (wallClock) Now() time.Time { return time.Now() }

func (c wallClock) After(d time.Duration, to *actor.PID, msg any) (cancel func()) {
	t := time.AfterFunc(d, func() {
		if !c.env.dead.Load() {
			c.env.System.Root.Send(to, msg)
		}
	})
	return func() { t.Stop() }
}
