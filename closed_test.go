package lnactor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestClosedChannel: a closed channel is shown with what closed it until all is deep in the chain; then it is reported once more and kept among the
// closed ones, also over a restart.
func TestClosedChannel(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	p := newPair(t, ctx, dir, t.TempDir())
	if list, next, err := p.alice.ClosedChannels(ctx, nil, 0); err != nil || len(list) != 0 || len(next) != 0 {
		t.Fatalf("%v (%v)", list, err)
	}
	if err := p.alice.CloseChannel(ctx, p.channel); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "closing transaction", func() bool { return len(p.chain.Mempool()) > 0 })
	if _, err := p.chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, p.alice, func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.ChannelClosed); return ok })
	c := channelOf(t, ctx, p.alice, p.channel)
	if c.Phase != lnactor.PhaseClosed || c.Spent == nil || c.Spent.Spend != lnactor.SpendMutualClose {
		t.Fatalf("phase %s, spent %+v", c.Phase, c.Spent)
	}
	if _, err := p.chain.Mine(110); err != nil {
		t.Fatal(err)
	}
	resolved := func(ev lnactor.Event) bool {
		r, ok := ev.Kind.(lnactor.ChannelResolved)
		return ok && r.Closed.Channel == p.channel
	}
	await(t, ctx, p.alice, resolved)
	await(t, ctx, p.bob, resolved)
	if got := summary(ctx, p.alice, p.channel); got != nil {
		t.Fatalf("still among the channels: %+v", got)
	}
	if err := p.alice.ForceCloseChannel(ctx, p.channel); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatalf("closed again: %v", err)
	}
	check := func(n *lnactor.Node) {
		t.Helper()
		list, next, err := n.ClosedChannels(ctx, nil, 1)
		if err != nil || len(list) != 1 || len(next) != 0 {
			t.Fatalf("%v (%v)", list, err)
		}
		got := list[0]
		if got.Channel != p.channel || got.Peer != p.bob.ID() || got.CapacitySat != 1_000_000 || got.Spend != lnactor.SpendMutualClose ||
			got.ClosingTxid != [32]byte(c.Spent.Txid) || got.SweptSat+got.FeesSat != 700_000 || got.LostSat != 0 {
			t.Fatalf("%+v", got)
		}
	}
	check(p.alice)
	if err := p.alice.Close(); err != nil {
		t.Fatal(err)
	}
	alice, err := openOn(ctx, p.chain, dir, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	check(alice)
}
