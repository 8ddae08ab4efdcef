package demo

import (
	"context"
	"fmt"
)

// settleBooks writes down what the close brought each side, and compares what the chain, the nodes and the users say about it.
func (c *course) settleBooks(ctx context.Context) error {
	stands, err := c.follow(ctx, nil)
	if err != nil {
		return err
	}
	c.book.UnclaimedSat, _ = c.mine.left()
	for _, s := range c.sides { // the cheater's node does not run: he has what he had on chain, and nothing else
		side := c.book.Sides[s.name]
		side.WalletAfterSat, side.LostSat = side.WalletBeforeSat, side.ChannelSat
		c.book.Sides[s.name] = side
	}
	for _, now := range stands {
		if !now.Archived {
			c.fault("%s: the channel is not archived", now.Node)
		}
		side, b := c.book.Sides[now.Node], now.Balance
		side.WalletAfterSat, side.SweptSat, side.LostSat, side.CommitFeesSat = now.WalletSat, b.Swept, b.Lost, b.Fees
		c.book.Sides[now.Node] = side
	}
	for _, h := range c.held {
		how, reason, _ := c.ledger.outcome(h.id)
		switch {
		case h.claimed && how == sent:
			c.book.Held.Claimed++
		case !h.claimed && how == failed:
			c.book.Held.Returned++
		default:
			c.fault("%s: payment %s was held, claimed: %t, and the payer has it as %s (%s)", h.payer.name, h.id, h.claimed, how, reason)
		}
	}
	shares, moves := map[string]int64{}, c.ledger.moves()
	for _, s := range c.sides {
		shares[s.name] = int64(c.start[s.name].ChannelMsat) + moves[s.name] //nolint:gosec // below the capacity
	}
	c.report.Faults = append(c.report.Faults, c.book.audit([2]string{c.alice().name, c.bob().name}, shares)...)
	return nil
}

// audit adds the transactions' fees up and looks whether everything fits. funder and other are the sides, shares is what the channel's payments
// made each side's own, in msat.
func (o *OnChain) audit(sides [2]string, shares map[string]int64) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	byTxs := map[string]uint64{}
	o.FeesSat = 0
	for _, t := range o.Transactions {
		o.FeesSat += t.FeeSat
		if t.Txid != o.ClosingTxid {
			byTxs[t.By] += t.FeeSat
		}
	}
	in, out := uint64(capacitySat), o.FeesSat+o.UnclaimedSat
	for i, name := range sides {
		side := o.Sides[name]
		side.TxFeesSat = byTxs[name]
		o.Sides[name] = side
		in, out = in+side.WalletBeforeSat, out+side.WalletAfterSat
		if want := side.WalletBeforeSat + side.SweptSat - side.TxFeesSat; side.WalletAfterSat != want {
			fault("%s: has %d sat on chain and should have %d", name, side.WalletAfterSat, want)
		}
		want := shares[name] / 1000
		if o.Kind == CloseForce && i > 0 {
			want += anchorSat // the funder paid for it
		}
		if got := int64(side.SweptSat + side.CommitFeesSat); got != want && o.Kind != CloseRevoked { //nolint:gosec // below the capacity
			fault("%s: got %d sat of the channel, fees included, and should have %d", name, got, want)
		}
	}
	if in != out {
		fault("on chain: %d sat went in, and %d are in the wallets, fees and outputs that nobody claims", in, out)
	}
	if victim := o.Sides[sides[0]]; o.Kind == CloseRevoked && victim.SweptSat+victim.CommitFeesSat != capacitySat {
		fault("%s: got %d sat of the channel, fees included: the cheater kept something", sides[0], victim.SweptSat+victim.CommitFeesSat)
	}
	return faults
}
