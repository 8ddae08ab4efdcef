package monitor

import (
	"cmp"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

func (m *Monitor) report(manager, fence, incarnation uint64) messages.MonitorReport {
	r := messages.MonitorReport{
		ManagerIncarnation: manager, Fence: fence, Channel: m.facts.ID, Incarnation: incarnation,
		Summary: m.Summary(), Events: m.told(), Swept: m.swept(), Withheld: m.withheld(),
	}
	for _, h := range facts.Sorted(m.facts.Outbound) {
		if h.Fate != facts.FateOpen || h.FailedEarly {
			continue // its outcome was told
		}
		r.Own = append(r.Own, messages.OwnHTLC{
			HTLCID: h.ID, Hash: h.Hash, AmountMsat: h.AmountMsat, Source: *h.Source, Preimage: h.Preimage,
		})
	}
	for _, h := range facts.Sorted(m.facts.Inbound) {
		removed := h.State >= facts.RcvdRemoveRevocation // off chain, whatever the chain did later
		r.Inbound = append(r.Inbound, messages.InboundHTLC{
			HTLCID: h.ID, Hash: h.Hash, AmountMsat: h.AmountMsat, CLTVExpiry: h.CLTVExpiry,
			Resolution: h.Resolution, Resolved: removed || h.Fate != facts.FateOpen,
			Fulfilled: removed && h.Resolution.Fulfilled() || !removed && h.Fate == facts.FateFulfilled,
		})
	}
	for id, resolution := range m.gone {
		if m.facts.Inbound[id] != nil {
			continue
		}
		e := m.events.get(m.accepted[id])
		if e == nil {
			continue
		}
		k, ok := e.Kind.(facts.HTLCAccepted)
		if !ok {
			continue
		}
		r.Inbound = append(r.Inbound, messages.InboundHTLC{
			HTLCID: id, Hash: k.Hash, AmountMsat: k.AmountMsat, CLTVExpiry: k.CLTVExpiry, Resolution: resolution, Resolved: true,
			Fulfilled: resolution.Fulfilled(),
		})
	}
	slices.SortFunc(r.Inbound, func(a, b messages.InboundHTLC) int { return cmp.Compare(a.HTLCID, b.HTLCID) })
	return r
}

// Summary is the channel as the monitor sees it.
func (m *Monitor) Summary() messages.ChannelSummary {
	f := m.facts
	s := messages.ChannelSummary{
		Channel: f.ID, Peer: f.Peer, KeyIndex: f.KeyIndex, FundingTxid: f.Tx.Funding.Hash, FundingIndex: f.Tx.Funding.Index,
		CapacitySat: uint64(f.Tx.Capacity), HolderIsFunder: f.Tx.HolderIsFunder, Phase: m.phase(),
		OutboundHTLCs: len(f.Outbound), InboundHTLCs: len(f.Inbound), FeePerKw: f.Fee(facts.Holder), Height: f.Height,
		UnackedEvents: m.events.len(), Alias: f.Alias, CounterpartyAlias: f.CounterpartyAlias, Announce: f.Announce, Policy: f.Policy, ForceClose: f.ForceClose, Spent: f.Spent,
		Unverified: f.Unverified, Behind: f.ProvenBehind,
		Reserves: messages.Reserves{
			HolderMsat: f.Counterparty.ReserveSat * 1000, CounterpartyMsat: f.Holder.ReserveSat * 1000,
			HTLCMinimumMsat: f.Counterparty.HTLCMinimumMsat, MaxInFlightMsat: f.Counterparty.MaxHTLCValueInFlightMsat,
			MaxAcceptedHTLCs: f.Counterparty.MaxAcceptedHTLCs,
		},
	}
	s.Balance = m.balance()
	s.HolderMsat, s.CounterpartyMsat = f.Balances(facts.Holder)
	for _, h := range f.Outbound {
		s.OutboundMsat += h.AmountMsat
		m.countDeadline(&s, h, true)
	}
	for _, h := range f.Inbound {
		s.InboundMsat += h.AmountMsat
		m.countDeadline(&s, h, false)
	}
	if c := f.Funding; c != nil {
		if f.Height >= c.Height {
			s.Confirmations = min(f.Height-c.Height+1, max(f.MinDepth, 1))
		}
		s.ShortChannelID = uint64(c.Height)<<40 | uint64(c.TxIndex)<<16 | uint64(f.Tx.Funding.Index)
	}
	return s
}

func (m *Monitor) countDeadline(s *messages.ChannelSummary, h *facts.HTLC, outbound bool) {
	if d := m.deadline(h, outbound); d != 0 && !m.over() {
		s.Deadlines.Add(d - min(d, s.Height))
	}
}

func (m *Monitor) phase() messages.Phase {
	f := m.facts
	switch {
	case f.WasSpent:
		return messages.PhaseClosed
	case f.ProvenBehind:
		return messages.PhaseBehind
	case f.Unverified:
		return messages.PhaseUnverified
	case f.ForceClose != nil:
		return messages.PhaseForceClosed
	case f.MutualClose != nil:
		return messages.PhaseMutualClose
	case f.HolderShutdown != nil || f.CounterpartyShutdown != nil:
		return messages.PhaseClosing
	case f.Unburied():
		return messages.PhaseUnburied
	case m.ready():
		return messages.PhaseOpen
	}
	return messages.PhaseFunding
}
