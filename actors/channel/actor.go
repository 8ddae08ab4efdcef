package channel

import (
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/ln"
)

// Props makes the actor of one channel. It loads its facts from its monitor, attaches to its peer and goes on where the facts stand.
func Props(env *kit.Env, signer chankeys.Signer, id ln.ChannelID, cfg Config) *actor.Props {
	return env.Props(Producer(env, signer, id, cfg))
}

// Producer is Props for a supervisor.
func Producer(env *kit.Env, signer chankeys.Signer, id ln.ChannelID, cfg Config) actor.Producer {
	return func() actor.Actor { return &shell{env: env, signer: signer, id: id, cfg: cfg} }
}

// shell gives a Channel its mailbox. Every start is a new incarnation with a new Channel: nothing in memory outlives a crash.
type shell struct {
	env    *kit.Env
	signer chankeys.Signer
	id     ln.ChannelID
	cfg    Config
	core   *Channel
	late   func() // cancels the timer, nil if none runs
}

// Receive implements actor.Actor.
func (s *shell) Receive(ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case *actor.Started:
		s.core = New(s.id, s.env.NextIncarnation(), s.signer, s.cfg)
		s.env.Deliver(s.core.Start())
	case *actor.Stopping, *actor.Restarting:
		s.stopTimer()
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		if s.core == nil {
			return
		}
		if _, ok := msg.(Unanswered); ok {
			s.late = nil
		}
		out, err := s.core.Step(msg)
		if err != nil {
			// A bug or a signer that failed. What was not delivered was not recorded: starting again from the monitor's facts loses nothing.
			s.env.Log.Error("channel stops", slog.String("channel_id", s.id.String()), slog.Any("err", err))
			panic(err)
		}
		s.env.Deliver(out)
		s.core.Prepare()
		if owed, ok := s.core.Owed(); ok && s.late == nil {
			s.late = s.env.Clock.After(patience, ctx.Self(), owed)
		}
	}
}

func (s *shell) stopTimer() {
	if s.late != nil {
		s.late()
		s.late = nil
	}
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 {
	if s.core == nil {
		return 0
	}
	return s.core.incarnation
}
