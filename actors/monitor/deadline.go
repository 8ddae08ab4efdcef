package monitor

import (
	"fmt"
	"math"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// Margins in blocks.
const (
	// OutboundGrace is how long after its expiry an HTLC that we offered may stay in a commitment. By then the peer had its time to settle it
	// off chain, and we have to take it back on chain before somebody upstream does the same to us.
	OutboundGrace = 2

	// InboundMargin is how long before its expiry an HTLC whose preimage we know must be gone from the commitments. After the expiry the peer
	// could take it back, so what is left must be time enough to confirm our commitment and the claim (L4).
	InboundMargin = 18
)

// deadline is the height at which an HTLC makes us close, 0 for never.
func (m *Monitor) deadline(h *facts.HTLC, outbound bool) uint32 {
	if outbound {
		return plus(h.CLTVExpiry, OutboundGrace)
	}
	switch {
	case h.Preimage == nil || !h.Resolution.Fulfilled():
		return 0
	case h.State >= facts.RcvdRemoveRevocation:
		return 0 // every commitment of the peer pays us
	case commitment.Trimmed(&m.facts.Tx, true, lnwire.MilliSatoshi(h.AmountMsat)):
		return 0 // no output to claim: closing would cost and save nothing
	}
	return max(h.CLTVExpiry, InboundMargin+1) - InboundMargin
}

// over tells whether closing is decided, done, or not ours to do. A spend that a reorganisation took out is none of these.
func (m *Monitor) over() bool {
	f := m.facts
	return f.ForceClose != nil || f.MutualClose != nil || f.ProvenBehind || f.Spent != nil
}

// due says which HTLC makes us close at the height seen last, empty for none. Of an unverified channel it makes an alarm only.
func (m *Monitor) due() string {
	if m.over() {
		return ""
	}
	for _, h := range facts.Sorted(m.facts.Outbound) {
		if m.deadline(h, true) <= m.facts.Height {
			return fmt.Sprintf("outbound htlc %d expired at height %d and is still there at %d", h.ID, h.CLTVExpiry, m.facts.Height)
		}
	}
	for _, h := range facts.Sorted(m.facts.Inbound) {
		if d := m.deadline(h, false); d != 0 && d <= m.facts.Height {
			return fmt.Sprintf("inbound htlc %d expires at height %d, its preimage is known and it is still there at %d", h.ID, h.CLTVExpiry, m.facts.Height)
		}
	}
	return ""
}

// readyHeight is when the funding transaction is deep enough, for the first time or again, 0 if that is not waited for.
func (m *Monitor) readyHeight() uint32 {
	if m.facts.Funding == nil || m.facts.HolderReady && !m.facts.Reburying || m.facts.Ended() {
		return 0
	}
	return plus(m.facts.Funding.Height, max(m.facts.MinDepth, 1)-1)
}

// wakeHeight is the lowest height above the one seen last at which something has to be decided, 0 for none.
func (m *Monitor) wakeHeight() uint32 {
	var s Step
	s.wake(m.above(m.unfundedUntil()))
	if m.closing() {
		if r, err := m.resolution(); err == nil {
			s.wake(m.above(r.WakeAt()))
			if at, ok := r.ResolvedAt(); ok {
				s.wake(m.above(plus(at, m.archiveDepth-1)))
			}
		}
	}
	if m.over() {
		return s.Wake
	}
	s.wake(m.lostUntil())
	s.wake(m.readyHeight())
	for _, h := range m.facts.Outbound {
		s.wake(m.deadline(h, true))
	}
	for _, h := range m.facts.Inbound {
		s.wake(m.deadline(h, false))
	}
	return m.above(s.Wake)
}

// wakeFor is the height that one update makes necessary. Only what it brings is looked at, not all HTLCs.
func (m *Monitor) wakeFor(u facts.Update) uint32 {
	if m.over() {
		return 0
	}
	var s Step
	switch u := u.(type) {
	case facts.CounterpartyCommitment:
		for i := range u.Adds {
			s.wake(m.deadline(&u.Adds[i], true))
		}
	case facts.Decided:
		if h := m.facts.Inbound[u.HTLCID]; h != nil {
			s.wake(m.deadline(h, false))
		}
	case facts.Verified:
		return m.wakeHeight() // what was due meanwhile is decided at the next block
	}
	return m.above(s.Wake)
}

// above makes a height one that can still be told: what is due already is decided at the next block.
func (m *Monitor) above(height uint32) uint32 {
	if height == 0 {
		return 0
	}
	return max(height, plus(m.facts.Height, 1))
}

func plus(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}
