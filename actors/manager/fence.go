package manager

import (
	"log/slog"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// onList learns which channels exist, after Start.
func (m *Manager) onList(msg messages.MonitorList) {
	if msg.ManagerIncarnation != m.inc || m.listed {
		return
	}
	m.listed = true
	for _, id := range msg.Channels {
		m.draw(id)
	}
	for _, id := range msg.Quarantined {
		m.onQuarantined(messages.MonitorQuarantined{Channel: id})
	}
	m.maybeSettle()
}

// onHello: a monitor or its channel has a new incarnation. What it was asked before may be lost.
func (m *Manager) onHello(msg messages.MonitorHello) { m.draw(msg.Channel) }

// draw draws a fence in front of a channel: attempts under older fences are decided by the report that answers it.
func (m *Manager) draw(id ln.ChannelID) {
	c := m.channels[id]
	if c == nil {
		c = &channel{}
		m.channels[id] = c
		m.waiting++
	} else if c.reported || c.quarantined {
		m.waiting++
	}
	m.fence++
	c.fence, c.reported, c.quarantined = m.fence, false, false
	m.tell(messages.MonitorAddr(id), messages.Fence{Channel: id, ManagerIncarnation: m.inc, Fence: c.fence})
}

func (m *Manager) onQuarantined(msg messages.MonitorQuarantined) {
	c := m.channels[msg.Channel]
	if c == nil {
		c = &channel{}
		m.channels[msg.Channel] = c
	} else if !c.reported && !c.quarantined {
		m.waiting--
	}
	c.quarantined, c.reported, c.fence = true, false, 0
	m.log.Error("channel quarantined; payments that it may hold wait", slog.String("channel_id", msg.Channel.String()), slog.String("why", msg.Why))
	m.maybeSettle()
}

// onReport: everything durable in a channel, behind the fence.
func (m *Manager) onReport(msg messages.MonitorReport) {
	c := m.channels[msg.Channel]
	if c == nil || msg.ManagerIncarnation != m.inc || msg.Fence != c.fence || c.reported {
		return // an older fence: nothing may be decided from it
	}
	c.reported, c.incarnation = true, msg.Incarnation
	m.waiting--
	m.onSummary(msg.Summary)

	acked := map[uint64]bool{} // own HTLCs whose outcome is not among the events
	for _, h := range msg.Own {
		acked[h.HTLCID] = true
	}
	known := map[uint64]messages.InboundHTLC{}
	for _, h := range msg.Inbound {
		known[h.HTLCID] = h
	}
	for _, ev := range msg.Events {
		switch k := ev.Kind.(type) {
		case facts.Claimed:
			delete(acked, k.HTLCID)
		case facts.Failed:
			delete(acked, k.HTLCID)
		}
		m.onEvent(ln.EventID{Channel: msg.Channel, Seq: ev.Seq}, ev.Kind, known)
	}
	for _, h := range msg.Own {
		if acked[h.HTLCID] && h.Source.Payment != nil {
			m.onOwn(msg.Channel, h)
		}
	}
	// An attempt under an older fence that the report does not hold is decided once all have reported.
	for _, p := range m.attempts[msg.Channel] {
		if p.fence < c.fence {
			p.missing = true
		}
	}
	if m.settled {
		m.reconcile(msg.Channel)
	}
	m.maybeSettle()
}

// maybeSettle goes on once every monitor has answered: only now an attempt that none holds counts as never committed (S15, S18).
func (m *Manager) maybeSettle() {
	if m.settled || !m.listed || m.waiting > 0 {
		return
	}
	m.settled = true
	for _, id := range sortedKeys(m.attempts) {
		m.reconcile(id)
	}
	quarantined := 0
	for _, c := range m.channels {
		if c.quarantined {
			quarantined++
		}
	}
	for _, to := range m.ready {
		m.tell(to, messages.ManagerReady{Quarantined: quarantined})
	}
	m.ready = nil
	later := m.later
	m.later = nil
	for _, f := range later {
		f()
	}
}

// whenSettled runs f once every monitor has reported.
func (m *Manager) whenSettled(f func()) {
	if m.settled {
		f()
		return
	}
	m.later = append(m.later, f)
}

// reconcile decides the attempts of a channel that its report lacks, and all of a channel that does not exist. Those of a quarantined one stay
// unknown.
func (m *Manager) reconcile(id ln.ChannelID) {
	exists := m.channels[id] != nil
	for _, p := range sortedParts(m.attempts[id]) {
		if p.missing || !exists {
			m.neverCommitted(p)
		}
	}
}

func (m *Manager) onSummary(s messages.ChannelSummary) {
	c := m.channels[s.Channel]
	if c == nil {
		return // it says hello first
	}
	if !slices.Contains(m.byPeer[s.Peer], s.Channel) {
		m.byPeer[s.Peer] = append(m.byPeer[s.Peer], s.Channel)
		sortIDs(m.byPeer[s.Peer])
	}
	c.summary = s
}

func (m *Manager) onAwaitReady(msg messages.AwaitReady) {
	if !m.settled {
		m.ready = append(m.ready, msg.ReplyTo)
		return
	}
	m.tell(msg.ReplyTo, messages.ManagerReady{})
}

func (m *Manager) onListChannels(msg messages.ListChannels) {
	var out messages.ChannelList
	for _, id := range sortedKeys(m.channels) {
		switch c := m.channels[id]; {
		case c.quarantined:
			out.Quarantined = append(out.Quarantined, id)
		case c.summary.Channel == (ln.ChannelID{}):
			out.Loading++
		default:
			out.Channels = append(out.Channels, c.summary)
		}
	}
	m.tell(msg.ReplyTo, out)
}

func (m *Manager) onTip(msg messages.ChainTip) {
	m.height = msg.Height
	m.expireHeld()
}
