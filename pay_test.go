package lnactor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// outcome waits for how a payment ends.
func outcome(t *testing.T, ctx context.Context, n *lnactor.Node, id lnactor.PaymentID) any {
	t.Helper()
	var end any
	await(t, ctx, n, func(ev lnactor.Event) bool {
		switch k := ev.Kind.(type) {
		case lnactor.PaymentSent:
			end = k
			return k.PaymentID == id
		case lnactor.PaymentFailed:
			end = k
			return k.PaymentID == id
		}
		return false
	})
	return end
}

// TestPayInParts: an amount that no channel can carry alone goes over two, and is one payment for both.
func TestPayInParts(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	second, err := p.alice.OpenChannel(ctx, lnactor.OpenParams{Peer: p.bob.ID(), CapacitySat: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.chain.Mine(3); err != nil {
		t.Fatal(err)
	}
	ready := func(ev lnactor.Event) bool { c, ok := ev.Kind.(lnactor.ChannelReady); return ok && c.Channel == second }
	await(t, ctx, p.alice, ready)
	await(t, ctx, p.bob, ready)
	const amount = 1_500_000_000
	inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: amount})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.alice.Pay(ctx, inv.Bolt11, lnactor.WithMaxParts(1)); !errors.Is(err, lnactor.ErrBalance) {
		t.Fatal(err)
	}
	id, err := p.alice.Pay(ctx, inv.Bolt11)
	if err != nil {
		t.Fatal(err)
	}
	sent, ok := outcome(t, ctx, p.alice, id).(lnactor.PaymentSent)
	if !ok || sent.AmountMsat != amount || sent.FeeMsat != 0 {
		t.Fatalf("%+v", sent)
	}
	await(t, ctx, p.bob, func(ev lnactor.Event) bool {
		c, ok := ev.Kind.(lnactor.PaymentClaimed)
		if ok && (c.AmountMsat != amount || len(c.Parts) < 2) {
			t.Errorf("%+v", c)
		}
		return ok
	})
	pay, err := p.alice.GetPayment(ctx, id)
	if err != nil || len(pay.Parts) < 2 {
		t.Fatalf("%+v %v", pay, err)
	}
	var sum uint64
	channels := map[lnactor.ChannelID]bool{}
	for _, a := range pay.Parts {
		sum += a.AmountMsat
		channels[a.Channel] = true
		if len(a.Hops) != 1 || a.Hops[0].To != p.bob.ID() {
			t.Errorf("%+v", a)
		}
	}
	if sum != amount || len(channels) != 2 {
		t.Errorf("%d msat over %d channels", sum, len(channels))
	}
	if err := p.alice.AbandonPayment(ctx, id); !errors.Is(err, lnactor.ErrPaymentOver) {
		t.Error(err)
	}
	if err := p.alice.AbandonPayment(ctx, lnactor.PaymentID{5}); !errors.Is(err, lnactor.ErrNotFound) {
		t.Error(err)
	}
}

// TestKeysend: a payment without an invoice, to a node that takes them and to one that does not.
func TestKeysend(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPairWith(t, ctx, func(cfg *lnactor.Config) { cfg.AcceptKeysend = true })
	id, err := p.alice.Keysend(ctx, p.bob.ID(), 7_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if sent, ok := outcome(t, ctx, p.alice, id).(lnactor.PaymentSent); !ok || sent.AmountMsat != 7_000_000 {
		t.Fatalf("%+v", sent)
	}
	await(t, ctx, p.bob, func(ev lnactor.Event) bool {
		c, ok := ev.Kind.(lnactor.PaymentClaimed)
		return ok && c.AmountMsat == 7_000_000
	})
	for _, bad := range []uint64{0, 900_000_000_000} {
		if _, err := p.alice.Keysend(ctx, p.bob.ID(), bad); !errors.Is(err, lnactor.ErrAmount) && !errors.Is(err, lnactor.ErrBalance) {
			t.Error(err)
		}
	}
	if _, err := p.alice.Keysend(ctx, lnactor.NodeID{2, 9}, 1000); !errors.Is(err, lnactor.ErrNoRoute) {
		t.Error(err)
	}
	q := newPair(t, ctx)
	if id, err = q.alice.Keysend(ctx, q.bob.ID(), 7_000_000); err != nil {
		t.Fatal(err)
	}
	if failed, ok := outcome(t, ctx, q.alice, id).(lnactor.PaymentFailed); !ok || failed.Reason == "" {
		t.Fatalf("%+v", failed)
	}
}

// TestPayLimits: options that make no sense are refused, and nothing is used up.
func TestPayLimits(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 5_000_000})
	if err != nil {
		t.Fatal(err)
	}
	id := lnactor.PaymentID{7}
	for _, percent := range []float64{-2, 101} {
		if _, err := p.alice.Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id), lnactor.WithMaxFeePercent(percent)); !errors.Is(err, lnactor.ErrAmount) {
			t.Error(percent, err)
		}
	}
	if _, err := p.alice.Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id), lnactor.WithMaxFeePercent(0), lnactor.WithTimeout(time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, ok := outcome(t, ctx, p.alice, id).(lnactor.PaymentSent); !ok {
		t.Fatal("not sent")
	}
}
