package manager

import (
	"container/heap"
	"fmt"

	"github.com/lnactor/lnactor/messages"
)

// hold asks the user about a payment. Handling the event is no decision: ClaimHeld is. That the payment was found good is durable before the user
// hears of it, since after a restart the invoice may have expired and the HTLC have too few blocks left for a new one.
func (m *Manager) hold(h *inbound) {
	h.held, h.row = true, true
	heap.Push(&m.deadlines, h)
	a := Append{Rows: []messages.Row{h.invoiceRow(true)}}
	if ev := m.enqueue(claimableID(h), messages.PaymentClaimable{
		Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, Deadline: h.deadline(),
	}, func() {}); ev != nil {
		a.Then = []messages.Delivery{m.delivery(ev)}
	}
	m.write(a)
	if early := h.early; early != nil {
		h.early = nil
		m.onClaimHeld(*early)
	}
}

// deadline is the height at which a held payment is failed.
func (h *inbound) deadline() uint32 { return h.htlc.CLTVExpiry - min(h.htlc.CLTVExpiry, HoldDeadline) }

func (m *Manager) tooLate(h *inbound) bool { return m.height >= h.deadline() }

func (m *Manager) onClaimHeld(msg messages.ClaimHeld) {
	h := m.claiming[msg.Hash]
	switch {
	case h == nil || h.sent != nil || h.early != nil:
		m.tell(msg.ReplyTo, messages.ClaimReply{Err: fmt.Errorf("%w: %s", ErrNotHeld, msg.Hash)})
	case !h.held:
		h.early = &msg // announced before a restart, and being looked up
	case msg.Claim:
		h.reply = msg.ReplyTo
		m.claim(h)
	default:
		h.reply, h.preimage = msg.ReplyTo, nil
		m.failUnknown(h)
	}
}

// answerClaim tells whoever decided about a held payment whether it went that way.
func (m *Manager) answerClaim(h *inbound, claimed bool) {
	gone := messages.ClaimReply{Err: fmt.Errorf("%w: %s is gone", ErrNotHeld, h.htlc.Hash)}
	if h.early != nil {
		m.tell(h.early.ReplyTo, gone)
		h.early = nil
	}
	if h.reply == "" {
		return
	}
	if claimed == (h.preimage != nil) {
		m.tell(h.reply, messages.ClaimReply{})
	} else {
		m.tell(h.reply, gone)
	}
	h.reply = ""
}

// expireHeld fails held payments that can't be claimed safely any more.
func (m *Manager) expireHeld() {
	for len(m.deadlines) > 0 && m.tooLate(m.deadlines[0]) {
		h := heap.Pop(&m.deadlines).(*inbound) //nolint:forcetypeassert // container/heap
		if m.undecided(h) {
			h.preimage = nil
			m.failUnknown(h)
		}
	}
}

// deadlines is a heap of held payments, some of them decided meanwhile.
type deadlines []*inbound

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline() < d[j].deadline() }
func (d deadlines) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deadlines) Push(x any)        { *d = append(*d, x.(*inbound)) } //nolint:forcetypeassert // container/heap
func (d *deadlines) Pop() any {
	old := *d
	h := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	return h
}
