package graph

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/messages"
)

// verifyTimeout bounds the verification of one batch by a chain that answers over a network.
const verifyTimeout = 2 * time.Minute

// What the shell tells itself. The incarnation drops what was meant for a dead one (rule 4).
type (
	ticked   struct{ incarnation uint64 }
	verified struct{ batch *batch }
	more     struct{ incarnation uint64 }
)

// Producer makes the actor. Spawn it under messages.GraphAddr.
func Producer(env *kit.Env, cfg Config) actor.Producer {
	cfg = cfg.withDefaults()
	return func() actor.Actor { return &shell{env: env, cfg: cfg} }
}

type shell struct {
	env    *kit.Env
	cfg    Config
	core   *core
	inc    uint64
	armed  bool // a more is in the mailbox
	ctx    context.Context
	cancel context.CancelFunc
	untick func()
}

// Receive implements actor.Actor.
func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start()
	case *actor.Stopping:
		s.release()
		if s.core != nil {
			s.save()
		}
		return
	case *actor.Restarting:
		s.release()
		return
	case ticked:
		if m.incarnation == s.inc {
			s.tick(ctx)
		}
	case verified:
		s.core.apply(m.batch, s.now())
	case more:
		if m.incarnation == s.inc {
			s.armed = false
			s.verify(ctx)
		}
	case actor.SystemMessage, actor.AutoReceiveMessage:
		return
	default:
		s.core.handle(m, s.now())
	}
	if s.inc != 0 && ctx.Message() != nil {
		s.finish(ctx)
	}
}

func (s *shell) now() time.Time { return s.env.Clock.Now() }

func (s *shell) start() {
	s.inc = s.env.NextIncarnation()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	g, cursor := s.load()
	s.core = newCore(s.cfg, s.env.Log, s.inc, g, cursor, s.now())
	s.core.start()
	s.untick = s.env.Clock.After(s.cfg.Times.Tick, s.env.PID(messages.GraphAddr), ticked{s.inc})
}

// load reads the cache. A bad one is as good as none.
func (s *shell) load() (*store.Graph, uint32) {
	if s.cfg.Load != nil {
		raw, err := s.cfg.Load()
		if err == nil && len(raw) > 0 {
			var g *store.Graph
			var cursor store.Cursor
			if g, cursor, err = store.Decode(raw, s.cfg.Chain, s.cfg.Limits, s.now()); err == nil {
				return g, cursor.Height
			}
		}
		if err != nil {
			s.env.Log.Warn("channel graph is asked for anew", slog.Any("error", err))
		}
	}
	return store.New(s.cfg.Limits), 0
}

func (s *shell) release() {
	if s.cancel != nil {
		s.cancel()
		s.untick()
	}
}

func (s *shell) tick(ctx actor.Context) {
	s.untick = s.env.Clock.After(s.cfg.Times.Tick, ctx.Self(), ticked{s.inc})
	now := s.now()
	s.core.tick(now)
	if now.Sub(s.core.saved) >= s.cfg.Times.Save {
		s.save()
	}
}

func (s *shell) save() {
	s.core.saved = s.now()
	if s.cfg.Save == nil {
		return
	}
	if err := s.cfg.Save(s.core.snapshot()); err != nil {
		s.env.Log.Warn("the channel graph could not be written down; the next start asks for more of it", slog.Any("error", err))
	}
}

// finish sends what the core has to say, and has the next batch verified behind what is in the mailbox.
func (s *shell) finish(ctx actor.Context) {
	s.env.Deliver(s.core.flush())
	if len(s.core.queue) > 0 && !s.core.busy && !s.armed && s.core.tip != 0 {
		s.armed = true
		ctx.Send(ctx.Self(), more{s.inc})
	}
}

// verify works off a batch: within the turn if the chain is in memory, so that a simulation stays deterministic, else aside.
func (s *shell) verify(ctx actor.Context) {
	b := s.core.next(s.now())
	if b == nil {
		return
	}
	if s.cfg.Outputs.Local() {
		verify(s.ctx, s.cfg.Outputs, b)
		s.core.apply(b, s.now())
		return
	}
	env, parent, outputs := s.env, s.ctx, s.cfg.Outputs
	go func() {
		ctx, cancel := context.WithTimeout(parent, verifyTimeout)
		defer cancel()
		verify(ctx, outputs, b)
		if parent.Err() == nil {
			env.Tell(messages.GraphAddr, verified{b})
		}
	}()
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.inc }
