package supervisor

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/redact"
	"github.com/lnactor/lnactor/messages"
)

// Supervisor is one incarnation of a supervisor. Its methods are for the hooks in Config, which run in its turns.
type Supervisor struct {
	env         *kit.Env
	cfg         Config
	self        *actor.PID
	incarnation uint64
	children    map[string]*child // by full name
	added       uint64
	groups      map[string]*group
	drain       *drain
	closing     bool
}

type role = int32

const (
	roleItself role = iota
	roleStandIn
	roleSink
)

type child struct {
	spec     ChildSpec
	seq      uint64 // in the order in which children were added
	pid      *actor.PID
	group    *group
	state    State
	alive    bool // its actor exists
	failures float64
	since    time.Time // when it was last started
	restarts int
	last     error
	failedAt time.Time
	gone     []messages.Addr // who waits for its end

	role    atomic.Int32  // read by the child's own turns
	dropped atomic.Uint64 // counted in the child's turns
}

// New makes the producer of a supervisor that is itself supervised: its crash restarts it with its Children, without those added later.
func New(env *kit.Env, cfg Config) actor.Producer {
	if cfg.Events == nil {
		cfg.Events = LogEvents(env.Log)
	}
	return func() actor.Actor {
		return &Supervisor{env: env, cfg: cfg, children: map[string]*child{}, groups: map[string]*group{}}
	}
}

// Start starts the outermost supervisor of a node. If it crashes, which it never should, the node stops with ErrRestarted.
func Start(env *kit.Env, at messages.Addr, cfg Config) (*actor.PID, error) {
	first := New(env, cfg)
	started := false
	producer := func() actor.Actor {
		if started {
			env.Stop(ErrRestarted)
			return actor.ReceiveFunc(func(actor.Context) {})
		}
		started = true
		return first()
	}
	return env.Spawn(nil, at, env.Props(producer))
}

// Env is the environment of the supervisor's node.
func (s *Supervisor) Env() *kit.Env { return s.env }

// Incarnation implements kit.Incarnated.
func (s *Supervisor) Incarnation() uint64 { return s.incarnation }

// Receive implements actor.Actor.
func (s *Supervisor) Receive(ctx actor.Context) {
	if s.closing {
		return
	}
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.self = ctx.Self()
		s.incarnation = s.env.NextIncarnation()
		if err := s.Add(ctx, s.cfg.Children...); err != nil {
			s.env.Stop(fmt.Errorf("start of %s: %w", ctx.Self().Id, err))
		}
		if s.cfg.Started != nil {
			s.cfg.Started(s, ctx)
		}
	case *actor.Stopping, *actor.Restarting:
		s.close()
	case *actor.Stopped:
	case *actor.Terminated:
		s.terminated(ctx, m.Who)
	case restartDue:
		s.restartDue(ctx, m)
	case drainDue:
		s.drainDue(ctx, m)
	case SpawnChildren:
		reply := ChildrenSpawned{Err: s.Add(ctx, m.Children...)}
		for _, spec := range m.Children {
			reply.Names = append(reply.Names, spec.Name)
		}
		s.reply(ctx, m.ReplyTo, reply)
	case StopChild:
		s.stopChild(ctx, m)
	case Retry:
		s.reply(ctx, m.ReplyTo, Retried{Name: m.Name, Err: s.Retry(m.Name)})
	case ListChildren:
		s.reply(ctx, m.ReplyTo, ChildList{Children: s.List()})
	case Drain:
		s.beginDrain(ctx, m)
	default:
		if s.cfg.Receive != nil {
			s.cfg.Receive(s, ctx)
		}
	}
}

// close silences the timers of this incarnation. protoactor stops the children.
func (s *Supervisor) close() {
	s.closing = true
	for _, g := range s.groups {
		g.cancel()
	}
	if s.drain != nil && s.drain.cancel != nil {
		s.drain.cancel()
	}
}

// Add adds children and starts them, in order: all, or with an error none. Their addresses are good when it returns; an address that is
// made known before may miss messages.
func (s *Supervisor) Add(ctx actor.Context, specs ...ChildSpec) error {
	if s.drain != nil {
		return ErrDraining
	}
	named := map[messages.Addr]bool{}
	for _, spec := range specs {
		if spec.Name == "" || spec.Producer == nil {
			return fmt.Errorf("%w: %q", ErrSpec, spec.Name)
		}
		if named[spec.Name] || s.find(spec.Name) != nil {
			return fmt.Errorf("%w: %s", ErrExists, spec.Name)
		}
		named[spec.Name] = true
	}
	for _, spec := range specs {
		spec.Backoff = spec.Backoff.withDefaults()
		s.added++
		c := &child{spec: spec, seq: s.added, pid: s.env.PID(spec.Name)}
		s.children[c.pid.Id] = c
		s.join(c)
		if err := s.spawn(ctx, c); err != nil {
			s.failed(c, failure{reason: err})
			continue
		}
		s.cfg.Events(ChildStarted{Child: spec.Name})
	}
	return nil
}

