package channel

import (
	"errors"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// closingWitness is the weight that signatures add to a closing transaction: marker and flag, the number of elements, an empty one, two
// signatures of at most 72 bytes, and the script of 71 bytes, each with its length (BOLT 3).
const closingWitness = 2 + 1 + 1 + 2*(1+72) + 1 + 71

// advanceClosing does what is due of a cooperative close.
func (c *Channel) advanceClosing() error {
	if c.over() {
		return nil
	}
	if c.facts.MutualClose == nil {
		if err := c.sendShutdown(); err != nil {
			return err
		}
	}
	f := c.facts
	if c.session.link != linkUp || f.HolderShutdown == nil || f.CounterpartyShutdown == nil ||
		!f.Tx.HolderIsFunder || c.closing.sent || !c.clear() {
		return nil
	}
	// BOLT 2, Closing Negotiation: the funder starts, "once it has received shutdown and no HTLCs remain".
	if f.MutualClose != nil {
		return c.repeatClosing()
	}
	fee, r := c.closingFees()
	err := c.offerClosing(fee, r, r)
	var cannot *protocolError
	if errors.As(err, &cannot) {
		// Nobody can close this channel together, not on the next connection either: it "MUST fail" (BOLT 2, closing_signed).
		c.fail(cannot.text)
		return nil
	}
	return err
}

// closingTx describes the close at a fee, with the final balances.
func (c *Channel) closingTx(fee uint64) *commitment.Close {
	return &commitment.Close{
		HolderScript: c.facts.HolderShutdown, CounterpartyScript: c.facts.CounterpartyShutdown,
		HolderMsat: lnwire.MilliSatoshi(c.facts.HolderMsat), CounterpartyMsat: lnwire.MilliSatoshi(c.facts.CounterpartyMsat),
		Fee: btcutil.Amount(fee),
	}
}

// closingFees is the fee that we aim at and the range that we accept. As fundee we don't pay: we accept whatever relays. Where the fundee has no
// output, the funder keeps one that relays: there is no transaction without.
func (c *Channel) closingFees() (ideal uint64, r FeeRange) {
	f := c.facts
	dust := uint64(max(f.Tx.HolderDustLimit, 1))
	funder, script := c.funderGets()
	fundee := f.HolderMsat / 1000
	if f.Tx.HolderIsFunder {
		fundee = f.CounterpartyMsat / 1000
	}
	weight := c.closingWeight(dust)
	at := func(perKw uint32) uint64 { return (uint64(perKw)*weight + 999) / 1000 }

	rate := c.closing.target
	if rate == 0 {
		rate = f.Fee(facts.Holder)
	}
	ideal = at(max(rate, c.cfg.MinFeePerKw))
	most := funder
	if fundee < dust {
		most -= min(most, max(dust, uint64(commitment.ScriptDust(script))))
	}
	r = FeeRange{Min: min(at(c.cfg.MinFeePerKw), most), Max: most}
	if f.Tx.HolderIsFunder {
		r.Max = min(ideal*uint64(c.cfg.MaxClosingFactor), most)
	}
	return r.nearest(ideal), r
}

// funderGets is what the funder has before it pays the fee, in satoshis, and the script to which that goes.
func (c *Channel) funderGets() (sat uint64, script []byte) {
	if f := c.facts; f.Tx.HolderIsFunder {
		return f.HolderMsat / 1000, f.HolderShutdown
	}
	return c.facts.CounterpartyMsat / 1000, c.facts.CounterpartyShutdown
}

// relaying is the fee, or else another one that is allowed too, with which the closing transaction relays: what a fee leaves to the funder may be too much
// to be left out (BOLT 3) and still too little for an output with a script of an old kind. With less it is enough, with more it is left out by both.
func (c *Channel) relaying(fee uint64, allowed FeeRange) uint64 {
	funder, script := c.funderGets()
	s := &c.facts.Tx
	kept := uint64(commitment.ScriptDust(script))
	left := uint64(max(min(s.HolderDustLimit, s.CounterpartyDustLimit), 1)) - 1
	for _, other := range [...]uint64{fee, funder - min(funder, kept), funder - min(funder, left)} {
		if other != fee && !allowed.has(other) {
			continue
		}
		if _, err := commitment.MutualClose(s, c.closingTx(other)); !errors.Is(err, commitment.ErrDustOutput) {
			return other
		}
	}
	return fee
}

// closingWeight is the weight of the closing transaction before a fee is taken, with its witness (BOLT 3, Closing Transaction). It follows from the
// scripts, so that there is an answer for every channel, whether or not it can be closed.
func (c *Channel) closingWeight(dust uint64) uint64 {
	const (
		bare   = 4 + 1 + (32 + 4 + 1 + 4) + 1 + 4 // version, one input without a script, both counts, locktime
		output = 8 + 1                            // amount, length of the script
	)
	size := uint64(bare)
	f := c.facts
	if f.HolderMsat/1000 >= dust {
		size += output + uint64(len(f.HolderShutdown))
	}
	if f.CounterpartyMsat/1000 >= dust {
		size += output + uint64(len(f.CounterpartyShutdown))
	}
	return size*4 + closingWitness
}

// offerClosing proposes a fee, or one that is allowed where that one can't be: recorded, then sent (rule 17). A protocolError says that there is no
// transaction that relays.
func (c *Channel) offerClosing(fee uint64, allowed, r FeeRange) error {
	fee = c.relaying(fee, allowed)
	t, err := commitment.MutualClose(&c.facts.Tx, c.closingTx(fee))
	switch {
	case errors.Is(err, commitment.ErrDustOutput), errors.Is(err, commitment.ErrNoOutputs), errors.Is(err, commitment.ErrFunderCannotPay):
		return broken("no closing transaction with a fee of %d sat relays: %v", fee, err)
	case err != nil:
		return err
	}
	sig, err := c.signer.SignMutualClose(c.facts.KeyIndex, &c.facts.Tx, t)
	if err != nil {
		return err
	}
	c.closing.sent, c.closing.last = true, fee
	return c.apply(facts.ClosingProposed{FeeSat: fee}, c.toPeer(c.closingMsg(fee, r, sig)))
}

func (c *Channel) closingMsg(fee uint64, r FeeRange, sig lnwire.Sig) lnwire.Message {
	return &ClosingSigned{
		ClosingSigned: lnwire.ClosingSigned{ChannelID: c.wireID(), FeeSatoshis: btcutil.Amount(fee), Signature: sig},
		Range:         r,
	}
}

// closingSigned handles the peer's proposal (BOLT 2, closing_signed, the receiver's part).
func (c *Channel) closingSigned(m *lnwire.ClosingSigned) error {
	f := c.facts
	if f.MutualClose != nil {
		return c.repeatClosing()
	}
	if f.HolderShutdown == nil || f.CounterpartyShutdown == nil || !c.clear() {
		return warn("closing_signed before both sides sent shutdown and all HTLCs are gone")
	}
	if f.Tx.HolderIsFunder && !c.closing.sent {
		return warn("closing_signed before the funder's")
	}
	theirs, err := feeRangeOf(m)
	if err != nil {
		return warn("closing_signed with a fee_range that can't be read: %v", err)
	}
	fee := uint64(m.FeeSatoshis)
	if m.FeeSatoshis < 0 || m.FeeSatoshis > f.Tx.Capacity {
		return broken("closing_signed with a fee of %d sat", int64(m.FeeSatoshis))
	}
	tx, err := commitment.VerifyMutualClose(&f.Tx, c.closingTx(fee), m.Signature)
	switch {
	case errors.Is(err, commitment.ErrFunderCannotPay):
		return warn("closing_signed with a fee that the funder can't pay")
	case err != nil:
		return broken("closing_signed: %v", err)
	}
	_, ours := c.closingFees()
	wasTheirs, theirLast := c.closing.theirs, c.closing.theirLast
	c.closing.theirs, c.closing.theirLast = true, fee
	switch {
	case c.closing.sent && fee == c.closing.last:
		return c.agree(tx, m.Signature, fee, ours, false)
	case theirs != nil:
		return c.answerRange(tx, m.Signature, fee, ours, *theirs)
	case wasTheirs && c.closing.sent && !strictlyBetween(fee, theirLast, c.closing.last):
		return warn("closing_signed with %d sat, want more than %d and less than %d, or the reverse", fee, theirLast, c.closing.last)
	case ours.has(fee):
		return c.agree(tx, m.Signature, fee, ours, true)
	}
	return c.bargain(fee, ours)
}

// answerRange negotiates with fee_range, where one answer is enough.
func (c *Channel) answerRange(tx *commitment.CloseTx, sig lnwire.Sig, fee uint64, ours, theirs FeeRange) error {
	common, ok := ours.overlap(theirs)
	switch {
	case !ok:
		return warn("no closing fee suits both of us: you accept %d to %d sat, we %d to %d", theirs.Min, theirs.Max, ours.Min, ours.Max)
	case common.has(fee):
		return c.agree(tx, sig, fee, ours, true)
	case c.facts.Tx.HolderIsFunder:
		return broken("closing_signed with %d sat, but both of us accept %d to %d only", fee, common.Min, common.Max)
	case c.closing.sent:
		return broken("closing_signed with %d sat, but %d were proposed", fee, c.closing.last)
	}
	return c.offerClosing(common.nearest(fee), common, ours)
}

// bargain negotiates without fee_range: each proposal strictly between the last ones of both.
func (c *Channel) bargain(fee uint64, ours FeeRange) error {
	next, allowed := fee, ours
	if c.closing.sent {
		next = (fee + c.closing.last) / 2
		allowed, _ = ours.overlap(FeeRange{Min: min(fee, c.closing.last) + 1, Max: max(fee, c.closing.last) - 1})
	}
	next = ours.nearest(next)
	if c.closing.sent && !strictlyBetween(next, fee, c.closing.last) {
		return warn("no closing fee suits both of us: you propose %d sat, we accept %d to %d", fee, ours.Min, ours.Max)
	}
	return c.offerClosing(next, allowed, ours)
}

func strictlyBetween(v, a, b uint64) bool { return min(a, b) < v && v < max(a, b) }

// agree completes the close: both signatures are known. The transaction is durable before it is broadcast, and before our signature for this
// fee leaves (rule 17).
func (c *Channel) agree(t *commitment.CloseTx, theirSig lnwire.Sig, fee uint64, r FeeRange, answer bool) error {
	f := c.facts
	holderSig, err := c.signer.SignMutualClose(f.KeyIndex, &f.Tx, t)
	if err != nil {
		return err
	}
	tx, err := t.Complete(&f.Tx, holderSig, theirSig)
	if err != nil {
		return err
	}
	if f.ClosingFeeSat != fee {
		if err := c.apply(facts.ClosingProposed{FeeSat: fee}); err != nil {
			return err
		}
	}
	var then []messages.Delivery
	if answer {
		then = append(then, c.toPeer(c.closingMsg(fee, r, holderSig)))
	}
	c.closing.sent, c.closing.last = true, fee
	return c.apply(facts.MutualClosed{Tx: tx}, append(then, messages.Delivery{
		To: messages.ChainWatchAddr, Msg: messages.Broadcast{Tx: tx, Label: "mutual close", Channel: c.id},
	})...)
}

// repeatClosing gives our signature of the closing transaction again, once in a connection: the peer may have missed it. That transaction is
// durable, so there is nothing new to record.
func (c *Channel) repeatClosing() error {
	if c.closing.sent || c.session.link != linkUp {
		return nil
	}
	f := c.facts
	script, _, err := commitment.FundingScript(f.Tx.Holder.Funding, f.Tx.Counterparty.Funding)
	if err != nil {
		return err
	}
	sig, err := c.signer.SignMutualClose(f.KeyIndex, &f.Tx, &commitment.CloseTx{
		Tx: f.MutualClose, Capacity: f.Tx.Capacity, FundingScript: script,
	})
	if err != nil {
		return err
	}
	c.closing.sent, c.closing.last = true, f.ClosingFeeSat
	c.say(c.closingMsg(f.ClosingFeeSat, FeeRange{Min: f.ClosingFeeSat, Max: f.ClosingFeeSat}, sig))
	return nil
}
