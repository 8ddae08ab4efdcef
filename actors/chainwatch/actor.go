package chainwatch

import (
	"context"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

const (
	firstBackOff = 250 * time.Millisecond
	lastBackOff  = time.Minute

	// queryTimeout bounds one question to a source that answers over a network.
	queryTimeout = 30 * time.Second
)

// Option changes what New makes.
type Option func(*config)

type config struct {
	genesis  *chainhash.Hash
	announce []messages.Addr
}

// WithGenesis stops the node with chain.ErrWrongChain when the source follows a chain with another first block.
func WithGenesis(hash chainhash.Hash) Option { return func(c *config) { c.genesis = &hash } }

// WithAnnounce adds addresses that get ChainStarted, beside Monitors and the manager.
func WithAnnounce(to ...messages.Addr) Option {
	return func(c *config) { c.announce = append(c.announce, to...) }
}

// New makes the chain watcher over a source. Spawn it under messages.ChainWatchAddr. It understands ChainRegister, ChainWatch, ChainUnregister,
// ChainSubscribe, Broadcast and Withdraw.
//
// A source that fails is asked again with back-off, for ever; meanwhile nothing is lost, watchers just hear nothing. A source that is not Local
// is asked from goroutines, at most two at a time, so that the mailbox never waits for a network.
func New(env *kit.Env, src chain.Source, opts ...Option) *actor.Props {
	return env.Props(Producer(env, src, opts...))
}

// Producer is New for a supervisor.
func Producer(env *kit.Env, src chain.Source, opts ...Option) actor.Producer {
	cfg := config{announce: []messages.Addr{messages.MonitorsAddr, messages.ManagerAddr}}
	for _, o := range opts {
		o(&cfg)
	}
	return func() actor.Actor { return &shell{env: env, src: src, cfg: cfg} }
}

// What the shell tells itself. The incarnation drops what was meant for a dead one (rule 4).
type (
	tipHint  struct{}
	retryNow struct{ incarnation uint64 }
	doAsk    struct {
		incarnation uint64
		ask         ask
	}
	gotAnswer struct {
		incarnation uint64
		answer      answer
	}
)

type shell struct {
	env  *kit.Env
	src  chain.Source
	cfg  config
	core *core

	incarnation uint64
	self        *actor.PID
	ctx         context.Context
	stop        []func()
	genesisOK   bool
}

// Receive implements actor.Actor.
func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Stopping, *actor.Restarting:
		for _, stop := range s.stop {
			stop()
		}
		s.stop = nil
	case tipHint:
		s.run(s.core.tipChanged())
	case retryNow:
		if m.incarnation == s.incarnation {
			s.run(s.core.retry())
		}
	case doAsk:
		if m.incarnation == s.incarnation {
			s.run(s.core.answer(s.query(s.ctx, m.ask)))
		}
	case gotAnswer:
		if m.incarnation == s.incarnation {
			s.run(s.core.answer(m.answer))
		}
	case messages.ChainRegister:
		s.run(s.core.register(m))
	case messages.ChainWatch:
		s.run(s.core.watch(m))
	case messages.ChainUnregister:
		s.run(s.core.unregister(m))
	case messages.ChainSubscribe:
		s.run(s.core.subscribe(m))
	case messages.Broadcast:
		s.run(s.core.broadcast(m))
	case messages.Withdraw:
		s.run(s.core.withdraw(m))
	}
}

func (s *shell) start(ctx actor.Context) {
	s.core = newCore()
	s.self = ctx.Self()
	s.incarnation = s.env.NextIncarnation()
	var cancel func()
	s.ctx, cancel = context.WithCancel(context.Background())
	s.stop = append(s.stop, cancel)

	env := s.env
	s.stop = append(s.stop, s.src.Subscribe(func() { env.Tell(messages.ChainWatchAddr, tipHint{}) }))
	for _, to := range s.cfg.announce {
		s.env.Tell(to, messages.ChainStarted{Incarnation: s.incarnation})
	}
	s.run(s.core.tipChanged())
}

// run carries out effects, and those of the answers that can be had at once.
func (s *shell) run(first effects) {
	for queue := []effects{first}; len(queue) > 0; queue = queue[1:] {
		e := queue[0]
		s.env.Deliver(e.send)
		if e.fatal != nil {
			s.fail(e.fatal)
			return
		}
		for _, q := range e.asks {
			switch {
			case !s.src.Local():
				s.queryAside(q)
			case q.yield:
				s.env.Tell(messages.ChainWatchAddr, doAsk{incarnation: s.incarnation, ask: q})
			default:
				queue = append(queue, s.core.answer(s.query(s.ctx, q)))
			}
		}
		if e.retry > 0 {
			d := backOff(e.retry)
			s.env.Log.Warn("chain source fails, asking again later", "attempt", e.retry, "after", d)
			s.stop = append(s.stop[:2], s.env.Clock.After(d, s.self, retryNow{s.incarnation}))
		}
	}
}

// fail ends this incarnation. A source of the wrong chain will not become the right one by asking again: the node stops.
func (s *shell) fail(err error) {
	if errors.Is(err, chain.ErrWrongChain) {
		s.env.Stop(err)
		return
	}
	panic(err)
}

func (s *shell) queryAside(q ask) {
	env, inc, parent := s.env, s.incarnation, s.ctx
	go func() {
		ctx, cancel := context.WithTimeout(parent, queryTimeout)
		defer cancel()
		a := s.query(ctx, q)
		if parent.Err() == nil {
			env.Tell(messages.ChainWatchAddr, gotAnswer{incarnation: inc, answer: a})
		}
	}()
}

// query also checks, with each question for the tip until it has succeeded once, that the chain is the right one.
func (s *shell) query(ctx context.Context, q ask) answer {
	if q.tip && s.cfg.genesis != nil && !s.genesisOK {
		hash, err := s.src.Genesis(ctx)
		switch {
		case err != nil:
			return answer{id: q.id, err: err}
		case hash != *s.cfg.genesis:
			return answer{id: q.id, err: chain.ErrWrongChain}
		}
		s.genesisOK = true // only one question for the tip is open at a time
	}
	return query(ctx, s.src, q)
}

func backOff(attempt int) time.Duration {
	d := firstBackOff
	for range attempt - 1 {
		if d *= 2; d >= lastBackOff {
			return lastBackOff
		}
	}
	return d
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.incarnation }
