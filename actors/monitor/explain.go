package monitor

import (
	"fmt"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Who has to act.
const (
	fromPeer    = "the peer"
	fromNode    = "this node's channel, as soon as the peer is connected"
	fromManager = "this node's manager"
	fromChain   = "the chain"
)

// stage is what a state means, and what has to happen next. The names of messages are those of BOLT 2.
type stage struct{ stands, awaits, from string }

var stages = map[facts.State]stage{
	facts.SentAddCommit:        {"signed into the peer's next commitment", "revoke_and_ack", fromPeer},
	facts.RcvdAddRevocation:    {"in the peer's commitment, not in ours", "commitment_signed with it", fromPeer},
	facts.SentAddAckRevocation: {"in both commitments", "update_fulfill_htlc or update_fail_htlc", fromPeer},
	facts.SentRemoveRevocation: {"removed by the peer, out of our commitment", "commitment_signed without it", fromNode},
	facts.SentRemoveAckCommit:  {"removed by the peer, signed out of its next commitment", "revoke_and_ack", fromPeer},

	facts.SentAddRevocation:    {"in our commitment, not in the peer's", "commitment_signed with it", fromNode},
	facts.SentAddAckCommit:     {"signed into the peer's next commitment", "revoke_and_ack", fromPeer},
	facts.RcvdAddAckRevocation: {"in both commitments", "a decision to claim, forward or fail it; if it was forwarded, its end there", fromManager},
	facts.SentRemoveCommit:     {"removed by us, signed out of the peer's next commitment", "revoke_and_ack", fromPeer},
	facts.RcvdRemoveRevocation: {"removed by us for good", "commitment_signed without it", fromPeer},
}

// Explain says where HTLCs stand: those of a hash, or of an id.
func (m *Monitor) Explain(hash *ln.Hash, id uint64) []messages.HTLCStanding {
	return m.explain(func(h ln.Hash, n uint64) bool { return hash != nil && h == *hash || hash == nil && n == id })
}

// ExplainAll says where all HTLCs stand.
func (m *Monitor) ExplainAll() []messages.HTLCStanding {
	return m.explain(func(ln.Hash, uint64) bool { return true })
}

func (m *Monitor) explain(is func(ln.Hash, uint64) bool) (out []messages.HTLCStanding) {
	events := map[bool]map[uint64]facts.Event{true: {}, false: {}}
	var gone []messages.HTLCStanding
	for _, e := range m.events.all() {
		s, ok := m.ofEvent(e)
		if !ok || !is(s.Hash, s.HTLCID) {
			continue
		}
		events[s.Outbound][s.HTLCID] = e
		live := m.facts.Inbound
		if s.Outbound {
			live = m.facts.Outbound
		}
		if live[s.HTLCID] == nil {
			gone = append(gone, s)
		}
	}
	for _, outbound := range []bool{true, false} {
		all := m.facts.Inbound
		if outbound {
			all = m.facts.Outbound
		}
		for _, h := range facts.Sorted(all) {
			if !is(h.Hash, h.ID) {
				continue
			}
			s := m.stand(h, outbound)
			if e, ok := events[outbound][h.ID]; ok {
				s.Event = &ln.EventID{Channel: m.facts.ID, Seq: e.Seq}
			}
			out = append(out, s)
		}
		for _, s := range gone {
			if s.Outbound == outbound {
				out = append(out, s)
			}
		}
	}
	return out
}

func (m *Monitor) stand(h *facts.HTLC, outbound bool) messages.HTLCStanding {
	at := stages[h.State]
	s := messages.HTLCStanding{
		Channel: m.facts.ID, HTLCID: h.ID, Outbound: outbound, Hash: h.Hash, AmountMsat: h.AmountMsat, CLTVExpiry: h.CLTVExpiry, State: h.State.String(),
		Stands: at.stands, Awaits: at.awaits, From: at.from, Height: m.facts.Height,
	}
	if !m.over() {
		s.Deadline = m.deadline(h, outbound)
	}
	switch {
	case outbound && h.Preimage != nil:
		s.Stands += "; claimed, its preimage is durable here"
		if h.State == facts.SentAddAckRevocation {
			s.Awaits = "commitment_signed without it"
		}
	case h.Resolution.Fulfilled():
		s.Stands += "; decided: claimed"
	case h.Resolution != nil && !outbound:
		s.Stands += "; decided: failed"
	case h.Resolution != nil:
		s.Stands += "; failed by the peer"
	}
	if !outbound && h.Resolution != nil && h.State == facts.RcvdAddAckRevocation {
		s.Awaits, s.From = "commitment_signed without it", fromNode
	}
	m.standChannel(&s, h)
	return s
}

// standChannel is what the state of the channel as a whole makes of it.
func (m *Monitor) standChannel(s *messages.HTLCStanding, h *facts.HTLC) {
	switch f := m.facts; {
	case h.Fate == facts.FateFulfilled:
		s.Stands, s.Awaits, s.From = "ended on chain, with its preimage", "", ""
	case h.Fate == facts.FateFailed:
		s.Stands, s.Awaits, s.From = "ended on chain, without its preimage", "", ""
	case f.Spent != nil:
		s.Stands += fmt.Sprintf("; the channel was closed by %s at height %d", f.Spent.Txid, f.Spent.Height)
		s.Awaits, s.From = "6 confirmations of what decides it", fromChain
	case f.ForceClose != nil:
		s.Stands += "; we are closing the channel alone"
		s.Awaits, s.From = "our commitment transaction in a block", fromChain
	case f.ProvenBehind:
		s.Stands += "; the peer proved that our records are old"
		s.Awaits, s.From = "a close", fromPeer
	case f.Unverified:
		s.Stands += "; the channel was restored from a backup and is not verified: nothing is broadcast at the deadline"
		s.Awaits, s.From = "channel_reestablish that fits our records", fromPeer
	}
}

// ofEvent is what is left of an HTLC that only an event tells of.
func (m *Monitor) ofEvent(e facts.Event) (s messages.HTLCStanding, ok bool) {
	s = messages.HTLCStanding{Channel: m.facts.ID, Height: m.facts.Height, Event: &ln.EventID{Channel: m.facts.ID, Seq: e.Seq}, From: fromManager}
	switch k := e.Kind.(type) {
	case facts.Claimed:
		s.HTLCID, s.Outbound, s.Hash, s.AmountMsat = k.HTLCID, true, k.Hash, k.AmountMsat
		s.Stands, s.Awaits = "claimed, and gone from the channel", "an acknowledgement: what follows from it is not durable and handled yet"
	case facts.Failed:
		s.HTLCID, s.Outbound, s.Hash, s.AmountMsat = k.HTLCID, true, k.Hash, k.AmountMsat
		s.Stands, s.Awaits = "failed, and gone from the channel", "an acknowledgement: what follows from it is not durable and handled yet"
	case facts.HTLCAccepted:
		s.HTLCID, s.Hash, s.AmountMsat, s.CLTVExpiry = k.HTLCID, k.Hash, k.AmountMsat, k.CLTVExpiry
		s.Stands, s.Awaits = "gone from the channel", "an acknowledgement: what follows from its end is not durable and handled yet"
	default:
		return s, false
	}
	return s, true
}
