package monitor

import (
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/lnactor/lnactor/actors/monitor/claim"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
)

// Update takes an update of the channel, the one after the last (S11). One that signs or revokes after the channel has ended is dropped
// (rule 18): it has an id, but is not recorded. So is one that follows from what was dropped and does not fit without it, as the revocation of a
// commitment that was never signed: the channel did not know yet, and a peer that guesses must not be able to quarantine it.
func (m *Monitor) Update(id uint64, u facts.Update) (Step, error) {
	if id != m.updateID+1 {
		return Step{}, &GapError{Channel: m.facts.ID, Want: m.updateID + 1, Got: id}
	}
	if m.facts.Ended() {
		switch u.(type) {
		case facts.CounterpartyCommitment, facts.HolderCommitment:
			m.updateID = id
			return Step{Dropped: true}, nil
		case facts.Revocation:
			if m.facts.WasSpent {
				// The commitment that confirmed must stay the one that it was when it did.
				m.updateID = id
				return Step{Dropped: true}, nil
			}
		}
	}
	s, err := m.record(id, u)
	var invalid *facts.InvalidUpdateError
	if m.facts.Ended() && errors.As(err, &invalid) {
		m.updateID = id
		return Step{Dropped: true}, nil
	}
	if err != nil {
		return Step{}, err
	}
	m.updateID = id
	err = m.resolve(&s)
	return s, err
}

// Decide records what happens to an inbound HTLC (rules 12, 13). The first decision stands; a preimage that comes after it is kept, since it
// can be used on chain (S4). The result says which decision stands, and gone that the HTLC is not live any more.
func (m *Monitor) Decide(htlcID uint64, r facts.Resolution) (s Step, stands *facts.Resolution, gone bool, err error) {
	h := m.facts.Inbound[htlcID]
	switch {
	case h == nil:
		return Step{}, m.gone[htlcID], true, nil
	case !h.Decidable():
		return Step{}, nil, false, ErrNotDecidable
	case r.Preimage != nil && sha256.Sum256(r.Preimage[:]) != h.Hash:
		return Step{}, nil, false, ErrWrongPreimage
	}
	first := h.Resolution == nil
	if first || r.Preimage != nil && h.Preimage == nil {
		if s, err = m.record(0, facts.Decided{HTLCID: htlcID, Resolution: r}); err != nil {
			return Step{}, nil, false, err
		}
		if first {
			s.Facts, s.Decided = nil, h.Resolution
		}
		if err = m.resolve(&s); err != nil {
			return Step{}, nil, false, err
		}
	}
	return s, h.Resolution, h.State >= facts.RcvdRemoveRevocation || h.Fate != facts.FateOpen, nil
}

// buried tells whether the transaction that closed the channel is irrevocable.
func (m *Monitor) buried() bool {
	by := m.facts.Spent
	return by != nil && m.facts.Height >= by.Height+claim.Irrevocable-1
}

// Ack deletes events whose effect is durable (rule 24). What is not in the queue is no error: the ack was there before, or the event never was.
func (m *Monitor) Ack(seqs []uint64) Step {
	var acked []uint64
	for _, seq := range seqs {
		if m.events.get(seq) != nil {
			m.ack(seq)
			acked = append(acked, seq)
		}
	}
	if len(acked) == 0 {
		return Step{}
	}
	slices.Sort(acked)
	m.index++
	return Step{Record: &record.Record{Index: m.index, Acked: acked}}
}

// record applies updates and makes the record of them and of their events. Updates without an id are the monitor's own. An error of the first
// update means that nothing was changed.
func (m *Monitor) record(id uint64, updates ...facts.Update) (Step, error) {
	var s Step
	before, err := m.wanted(updates)
	if err != nil {
		return Step{}, err
	}
	for _, u := range updates {
		if err := m.apply(&s, u); err != nil {
			return Step{}, err
		}
	}
	if err := m.rebroadcast(&s, before, updates); err != nil {
		return Step{}, err
	}
	m.index++
	s.Record = &record.Record{Index: m.index, UpdateID: id, Updates: updates, Events: m.pack(s.Events)}
	if id == 0 {
		s.Facts = forChannel(updates)
	}
	return s, nil
}

