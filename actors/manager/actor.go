package manager

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

// snapshotEvery bounds how many records a start replays beyond the payments under way.
const snapshotEvery = 128

// Producer makes the ChannelManager's actor.
func Producer(env *kit.Env, cfg Config) actor.Producer {
	return func() actor.Actor { return &shell{env: env, cfg: cfg} }
}

type shell struct {
	env     *kit.Env
	cfg     Config
	inc     uint64
	core    *Manager // nil while loading
	waiting []any    // what came meanwhile; the senders wait for answers or say hello once
	since   int      // records since the last snapshot
}

// maxWaiting bounds what is kept while loading: hellos, one a channel, come again with ManagerHello, and callers get a refusal.
const maxWaiting = 4096

func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.inc = s.env.NextIncarnation()
		s.env.Tell(messages.PersisterAddr, messages.Load{Owner: messages.OwnerManager, Incarnation: s.inc, ReplyTo: messages.ManagerAddr})
	case actor.SystemMessage, actor.AutoReceiveMessage:
	case messages.Loaded:
		if m.Incarnation == s.inc { // rule 4
			s.loaded(m)
		}
	case messages.LoadFailed:
		if m.Incarnation == s.inc {
			s.env.Stop(fmt.Errorf("load the manager's records: %w", m.Err))
		}
	case messages.Refused:
		if m.Incarnation == s.inc {
			// Only a stopping node or a bug refuses; memory is ahead of the log now, so start over from the log.
			panic(fmt.Errorf("manager: append refused: %w", m.Err))
		}
	default:
		switch {
		case s.core != nil:
			s.do(s.core.Step(m, s.env.Clock.Now()))
		case len(s.waiting) < maxWaiting:
			s.waiting = append(s.waiting, m)
		}
	}
}

func (s *shell) loaded(m messages.Loaded) {
	state, err := DecodeState(m.Snapshot, m.Records)
	if err != nil {
		if !errors.Is(err, ErrRecords) {
			err = fmt.Errorf("%w: %w", ErrRecords, err)
		}
		s.env.Stop(err)
		return
	}
	s.since = len(m.Records)
	s.core = New(s.cfg, s.env.Log, s.inc, state)
	s.do(s.core.Start())
	waiting := s.waiting
	s.waiting = nil
	for _, w := range waiting {
		s.do(s.core.Step(w, s.env.Clock.Now()))
	}
}

// do carries out a step. Appends go first: what is told at once needs none of them.
func (s *shell) do(e Effects) {
	for i, a := range e.Appends {
		out := messages.Append{
			Owner: messages.OwnerManager, Incarnation: s.inc, Rows: a.Rows, Then: a.Then, ReplyTo: messages.ManagerAddr,
		}
		for _, r := range a.Records {
			out.Records = append(out.Records, EncodeRecord(r))
		}
		s.since += len(out.Records)
		// A snapshot speaks for the whole step, so only the step's last append can carry it.
		if i == len(e.Appends)-1 && s.since >= snapshotEvery+4*s.core.Pending() {
			out.Snapshot = EncodeState(s.core.State())
			s.since = 0
		}
		s.env.Tell(messages.PersisterAddr, out)
	}
	s.env.Deliver(e.Tell)
}
