package manager

import (
	"errors"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
)

const (
	// snapshotEvery bounds how many records a start replays beyond the payments under way.
	snapshotEvery = 128
	// maxSnapshot is what is left out rather than refused by the persister: the records stay in its place.
	maxSnapshot = 4 << 20
	// maxWaiting bounds the requests that are kept while loading; more are refused.
	maxWaiting = maxParked
)

// Producer makes the ChannelManager's actor.
func Producer(env *kit.Env, cfg Config) actor.Producer {
	if cfg.Alarm == nil {
		cfg.Alarm = env.Alarm
	}
	return func() actor.Actor { return &shell{env: env, cfg: cfg} }
}

type shell struct {
	env     *kit.Env
	cfg     Config
	inc     uint64
	core    *Manager // nil while loading
	waiting []any    // requests that came meanwhile
	since   int      // records since the last snapshot
	self    *actor.PID
	wake    func() // cancels the timer
}

// Receive implements actor.Actor.
func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.inc, s.self = s.env.NextIncarnation(), ctx.Self()
		s.env.Tell(messages.PersisterAddr, messages.Load{Owner: messages.OwnerManager, Incarnation: s.inc, ReplyTo: messages.ManagerAddr})
	case actor.SystemMessage, actor.AutoReceiveMessage:
	case messages.Loaded:
		if m.Incarnation == s.inc && s.core == nil { // rule 4
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
		if s.core == nil {
			s.whileLoading(m)
			return
		}
		s.do(s.core.Step(m, s.env.Clock.Now()))
	}
}

// whileLoading keeps what comes from outside. All else is said again to a manager that starts: hellos, quarantines and archives are in the list of
// monitors, which has no archived channel, events, decisions and what the chain resolved in their reports, user events that were handled are told
// again (rule 3).
func (s *shell) whileLoading(msg any) {
	switch {
	case !isRequest(msg):
	case len(s.waiting) < maxWaiting:
		s.waiting = append(s.waiting, msg)
	default:
		s.env.Deliver(refusal(msg, ErrStarting))
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

// do carries out a step. What is told at once needs none of the appends, so their order does not matter; that of the appends does.
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
		if i == len(e.Appends)-1 {
			out.Snapshot = s.snapshotDue()
		}
		s.env.Tell(messages.PersisterAddr, out)
	}
	s.env.Deliver(e.Tell)
	if !e.Wake.IsZero() {
		if s.wake != nil {
			s.wake()
		}
		s.wake = s.env.Clock.After(max(0, e.Wake.Sub(s.env.Clock.Now())), s.self, messages.Wake{At: e.Wake})
	}
}

// snapshotDue is the snapshot to attach, nil if it is too early for one. It waits for more records where more payments are under way, so that
// snapshots never cost more than the records.
func (s *shell) snapshotDue() []byte {
	if s.since < snapshotEvery+4*s.core.Pending() {
		return nil
	}
	s.since = 0
	if b := EncodeState(s.core.State()); len(b) <= maxSnapshot {
		return b
	}
	return nil
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.inc }
