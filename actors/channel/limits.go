package channel

import (
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// tally sums one side's next commitment up, so that one more update is checked against it without walking the HTLCs.
type tally struct {
	holderOwns           bool
	holder, counterparty uint64 // balances with all HTLCs taken off, in msat
	feePerKw             uint32
	outputs              int // HTLCs that are not trimmed
	outbound, inbound    flow
	dustMsat             uint64 // in trimmed HTLCs
}

// flow sums the HTLCs of one direction up.
type flow struct {
	count int
	msat  uint64
}

// tallyNext sums up the next commitment of a side: what it holds now, moved on by the commitment_signed that makes it.
func tallyNext(f *facts.Channel, holderOwns bool) *tally {
	if holderOwns {
		return tallyOf(f, true, facts.Holder, facts.State.AfterHolderCommitment)
	}
	return tallyOf(f, false, facts.CounterpartyNext, facts.State.AfterCounterpartyCommitment)
}

// tallyAhead sums up what the counterparty's next commitment holds as it will stand in the holder's, once the counterparty has signed that: the
// same HTLCs under another dust limit.
func tallyAhead(f *facts.Channel) *tally {
	return tallyOf(f, true, facts.CounterpartyNext, facts.State.AfterCounterpartyCommitment)
}

func tallyOf(f *facts.Channel, holderOwns bool, which facts.Which, move func(facts.State) facts.State) *tally {
	t := &tally{holderOwns: holderOwns, holder: f.HolderMsat, counterparty: f.CounterpartyMsat, feePerKw: f.FeePerKw}
	for _, u := range f.FeeUpdates {
		if move(u.State).Added(which) {
			t.feePerKw = u.FeePerKw
		}
	}
	sum := func(m map[uint64]*facts.HTLC, outbound bool) {
		for _, h := range m { // sums do not depend on the order
			s := move(h.State)
			if !s.Added(which) {
				continue
			}
			t.add(f, h.AmountMsat, outbound)
			if !s.In(which) {
				t.remove(f, h.AmountMsat, outbound, h.Resolution.Fulfilled())
			}
		}
	}
	sum(f.Outbound, true)
	sum(f.Inbound, false)
	return t
}

// add takes an HTLC in. The caller has checked that its offerer can pay.
func (t *tally) add(f *facts.Channel, amount uint64, outbound bool) {
	t.change(f, amount, outbound, 1)
	if outbound {
		t.holder -= amount
	} else {
		t.counterparty -= amount
	}
}

// remove takes an HTLC out and gives its amount to who it belongs to.
func (t *tally) remove(f *facts.Channel, amount uint64, outbound, fulfilled bool) {
	t.change(f, amount, outbound, -1)
	if outbound == fulfilled {
		t.counterparty += amount
	} else {
		t.holder += amount
	}
}

func (t *tally) change(f *facts.Channel, amount uint64, outbound bool, by int) {
	d := &t.inbound
	if outbound {
		d = &t.outbound
	}
	d.count += by
	trimmed := commitment.Trimmed(&f.Tx, t.holderOwns, lnwire.MilliSatoshi(amount))
	if !trimmed {
		t.outputs += by
	}
	if by > 0 {
		d.msat += amount
	} else {
		d.msat -= amount
	}
	if trimmed {
		if by > 0 {
			t.dustMsat += amount
		} else {
			t.dustMsat -= amount
		}
	}
}

// costMsat is what the funder pays for the commitment with some HTLCs more: fee and anchors.
func (t *tally) costMsat(feePerKw uint32, more int) uint64 {
	fee := commitment.CommitFee(chainfee.SatPerKWeight(feePerKw), t.outputs+more)
	return uint64(lnwire.NewMSatFromSatoshis(fee + commitment.AnchorsAmount))
}

// oneMore tells whether an HTLC of this amount makes the commitment larger.
func (t *tally) oneMore(f *facts.Channel, amount uint64) int {
	if commitment.Trimmed(&f.Tx, t.holderOwns, lnwire.MilliSatoshi(amount)) {
		return 0
	}
	return 1
}

// leastBlocks before its expiry an HTLC is not committed to any more: the peer would hardly fail it in time, and the channel be closed over it. The facts
// may lag behind the chain, so whoever asked for it recalls it in time.
const leastBlocks = 3

// offers checks HTLCs that we offer, against both next commitments.
type offers struct {
	f                    *facts.Channel
	policy               facts.Policy // the one that counts
	counterparty, holder *tally
	keepMsat             uint64 // what we must keep: our channel reserve, or more
	unknown              int    // outputs that our adds make and the funder does not know of yet
}

// take checks one add and takes it in. The limit that refused it comes with the reason (BOLT 2, update_add_htlc, the sender's part).
func (o *offers) take(m *messages.AddHTLC) (limitMsat uint64, why error) {
	f, amount := o.f, m.AmountMsat
	most := f.Counterparty.MaxHTLCValueInFlightMsat
	if own := o.policy.MaxInFlightMsat; own != 0 {
		most = min(most, own)
	}
	switch {
	case amount == 0 || m.CLTVExpiry >= maxExpiry || len(m.Onion) != lnwire.OnionPacketSize:
		return 0, ErrInvalidAdd
	case m.CLTVExpiry < f.Height+leastBlocks:
		return 0, ErrExpiresSoon
	case amount < f.Counterparty.HTLCMinimumMsat:
		return f.Counterparty.HTLCMinimumMsat, ErrBelowMinimum
	case o.policy.HTLCMaximumMsat != 0 && amount > o.policy.HTLCMaximumMsat:
		return o.policy.HTLCMaximumMsat, ErrAboveMaximum
	case o.counterparty.outbound.count >= min(int(f.Counterparty.MaxAcceptedHTLCs), input.MaxHTLCNumber/2):
		return 0, ErrTooManyHTLCs
	case amount > most || o.counterparty.outbound.msat > most-amount:
		return most, ErrInFlightLimit
	}
	for _, t := range []*tally{o.counterparty, o.holder} {
		if limit, why := o.affordable(t, amount); why != nil {
			return limit, why
		}
	}
	for _, t := range []*tally{o.counterparty, o.holder} {
		if t.oneMore(f, amount) == 0 && t.dustMsat+amount > o.policy.MaxDustExposureMsat {
			return o.policy.MaxDustExposureMsat, ErrDustExposure
		}
	}
	o.unknown += o.counterparty.oneMore(f, amount)
	o.counterparty.add(f, amount, true)
	o.holder.add(f, amount, true)
	return 0, nil
}

// affordable checks balances, reserves and fees. As funder we keep the fee of twice the rate and one more HTLC: else a rise of the fee, or HTLCs
// that the peer offers at the same time, would leave a channel in which no one can add anything (BOLT 2, "fee spike buffer").
func (o *offers) affordable(t *tally, amount uint64) (limitMsat uint64, why error) {
	f, more, keep := o.f, t.oneMore(o.f, amount), o.keepMsat
	if t.holder < keep || t.holder-keep < amount {
		return spare(t.holder, keep), ErrInsufficientBalance
	}
	if !f.Tx.HolderIsFunder {
		// The funder pays for our HTLC, and it may be committing to its own right now, down to its reserve: what we add before it knows
		// must be covered by that reserve.
		if t.counterparty < f.Holder.ReserveSat*1000+t.costMsat(t.feePerKw, more) {
			return 0, ErrFeeUnaffordable
		}
		return 0, nil
	}
	if buffer := t.costMsat(2*t.feePerKw, more+1); t.holder-keep-amount < buffer {
		return spare(t.holder, keep+buffer), ErrFeeUnaffordable
	}
	return 0, nil
}

// raise checks a new fee rate and takes it in. What the fundee adds before it knows the rate is covered by our reserve at the old rate (see
// full), so for this commitment we keep as much more as the rate rises.
func (o *offers) raise(feePerKw uint32) bool {
	keep := o.f.Counterparty.ReserveSat * 1000
	if old := o.counterparty.feePerKw; feePerKw > old {
		keep = keep * uint64(feePerKw) / uint64(max(old, 1))
	}
	for _, t := range []*tally{o.counterparty, o.holder} {
		if t.holder < keep+t.costMsat(feePerKw, 1) {
			return false
		}
	}
	o.keepMsat, o.counterparty.feePerKw, o.holder.feePerKw = keep, feePerKw, feePerKw
	return true
}

// full tells whether the rest of the adds has to wait for the next commitment: as fundee we never add more outputs at a time, unknown to the
// funder, than its reserve can pay for. So the funder can always pay, whatever it does meanwhile.
func (o *offers) full() bool {
	if o.f.Tx.HolderIsFunder || o.unknown == 0 {
		return false
	}
	perOutput := uint64(max(o.counterparty.feePerKw, o.holder.feePerKw)) * uint64(input.HTLCWeight)
	return uint64(o.unknown+1)*perOutput > o.f.Holder.ReserveSat*1000
}

func spare(have, keep uint64) uint64 {
	if have < keep {
		return 0
	}
	return have - keep
}
