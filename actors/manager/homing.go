package manager

import (
	"time"

	"github.com/lnactor/lnactor/messages"
)

// homecoming: after a restart all peers are away, and most come back. An HTLC that waited over it waits so long for the next node.
const homecoming = 10 * time.Second

// comesBack has an HTLC wait that has nothing but the absence of the next node in its way, since a restart that it was there before.
func (m *Manager) comesBack(f *forward) bool {
	left := homecoming - m.now.Sub(f.since)
	if !f.h.replayed || left <= 0 {
		return false
	}
	f.next = m.outgoing(f).summary.Peer
	f.homing = m.after(left, func() { m.offer(f) })
	if m.homing[f.next] == nil {
		m.homing[f.next] = map[htlcKey]*forward{}
	}
	m.homing[f.next][f.key] = f
	return true
}

func (m *Manager) leaveHoming(f *forward) {
	if f.homing == nil {
		return
	}
	f.homing.stop()
	f.homing = nil
	if delete(m.homing[f.next], f.key); len(m.homing[f.next]) == 0 {
		delete(m.homing, f.next)
	}
}

// onLink: the peer of a channel came, or went.
func (m *Manager) onLink(msg messages.ChannelLink) {
	c := m.channels[msg.Channel]
	if c == nil {
		return
	}
	c.down = !msg.Up
	if msg.Up {
		for _, f := range sortedForwards(m.homing[c.summary.Peer]) {
			m.offer(f)
		}
	}
}
