package manager

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/lnactor/lnactor/messages"
)

// hold asks the user about a payment. Handling the event is no decision: ClaimHeld is. That the payment was found good is durable before the user
// hears of it, since after a restart the invoice may have expired and the HTLCs have too few blocks left for a new one.
func (m *Manager) hold(s *set) {
	v := m.survey(s)
	switch {
	case len(v.gone) > 0 || v.over > 0:
		m.failSet(s, mppTimeout) // a part is gone on chain without us
		return
	case slices.ContainsFunc(v.undecided, m.tooLate):
		m.failSet(s, m.unknownPayment)
		return
	}
	m.keepDeadline(s, v.undecided)
	if v.unknown > 0 || s.asked {
		return // told, and to be decided, when all of it is here
	}
	if s.preimage == nil {
		s.preimage = v.undecided[0].preimage
	}
	if s.preimage != nil && !m.cfg.ManualClaim && !m.heldByInvoice(v.undecided[0]) {
		s.phase, s.row = claimed, false // the node asked about every payment before it was restarted
		m.claimSet(s)
		return
	}
	s.asked = true
	var a Append
	if !s.row {
		a.Rows, s.row = m.invoiceRows(s, true), true
	}
	parts, _ := m.partsOf(s)
	if ev := m.enqueue(s.id("payment-claimable"), messages.PaymentClaimable{
		Hash: s.hash, AmountMsat: total(parts), Deadline: s.deadline, Parts: parts, Records: s.records, PreimageUnknown: s.preimage == nil,
	}, func() {}); ev != nil {
		a.Then = []messages.Delivery{m.delivery(ev)}
	}
	m.write(a)
	if early := s.early; early != nil {
		s.early = nil
		m.onClaimHeld(*early)
	}
}

func (m *Manager) heldByInvoice(h *inbound) bool {
	terms, _, ours := m.cfg.Invoices.Open(h.htlc.Hash, h.payload.PaymentSecret)
	return ours && terms.Hold
}

// deadline is the height at which an HTLC of a payment that is not decided yet is failed, with all of its set: what waits longer costs its channel.
func (h *inbound) deadline() uint32 { return h.htlc.CLTVExpiry - min(h.htlc.CLTVExpiry, HoldDeadline) }

func (m *Manager) tooLate(h *inbound) bool { return m.height >= h.deadline() }

func (m *Manager) onClaimHeld(msg messages.ClaimHeld) {
	s := m.sets[msg.Hash]
	notHeld := messages.ClaimReply{Err: fmt.Errorf("%w: %s", ErrNotHeld, msg.Hash)}
	switch {
	case s == nil || s.read && s.phase != held || s.early != nil:
		m.tell(msg.ReplyTo, notHeld)
	case !s.read:
		s.early = &msg // announced before a restart, and being looked up
	default:
		m.decideHeld(s, msg)
	}
}

func (m *Manager) decideHeld(s *set, msg messages.ClaimHeld) {
	v := m.survey(s)
	away := slices.ContainsFunc(s.list, func(p InvoicePart) bool { return m.away(p.Channel) })
	switch {
	case !msg.Claim:
		s.reply, s.refused = msg.ReplyTo, true
		m.failSet(s, m.unknownPayment)
	case away:
		// Claimed without it, the payment would be ours in part only.
		m.tell(msg.ReplyTo, messages.ClaimReply{Err: fmt.Errorf("%w: %s", ErrPartAway, msg.Hash)})
	case v.unknown > 0:
		s.early = &msg
	case msg.Preimage != nil && sha256.Sum256(msg.Preimage[:]) != [32]byte(s.hash):
		m.tell(msg.ReplyTo, messages.ClaimReply{Err: fmt.Errorf("%w: it is of another hash than %s", ErrPreimage, msg.Hash)})
	case msg.Preimage == nil && s.preimage == nil:
		m.tell(msg.ReplyTo, messages.ClaimReply{Err: fmt.Errorf("%w: the node does not know that of %s", ErrPreimage, msg.Hash)})
	default:
		if msg.Preimage != nil {
			s.preimage = msg.Preimage
		}
		s.reply, s.phase, s.row = msg.ReplyTo, claimed, false
		m.touch(s)
	}
}

// answerClaim tells whoever decided about a held payment whether it went that way.
func (m *Manager) answerClaim(s *set, claimed bool) {
	if s.reply == "" {
		return
	}
	reply := messages.ClaimReply{}
	if claimed == s.refused {
		reply.Err = fmt.Errorf("%w: %s is gone", ErrNotHeld, s.hash)
	}
	m.tell(s.reply, reply)
	s.reply = ""
}

// refuseEarly answers who decided about a payment that turned out not to be held.
func (m *Manager) refuseEarly(s *set) {
	if s.early != nil {
		m.tell(s.early.ReplyTo, messages.ClaimReply{Err: fmt.Errorf("%w: %s is gone", ErrNotHeld, s.hash)})
		s.early = nil
	}
}

// keepDeadline has a set that waits looked at when the first of its parts can't be claimed safely any more.
func (m *Manager) keepDeadline(s *set, parts []*inbound) {
	for _, h := range parts {
		if at := h.deadline(); s.atHeight == nil || at < s.deadline {
			s.atHeight.stop()
			s.deadline, s.atHeight = at, m.at(at, func() { m.touch(s) })
		}
	}
}

// partsOf are the parts of a set for its user; not ok if an amount is not known.
func (m *Manager) partsOf(s *set) (out []messages.PaymentPart, ok bool) {
	for i, p := range s.list {
		if h := m.inbound[m.byHTLC[p.key()]]; h != nil {
			s.list[i].AmountMsat = h.htlc.AmountMsat
		}
		if s.list[i].AmountMsat == 0 {
			return nil, false
		}
		out = append(out, messages.PaymentPart{Channel: p.Channel, HTLCID: p.HTLCID, AmountMsat: s.list[i].AmountMsat})
	}
	return out, true
}

func total(parts []messages.PaymentPart) (sum uint64) {
	for _, p := range parts {
		sum += p.AmountMsat
	}
	return sum
}
