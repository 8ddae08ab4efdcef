package persister

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// flush is the persister's message to itself: commit what queued up. It is behind everything that came in meanwhile.
type flush struct{}

// Option changes what New makes.
type Option func(*config)

type config struct {
	limits Limits
	stats  *Stats
	epoch  uint64
}

// WithLimits bounds batches and appends.
func WithLimits(l Limits) Option { return func(c *config) { c.limits = l } }

// WithStats lets the caller read the counters.
func WithStats(s *Stats) Option { return func(c *config) { c.stats = s } }

// WithEpoch puts the lease epoch into every batch (rule 25).
func WithEpoch(epoch uint64) Option { return func(c *config) { c.epoch = epoch } }

// New makes the persister over an open store. Spawn it under messages.PersisterAddr, before every other actor of the node.
//
// The caller closes the store after the actor has stopped. If the actor is restarted, the new instance builds its index from the store again.
func New(env *kit.Env, store Store, opts ...Option) *actor.Props {
	return env.Props(Producer(env, store, opts...))
}

// Producer is New for a supervisor.
func Producer(env *kit.Env, store Store, opts ...Option) actor.Producer {
	cfg := config{}
	for _, o := range opts {
		o(&cfg)
	}
	if cfg.stats == nil {
		cfg.stats = &Stats{}
	}
	// Which incarnations are dead is not in the store. It is the only thing that outlives an instance: it may only grow, so a half-done turn
	// cannot have broken it.
	fence := make(map[messages.Owner]uint64)
	return func() actor.Actor {
		// Appends that the dead instance had queued are lost, and later ones of the same incarnations may wait in the mailbox: taking those
		// would leave a gap in an owner's records. Only who loads again may append again. (On the first call there is none yet.)
		if len(fence) > 0 {
			dead := env.NextIncarnation() // later than all that began before
			for o := range fence {
				fence[o] = dead
			}
		}
		return &shell{env: env, store: store, cfg: cfg, core: newCore(cfg.limits, fence)}
	}
}

type shell struct {
	env   *kit.Env
	store Store
	cfg   config
	core  *core

	armed  bool      // a flush is in the mailbox
	first  time.Time // when the first append of the queue came
	last   int       // appends in the last batch
	target int       // appends worth gathering for the next one, 0 if not known yet
	failed error     // the store has failed: refuse everything until the node is down
}

// Receive handles requests as pointers or values.
func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start()
	case *actor.Stopping:
		s.drain()
	case *messages.Append:
		s.append(ctx, m)
	case messages.Append:
		s.append(ctx, &m)
	case flush:
		if s.gather(ctx) {
			ctx.Send(ctx.Self(), flush{})
			return
		}
		s.armed = false
		s.flush()
	case *messages.Load:
		s.load(m)
	case messages.Load:
		s.load(&m)
	case *messages.ListOwners:
		s.list(m)
	case messages.ListOwners:
		s.list(&m)
	case *messages.GetRows:
		s.rows(m)
	case messages.GetRows:
		s.rows(&m)
	}
}

func (s *shell) start() {
	err := guard("scan", func() error { return s.store.Scan(s.core) })
	if err != nil {
		s.fail(err)
		return
	}
	s.core.scanDone()
	s.cfg.stats.log(s.core)
	s.cfg.stats.queue(s.core)
}

// drain makes an orderly stop lossless: the flush of what came before the poison pill is behind it.
func (s *shell) drain() {
	defer func() {
		if r := recover(); r != nil { // a panic here would restart an actor that is stopping
			s.env.Stop(Failed("drain", "", fmt.Errorf("panic: %v", r)))
		}
	}()
	s.flush()
}

func (s *shell) append(ctx actor.Context, a *messages.Append) {
	err := s.failed
	if err == nil {
		err = s.core.check(a)
	}
	if err != nil {
		s.refuse(a, err)
		return
	}
	s.cfg.stats.Appends.Add(1)
	if len(s.core.queue) == 0 {
		s.first = s.now()
	}
	full := s.core.add(a)
	switch {
	case !s.core.queuedWork: // nothing durable is before it: its place in the order is now
		s.core.recycle(s.core.take())
		s.env.Deliver(a.Then)
		return
	case full:
		s.flush()
	case !s.armed:
		s.armed = true
		ctx.Send(ctx.Self(), flush{})
	}
	s.cfg.stats.queue(s.core)
}

// flush commits the queue as one batch and only then delivers what waits for it, in order (rule 1 of package actors).
func (s *shell) flush() {
	if len(s.core.queue) == 0 || s.failed != nil {
		return
	}
	queue := s.core.take()
	batch := s.core.build(queue)
	batch.Epoch = s.cfg.epoch
	if !batch.Empty() {
		began := s.now()
		if err := guard("commit", func() error { return s.store.Commit(batch) }); err != nil {
			s.fail(err)
			for _, a := range queue {
				s.refuse(a, s.failed)
			}
			return
		}
		now := s.now()
		s.cfg.stats.batch(s.core, len(queue), now.Sub(began), now.Sub(s.first))
	}
	s.cfg.stats.queue(s.core)
	s.last, s.target = len(queue), 0
	for _, a := range queue {
		s.env.Deliver(a.Then)
	}
	s.core.recycle(queue)
}

// patience is how often a batch looks for more before it is committed: some 10 µs in all, where a commit takes hundreds.
const patience = 32

// gather says whether to let the batch grow a little: what the last commit released answers about now. Without this the appends in flight
// fall into two halves that never meet, each of which waits for the commit of the other. It is no timer: nothing is waited for that is not
// in the mailbox already or being sent by a runnable actor, and a lone append after a lone append is committed at once.
func (s *shell) gather(ctx actor.Context) bool {
	n := len(s.core.queue)
	if s.target == 0 {
		s.target = s.last + n
	}
	if s.last <= 1 && n <= 1 || n >= s.target || s.failed != nil {
		return false
	}
	self := messages.Absolute(ctx.Self().Id)
	for range patience {
		if s.env.Depth(self) > 0 {
			return true
		}
		runtime.Gosched()
	}
	return false
}

// fail stops the node. A failed commit may be on disk or not, and a sync that failed once must never be tried again, so there is no way on
// but a new process.
func (s *shell) fail(err error) {
	s.failed = err
	if s.env.Log != nil {
		s.env.Log.Error("persister: store failed, stopping the node", "err", err)
	}
	s.env.Stop(err)
}

func (s *shell) refuse(a *messages.Append, err error) {
	s.cfg.stats.Refused.Add(1)
	s.reply(a.ReplyTo, messages.Refused{Owner: a.Owner, Incarnation: a.Incarnation, Err: err})
}

func (s *shell) reply(to messages.Addr, msg any) {
	if to != "" {
		s.env.Tell(to, msg)
	}
}

func (s *shell) now() time.Time {
	if s.env.Clock == nil {
		return time.Time{}
	}
	return s.env.Clock.Now()
}

// guard turns everything that a store can do wrong, a panic included, into an *Error.
func guard(op string, f func() error) (err error) {
	defer func() {
		r := recover()
		if _, ok := r.(kit.Kill); ok {
			panic(r) // the simulated process is dead; nobody is to learn of it
		}
		if r != nil {
			err = Failed(op, "", fmt.Errorf("panic: %v\n%s", r, kit.Stack()))
		}
	}()
	if err := f(); err != nil {
		return Failed(op, "", err)
	}
	return nil
}

// storeDown says whether err means that the whole store is unusable, not one value in it.
func storeDown(err error) bool {
	return err != nil && !errors.Is(err, ErrCorrupt)
}
