package channel

import (
	"crypto/sha256"

	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// maxReason bounds the encrypted error that is kept of a failed HTLC. BOLT 4 asks for 292 bytes; what is cut off here was unreadable anyway, and
// without a bound a peer could make the channel's facts as large as it likes.
const maxReason = 4096

// next sums up the holder's next commitment with all that the peer proposed.
func (c *Channel) next() *tally {
	s := &c.session
	if s.tally != nil {
		return s.tally
	}
	s.tally = tallyNext(c.facts, true)
	for i := range s.adds {
		s.tally.add(c.facts, s.adds[i].AmountMsat, false)
	}
	for i := range s.removes {
		if h := c.facts.Outbound[s.removes[i].HTLCID]; h != nil {
			s.tally.remove(c.facts, h.AmountMsat, true, s.removes[i].Resolution.Fulfilled())
		}
	}
	if s.fee != 0 {
		s.tally.feePerKw = s.fee
	}
	return s.tally
}

// updateAdd checks and remembers an HTLC that the peer offers (BOLT 2, update_add_htlc, the receiver's part).
func (c *Channel) updateAdd(m *lnwire.UpdateAddHTLC) error {
	f, t, amount := c.facts, c.next(), uint64(m.Amount)
	switch want := f.NextInboundHTLCID + uint64(len(c.session.adds)); {
	case !f.HolderReady || !f.CounterpartyReady:
		return broken("update_add_htlc before channel_ready")
	case f.CounterpartyShutdown != nil:
		return broken("update_add_htlc after shutdown")
	case m.ID != want:
		return broken("update_add_htlc with id %d, want %d", m.ID, want)
	case amount == 0 || amount < f.Holder.HTLCMinimumMsat:
		return broken("update_add_htlc of %d msat, htlc_minimum_msat is %d", amount, f.Holder.HTLCMinimumMsat)
	case m.Expiry >= maxExpiry:
		return broken("update_add_htlc with cltv_expiry %d, which is not a height", m.Expiry)
	case t.inbound.count >= min(int(f.Holder.MaxAcceptedHTLCs), input.MaxHTLCNumber/2):
		return broken("more than %d HTLCs", f.Holder.MaxAcceptedHTLCs)
	case amount > f.Holder.MaxHTLCValueInFlightMsat || t.inbound.msat > f.Holder.MaxHTLCValueInFlightMsat-amount:
		return broken("more than %d msat in flight", f.Holder.MaxHTLCValueInFlightMsat)
	}
	keep := f.Holder.ReserveSat * 1000
	if !f.Tx.HolderIsFunder {
		keep += t.costMsat(t.feePerKw, t.oneMore(f, amount))
	}
	if t.counterparty < keep || t.counterparty-keep < amount {
		return broken("update_add_htlc of %d msat, but you have %d msat above reserve and fee", amount, spare(t.counterparty, keep))
	}
	t.add(f, amount, false)
	c.session.adds = append(c.session.adds, facts.HTLC{
		ID: m.ID, AmountMsat: amount, Hash: m.PaymentHash, CLTVExpiry: m.Expiry, State: facts.SentAddRevocation,
		Onion: append([]byte(nil), m.OnionBlob[:]...),
	})
	return nil
}

// learnPreimage records the preimage of an HTLC of ours at once, before and whatever else happens (rule 10, S4). A wrong one is found later. One
// for an HTLC that the peer has not acknowledged is not taken: the monitor may have dropped the commitment that offers it (rule 18), and a peer
// that has it shows the preimage when it claims on chain.
func (c *Channel) learnPreimage(id uint64, preimage ln.Preimage) error {
	h := c.facts.Outbound[id]
	if h == nil || h.Preimage != nil || h.State == facts.SentAddCommit || sha256.Sum256(preimage[:]) != h.Hash {
		return nil
	}
	return c.apply(facts.PreimageLearned{HTLCID: id, Preimage: preimage})
}

func (c *Channel) updateFulfill(m *lnwire.UpdateFulfillHTLC) error {
	h, err := c.removable(m.ID)
	if err != nil {
		return err
	}
	if sha256.Sum256(m.PaymentPreimage[:]) != h.Hash {
		return broken("update_fulfill_htlc %d with a wrong preimage", m.ID)
	}
	preimage := ln.Preimage(m.PaymentPreimage)
	c.remove(h, facts.Resolution{Preimage: &preimage})
	return nil
}

func (c *Channel) updateFail(m *lnwire.UpdateFailHTLC) error {
	h, err := c.removable(m.ID)
	if err != nil {
		return err
	}
	reason := append([]byte{}, m.Reason[:min(len(m.Reason), maxReason)]...)
	c.remove(h, facts.Resolution{Reason: reason})
	return nil
}

func (c *Channel) updateFailMalformed(m *lnwire.UpdateFailMalformedHTLC) error {
	h, err := c.removable(m.ID)
	if err != nil {
		return err
	}
	if m.FailureCode&lnwire.FlagBadOnion == 0 {
		return broken("update_fail_malformed_htlc %d without BADONION", m.ID)
	}
	c.remove(h, facts.Resolution{Malformed: &facts.Malformed{OnionSHA256: m.ShaOnionBlob, Code: uint16(m.FailureCode)}})
	return nil
}

// removable finds the HTLC of ours that the peer removes. It must be irrevocably committed on both sides (BOLT 2, Removing an HTLC).
func (c *Channel) removable(id uint64) (*facts.HTLC, error) {
	h := c.facts.Outbound[id]
	switch {
	case h == nil || h.State > facts.SentAddAckRevocation || c.session.removed[id]:
		return nil, broken("removal of HTLC %d, which is not there", id)
	case h.State < facts.SentAddAckRevocation:
		return nil, broken("removal of HTLC %d, which is not committed yet", id)
	}
	return h, nil
}

func (c *Channel) remove(h *facts.HTLC, r facts.Resolution) {
	c.next().remove(c.facts, h.AmountMsat, true, r.Fulfilled())
	c.session.removed[h.ID] = true
	c.session.removes = append(c.session.removes, facts.Removal{HTLCID: h.ID, Resolution: r})
}

// updateFee: whether the funder can pay it is seen when the commitment is made, as BOLT 2 allows.
func (c *Channel) updateFee(m *lnwire.UpdateFee) error {
	switch {
	case c.facts.Tx.HolderIsFunder:
		return broken("update_fee from the side that does not pay it")
	case !c.facts.HolderReady || !c.facts.CounterpartyReady:
		return broken("update_fee before channel_ready")
	case m.FeePerKw < c.cfg.MinFeePerKw || m.FeePerKw > c.cfg.MaxFeePerKw:
		return broken("update_fee to %d sat/kw, want %d to %d", m.FeePerKw, c.cfg.MinFeePerKw, c.cfg.MaxFeePerKw)
	}
	c.session.fee = m.FeePerKw
	c.next().feePerKw = m.FeePerKw
	return nil
}
