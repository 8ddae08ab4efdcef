package manager

import (
	"fmt"

	"github.com/lnactor/lnactor/messages"
)

// hold asks the user about a payment. Handling the event is no decision: ClaimHeld is.
func (m *Manager) hold(h *inbound) {
	h.held = true
	m.queue(claimableID(h), messages.PaymentClaimable{
		Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, Deadline: h.htlc.CLTVExpiry - min(h.htlc.CLTVExpiry, HoldDeadline),
	}, func() {})
	m.expireHeld()
}

func (m *Manager) onClaimHeld(msg messages.ClaimHeld) {
	h := m.claiming[msg.Hash]
	if h == nil || !h.held || h.reply != "" {
		m.tell(msg.ReplyTo, messages.ClaimReply{Err: fmt.Errorf("%w: %s", ErrNotHeld, msg.Hash)})
		return
	}
	h.reply = msg.ReplyTo
	if msg.Claim {
		m.claim(h)
		return
	}
	h.preimage = nil
	m.failUnknown(h)
}

// expireHeld fails held payments that can't be claimed safely any more.
func (m *Manager) expireHeld() {
	for _, hash := range sortedKeys(m.claiming) {
		if h := m.claiming[hash]; h.held && h.reply == "" && m.height+HoldDeadline >= h.htlc.CLTVExpiry {
			h.preimage = nil
			m.failUnknown(h)
		}
	}
}
