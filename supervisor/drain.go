package supervisor

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

type drain struct {
	replyTo []messages.Addr
	end     time.Time // zero: none
	cancel  func()
}

// drainDue ends a drain that takes too long.
type drainDue struct{ incarnation uint64 }

// beginDrain stops the last child of each group; the end of one stops the one before it. Nothing is restarted from here on.
func (s *Supervisor) beginDrain(ctx actor.Context, m Drain) {
	to := m.ReplyTo
	if to == "" {
		to = kit.SenderAddr(ctx)
	}
	if s.drain != nil {
		s.drain.replyTo = append(s.drain.replyTo, to)
		return
	}
	s.drain = &drain{replyTo: []messages.Addr{to}}
	if s.cfg.Draining != nil {
		s.cfg.Draining()
	}
	if m.Limit > 0 {
		s.drain.end = s.env.Clock.Now().Add(m.Limit)
		s.drain.cancel = s.env.Clock.After(m.Limit, s.self, drainDue{s.incarnation})
	}
	var groups []*group
	for _, c := range s.ordered() {
		if !c.alive {
			s.remove(c)
		} else if c.group.members[0] == c {
			groups = append(groups, c.group)
		}
	}
	for _, g := range groups {
		g.cancel()
		s.drainLast(g)
	}
	s.drained(ctx, nil)
}

// drainLast ends the last member of a group: behind the work that it has, or at once if it would not get to it.
func (s *Supervisor) drainLast(g *group) {
	c := g.members[len(g.members)-1]
	waits := c.state == Waiting || c.state == Down
	asks := c.spec.Drains && c.state != Quarantined
	c.state = Stopping
	switch {
	case waits:
		s.signal(c, &actor.Stop{})
	case asks:
		var left time.Duration
		if !s.drain.end.IsZero() {
			left = max(s.drain.end.Sub(s.env.Clock.Now()), 1)
		}
		s.env.Tell(c.spec.Name, Drain{Limit: left})
	default:
		s.env.System.Root.Poison(c.pid)
	}
}

// drained goes on after the end of a member of g.
func (s *Supervisor) drained(ctx actor.Context, g *group) {
	if g != nil && len(g.members) > 0 {
		s.drainLast(g)
	}
	if len(s.children) == 0 {
		s.endDrain(ctx, nil)
	}
}

func (s *Supervisor) drainDue(ctx actor.Context, m drainDue) {
	if s.drain == nil || m.incarnation != s.incarnation {
		return
	}
	e := &DrainError{}
	for _, c := range s.ordered() {
		e.Remaining = append(e.Remaining, c.spec.Name)
	}
	s.endDrain(ctx, e)
}

// endDrain answers and stops the supervisor, and with it whoever is left.
func (s *Supervisor) endDrain(ctx actor.Context, err error) {
	for _, to := range s.drain.replyTo {
		if to != "" {
			s.env.Tell(to, Drained{Err: err})
		}
	}
	s.close()
	ctx.Stop(ctx.Self())
}

// DrainTree stops the tree below the supervisor at an address, from ordinary Go code, and waits for it. The error is a *DrainError if limit
// was not enough; then, as always, what is durable is right.
func DrainTree(ctx context.Context, env *kit.Env, at messages.Addr, limit time.Duration) error {
	got, err := kit.Ask(ctx, env, at, Drain{Limit: limit})
	if err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if d, ok := got.(Drained); ok {
		return d.Err
	}
	return fmt.Errorf("drain: unexpected answer %T", got)
}
