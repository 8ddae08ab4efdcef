package manager

import (
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// peeled is what came of peeling an onion.
type peeled struct {
	packet onion.Packet
	err    error
}

// peelAhead peels the onions of one message's new HTLCs on all cores. There is one manager, and this is most of what a forwarded payment costs it; it
// depends on nothing but the onion, so that nothing changes but the time it takes.
func (m *Manager) peelAhead(msg messages.EmitEvents) {
	if !m.settled {
		return // decided later, if at all
	}
	var ids []ln.EventID
	var htlcs []facts.HTLCAccepted
	for _, ev := range msg.Events {
		id := ln.EventID{Channel: msg.Channel, Seq: ev.Seq}
		if h, ok := ev.Kind.(facts.HTLCAccepted); ok && !m.open[id] && len(h.Onion) == onion.PacketSize {
			ids, htlcs = append(ids, id), append(htlcs, h)
		}
	}
	if len(ids) < 2 {
		return
	}
	out := make([]peeled, len(ids))
	_ = commitment.ForEachHTLC(len(ids), func(i int) error {
		out[i] = m.process(htlcs[i])
		return nil
	})
	m.ahead = make(map[ln.EventID]peeled, len(ids))
	for i, id := range ids {
		m.ahead[id] = out[i]
	}
}

func (m *Manager) process(h facts.HTLCAccepted) peeled {
	p, err := onion.Process(m.cfg.NodeKey, [onion.PacketSize]byte(h.Onion), h.Hash)
	return peeled{p, err}
}

// peel gives what the onion of an HTLC says, which has its right length.
func (m *Manager) peel(h *inbound) (onion.Packet, error) {
	p, ok := m.ahead[h.event]
	if !ok {
		p = m.process(h.htlc)
	}
	return p.packet, p.err
}
