package channel

import (
	"github.com/lnactor/lnactor/internal/facts"
)

// wantFee notes the fee rate for the next commitment; the newest wish counts, until the estimates move.
func (c *Channel) wantFee(feePerKw uint32) {
	if !c.facts.Tx.HolderIsFunder || feePerKw < c.cfg.MinFeePerKw || feePerKw > c.cfg.MaxFeePerKw {
		return
	}
	c.fee, c.market = feePerKw, 0
	c.arm()
}

// followFee asks for a commitment if the estimates want another fee rate.
func (c *Channel) followFee() {
	if c.up() && c.marketFee(c.facts.Fee(facts.CounterpartyNext)) != 0 {
		c.arm()
	}
}

// marketFee is the fee rate that the estimates want instead of the one that the next commitment would have, 0 for none. Each change costs a round of
// commitments, so it takes a rise by a quarter or a fall by two fifths: a rate that is too low endangers the channel when nodes drop the commitment, one
// that is too high only binds a few satoshis.
func (c *Channel) marketFee(now uint32) uint32 {
	f := c.facts
	if !c.cfg.FollowFees || c.market == 0 || !f.Tx.HolderIsFunder || !f.Open() {
		return 0
	}
	want := min(max(c.market, c.cfg.MinFeePerKw), c.cfg.MaxFeePerKw)
	if rise, fall := uint64(want)*4 >= uint64(now)*5, uint64(want)*5 <= uint64(now)*3; !rise && !fall {
		return 0
	}
	return want
}

// takeFee takes the fee rate that is wanted, if we can pay for it. If not, a wish is forgotten, and estimates are tried again with the next commitment.
func (c *Channel) takeFee(o *offers) uint32 {
	fee := c.fee
	c.fee = 0
	if fee == 0 {
		fee = c.marketFee(o.counterparty.feePerKw)
	}
	if fee == 0 || fee == o.counterparty.feePerKw || c.facts.HolderShutdown != nil || c.facts.CounterpartyShutdown != nil {
		return 0
	}
	if !o.raise(fee) {
		return 0
	}
	return fee
}
