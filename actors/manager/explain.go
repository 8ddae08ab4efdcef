package manager

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// explain says what is known of a payment, or of one HTLC, and what that waits for. It looks through everything: nobody asks often.
func (m *Manager) explain(msg messages.ExplainPayment) {
	var out messages.PaymentExplained
	say := func(format string, args ...any) { out.Lines = append(out.Lines, fmt.Sprintf(format, args...)) }
	is := func(hash ln.Hash, key htlcKey) bool {
		return msg.Hash != nil && hash == *msg.Hash || msg.Hash == nil && key == htlcKey{msg.Channel, msg.HTLCID}
	}
	if !m.settled {
		say("the node is starting: nothing is decided before %d channels have reported", m.waiting)
	}
	for _, p := range m.sortedPayments() {
		if msg.Hash != nil && p.rec.Hash == *msg.Hash {
			m.explainPayment(say, p)
		}
	}
	for _, id := range m.sortedInbound() {
		if h := m.inbound[id]; is(h.htlc.Hash, h.key()) {
			say("%s", h.explain())
		}
	}
	for _, channel := range sortedKeys(m.forwards) {
		for _, id := range slices.Sorted(maps.Keys(m.forwards[channel])) {
			if f := m.forwards[channel][id]; is(f.hash, f.key) {
				say("%s", f.explain())
			}
		}
	}
	m.tell(msg.ReplyTo, out)
}

func (m *Manager) explainPayment(say func(string, ...any), p *payment) {
	status := "is under way"
	switch o := p.rec.Outcome; {
	case p.loading:
		status = "is being looked up"
	case o != nil && o.Preimage != nil:
		status = "is sent; waits until the user has handled PaymentSent"
	case o != nil:
		status = "has failed; waits until the user has handled PaymentFailed"
	}
	say("our payment %s of %d msat %s", p.rec.ID, p.rec.AmountMsat, status)
	for _, a := range sortedPartsOf(p) {
		where := fmt.Sprintf("part %d in channel %s", a.id, a.channel)
		c := m.channels[a.channel]
		switch asked := m.attempts[a.channel][partKey{p.rec.ID, a.id}] != nil; {
		case m.lost(a):
			say("  part %d: %s. Ask the payee; if it was not, abandon the payment", a.id, unknownPart)
		case c == nil:
			say("  %s, which does not exist any more", where)
		case c.quarantined:
			say("  %s, which is quarantined: whether it was paid is unknown until that is repaired", where)
		case c.summary.Unverified:
			say("  %s, which was restored from a backup: whether it was paid is unknown until its peer has connected", where)
		case c.summary.Behind:
			say("  %s, whose records are proven to be old: whether it was paid is unknown", where)
		case !asked:
			say("  %s is committed: its outcome comes from there", where)
		case !c.reported:
			say("  %s, which has not reported since it or the node restarted", where)
		default:
			say("  %s was asked for; if no HTLC of it is shown, it is not committed yet", where)
		}
	}
}

func sortedPartsOf(p *payment) []*part {
	parts := make(map[partKey]*part, len(p.parts))
	for id, a := range p.parts {
		parts[partKey{p.rec.ID, id}] = a
	}
	return sortedParts(parts)
}

func (h *inbound) explain() string {
	var waits []string
	note := func(cond bool, text string) {
		if cond {
			waits = append(waits, text)
		}
	}
	note(h.sent == nil && !h.decided && h.set == nil, "a decision")
	undecided := h.sent == nil && !h.decided && h.set != nil
	if asked := undecided && h.set.phase == held && h.set.deadline != 0; asked {
		note(true, fmt.Sprintf("the user's decision about its payment (it fails by itself at height %d)", h.set.deadline))
		undecided = false
	}
	note(undecided, "the rest of its payment, or the user's decision about it")
	note(h.sent != nil && !h.decided, "the monitor, which has the decision and has not answered")
	note(h.decided && !h.ended, "its removal to be irrevocable")
	note(h.decided && h.set != nil && !h.set.handled, "the user, who has not handled the event about it")
	line := fmt.Sprintf("inbound HTLC %d of channel %s, event %s", h.htlc.HTLCID, h.event.Channel, h.event)
	if h.why != "" {
		line += ", failed: " + h.why
	}
	if len(waits) > 0 {
		line += ", waits for " + strings.Join(waits, " and ")
	}
	return line
}

func (f *forward) explain() string {
	line := fmt.Sprintf("forward of inbound HTLC %d of channel %s", f.key.id, f.key.channel)
	if f.committed {
		line += fmt.Sprintf(" as HTLC %d of channel %s", f.outKey.id, f.outKey.channel)
	}
	switch {
	case f.held != nil:
		return line + " waits for the interceptor"
	case f.homing != nil:
		return line + " waits for the next node to come back"
	case f.unknown:
		return line + " waits for a channel that nothing is known of and that may hold it"
	case f.ended:
		return line + " waits until the user has handled its end"
	case f.doubt && f.reason == nil:
		return line + ", whose end is not known: waits until 3 blocks before its expiry, then it is failed"
	case f.decided:
		return line + " waits for the removal of the inbound HTLC to be irrevocable"
	case f.preimage != nil:
		return line + ", claimed downstream, waits for the preimage to be durable upstream"
	case f.failed:
		return line + ", failed downstream, waits for the failure to be durable upstream"
	case f.committed:
		return line + " waits for the peer downstream"
	case f.ask != nil:
		return line + fmt.Sprintf(" was asked for at channel %s and is not committed yet", f.ask.channel)
	}
	return line + " waits for a decision"
}

func (m *Manager) sortedInbound() []ln.EventID {
	return slices.SortedFunc(maps.Keys(m.inbound), func(a, b ln.EventID) int {
		return cmp.Or(bytes.Compare(a.Channel[:], b.Channel[:]), cmp.Compare(a.Seq, b.Seq))
	})
}
