package monitor

import (
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
