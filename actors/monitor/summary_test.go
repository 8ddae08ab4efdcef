package monitor

import (
	"testing"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// The summary counts HTLCs by the blocks that are left until they make us close: those that we offered, and those whose preimage we know. An HTLC that
// never makes us close is not counted, nor is any once the channel is over.
func TestDeadlinesInSummary(t *testing.T) {
	bucket := func(left uint32) (d messages.Deadlines) { d.Add(left); return d }
	check := func(h *harness, want messages.Deadlines) {
		t.Helper()
		if got := h.s.m.Summary().Deadlines; got != want {
			t.Errorf("at height %d: %v, want %v", h.s.m.facts.Height, got, want)
		}
	}
	out := paid(t) // expires at 140
	due := uint32(140 + OutboundGrace)
	for _, left := range []uint32{40, 36, 18, 6, 1} {
		out.do(out.block(due - left))
		check(out, bucket(left))
	}
	out.do(out.block(due)) // it closes
	check(out, messages.Deadlines{})

	in := ready(t, false)
	in.update(in.holderCommitment([]facts.HTLC{inbound(0, 50_000_000, 200)}))
	in.update(facts.CounterpartyCommitment{})
	in.update(in.revocation())
	check(in, messages.Deadlines{})
	in.do(messages.DecideHTLC{Channel: in.s.id, HTLCID: 0, Resolution: fulfilled(0)})
	in.do(in.block(200 - InboundMargin - 7))
	check(in, bucket(7))
}

func TestDeadlines(t *testing.T) {
	var d messages.Deadlines
	for _, left := range []uint32{0, 6, 7, 18, 288, 289, 1 << 31} {
		d.Add(left)
	}
	if want := (messages.Deadlines{2, 2, 0, 0, 0, 1, 2}); d != want {
		t.Errorf("%v, want %v", d, want)
	}
}
