package channel

import (
	"errors"
	"fmt"
	"slices"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// sign makes the counterparty's next commitment out of all that is known now, if there is anything new and the last one is acknowledged.
func (c *Channel) sign() error {
	if !c.up() || c.facts.Unrevoked || !c.facts.CounterpartyReady {
		return nil // armed again by what changes this
	}
	u := facts.CounterpartyCommitment{Removes: slices.Clone(c.session.proposed)}
	slices.Sort(u.Removes)
	o := c.newOffers()
	u.FeePerKw = c.takeFee(o)
	u.Adds = c.takeAdds(o)
	if len(u.Adds) == 0 && len(u.Removes) == 0 && u.FeePerKw == 0 && !c.owesCommitment() {
		return c.advanceClosing() // BOLT 2: "MUST NOT send a commitment_signed message that does not include any updates"
	}
	next := c.facts.Clone()
	if _, err := next.Apply(u); err != nil {
		return err
	}
	sig, err := c.signNext(next)
	if errors.Is(err, commitment.ErrFunderCannotPay) || errors.Is(err, commitment.ErrNoOutputs) {
		// Our own updates were checked, so it is what the peer made us acknowledge.
		c.fail(fmt.Sprintf("commitment %d cannot be made: %v", c.facts.CounterpartyNumber+1, err))
		return nil
	}
	if err != nil {
		return err
	}
	msgs := make([]lnwire.Message, 0, len(u.Adds)+2)
	if u.FeePerKw != 0 {
		msgs = append(msgs, &lnwire.UpdateFee{ChanID: c.wireID(), FeePerKw: u.FeePerKw})
	}
	for i := range u.Adds {
		msgs = append(msgs, c.addition(&u.Adds[i]))
	}
	c.facts = next
	c.session.proposed, c.session.wasProposed = nil, map[uint64]bool{}
	// Rule 5: the commitment, with all its HTLCs and our updates, before commitment_signed.
	c.record(u, c.toPeer(append(msgs, sig)...))
	return c.advanceClosing()
}

// signNext signs the counterparty's newest commitment.
func (c *Channel) signNext(f *facts.Channel) (*lnwire.CommitSig, error) {
	view, err := f.View(facts.CounterpartyNext, nil)
	if err != nil {
		return nil, err
	}
	tx, err := c.build(&f.Tx, view)
	if err != nil {
		return nil, err
	}
	sig, htlcSigs, err := c.signer.SignCounterparty(f.KeyIndex, &f.Tx, tx)
	if err != nil {
		return nil, err
	}
	return &lnwire.CommitSig{ChanID: c.wireID(), CommitSig: sig, HtlcSigs: htlcSigs}, nil
}

// owesCommitment tells whether the counterparty committed to something that its own next commitment lacks.
func (c *Channel) owesCommitment() bool {
	moves := func(s facts.State) bool { return s.AfterCounterpartyCommitment() != s }
	for _, h := range c.facts.Outbound {
		if moves(h.State) {
			return true
		}
	}
	for _, h := range c.facts.Inbound {
		if moves(h.State) {
			return true
		}
	}
	return slices.ContainsFunc(c.facts.FeeUpdates, func(u facts.FeeUpdate) bool { return moves(u.State) })
}

// newOffers sums up the counterparty's next commitment with what we proposed, and the holder's as it will follow, with what the peer proposed:
// our adds must fit in both.
func (c *Channel) newOffers() *offers {
	f := c.facts
	o := &offers{
		f: f, policy: f.Policy.Or(c.cfg.Policy), keepMsat: f.Counterparty.ReserveSat * 1000, counterparty: tallyNext(f, false), holder: tallyAhead(f),
	}
	for _, id := range c.session.proposed {
		if h := f.Inbound[id]; h != nil {
			o.counterparty.remove(f, h.AmountMsat, false, h.Resolution.Fulfilled())
			o.holder.remove(f, h.AmountMsat, false, h.Resolution.Fulfilled())
		}
	}
	for i := range c.session.adds {
		o.holder.add(f, c.session.adds[i].AmountMsat, false)
	}
	if c.session.fee != 0 {
		o.holder.feePerKw = c.session.fee
	}
	return o
}

// takeAdds gives ids to the adds that fit and answers the others.
func (c *Channel) takeAdds(o *offers) []facts.HTLC {
	if len(c.queue) == 0 {
		return nil
	}
	if !c.facts.Open() || c.closing.wanted != nil {
		c.refuseQueue(ErrClosing)
		return nil
	}
	var adds []facts.HTLC
	n := 0
	for ; n < len(c.queue) && !o.full(); n++ {
		m := &c.queue[n]
		if limit, why := o.take(m); why != nil {
			c.refuse(m, why, limit)
			continue
		}
		source := m.Source
		adds = append(adds, facts.HTLC{
			ID: c.facts.NextOutboundHTLCID + uint64(len(adds)), AmountMsat: m.AmountMsat, Hash: m.Hash, CLTVExpiry: m.CLTVExpiry,
			State: facts.SentAddCommit, Onion: m.Onion, Source: &source,
		})
	}
	if c.queue = c.queue[n:]; len(c.queue) == 0 {
		c.queue = []messages.AddHTLC(nil)
	} else {
		c.queue = slices.Clone(c.queue) // lets go of what was taken
	}
	return adds
}
