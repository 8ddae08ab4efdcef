package manager

import (
	"bytes"
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
	exist := map[ln.ChannelID]bool{}
	for _, id := range msg.Channels {
		if m.archived[id] {
			continue // meanwhile: nobody would answer a fence
		}
		exist[id] = true
		if c := m.channels[id]; c == nil || c.quarantined {
			m.draw(id)
		} // else it said hello meanwhile
	}
	for _, id := range msg.Quarantined {
		exist[id] = true
		m.onQuarantined(messages.MonitorQuarantined{Channel: id, Incarnation: msg.Incarnation})
	}
	for _, id := range sortedKeys(m.closed) {
		if !exist[id] {
			m.reportResolved(id) // archived: it has no more events
		}
	}
	m.listed = true // only now: half of the list would look like all of it
	m.maybeSettle()
}

// onHello: a monitor or its channel has a new incarnation. What it was asked before may be lost.
func (m *Manager) onHello(msg messages.MonitorHello) {
	if m.archived[msg.Channel] {
		return
	}
	if c := m.channels[msg.Channel]; c != nil && c.quarantined && msg.Incarnation < c.dead {
		return // said before the quarantine: nobody would answer the fence, and all would wait for it
	}
	m.draw(msg.Channel)
}

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
	if c.quarantined {
		m.quarantined--
	}
	m.fence++
	c.fence, c.reported, c.quarantined = m.fence, false, false
	m.tell(messages.MonitorAddr(id), messages.Fence{Channel: id, ManagerIncarnation: m.inc, Fence: c.fence})
}

func (m *Manager) onQuarantined(msg messages.MonitorQuarantined) {
	if m.archived[msg.Channel] {
		return
	}
	c := m.channels[msg.Channel]
	if c == nil {
		c = &channel{}
		m.channels[msg.Channel] = c
	} else if !c.reported && !c.quarantined {
		m.waiting--
	}
	if !c.quarantined {
		m.quarantined++
	}
	c.quarantined, c.reported, c.fence, c.dead = true, false, 0, msg.Incarnation
	m.log.Error("channel quarantined; payments that it may hold wait", slog.String("channel_id", msg.Channel.String()), slog.String("why", msg.Why))
	m.goOn(c)
	m.maybeSettle()
}

// goOn runs the payments that waited for the channel.
func (m *Manager) goOn(c *channel) {
	later := c.later
	c.later = nil
	for _, f := range later {
		f()
	}
}

// onReport: everything durable in a channel, behind the fence.
func (m *Manager) onReport(msg messages.MonitorReport) {
	c := m.channels[msg.Channel]
	if c == nil || msg.ManagerIncarnation != m.inc || msg.Fence != c.fence || c.reported {
		return // an older fence: nothing may be decided from it
	}
	first := !c.known
	// What a restored channel withholds is as old as what it tells: it is taken for replayed when it comes.
	c.reported, c.known = true, !msg.Withheld
	count(&m.withheld, &c.withheld, msg.Withheld)
	m.waiting--
	m.onSummary(msg.Summary)

	told := map[uint64]bool{} // own HTLCs whose outcome is among the events
	for _, ev := range msg.Events {
		switch k := ev.Kind.(type) {
		case facts.Claimed:
			told[k.HTLCID] = true
		case facts.Failed:
			told[k.HTLCID] = true
		}
	}
	inbound := map[uint64]messages.InboundHTLC{}
	for _, h := range msg.Inbound {
		inbound[h.HTLCID] = h
	}
	// Live parts come before the events, so that a payment with one of them is not taken for failed.
	for _, h := range msg.Own {
		switch {
		case told[h.HTLCID]:
		case h.Source.Payment != nil:
			m.onOwn(msg.Channel, h)
		default:
			m.onOwnForward(msg.Channel, h)
		}
	}
	if first {
		m.remember(msg.Inbound)
		if n := len(msg.Inbound); n > 0 {
			c.before = msg.Inbound[n-1].HTLCID + 1 // by id
		}
	}
	m.replaying = first
	for _, ev := range msg.Events {
		id := ln.EventID{Channel: msg.Channel, Seq: ev.Seq}
		if slices.Contains(msg.Swept, ev.Seq) {
			m.swept(id)
			continue
		}
		m.onEvent(id, ev.Kind, inbound)
	}
	m.replaying = false
	m.reportedForwards(msg, c.fence)
	// An attempt under an older fence that the report does not hold is decided once all have reported. What was restored from a copy may hold it all
	// the same: it was committed after the copy was made.
	old := msg.Summary.Unverified || msg.Summary.Behind
	for _, p := range m.attempts[msg.Channel] {
		if p.fence < c.fence && !old {
			p.missing = true
		}
	}
	if m.settled {
		m.reconcile(msg.Channel)
	}
	if m.settled {
		m.touchChannel(msg.Channel)
	}
	m.touchOwn(msg.Own)
	m.goOn(c)
	m.maybeSettle()
}

