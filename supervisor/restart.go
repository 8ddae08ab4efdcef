package supervisor

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// group is children that are restarted together: a failure takes the members after the failed one with it.
type group struct {
	name    string
	members []*child
	pending *pending
	gen     uint64
}

// pending is a restart that was decided and waits for its time.
type pending struct {
	from   int // first member to restart
	cause  messages.Addr
	due    time.Time
	wait   time.Duration
	cancel func()
}

// restartDue comes from the supervisor's own timer. A later decision, or a later incarnation, makes it void.
type restartDue struct {
	incarnation uint64
	group       string
	gen         uint64
}

type failure struct {
	reason  error
	message string
	stack   []byte
	recent  []string
}

func (s *Supervisor) join(c *child) {
	name := "group " + c.spec.Group
	switch {
	case s.cfg.Strategy == RestForOne:
		name = "all"
	case c.spec.Group == "":
		name = "child " + string(c.spec.Name)
	}
	g := s.groups[name]
	if g == nil {
		g = &group{name: name}
		s.groups[name] = g
	}
	c.group = g
	g.members = append(g.members, c)
}

func (s *Supervisor) leave(c *child) {
	g := c.group
	i := slices.Index(g.members, c)
	g.members = slices.Delete(g.members, i, i+1)
	if p := g.pending; p != nil {
		if i < p.from {
			p.from--
		}
		if p.from == len(g.members) {
			g.cancel()
		}
	}
	if len(g.members) == 0 {
		delete(s.groups, g.name)
	}
}

func (g *group) cancel() {
	if g.pending != nil {
		g.pending.cancel()
		g.pending = nil
	}
	g.gen++
}

// dependents are the members after c.
func (g *group) dependents(c *child) []*child { return g.members[slices.Index(g.members, c)+1:] }

// HandleFailure implements actor.SupervisorStrategy. It runs in the supervisor's own turn; the child is suspended.
func (s *Supervisor) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, who *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	c := s.children[who.Id]
	switch {
	case c == nil, s.closing, s.drain != nil, c.state == Stopping:
		sup.StopChildren(who)
	case c.state == Quarantined:
		c.role.Store(roleSink)
		sup.RestartChildren(who)
	case c.state == Down:
	default:
		s.failed(c, describe(reason, message))
	}
}

func describe(reason, message any) failure {
	f := failure{message: fmt.Sprintf("%T", actor.UnwrapEnvelopeMessage(message))}
	var crash *kit.Crash
	switch r := reason.(type) {
	case error:
		f.reason = r
		if errors.As(r, &crash) {
			f.message, f.stack, f.recent = crash.Message, crash.Stack, crash.Recent
		}
	default:
		f.reason = fmt.Errorf("%v", r)
	}
	return f
}

// failed counts a failure and decides what follows.
func (s *Supervisor) failed(c *child, f failure) {
	now := s.env.Clock.Now()
	c.rest(now)
	c.failures++
	c.last, c.failedAt = f.reason, now
	s.cfg.Events(ChildFailed{
		Child: c.spec.Name, Reason: f.reason, Message: f.message, Stack: f.stack, Recent: f.recent, Failures: c.failures,
	})

	tooMany := c.failures > c.spec.Limit || c.spec.GiveUp == Quarantine && hopeless(f.reason)
	if c.spec.GiveUp != Never && tooMany {
		s.giveUp(c, f.reason)
		return
	}
	s.schedule(c, now)
}

// hopeless tells whether a failure says of itself that no restart can cure it, such as a log that does not decode.
func hopeless(reason error) bool {
	var q interface{ Quarantine() bool }
	return errors.As(reason, &q) && q.Quarantine()
}

// rest ends a time of working, which let failures decay.
func (c *child) rest(now time.Time) {
	if !c.since.IsZero() {
		c.failures *= math.Exp2(-float64(now.Sub(c.since)) / float64(c.spec.Backoff.Decay))
	}
	c.since = time.Time{}
}

