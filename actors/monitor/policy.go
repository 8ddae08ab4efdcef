package monitor

import (
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// SetPolicy records another policy of the channel. An error refuses it and nothing was changed. A policy that is there already needs no record.
func (m *Monitor) SetPolicy(p facts.Policy) (Step, error) {
	if m.facts.Ended() {
		return Step{}, ErrNoPolicy
	}
	if err := p.Check(uint64(m.facts.Tx.Capacity)); err != nil {
		return Step{}, err
	}
	if p == m.facts.Policy {
		return Step{}, nil
	}
	return m.record(0, facts.PolicySet{Policy: p})
}

// setPolicy answers behind the record, and tells the channel, which keeps the limits and tells the graph. The manager hears it first: who forwards
// right after the answer is judged by the new terms.
func (s *Session) setPolicy(m messages.SetPolicy) (Output, error) {
	step, err := s.m.SetPolicy(m.Policy)
	o := s.output(step)
	if step.Record != nil && s.reported {
		o.tell(messages.ManagerAddr, messages.ChannelChanged{Summary: s.m.Summary()})
		s.changed = false
	}
	o.tell(m.ReplyTo, messages.PolicyReply{Err: err})
	return o, nil
}

// LimitDust sets the most that may be in HTLCs without an output, for as long as the channel's own policy does not say.
func (m *Monitor) LimitDust(msat uint64) { m.maxDust = msat }

// overDust tells which of the HTLCs that were just accepted are to be failed, because more than the limit would be lost to fees if a commitment
// with them confirmed (BOLT 2, bounding exposure to trimmed HTLCs: "SHOULD fail this HTLC once it's committed"). The peer can add them, whatever
// we think of it, so they are failed rather than refused. The answer is in the record of the event: a later limit does not change it.
func (m *Monitor) overDust(accepted []*facts.HTLC) map[uint64]bool {
	limit := m.maxDust
	if own := m.facts.Policy.MaxDustExposureMsat; own != 0 {
		limit = own
	}
	var over map[uint64]bool
	for _, holderOwns := range []bool{true, false} {
		summed, sum := false, uint64(0)
		for _, h := range slices.Backward(accepted) {
			if !m.facts.Dust(holderOwns, h.AmountMsat) {
				continue
			}
			if !summed { // only then is it worth a walk over all HTLCs
				summed, sum = true, m.facts.DustMsat(holderOwns)
			}
			if sum > limit {
				if over == nil {
					over = map[uint64]bool{}
				}
				over[h.ID] = true
			}
			sum -= h.AmountMsat // for those before it
		}
	}
	return over
}