// apply changes the facts by one update and notes what follows from it.
func (m *Monitor) apply(s *Step, u facts.Update) error {
	ready, forced := m.ready(), m.facts.ForceClose != nil
	if out, ok := u.(facts.OutputsSpendable); ok {
		k, err := m.handOver(out)
		if err != nil {
			return err
		}
		m.emit(s, k)
	}
	ch, err := m.facts.Apply(u)
	if err != nil {
		return err
	}
	m.resolved = nil
	for _, h := range ch.Claimed {
		m.emit(s, facts.Claimed{HTLCID: h.ID, Hash: h.Hash, Source: *h.Source, AmountMsat: h.AmountMsat, Preimage: *h.Preimage, OnChain: onChain(u)})
		m.outcome(s, h)
	}
	for _, h := range ch.Failed {
		k := facts.Failed{HTLCID: h.ID, Hash: h.Hash, Source: *h.Source, AmountMsat: h.AmountMsat}
		if h.Resolution != nil {
			k.Resolution = *h.Resolution
		}
		if k.Local, err = m.localReason(u, h); err != nil {
			return err
		}
		m.emit(s, k)
		m.outcome(s, h)
	}
	over := m.overDust(ch.Accepted)
	for _, h := range ch.Accepted {
		m.emit(s, facts.HTLCAccepted{
			HTLCID: h.ID, AmountMsat: h.AmountMsat, Hash: h.Hash, CLTVExpiry: h.CLTVExpiry, Onion: h.Onion, OverDust: over[h.ID],
			Unburied: m.facts.Unburied(),
		})
	}
	m.noteResolved(ch.Resolved)
	for _, h := range ch.Resolved {
		fulfilled := h.Fulfilled()
		s.Resolved = append(s.Resolved, Resolved{HTLCID: h.ID, Fulfilled: fulfilled})
		if fulfilled { // no row says the same of the others, which cost whoever sends them nothing
			s.Rows = append(s.Rows, &record.Fate{
				Channel: m.facts.ID, HTLCID: h.ID, Hash: h.Hash, AmountMsat: h.AmountMsat, Fulfilled: true,
			})
		}
	}
	if ch.Revoked != nil {
		s.Rows = append(s.Rows, &record.Revoked{Channel: m.facts.ID, Commitment: *ch.Revoked})
	}
	switch {
	case !ready && m.ready():
		m.emit(s, facts.ChannelReady{})
	case !forced && m.facts.ForceClose != nil:
		m.emit(s, facts.HolderForceClosed{Reason: m.facts.ForceClose.Reason, Detail: m.facts.ForceClose.Detail})
	}
	if spent, ok := u.(facts.FundingSpent); ok && (m.spender == nil || *m.spender != spent.Txid) {
		m.emit(s, facts.CommitmentTxConfirmed{Txid: spent.Txid, Height: spent.Height, Spend: spent.Spend})
	}
	s.wake(m.wakeFor(u))
	return nil
}

func (m *Monitor) ready() bool { return m.facts.HolderReady && m.facts.CounterpartyReady }

func (m *Monitor) emit(s *Step, k facts.EventKind) {
	e := m.events.add(k)
	m.note(e)
	s.Events = append(s.Events, e)
}

// outcome writes the row by which an own payment is recognised for ever, in the transaction of its event (S15, S18).
func (m *Monitor) outcome(s *Step, h *facts.HTLC) {
	p := h.Source.Payment
	if p == nil {
		return
	}
	s.Rows = append(s.Rows, &record.Outcome{
		PaymentID: p.PaymentID, PartID: p.PartID, Channel: m.facts.ID, HTLCID: h.ID, Hash: h.Hash, AmountMsat: h.AmountMsat,
		TotalMsat: p.TotalMsat, Preimage: h.Preimage,
	})
}

func (s *Step) wake(height uint32) {
	if height != 0 && (s.Wake == 0 || height < s.Wake) {
		s.Wake = height
	}
}

func onChain(u facts.Update) bool {
	p, ok := u.(facts.PreimageLearned)
	return ok && p.OnChain
}

// localReason is why an HTLC failed that its peer did not fail, as far as we know.
func (m *Monitor) localReason(u facts.Update, h *facts.HTLC) (facts.FailCode, error) {
	switch u.(type) {
	case facts.HTLCFailedEarly:
		return facts.InboundExpiring, nil
	case facts.HTLCEnded:
		if h.Resolution != nil {
			break
		}
		r, err := m.resolution()
		if err == nil && r.Overtaken() {
			return facts.OutcomeUnknown, nil
		}
		return facts.OnChainTimeout, err
	}
	return facts.FailedByPeer, nil
}

// forChannel leaves out what a channel makes nothing of: what the chain did to the outputs of a closed one.
func forChannel(updates []facts.Update) (out []facts.Update) {
	for _, u := range updates {
		switch u := u.(type) {
		case facts.RevokedRead, facts.OutputSpent, facts.OutputUnspent, facts.ClaimSigned, facts.ClaimEnded, facts.HTLCEnded, facts.HTLCFailedEarly,
			facts.OutputsSpendable:
		case facts.PreimageLearned:
			if !u.OnChain {
				out = append(out, u)
			}
		default:
			out = append(out, u)
		}
	}
	return out
}
