package channel

import (
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// commitmentSigned takes the peer's proposals into the holder's next commitment and revokes the one before. All is checked on a copy: a message
// that does not hold leaves no trace.
func (c *Channel) commitmentSigned(m *lnwire.CommitSig) error {
	if !c.facts.HolderReady || !c.facts.CounterpartyReady {
		return broken("commitment_signed before channel_ready")
	}
	if c.closing.theirs || c.closing.sent {
		return broken("commitment_signed during the closing negotiation")
	}
	u := facts.HolderCommitment{
		Sig: m.CommitSig, HTLCSigs: append([]lnwire.Sig(nil), m.HtlcSigs...),
		Adds: c.session.adds, Removes: c.session.removes, FeePerKw: c.session.fee,
	}
	if u.FeePerKw > c.facts.Fee(facts.Holder) {
		if have, keep := c.next().counterparty, c.raisedKeep(u.FeePerKw); have < keep {
			return broken("update_fee to %d sat/kw, but you have %d msat and must keep %d for reserve and fee", u.FeePerKw, have, keep)
		}
	}
	next := c.facts.Clone()
	if _, err := next.Apply(u); err != nil {
		return broken("commitment_signed: %v", err)
	}
	point, err := c.holderPoint(next.HolderNumber)
	if err != nil {
		return err
	}
	view, err := next.View(facts.Holder, point)
	if err != nil {
		return err
	}
	tx, err := c.build(&next.Tx, view)
	if err != nil {
		return broken("commitment_signed for a commitment that cannot be: %v", err)
	}
	if err := tx.Verify(u.Sig, u.HTLCSigs); err != nil {
		return broken("commitment_signed: %v", err)
	}
	raa, err := c.revocation(next.HolderNumber)
	if err != nil {
		return err
	}
	c.facts = next
	c.session.adds, c.session.removes, c.session.removed, c.session.fee = nil, nil, map[uint64]bool{}, 0
	c.session.tally = nil
	// Rule 6: the new commitment with all its signatures before the old one is revoked. Preimages that it brings are durable already (rule 10).
	c.record(u, c.toPeer(raa))
	c.arm()
	return c.advanceClosing()
}

// raisedKeep is what a funder must have to raise the fee: its reserve, which is what it loses if it cheats, and the commitment's cost. HTLCs of ours
// that come in with this very commitment are left out: it may not have known them when it proposed the fee, and what we add before the funder knows
// is covered by its reserve (see offers.affordable).
func (c *Channel) raisedKeep(feePerKw uint32) (msat uint64) {
	unknown := 0
	for _, h := range c.facts.Outbound {
		if h.State == facts.RcvdAddRevocation && !commitment.Trimmed(&c.facts.Tx, true, lnwire.MilliSatoshi(h.AmountMsat)) {
			unknown++
		}
	}
	return c.facts.Holder.ReserveSat*1000 + c.next().costMsat(feePerKw, -unknown)
}

// revokeAndAck: the peer revoked its old commitment. Whatever relies on that comes behind this record (rule 7).
func (c *Channel) revokeAndAck(m *lnwire.RevokeAndAck) error {
	if !c.facts.Unrevoked {
		return broken("revoke_and_ack without a commitment_signed")
	}
	if m.NextRevocationKey == nil {
		return broken("revoke_and_ack without a next point")
	}
	point := input.ComputeCommitmentPoint(m.Revocation[:])
	if [33]byte(point.SerializeCompressed()) != c.facts.CounterpartyPoint {
		return broken("revoke_and_ack with a secret that is not the one of commitment %d", c.facts.CounterpartyNumber)
	}
	u := facts.Revocation{Secret: m.Revocation, NextPoint: [33]byte(m.NextRevocationKey.SerializeCompressed())}
	if _, err := c.facts.Apply(u); err != nil {
		return broken("revoke_and_ack: %v", err)
	}
	c.session.tally = nil // our adds that it acknowledged are in the holder's next commitment
	c.record(u)
	c.arm()
	return c.advanceClosing()
}
