package monitor

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Config adjusts a monitor's shell. The zero value is right for a node.
type Config struct {
	// SnapshotEvery is how many records there are between two snapshots at least; 32 if zero. A large snapshot waits until the records since
	// the last one are as large, so that snapshots never cost more than the records.
	SnapshotEvery int

	// ArchiveDepth is how many confirmations the last transaction of a closed channel needs before its log is given up (rule 23); [ArchiveDepth] if
	// zero, at least 6.
	ArchiveDepth uint32

	// MaxDustExposureMsat is the most in HTLCs without an output, of channels whose policy does not say; facts.DefaultMaxDustExposureMsat if zero.
	MaxDustExposureMsat uint64

	// CheckWrites reads back everything that is written (S10). For tests and simulations.
	CheckWrites bool
}

// maxSnapshot is what is left out rather than refused by the persister: the records stay in its place.
const maxSnapshot = 4 << 20

// maxRequests is how many requests of users a loading monitor keeps: they cannot be had again as everything else can. More are refused.
const maxRequests = 8

// flush is the monitor's message to itself: tell the newest summary, once for all that was in the mailbox.
type flush struct{}

// Props makes a monitor; spawn it under messages.MonitorAddr(id). A new channel's comes with create: it is recorded unless a record is there
// already, so a restart repeats it without harm.
func Props(env *kit.Env, signer chankeys.Signer, id ln.ChannelID, cfg Config, create *messages.CreateChannel) *actor.Props {
	return env.Props(Producer(env, signer, id, cfg, create))
}

// Producer is for supervisors, which wrap it in Props themselves.
func Producer(env *kit.Env, signer chankeys.Signer, id ln.ChannelID, cfg Config, create *messages.CreateChannel) actor.Producer {
	if cfg.SnapshotEvery <= 0 {
		cfg.SnapshotEvery = 32
	}
	if cfg.MaxDustExposureMsat == 0 {
		cfg.MaxDustExposureMsat = facts.DefaultMaxDustExposureMsat
	}
	if cfg.ArchiveDepth == 0 {
		cfg.ArchiveDepth = ArchiveDepth
	}
	return func() actor.Actor {
		return &shell{env: env, signer: signer, id: id, cfg: cfg, create: create}
	}
}

// Watcher is what takes a monitor's place in quarantine (see watcher.go).
func Watcher(env *kit.Env, signer chankeys.Signer, id ln.ChannelID) actor.Producer {
	return func() actor.Actor { return &shell{env: env, signer: signer, id: id, watcher: true} }
}

type shell struct {
	env    *kit.Env
	signer chankeys.Signer
	id     ln.ChannelID
	cfg    Config
	create *messages.CreateChannel

	watcher     bool
	incarnation uint64
	session     *Session // nil while loading
	over        bool     // the channel is archived
	armed       bool     // a flush is in the mailbox

	// While loading.
	load     *messages.ChannelLoad // the newest: the channel beside this monitor waits for its answer
	fence    *messages.Fence       // the newest
	manager  messages.ManagerHello
	requests []messages.ForceCloseChannel

	// Since the last snapshot.
	records, bytes int
	snapshot       int // size of the last one
}

func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.incarnation = s.env.NextIncarnation()
		// Through the persister's mailbox, so behind all appends of the dead incarnation (rule 4).
		s.env.Tell(messages.PersisterAddr, messages.Load{
			Owner: messages.Owner(s.id[:]), Incarnation: s.incarnation, ReplyTo: messages.MonitorAddr(s.id),
		})
	case messages.Loaded:
		if m.Incarnation == s.incarnation && s.session == nil {
			s.loaded(m)
		}
	case messages.GotRows:
		switch {
		case m.Incarnation != s.incarnation || s.over:
		case s.session == nil:
			s.absent(m)
		default:
			s.append(s.session.Handle(m))
		}
	case messages.LoadFailed:
		switch {
		case m.Incarnation != s.incarnation:
		case s.watcher:
			s.blind(m.Err)
		default:
			s.quarantine(m.Err)
		}
	case messages.Refused:
		if m.Incarnation == s.incarnation {
			// Memory is ahead of the disk: only a new incarnation knows what holds.
			panic(fmt.Errorf("monitor %s: append refused: %w", s.id, m.Err))
		}
	case flush:
		s.armed = false
		if s.session != nil {
			s.append(s.session.Flush(), nil)
		}
	default:
		if s.over {
			return
		}
		if s.session == nil {
			s.whileLoading(m)
			return
		}
		s.append(s.session.Handle(m))
	}
}