// schedule decides to restart c and its dependents after the back-off. One decision at a time is pending in a group: it covers the first
// of the failed members, and waits for the longest of their back-offs.
func (s *Supervisor) schedule(c *child, now time.Time) {
	g := c.group
	p := &pending{from: slices.Index(g.members, c), cause: c.spec.Name, wait: c.spec.Backoff.wait(c.failures, s.env.Jitter())}
	p.due = now.Add(p.wait)
	if old := g.pending; old != nil {
		if old.from < p.from {
			p.from, p.cause = old.from, old.cause
		}
		if old.due.After(p.due) {
			p.due, p.wait = old.due, old.wait
		}
	}
	g.cancel()
	g.pending = p
	for _, m := range g.members[p.from:] {
		if m.state != Running {
			continue
		}
		m.state = Waiting
		if m != c {
			m.rest(now)
			s.signal(m, &actor.SuspendMailbox{})
		}
	}
	p.cancel = s.env.Clock.After(p.due.Sub(now), s.self, restartDue{s.incarnation, g.name, g.gen})
}

func (s *Supervisor) restartDue(ctx actor.Context, m restartDue) {
	g := s.groups[m.group]
	if m.incarnation != s.incarnation || g == nil || g.pending == nil || g.gen != m.gen || s.drain != nil {
		return
	}
	p := g.pending
	g.pending = nil
	for _, c := range slices.Clone(g.members[p.from:]) {
		if c.state == Waiting {
			c.restarts++
			s.cfg.Events(ChildRestarted{Child: c.spec.Name, With: p.cause, Restart: c.restarts, Backoff: p.wait})
			s.renew(ctx, c)
		}
	}
}

// renew gives a child a new instance, at once. Whoever depends on it is renewed after it, and so finds its messages queued behind this.
func (s *Supervisor) renew(ctx actor.Context, c *child) {
	c.state = Running
	if c.alive {
		c.since = s.env.Clock.Now()
		s.signal(c, &actor.Restart{})
		return
	}
	if err := s.spawn(ctx, c); err != nil {
		s.failed(c, failure{reason: err})
	}
}

// giveUp ends the attempts with c.
func (s *Supervisor) giveUp(c *child, reason error) {
	gaveUp := &GaveUpError{Child: c.spec.Name, Failures: c.failures, Reason: reason}
	switch c.spec.GiveUp {
	case Quarantine:
		for _, m := range append([]*child{c}, c.group.dependents(c)...) {
			s.quarantine(m, c.spec.Name, reason)
		}
	case Escalate:
		c.state = Down
		s.cfg.Events(GaveUpOn{Child: c.spec.Name, Err: gaveUp})
		s.env.Stop(gaveUp)
	case Remove:
		s.cfg.Events(GaveUpOn{Child: c.spec.Name, Err: gaveUp, Removed: true})
		for _, m := range append([]*child{c}, c.group.dependents(c)...) {
			s.stop(m)
		}
	}
}

// Quarantine puts a child and its dependents into quarantine, for a reason that only its owner can see, such as a log that does not decode.
func (s *Supervisor) Quarantine(name messages.Addr, reason error) error {
	c := s.find(name)
	if c == nil {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	for _, m := range append([]*child{c}, c.group.dependents(c)...) {
		s.quarantine(m, name, reason)
	}
	return nil
}

func (s *Supervisor) quarantine(c *child, with messages.Addr, reason error) {
	if c.state == Quarantined || c.state == Stopping {
		return
	}
	c.state, c.last, c.failedAt = Quarantined, reason, s.env.Clock.Now()
	if c.spec.StandIn != nil {
		c.role.Store(roleStandIn)
	} else {
		c.role.Store(roleSink)
	}
	if c.alive {
		s.signal(c, &actor.Restart{})
	}
	s.cfg.Events(ChildQuarantined{Child: c.spec.Name, With: with, Reason: reason})
}

// Retry ends the quarantine of a child and of its dependents: they get new instances at once, and their failures are forgotten.
func (s *Supervisor) Retry(name messages.Addr) error {
	c := s.find(name)
	if c == nil {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	if c.state != Quarantined {
		return fmt.Errorf("%w: %s", ErrNotQuarantined, name)
	}
	for _, m := range append([]*child{c}, c.group.dependents(c)...) {
		if m.state != Quarantined {
			continue
		}
		m.role.Store(roleItself)
		m.state, m.failures, m.since = Running, 0, s.env.Clock.Now()
		s.signal(m, &actor.Restart{})
		s.cfg.Events(ChildRetried{Child: m.spec.Name})
	}
	return nil
}
