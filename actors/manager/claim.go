package manager

import (
	"bytes"
	"cmp"
	"log/slog"
	"maps"
	"slices"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// touch has a set looked at when the step is over: then all that a report says was read.
func (m *Manager) touch(s *set) {
	if !s.dirty {
		s.dirty = true
		m.dirty = append(m.dirty, s)
	}
}

// touchChannel touches the sets that may wait for a channel.
func (m *Manager) touchChannel(id ln.ChannelID) {
	found := map[*set]bool{}
	for _, s := range m.setOf[id] {
		found[s] = true
	}
	for _, s := range slices.SortedFunc(maps.Keys(found), func(a, b *set) int { return bytes.Compare(a.hash[:], b.hash[:]) }) {
		m.touch(s)
	}
}

// progressSets goes on with every set that something happened to.
func (m *Manager) progressSets() {
	for len(m.dirty) > 0 {
		s := m.dirty[0]
		m.dirty = m.dirty[1:]
		s.dirty = false
		if !s.read {
			continue // touched again when it was
		}
		switch s.phase {
		case gathering:
			m.gather(s)
		case held:
			m.hold(s)
		case claimed:
			s.calm()
			m.claimSet(s)
		case failed:
			m.failing(s)
		case cancelled:
			m.drop(s)
		}
	}
	m.dirty = nil
}

// survey is what is known of the parts of a set.
type survey struct {
	undecided, claimed, gone []*inbound
	over                     int // acknowledged: all that follows from them happened
	unknown                  int // of monitors that do not say
}

func (m *Manager) survey(s *set) (v survey) {
	for _, p := range s.list {
		id, here := m.byHTLC[p.key()]
		h := m.inbound[id]
		c := m.channels[p.Channel]
		switch {
		case !here && c != nil && (!c.reported || c.withheld):
			v.unknown++
		case !here:
			v.over++
		case h.decided && h.claimed && h.set == s:
			v.claimed = append(v.claimed, h)
		case h.decided:
			v.gone = append(v.gone, h)
		case h.set != s:
			v.unknown++ // its onion could not be read yet
		default:
			v.undecided = append(v.undecided, h)
		}
	}
	return v
}

// gather looks whether a set is complete.
func (m *Manager) gather(s *set) {
	m.refuseEarly(s)
	sum, away, late := uint64(0), false, false
	for _, h := range s.parts {
		if h.decided {
			m.failSet(s, mppTimeout) // gone on chain without us, so it never will be
			return
		}
		sum += h.htlc.AmountMsat
		away = away || m.away(h.event.Channel)
		late = late || m.tooLate(h)
	}
	switch {
	case len(s.parts) == 0:
		m.drop(s)
		return
	case late && sum < s.totalMsat:
		m.failSet(s, mppTimeout)
		return
	case late:
		m.failSet(s, m.unknownPayment)
		return
	case sum < s.totalMsat || away:
		m.keepDeadline(s, s.parts)
		return // to be gone on with by the next part, by the channel's report, or by the time-out
	case m.overloaded():
		m.failSet(s, func(*inbound) lnwire.FailureMessage { return &lnwire.FailTemporaryNodeFailure{} })
		return
	}
	for _, h := range s.parts {
		s.list = append(s.list, InvoicePart{Channel: h.event.Channel, HTLCID: h.htlc.HTLCID, AmountMsat: h.htlc.AmountMsat})
	}
	slices.SortFunc(s.list, comparePart)
	s.preimage, s.row = s.parts[0].preimage, false
	s.records, s.recorded = m.recordsOf(s), true
	s.phase, s.parts = claimed, nil
	m.enlist(s)
	s.calm()
	if m.cfg.ManualClaim || s.terms.Hold {
		s.phase = held
	}
	m.touch(s)
}

// away: nothing can be decided about the channel's HTLCs now.
func (m *Manager) away(id ln.ChannelID) bool {
	c := m.channels[id]
	return c == nil || c.quarantined
}

// claimSet claims the parts of a set, tells the user, and acknowledges (rules 13, 24). It may be called any number of times.
func (m *Manager) claimSet(s *set) {
	v := m.survey(s)
	if m.neverClaimed(s, v) {
		return
	}
	var a Append
	if !s.row {
		// Behind it the preimage may be given away, and not before. It is made up if it was lost (S18).
		m.partsOf(s)
		a.Rows, s.row = m.invoiceRows(s, false), true
	}
	for _, h := range v.undecided {
		if h.sent == nil && m.preimageOf(s, h) != nil {
			a.Then = append(a.Then, m.decision(h, facts.Resolution{Preimage: s.preimage, Parts: s.factsParts()}))
		}
	}
	switch {
	case s.told || len(v.claimed) == 0 && v.over == 0:
	case v.over > 0:
		s.told, s.handled = true, true // a part is acknowledged only behind that
		m.answerClaim(s, true)
	default:
		if ev := m.tellClaimed(s); ev != nil {
			a.Then = append(a.Then, m.delivery(ev))
		}
	}
	if len(a.Rows)+len(a.Then) > 0 {
		m.write(a)
	}
	if s.handled {
		m.conclude(s, v)
	}
}

// neverClaimed takes back a claim that no monitor has, if it can't be carried out any more.
func (m *Manager) neverClaimed(s *set, v survey) bool {
	if len(v.claimed) > 0 || v.unknown > 0 || s.told {
		return false
	}
	asked := slices.ContainsFunc(v.undecided, func(h *inbound) bool { return h.sent != nil })
	switch {
	case len(v.undecided) == 0 && v.over == 0:
		// The chain was faster with all of them. The acks wait for the row: it would say that the user was told.
		a := Append{Rows: s.noRows()}
		m.drop(s)
		var ids []ln.EventID
		for _, h := range v.gone {
			ids = append(ids, m.forget(h))
		}
		a.Then = m.acks(ids)
		m.answerClaim(s, false)
		m.forgetUsers(s)
		m.write(a)
		return true
	case len(v.undecided) > 0 && !asked && (v.over > 0 || slices.ContainsFunc(v.undecided, m.tooLate)):
		// What can't be claimed safely any more is given up while nobody knows the preimage. That one is acknowledged and another is not decided
		// can't be if it was claimed: then the row is from a restored backup.
		m.failSet(s, m.unknownPayment)
		return true
	}
	return false
}

// preimageOf is the preimage of a set, from a part of it if need be.
func (m *Manager) preimageOf(s *set, h *inbound) *ln.Preimage {
	if s.preimage == nil {
		s.preimage = h.preimage
	}
	return s.preimage
}

// factsParts is the list that each monitor gets (rule 13).
func (s *set) factsParts() []facts.Part {
	out := make([]facts.Part, len(s.list))
	for i, p := range s.list {
		out[i] = facts.Part{Channel: p.Channel, HTLCID: p.HTLCID}
	}
	return out
}

// tellClaimed queues PaymentClaimed, which the first durable decision makes true. It waits for the amounts of all parts, which may be known to a
// quarantined monitor only if the records were lost.
func (m *Manager) tellClaimed(s *set) *userEvent {
	parts, ok := m.partsOf(s)
	if !ok {
		return nil
	}
	s.told = true
	if !s.recorded {
		s.records, s.recorded = m.recordsOf(s), true
	}
	m.answerClaim(s, true)
	return m.enqueue(s.id("payment-claimed"), messages.PaymentClaimed{
		Hash: s.hash, AmountMsat: total(parts), Channel: s.list[0].Channel, HTLCID: s.list[0].HTLCID, Parts: parts, Records: s.records,
	}, func() {
		s.handled = true
		m.touch(s)
	})
}

// conclude acknowledges parts of a set whose PaymentClaimed was handled: when the list is durable with all parts, and the part's money is irrevocably
// ours. If it went elsewhere, the user is told that first: the unacknowledged event is all that remembers it, so it holds the monitor back from the
// archive until then.
func (m *Manager) conclude(s *set, v survey) {
	for _, h := range slices.Concat(v.claimed, v.gone) {
		if h.lost || h.claimed && (!h.ended || h.paid) {
			continue
		}
		m.tellLost(h, func() {
			h.lost = true
			m.touch(s)
		})
	}
	if len(v.undecided) > 0 || v.unknown > 0 {
		return
	}
	left := 0
	for _, h := range slices.Concat(v.claimed, v.gone) {
		if h.lost || h.claimed && h.ended && h.paid {
			m.done(h)
		} else {
			left++
		}
	}
	if left == 0 {
		m.forgetUsers(s)
		m.drop(s)
	}
}

// tellLost queues ClaimLost, once: what was claimed did not come in.
func (m *Manager) tellLost(h *inbound, handled func()) {
	ev := m.enqueue(claimLostID(h), messages.ClaimLost{
		Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, Channel: h.event.Channel, HTLCID: h.htlc.HTLCID,
	}, handled)
	if ev == nil {
		return
	}
	m.atRisk(h.event.Channel, "an HTLC that was claimed did not come in: its channel was closed and it ended without our preimage",
		slog.Uint64("htlc_id", h.htlc.HTLCID), slog.String("payment_hash", h.htlc.Hash.String()))
	d := m.delivery(ev)
	m.tell(d.To, d.Msg)
}

// failSet fails all parts that are live. That it was held is forgotten with the same append, before any part can learn of it.
func (m *Manager) failSet(s *set, with func(*inbound) lnwire.FailureMessage) {
	parts := s.parts
	if s.phase != gathering {
		v := m.survey(s)
		parts = slices.Concat(v.undecided, v.gone)
	}
	m.drop(s)
	var a Append
	if s.row {
		a.Rows = s.noRows()
	}
	s.phase, s.parts, s.row = failed, parts, false
	for _, h := range parts {
		h.set = s
		if !h.decided {
			a.Then = append(a.Then, m.decision(h, m.failure(h, with(h))))
		}
	}
	if len(a.Rows) > 0 {
		m.write(a)
	} else {
		for _, d := range a.Then {
			m.tell(d.To, d.Msg)
		}
	}
	m.forgetUsers(s)
	m.touch(s)
}

// failing acknowledges the parts of a failed set one by one: a failure needs no more than to be durable.
func (m *Manager) failing(s *set) {
	s.parts = slices.DeleteFunc(s.parts, func(h *inbound) bool {
		if h.decided && h.set == s && m.inbound[h.event] == h {
			m.done(h)
		}
		return h.decided
	})
	if len(s.parts) == 0 {
		m.answerClaim(s, false)
	}
}

func (m *Manager) forgetUsers(s *set) {
	if len(s.list) > 0 {
		delete(m.users, s.id("payment-claimable"))
	}
}

// maxRecords bounds what a payer can have us keep of its own, in bytes.
const maxRecords = 4096

// recordsOf are the applications' records of a set, by type. Of one that differs between parts, the first part's counts.
func (m *Manager) recordsOf(s *set) (out []messages.CustomRecord) {
	size := 0
	for _, p := range s.list {
		h := m.inbound[m.byHTLC[p.key()]]
		if h == nil {
			continue
		}
		for _, r := range m.payloadOf(h).Custom {
			i, twice := slices.BinarySearchFunc(out, r.Type, func(c messages.CustomRecord, t uint64) int { return cmp.Compare(c.Type, t) })
			if size+len(r.Value) > maxRecords || twice {
				continue
			}
			size += len(r.Value)
			out = slices.Insert(out, i, messages.CustomRecord{Type: r.Type, Value: r.Value})
		}
	}
	return out
}

// payloadOf reads the onion of an HTLC that was decided before.
func (m *Manager) payloadOf(h *inbound) *onion.Payload {
	if h.payload == nil && len(h.htlc.Onion) == onion.PacketSize {
		if p, err := onion.Process(m.cfg.NodeKey, [onion.PacketSize]byte(h.htlc.Onion), h.htlc.Hash); err == nil {
			h.payload = p.Payload
		}
	}
	if h.payload == nil {
		return &onion.Payload{}
	}
	return h.payload
}