// whileLoading keeps what cannot be had again, and the newest of what is repeated. All else comes again because the monitor says hello when it
// has loaded: the manager then acknowledges and decides anew from the report, the channel reloads, chainwatch is asked anew (rule 3). So what
// is kept is bounded however long loading takes.
func (s *shell) whileLoading(msg any) {
	if s.watcher {
		return
	}
	switch m := msg.(type) {
	case messages.ChannelLoad:
		s.load = &m
	case messages.Fence:
		s.fence = &m
	case messages.ManagerHello:
		s.manager = m
	case messages.ForceCloseChannel:
		if len(s.requests) < maxRequests {
			s.requests = append(s.requests, m)
			return
		}
		var o Output
		o.tell(m.ReplyTo, messages.CloseReply{Err: ErrBusy})
		s.append(o, nil)
	case messages.TrustRestored:
		var o Output
		o.tell(m.ReplyTo, messages.CloseReply{Err: ErrBusy})
		s.append(o, nil)
	}
}

func (s *shell) loaded(m messages.Loaded) {
	if m.Snapshot == nil && len(m.Records) == 0 {
		// A new channel, or one that was archived a moment ago.
		s.env.Tell(messages.PersisterAddr, messages.GetRows{
			Bucket: messages.BucketClosed, Key: s.id[:], Incarnation: s.incarnation, ReplyTo: messages.MonitorAddr(s.id),
		})
		return
	}
	if s.watcher {
		s.watch(m)
		return
	}
	s.restored(m)
	s.begin()
}

// watch begins a watcher.
func (s *shell) watch(m messages.Loaded) {
	mon, err := RestoreWatcher(s.signer, m.Snapshot, m.Records)
	if mon == nil {
		s.blind(err)
		return
	}
	s.env.Log.Warn("quarantined channel is watched", slog.String("channel_id", s.id.String()), slog.Any("unread", err))
	s.session = NewSession(mon, s.incarnation)
	s.append(s.session.Start())
}

// blind is a watcher that can't read anything.
func (s *shell) blind(err error) {
	s.over = true
	s.env.Log.Error("quarantined channel can't be watched: restore its records from a copy, or watch its funding output by other means",
		slog.String("channel_id", s.id.String()), slog.Any("error", err))
}

// absent goes on when there is no log. The log of an archived channel must not begin anew, whatever the funding output is named for.
func (s *shell) absent(m messages.GotRows) {
	switch {
	case m.Err != nil:
		panic(fmt.Errorf("monitor %s: %w", s.id, m.Err))
	case s.watcher:
		s.blind(ErrNoChannel)
	case len(m.Rows) > 0:
		s.over = true
		var o Output
		o.tell(messages.ManagerAddr, messages.ChannelArchived{Channel: s.id})
		o.tell(messages.MonitorsAddr, messages.ChannelArchived{Channel: s.id})
		s.append(o, nil)
	default:
		s.created()
		s.begin()
	}
}

// begin takes up what came while loading.
func (s *shell) begin() {
	// In the order in which they would have come to a monitor that loads in no time.
	if s.manager.Incarnation != 0 {
		s.append(s.session.Handle(s.manager))
	}
	if s.load != nil {
		s.append(s.session.Handle(*s.load))
	}
	if s.fence != nil {
		s.append(s.session.Handle(*s.fence))
	}
	for _, r := range s.requests {
		s.append(s.session.Handle(r))
	}
	s.load, s.fence, s.requests, s.create = nil, nil, nil, nil
}

