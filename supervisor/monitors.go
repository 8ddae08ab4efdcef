package supervisor

import (
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/channel/opening"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// monitors is the supervisor of all monitor and channel pairs and of the openings. It knows which channels exist, and nothing about them.
type monitors struct {
	env   *kit.Env
	parts Parts

	inc         uint64
	listed      bool // the store's channels are started
	channels    map[ln.ChannelID]bool
	quarantined map[ln.ChannelID]string
	hello       uint64 // of a manager that waits for the list, 0 if none
	unknown     []messages.KnownChannel
}

// maxUnknown bounds the questions of peers that wait for the list; a peer whose question is dropped asks again with its next connection.
const maxUnknown = 1024

// newMonitors makes the producer of the supervisor at messages.MonitorsAddr.
func newMonitors(env *kit.Env, p Parts) actor.Producer {
	m := &monitors{env: env, parts: p}
	log := p.observe(env)
	return New(env, Config{
		Strategy: OneForOne,
		Started:  func(_ *Supervisor, _ actor.Context) { m.start() },
		Receive:  m.receive,
		Events: func(e Event) {
			log(e)
			m.event(e)
		},
	})
}

func (m *monitors) start() {
	*m = monitors{env: m.env, parts: m.parts, inc: m.env.NextIncarnation(), channels: map[ln.ChannelID]bool{}, quarantined: map[ln.ChannelID]string{}}
	m.env.Tell(messages.ManagerAddr, messages.MonitorsStarted{Incarnation: m.inc}) // its hello may be lost with an earlier incarnation
	m.env.Tell(messages.PersisterAddr, messages.ListOwners{Incarnation: m.inc, ReplyTo: messages.MonitorsAddr})
}

func (m *monitors) receive(s *Supervisor, ctx actor.Context) {
	switch msg := ctx.Message().(type) {
	case messages.OwnersLoaded:
		if msg.Incarnation == m.inc && !m.listed {
			m.list(s, ctx, msg.Owners)
		}
	case messages.ManagerHello:
		m.hello = msg.Incarnation
		m.answer()
	case messages.CreateChannel:
		m.create(s, ctx, msg)
	case messages.StartOpening:
		m.open(s, ctx, msg)
	case messages.KnownChannel:
		switch {
		case m.listed:
			m.known(s, msg)
		case len(m.unknown) < maxUnknown:
			m.unknown = append(m.unknown, msg)
		}
	case messages.ChannelArchived:
		// It answers nothing any more: a manager that starts now must not wait for it. It tells it again for as long as it runs, so a child that is
		// not there is no error.
		delete(m.channels, msg.Channel)
		delete(m.quarantined, msg.Channel)
		_ = s.Stop(messages.ChannelAddr(msg.Channel))
		_ = s.Stop(messages.MonitorAddr(msg.Channel))
		m.env.Tell(messages.PeersAddr, msg)
	case messages.PeersReattach, messages.PeersStarted:
		for _, id := range m.sorted() {
			m.env.Tell(messages.ChannelAddr(id), msg)
		}
	case messages.GraphStarted, messages.CommitmentFee:
		for _, id := range m.sorted() {
			m.env.Tell(messages.ChannelAddr(id), msg)
		}
	case messages.ChainStarted:
		for _, id := range m.sorted() {
			m.env.Tell(messages.MonitorAddr(id), msg)
		}
	}
}

// list starts the pair of every channel in the store.
func (m *monitors) list(s *Supervisor, ctx actor.Context, owners []messages.Owner) {
	for _, o := range owners {
		var id ln.ChannelID
		if len(o) != len(id) {
			m.env.Log.Error("records of an unknown owner", slog.String("owner", string(o)))
			continue
		}
		copy(id[:], o)
		if err := m.add(s, ctx, id, nil); err != nil && !errors.Is(err, opening.ErrOutpointTaken) {
			m.env.Log.Error("channel not started", slog.String("channel_id", id.String()), slog.Any("error", err))
		}
	}
	m.listed = true
	m.answer()
	for _, q := range m.unknown {
		m.known(s, q)
	}
	m.unknown = nil
}

func (m *monitors) add(s *Supervisor, ctx actor.Context, id ln.ChannelID, create *messages.CreateChannel) error {
	if m.channels[id] {
		return opening.ErrOutpointTaken
	}
	if err := s.Add(ctx, m.parts.pair(m.env, id, create)...); err != nil {
		return err
	}
	m.channels[id] = true
	return nil
}

// answer gives a waiting manager the list that it needs before it decides anything.
func (m *monitors) answer() {
	if !m.listed || m.hello == 0 {
		return
	}
	list := messages.MonitorList{ManagerIncarnation: m.hello, Incarnation: m.env.NextIncarnation()}
	for _, id := range m.sorted() {
		if _, q := m.quarantined[id]; q {
			list.Quarantined = append(list.Quarantined, id)
		} else {
			list.Channels = append(list.Channels, id)
		}
	}
	m.hello = 0
	m.env.Tell(messages.ManagerAddr, list)
}

func (m *monitors) create(s *Supervisor, ctx actor.Context, msg messages.CreateChannel) {
	st := msg.Opened.Static
	err := m.add(s, ctx, st.ID, &msg)
	if err == nil {
		return
	}
	// A peer may have named any outpoint in funding_created, also that of a channel or, seen early, of an opening of ours. Nothing of this one is
	// durable and nothing was said: it never existed.
	m.env.Log.Error("channel not made", slog.String("channel_id", st.ID.String()), slog.String("peer", st.Peer.String()), slog.Any("error", err))
	if st.Tx.HolderIsFunder {
		funder{m.parts.Wallet}.Release(st.TemporaryID)
	}
	for _, d := range msg.Else {
		m.env.Tell(d.To, d.Msg)
	}
}

func (m *monitors) open(s *Supervisor, ctx actor.Context, msg messages.StartOpening) {
	name := messages.OpeningAddr(msg.TemporaryID)
	deps := opening.Deps{
		Env: m.env, Config: m.parts.Opening, Signer: m.parts.Signer, Wallet: funder{m.parts.Wallet}, Alias: m.parts.Alias, Tip: m.parts.Tip,
	}
	err := s.Add(ctx, ChildSpec{
		Name: name, Producer: opening.Producer(deps, msg.Request), Transient: true, Backoff: m.parts.Backoff, Limit: 2, GiveUp: Remove,
	})
	switch {
	case errors.Is(err, ErrExists):
		return // the peer repeats a temporary id: the first negotiation goes on
	case err != nil:
		m.env.Log.Error("opening not started", slog.Any("error", err))
		if r, ok := msg.Request.(messages.OpenChannel); ok && r.ReplyTo != "" {
			m.env.Tell(r.ReplyTo, messages.OpenReply{Err: err})
		}
		return
	}
	if msg.First != nil {
		m.env.Tell(name, *msg.First)
	}
}

func (m *monitors) known(s *Supervisor, q messages.KnownChannel) {
	if !m.channels[q.ID] && !s.Has(messages.OpeningAddr(q.ID)) {
		m.env.Tell(q.ReplyTo, messages.ChannelUnknown{ID: q.ID, Session: q.Session})
	}
}

// event keeps the list of quarantined monitors and of channels that are gone.
func (m *monitors) event(e Event) {
	switch e := e.(type) {
	case ChildQuarantined:
		// A channel that crashes whenever it starts answers no fence. Its monitor goes on by itself, but what it may hold is as unknown as if that
		// were down: the manager must not wait for it.
		if id, ok := pairID(e.With); ok && e.Child == e.With {
			m.quarantined[id] = e.Reason.Error()
			m.env.Tell(messages.ManagerAddr, messages.MonitorQuarantined{
				Channel: id, Why: e.Reason.Error(), Incarnation: m.env.NextIncarnation(),
			})
		}
	case ChildRetried:
		if id, ok := pairID(e.Child); ok {
			delete(m.quarantined, id)
		}
	case ChildStopped:
		if id, ok := monitorID(e.Child); ok {
			delete(m.channels, id)
			delete(m.quarantined, id)
		}
	}
}

// pairID is the channel that a monitor or a channel actor belongs to.
func pairID(a messages.Addr) (ln.ChannelID, bool) {
	if id, ok := monitorID(a); ok {
		return id, true
	}
	hex, ok := strings.CutPrefix(string(a), "channel/")
	if !ok {
		return ln.ChannelID{}, false
	}
	id, err := ln.ParseChannelID(hex)
	return id, err == nil
}

func monitorID(a messages.Addr) (ln.ChannelID, bool) {
	hex, ok := strings.CutPrefix(string(a), "monitor/")
	if !ok {
		return ln.ChannelID{}, false
	}
	id, err := ln.ParseChannelID(hex)
	return id, err == nil
}

func (m *monitors) sorted() []ln.ChannelID {
	out := make([]ln.ChannelID, 0, len(m.channels))
	for id := range m.channels {
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b ln.ChannelID) int { return slices.Compare(a[:], b[:]) })
	return out
}
