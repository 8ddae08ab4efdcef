package cli_test

import (
	"context"
	"fmt"
	"testing"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// TestChainAwayAndBack: a btcd goes away and comes back under a light client and a client of its RPC. Both nodes say that they have lost the chain, and that they
// have it again; payments go on meanwhile; no block is missed; in the end all money is accounted for, to the satoshi.
func TestChainAwayAndBack(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes")
	}
	t.Parallel()
	c := btcdPair(t, "neutrino", "btcd")
	c.start(t)
	c.open(t)
	asked := map[string]bool{}
	bothWays := func(name string) {
		paid(t, c.alice, c.bob, asked, name)
		paid(t, c.bob, c.alice, asked, name)
		paid(t, c.alice, c.bob, asked, name+"-more")
	}
	bothWays("before")
	for _, p := range c.sides() {
		poll(t, patience, p.name+" to be ready", func(ctx context.Context) bool { return p.health(ctx).GetReady() })
	}

	c.btcd.Stop(t)
	for _, p := range c.sides() {
		poll(t, patience, p.name+" to miss the chain", func(ctx context.Context) bool {
			lost, _ := p.has(ctx, "chain_lost")
			return lost && !p.health(ctx).GetReady() && p.health(ctx).GetAlive()
		})
	}
	bothWays("meanwhile")

	c.btcd.Restart(t)
	c.fund(t, c.alice, 70_000)
	c.fund(t, c.bob, 30_000)
	c.mine(t, 1)
	c.mine(t, 2)
	_, height := c.btcd.Tip(t)
	for _, p := range c.sides() {
		poll(t, patience, p.name+" to have the chain again", func(ctx context.Context) bool {
			lost, answered := p.has(ctx, "chain_lost")
			info, err := p.api.GetInfo(ctx, &apiv1.GetInfoRequest{})
			return answered && !lost && err == nil && info.GetHeight() == uint32(height) && info.GetSynced() && p.health(ctx).GetReady()
		})
	}
	c.has(t, c.bob, c.coins[c.bob])
	c.has(t, c.alice, c.coins[c.alice]-capacitySat-uint64(c.fees))
	bothWays("after")

	var given int64
	for i, p := range c.sides() {
		list, err := p.api.ListPayments(t.Context(), &apiv1.ListPaymentsRequest{Limit: 10_000})
		must(t, err)
		for _, pay := range list.GetPayments() {
			if pay.GetStatus() == apiv1.PaymentStatus_PAYMENT_STATUS_SENT {
				given += int64(pay.GetAmountMsat()) * int64(1-2*i)
			}
		}
	}
	c.closeAndCount(t, given)
	c.stop(t)
}

// TestKilledChain: the embedded chain ends with the process that serves it, and goes on where it was.
func TestKilledChain(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes")
	}
	t.Parallel()
	c := servedPair(t)
	c.start(t)
	c.open(t)
	asked := map[string]bool{}
	paid(t, c.alice, c.bob, asked, "before")
	height := func(p *process) uint32 {
		info, err := p.api.GetInfo(t.Context(), &apiv1.GetInfoRequest{})
		must(t, err)
		return info.GetHeight()
	}
	was := height(c.alice)
	c.alice.kill()
	c.alice.start(t)
	poll(t, patience, fmt.Sprintf("block %d to be there again", was), func(context.Context) bool { return height(c.alice) == was })
	paid(t, c.alice, c.bob, asked, "after")
	paid(t, c.bob, c.alice, asked, "after")
	c.mine(t, 1)
	poll(t, patience, "the next block", func(context.Context) bool { return height(c.bob) == was+1 })
	c.stop(t)
}