// maybeSettle goes on once every monitor has answered, what they told was looked up, and the height is known: only now an attempt that none
// holds counts as never committed (S15, S18), and an expiry means something.
func (m *Manager) maybeSettle() {
	if m.settled || !m.listed || !m.tipped || m.waiting > 0 || m.loads > 0 {
		return
	}
	m.settled = true
	for _, id := range sortedKeys(m.attempts) {
		m.reconcile(id)
	}
	for _, to := range m.ready {
		m.tell(to, m.readiness())
	}
	m.ready = nil
	later, requests := m.later, m.requests
	m.later, m.requests = nil, nil
	for _, f := range later {
		f()
	}
	for _, p := range m.sortedPayments() {
		m.lookAt(p)
	}
	for _, f := range requests {
		f()
	}
}

func (m *Manager) readiness() messages.ManagerReady {
	var r messages.ManagerReady
	for _, c := range m.channels {
		if c.quarantined {
			r.Quarantined++
		}
	}
	return r
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
	m.countUnfunded(c.summary, -1)
	m.countUnfunded(s, 1)
	was := c.summary
	c.summary, c.asked = s, 0
	m.place(c, s)
	count(&m.doubtful, &c.doubtful, s.Unverified || s.Behind)
	if was.Policy != s.Policy && was.Channel == s.Channel {
		c.oldPolicy, c.policyAt = was.Policy, m.now
	}
	if s.Spent != nil && was.Spent == nil {
		m.closedInbound(s.Channel)
	}
	m.usable(s.Peer, s.Channel, s.Phase == messages.PhaseOpen)
}

// count keeps the number of channels that something is true of.
func count(n *int, was *bool, is bool) {
	switch {
	case is && !*was:
		*n++
	case !is && *was:
		*n--
	}
	*was = is
}

// usable keeps the open channels of a peer.
func (m *Manager) usable(peer ln.NodeID, id ln.ChannelID, open bool) {
	ids := m.byPeer[peer]
	at, in := slices.BinarySearchFunc(ids, id, func(a, b ln.ChannelID) int { return bytes.Compare(a[:], b[:]) })
	switch {
	case open && !in:
		m.byPeer[peer] = slices.Insert(ids, at, id)
	case !open && in && len(ids) == 1:
		delete(m.byPeer, peer)
	case !open && in:
		m.byPeer[peer] = slices.Delete(ids, at, at+1)
	}
}

func (m *Manager) onAwaitReady(msg messages.AwaitReady) {
	if m.settled {
		m.tell(msg.ReplyTo, m.readiness())
		return
	}
	if len(m.ready) < maxParked {
		m.ready = append(m.ready, msg.ReplyTo)
	}
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
	m.height, m.tipped = msg.Height, true
	m.maybeSettle()
	m.runHeights()
	stuck := m.stuck
	m.stuck = nil
	for _, f := range stuck {
		f()
	}
}
