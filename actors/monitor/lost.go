package monitor

import (
	"github.com/lnactor/lnactor/actors/monitor/claim"
	"github.com/lnactor/lnactor/internal/facts"
)

// A reorganisation may take out the transaction that closed the channel, and it need not come back. The channel is over all the same: the peer may
// hold commitments that were signed on the strength of it, and this side signs nothing more. So the transaction is offered to the chain again, whoever
// made it, since all that can be claimed of it is known; and if nothing has closed the channel 6 blocks later, we do.

// noteLost remembers the spender of the funding output that a reorganisation down to height takes out. One that nobody knows is left to whoever made it.
func (m *Monitor) noteLost(height uint32) {
	s := m.facts.Spent
	if s == nil || s.Height <= height {
		return
	}
	m.lostAt, m.lost = height, nil
	if s.Spend != facts.SpendUnknown {
		m.lost = s.Tx
	}
}

// lostFor is for how many blocks the channel has been without the transaction that closed it, 0 if it is not. A restart begins to count again.
func (m *Monitor) lostFor() uint32 {
	if !m.facts.WasSpent || m.facts.Unverified || m.over() || m.facts.Height <= m.lostAt {
		return 0
	}
	return m.facts.Height - m.lostAt
}

// lostUntil is the height at which that makes us close, 0 for never.
func (m *Monitor) lostUntil() uint32 {
	if !m.facts.WasSpent || m.facts.Unverified || m.over() {
		return 0
	}
	return plus(m.lostAt, claim.Irrevocable)
}
