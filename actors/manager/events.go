package manager

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// userEvent is queued for the user. Its completion action runs once (S20).
type userEvent struct {
	seq     uint64 // order in which they were queued
	ev      messages.UserEvent
	handled func()
}

// onEmit takes events that are newer than the channel's report.
func (m *Manager) onEmit(msg messages.EmitEvents) {
	c := m.channels[msg.Channel]
	if c == nil || !c.reported || msg.Fence != c.fence {
		return // an older fence: they are in the report that comes
	}
	m.peelAhead(msg)
	for _, ev := range msg.Events {
		m.onEvent(ln.EventID{Channel: msg.Channel, Seq: ev.Seq}, ev.Kind, nil)
	}
	m.ahead = nil
}

// onEvent starts the effect of a monitor event. Repeats of one whose effect is under way are ignored; one whose effect is done is acknowledged
// again, since its acknowledgement was lost. known holds the inbound HTLCs of a report, nil for a new event.
func (m *Manager) onEvent(id ln.EventID, kind facts.EventKind, known map[uint64]messages.InboundHTLC) {
	accepted, isAccepted := kind.(facts.HTLCAccepted)
	var fate *messages.InboundHTLC
	if h, ok := known[accepted.HTLCID]; ok && isAccepted {
		fate = &h
	}
	if m.open[id] {
		switch k := kind.(type) {
		case facts.HTLCAccepted:
			m.again(id, fate)
		case facts.SpendableOutputs:
			m.sweep(id, k)
		}
		return
	}
	m.open[id] = true
	switch k := kind.(type) {
	case facts.Claimed:
		if k.Source.Forward != nil {
			m.forwardClaimed(id, k)
			return
		}
		m.onClaimed(id, k)
	case facts.Failed:
		if k.Source.Forward != nil {
			m.forwardFailed(id, k)
			return
		}
		if k.Local == facts.InboundExpiring {
			return // is about forwards only, and not final: an own payment would not be failed by it
		}
		m.onFailed(id, k)
	case facts.HTLCAccepted:
		m.onAccepted(id, k, fate)
	case facts.CommitmentTxConfirmed:
		ev := messages.ChannelClosed{Cause: causeOf(k.Spend), Txid: k.Txid}
		if ev.Cause == messages.ClosedByUs {
			ev.Force = m.channels[id.Channel].summary.ForceClose
		}
		m.onClosed(id, ev)
	case facts.SpendableOutputs:
		m.sweep(id, k)
	case facts.HolderForceClosed:
		m.onClosed(id, messages.ChannelClosed{Cause: messages.ClosedByUs, Force: &facts.ForceClosed{Reason: k.Reason, Detail: k.Detail}})
	case facts.ChannelPending:
		s := m.channels[id.Channel].summary
		m.queue("channel-pending/"+id.Channel.String(), messages.ChannelPending{
			Channel: id.Channel, Peer: s.Peer, FundingTxid: s.FundingTxid, FundingIndex: s.FundingIndex,
		}, func() { m.ack(id) })
	case facts.ChannelReady:
		s := m.channels[id.Channel].summary
		m.queue("channel-ready/"+id.Channel.String(), messages.ChannelReady{Channel: id.Channel, Peer: s.Peer}, func() { m.ack(id) })
	}
}

func causeOf(s facts.SpendKind) messages.ClosedBy {
	switch s {
	case facts.SpendHolder:
		return messages.ClosedByUs
	case facts.SpendCounterparty:
		return messages.ClosedByPeer
	case facts.SpendRevoked:
		return messages.ClosedByRevoked
	case facts.SpendMutualClose:
		return messages.ClosedMutually
	case facts.SpendUnknown:
		return messages.ClosedByUnknownSpend
	}
	return messages.ClosedByUnknownSpend
}

// onClosed reports the end of a channel once: the decision to broadcast and the confirmation are two monitor events, whichever comes first is
// told, and both are acknowledged when it was handled.
func (m *Manager) onClosed(id ln.EventID, ev messages.ChannelClosed) {
	if m.closed[id.Channel] {
		m.ackBehind(id) // the record may be on its way
		return
	}
	name := "channel-closed/" + id.Channel.String()
	if u := m.users[name]; u != nil {
		before := u.handled
		u.handled = func() {
			before()
			m.ackBehind(id) // the record that the first one writes
		}
		return
	}
	ev.Channel, ev.Peer = id.Channel, m.channels[id.Channel].summary.Peer
	m.queue(name, ev, func() {
		m.closed[id.Channel] = true
		m.write(Append{Records: []Record{ClosedHandled{Channel: id.Channel}}, Then: m.acks([]ln.EventID{id})})
	})
}

// queue hands an event to the user; handled runs once the user is done with it.
func (m *Manager) queue(id string, kind messages.UserEventKind, handled func()) {
	if ev := m.enqueue(id, kind, handled); ev != nil {
		d := m.delivery(ev)
		m.tell(d.To, d.Msg)
	}
}

// enqueue is queue for an event that is told behind a record. It is nil if the event is queued already.
func (m *Manager) enqueue(id string, kind messages.UserEventKind, handled func()) *userEvent {
	if m.users[id] != nil {
		return nil
	}
	m.lastUser++
	ev := &userEvent{seq: m.lastUser, ev: messages.UserEvent{ID: id, Kind: kind}, handled: handled}
	m.users[id] = ev
	return ev
}

func (m *Manager) delivery(ev *userEvent) messages.Delivery {
	return messages.Delivery{To: messages.EventsAddr, Msg: messages.UserEvents{Incarnation: m.inc, Events: []messages.UserEvent{ev.ev}}}
}

// retell tells all that is not handled once more, behind the records that some of it waits for (rule 15).
func (m *Manager) retell() {
	all := slices.SortedFunc(maps.Values(m.users), func(a, b *userEvent) int { return cmp.Compare(a.seq, b.seq) })
	msg := messages.UserEvents{Incarnation: m.inc}
	for _, ev := range all {
		msg.Events = append(msg.Events, ev.ev)
	}
	m.write(Append{Then: []messages.Delivery{{To: messages.EventsAddr, Msg: msg}}})
}

// overloaded tells that the user has not handled so many events that nothing is begun whose end is one more.
func (m *Manager) overloaded() bool {
	if len(m.users) < m.cfg.MaxUnhandled {
		return false
	}
	if !m.laden {
		m.laden = true
		m.log.Error("payments are refused, ours, those to us and those to be forwarded: too many user events are not handled; does the consumer of events get on?",
			slog.Int("unhandled", len(m.users)))
	}
	return true
}

// onHandled runs an event's completion action. An unknown id was handled before, or belongs to an incarnation that will tell it again.
func (m *Manager) onHandled(id string) {
	ev := m.users[id]
	if ev == nil {
		return
	}
	delete(m.users, id)
	if m.laden && len(m.users) <= m.cfg.MaxUnhandled/2 {
		m.laden = false
		m.log.Info("user events are handled again", slog.Int("unhandled", len(m.users)))
	}
	ev.handled()
}