func (s *Supervisor) spawn(ctx actor.Context, c *child) error {
	pid, err := s.env.Spawn(ctx, c.spec.Name, s.env.Props(func() actor.Actor { return c.produce(s.env) }, c.spec.Options...))
	if err != nil {
		return fmt.Errorf("spawn %s: %w", c.spec.Name, err)
	}
	c.pid, c.alive, c.since = pid, true, s.env.Clock.Now()
	return nil
}

func (s *Supervisor) find(name messages.Addr) *child { return s.children[s.env.PID(name).Id] }

// Has tells whether there is a child of this name.
func (s *Supervisor) Has(name messages.Addr) bool { return s.find(name) != nil }

// List is the state of all children, in the order in which they were added.
func (s *Supervisor) List() []ChildInfo {
	list := make([]ChildInfo, 0, len(s.children))
	for _, c := range s.ordered() {
		info := ChildInfo{Name: c.spec.Name, State: c.state, Failures: c.failures, Restarts: c.restarts, Dropped: c.dropped.Load(), FailedAt: c.failedAt}
		if c.last != nil {
			info.LastFailure = redact.Text(c.last.Error())
		}
		list = append(list, info)
	}
	return list
}

// ordered is all children in the order in which they were added.
func (s *Supervisor) ordered() []*child {
	return slices.SortedFunc(maps.Values(s.children), func(a, b *child) int { return cmp.Compare(a.seq, b.seq) })
}

// Stop stops a child at once and forgets it; no events but ChildStopped follow.
func (s *Supervisor) Stop(name messages.Addr) error {
	c := s.find(name)
	if c == nil {
		return fmt.Errorf("%w: %s", ErrUnknown, name)
	}
	s.stop(c)
	return nil
}

func (s *Supervisor) stop(c *child) {
	c.state = Stopping
	if c.alive {
		s.signal(c, &actor.Stop{})
		return
	}
	s.remove(c)
}

func (s *Supervisor) stopChild(ctx actor.Context, m StopChild) {
	c := s.find(m.Name)
	if c == nil {
		s.reply(ctx, m.ReplyTo, ChildGone{Name: m.Name, Err: fmt.Errorf("%w: %s", ErrUnknown, m.Name)})
		return
	}
	to := m.ReplyTo
	if to == "" {
		to = kit.SenderAddr(ctx)
	}
	c.gone = append(c.gone, to)
	s.stop(c)
}

// remove forgets a child whose actor is gone.
func (s *Supervisor) remove(c *child) {
	delete(s.children, c.pid.Id)
	s.leave(c)
	s.cfg.Events(ChildStopped{Child: c.spec.Name})
	for _, to := range c.gone {
		if to != "" {
			s.env.Tell(to, ChildGone{Name: c.spec.Name})
		}
	}
}

// terminated is told of every child whose actor is gone, whoever stopped it.
func (s *Supervisor) terminated(ctx actor.Context, who *actor.PID) {
	c := s.children[who.Id]
	if c == nil {
		return
	}
	c.alive = false
	switch {
	case s.drain != nil:
		s.remove(c)
		s.drained(ctx, c.group)
	case c.state == Stopping, c.spec.Transient && c.state != Quarantined:
		s.remove(c)
	case c.state == Quarantined:
		if err := s.spawn(ctx, c); err != nil {
			s.failed(c, failure{reason: err})
		}
	case c.state == Down:
	case c.state == Waiting: // it will be spawned again when its time comes
	default:
		s.failed(c, failure{reason: ErrChildStopped})
	}
}

// signal sends protoactor's own messages, which overtake all others.
func (s *Supervisor) signal(c *child, msg any) {
	if p, ok := s.env.System.ProcessRegistry.Get(c.pid); ok {
		p.SendSystemMessage(c.pid, msg)
	}
}

func (s *Supervisor) reply(ctx actor.Context, to messages.Addr, msg any) {
	if to == "" {
		to = kit.SenderAddr(ctx)
	}
	if to != "" {
		s.env.Tell(to, msg)
	}
}
