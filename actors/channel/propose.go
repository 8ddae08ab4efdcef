package channel

import (
	"slices"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// maxExpiry: an expiry from here on would be a time, not a height (BOLT 2, update_add_htlc).
const maxExpiry = 500_000_000

// addHTLC puts an add into the queue of the next commitment. Until then it is nowhere but here; a fence drops it.
func (c *Channel) addHTLC(m messages.AddHTLC) {
	if !c.fenced || m.Fence != c.fence {
		return // of an older manager: the report behind the fence told that it is in no commitment, so it must never be
	}
	switch {
	case c.failed || c.facts.Ended() || c.facts.HolderShutdown != nil || c.facts.CounterpartyShutdown != nil || c.closing.wanted != nil:
		c.refuse(&m, ErrClosing, 0)
	case c.facts.Unburied():
		c.refuse(&m, ErrUnburied, 0)
	case !c.facts.Open():
		c.refuse(&m, ErrChannelNotOpen, 0)
	case c.session.link != linkUp:
		c.refuse(&m, ErrPeerNotConnected, 0)
	case len(c.queue) >= c.cfg.MaxQueued:
		c.refuse(&m, ErrQueueFull, 0)
	default:
		c.queue = append(c.queue, m)
		c.arm()
	}
}

// recall refuses an add that is in no commitment yet. One that is, or was refused, is none of its business.
func (c *Channel) recall(m messages.RecallHTLC) {
	if !c.fenced || m.Fence != c.fence {
		return // the report behind the fence says what became of it
	}
	for i := range c.queue {
		if src := c.queue[i].Source.Payment; src != nil && src.PaymentID == m.PaymentID && src.PartID == m.PartID {
			c.refuse(&c.queue[i], ErrRecalled, 0)
			c.queue = slices.Delete(c.queue, i, i+1)
			return
		}
	}
}

// decided: the decision about an inbound HTLC is durable (rules 12, 13), so it can be proposed to the peer.
func (c *Channel) decided(m messages.HTLCDecided) error {
	h := c.facts.Inbound[m.HTLCID]
	if h == nil {
		return nil // removed long ago, or on chain
	}
	if _, err := c.facts.Apply(facts.Decided{HTLCID: m.HTLCID, Resolution: m.Resolution}); err != nil {
		return err
	}
	if c.up() {
		c.propose(h)
	}
	return nil
}

// proposeDecided proposes all that is decided and not committed, after a connection was made: the very same messages as before (BOLT 2).
func (c *Channel) proposeDecided() {
	if !c.up() {
		return
	}
	for _, h := range facts.Sorted(c.facts.Inbound) {
		c.propose(h)
	}
}

// propose sends the removal of an inbound HTLC. It commits to nothing, the commitment_signed behind it does.
func (c *Channel) propose(h *facts.HTLC) {
	if h.State != facts.RcvdAddAckRevocation || h.Resolution == nil || c.session.wasProposed[h.ID] {
		return
	}
	c.session.wasProposed[h.ID] = true
	c.session.proposed = append(c.session.proposed, h.ID)
	c.say(c.removal(h.ID, h.Resolution))
	c.arm()
}

// removal is the message that says how an inbound HTLC ends. It depends on the durable decision only.
func (c *Channel) removal(id uint64, r *facts.Resolution) lnwire.Message {
	switch {
	case r.Preimage != nil:
		return &lnwire.UpdateFulfillHTLC{ChanID: c.wireID(), ID: id, PaymentPreimage: *r.Preimage}
	case r.Malformed != nil:
		return &lnwire.UpdateFailMalformedHTLC{
			ChanID: c.wireID(), ID: id, ShaOnionBlob: r.Malformed.OnionSHA256, FailureCode: lnwire.FailCode(r.Malformed.Code),
		}
	default:
		return &lnwire.UpdateFailHTLC{ChanID: c.wireID(), ID: id, Reason: slices.Clone(r.Reason)}
	}
}

// addition is the message that offers an outbound HTLC.
func (c *Channel) addition(h *facts.HTLC) lnwire.Message {
	m := &lnwire.UpdateAddHTLC{
		ChanID: c.wireID(), ID: h.ID, Amount: lnwire.MilliSatoshi(h.AmountMsat), PaymentHash: h.Hash, Expiry: h.CLTVExpiry,
	}
	copy(m.OnionBlob[:], h.Onion)
	return m
}
