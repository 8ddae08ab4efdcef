package lnactor_test

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// pair is two connected nodes on one chain, with a channel between them.
type pair struct {
	chain      *regtest.Chain
	alice, bob *lnactor.Node
	channel    lnactor.ChannelID
}

func await(t testing.TB, ctx context.Context, n *lnactor.Node, want func(lnactor.Event) bool) {
	t.Helper()
	for ev, err := range n.Events(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if want(ev) {
			return // without an acknowledgement: the event comes again to whoever waits next
		}
	}
}

func newPair(t testing.TB, ctx context.Context, dirs ...string) *pair {
	t.Helper()
	return newPairWith(t, ctx, func(*lnactor.Config) {}, dirs...)
}

func newPairWith(t testing.TB, ctx context.Context, edit func(*lnactor.Config), dirs ...string) *pair {
	t.Helper()
	return newPairOf(t, ctx, 1_000_000, edit, dirs...)
}

// newPairOf makes a channel of this capacity, 30 % of it at the second node.
func newPairOf(t testing.TB, ctx context.Context, capacitySat uint64, edit func(*lnactor.Config), dirs ...string) *pair {
	t.Helper()
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	open := func(i int) *lnactor.Node {
		cfg := lnactor.Config{Chain: chain.Source(), Params: chain.Params(), Listen: "127.0.0.1:0", MinDepth: 1}
		if os.Getenv("LNACTOR_LOG") != "" {
			cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", i)
		}
		if len(dirs) > i {
			cfg.Dir = dirs[i]
		}
		edit(&cfg)
		n, err := lnactor.Open(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	p := &pair{chain: chain, alice: open(0), bob: open(1)}
	fund(t, ctx, p.chain, p.alice, int64(capacitySat)*10)
	if err := p.alice.Connect(ctx, p.bob.ID(), p.bob.ListenAddress()); err != nil {
		t.Fatal(err)
	}
	p.channel, err = p.alice.OpenChannel(ctx, lnactor.OpenParams{Peer: p.bob.ID(), CapacitySat: capacitySat, PushMsat: capacitySat * 300})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.chain.Mine(3); err != nil {
		t.Fatal(err)
	}
	ready := func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.ChannelReady); return ok }
	await(t, ctx, p.alice, ready)
	await(t, ctx, p.bob, ready)
	return p
}

func fund(t testing.TB, ctx context.Context, chain *regtest.Chain, n *lnactor.Node, sat int64) {
	t.Helper()
	address, err := n.NewAddress(ctx)
	if err != nil {
		t.Fatal(err)
	}
	a, err := btcutil.DecodeAddress(address, chain.Params())
	if err != nil {
		t.Fatal(err)
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Fund(script, btcutil.Amount(sat)); err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	for {
		b, err := n.Balance(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if b.ConfirmedSat >= uint64(sat) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("balance %+v", b)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func TestPayOverTCP(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 25_000_000, Description: "tea"})
	if err != nil {
		t.Fatal(err)
	}
	id, err := p.alice.Pay(ctx, inv.Bolt11)
	if err != nil {
		t.Fatal(err)
	}
	await(t, ctx, p.bob, func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.PaymentClaimed); return ok })
	await(t, ctx, p.alice, func(ev lnactor.Event) bool {
		sent, ok := ev.Kind.(lnactor.PaymentSent)
		return ok && sent.PaymentID == id && sent.Hash == inv.Hash
	})
}