func (s *shell) created() {
	if s.create == nil {
		s.quarantine(ErrNoChannel)
	}
	m, step, err := Create(s.signer, s.create.Opened)
	if err != nil {
		s.quarantine(err)
	}
	m.ArchiveAfter(s.cfg.ArchiveDepth)
	m.LimitDust(s.cfg.MaxDustExposureMsat)
	s.session = NewSession(m, s.incarnation)
	s.append(s.session.Created(step, s.create.Then))
}

func (s *shell) restored(m messages.Loaded) {
	var snapshot *record.Snapshot
	var err error
	if m.Snapshot != nil {
		if snapshot, err = record.ReadSnapshot(m.Snapshot); err != nil {
			s.quarantine(err)
		}
		s.snapshot = len(m.Snapshot)
	}
	records := make([]*record.Record, len(m.Records))
	for i, b := range m.Records {
		if records[i], err = record.Read(b); err != nil {
			s.quarantine(fmt.Errorf("record %d after the snapshot: %w", i+1, err))
		}
		s.records, s.bytes = s.records+1, s.bytes+len(b)
	}
	mon, err := Restore(s.signer, snapshot, records)
	if err != nil {
		s.quarantine(err)
	}
	if mon.facts.ID != s.id {
		s.quarantine(fmt.Errorf("the records are of channel %s", mon.facts.ID))
	}
	mon.ArchiveAfter(s.cfg.ArchiveDepth)
	mon.LimitDust(s.cfg.MaxDustExposureMsat)
	s.session = NewSession(mon, s.incarnation)
	s.append(s.session.Start())
}

// append hands an output to the persister: one Append, whatever it holds (rule 1).
func (s *shell) append(o Output, err error) {
	if err != nil {
		panic(err)
	}
	if o.Refused != nil {
		s.env.Log.Warn("refused", slog.String("channel_id", s.id.String()), slog.Uint64("incarnation", s.incarnation), slog.Any("why", o.Refused))
	}
	if o.Alarm != "" {
		s.env.Log.Error("alarm", slog.String("channel_id", s.id.String()), slog.String("what", o.Alarm))
		s.env.Alarm(s.id, o.Alarm, "")
	}
	if o.Nothing() {
		return
	}
	a := messages.Append{
		Owner: messages.Owner(s.id[:]), Incarnation: s.incarnation, Then: o.Then, ReplyTo: messages.MonitorAddr(s.id),
		Rows: o.Delete, Forget: o.Forget,
	}
	if o.Record != nil {
		b := o.Record.Write()
		s.check(o.Record.Check, b)
		a.Records = [][]byte{b}
		s.records, s.bytes = s.records+1, s.bytes+len(b)
		a.Snapshot = s.snapshotDue()
	}
	for _, r := range o.Rows {
		row := record.WriteRow(r)
		s.check(func([]byte) error { return record.CheckRow(r, row) }, nil)
		a.Rows = append(a.Rows, row)
	}
	s.env.Tell(messages.PersisterAddr, a)
	if o.Forget {
		s.signer.Forget(s.session.m.facts.KeyIndex)
	}
	if s.session != nil && s.session.Changed() && !s.armed {
		s.armed = true
		s.env.Tell(messages.MonitorAddr(s.id), flush{})
	}
}

// snapshotDue is the snapshot to attach, nil if it is too early for one.
func (s *shell) snapshotDue() []byte {
	if s.records < s.cfg.SnapshotEvery || s.bytes < s.snapshot {
		return nil
	}
	snap := s.session.m.Snapshot()
	b := snap.Write()
	s.check(snap.Check, b)
	s.records, s.bytes, s.snapshot = 0, 0, len(b)
	if len(b) > maxSnapshot {
		return nil
	}
	return b
}

func (s *shell) check(check func([]byte) error, written []byte) {
	if !s.cfg.CheckWrites {
		return
	}
	if err := check(written); err != nil {
		panic(err)
	}
}

// quarantine ends this monitor: a restart would find the same records.
func (s *shell) quarantine(err error) {
	var q *QuarantineError
	if !errors.As(err, &q) {
		err = &QuarantineError{Channel: s.id, Err: err}
	}
	panic(err)
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.incarnation }
