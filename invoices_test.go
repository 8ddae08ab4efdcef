package lnactor_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/invoice"
)

// theirs is a preimage that the payee's node does not know.
var theirs = lnactor.Preimage(sha256.Sum256([]byte("theirs")))

// TestPrivateChannelsHoldAndKeysend: a payee behind a channel that nobody hears of is found by the hint in its invoice; a payment for a hash that was
// given to its node waits for the preimage; and it takes keysend, if it wants to.
func TestPrivateChannelsHoldAndKeysend(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	carol, err := lnactor.Open(ctx, lnactor.Config{
		Chain: p.chain.Source(), Params: p.chain.Params(), Listen: "127.0.0.1:0", MinDepth: 1, AcceptKeysend: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = carol.Close() })
	fund(t, ctx, p.chain, p.bob, 5_000_000)
	if err := p.bob.Connect(ctx, carol.ID(), carol.ListenAddress()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.bob.OpenChannel(ctx, lnactor.OpenParams{Peer: carol.ID(), CapacitySat: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.chain.Mine(3); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, carol, func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.ChannelReady); return ok })

	hash := lnactor.Hash(sha256.Sum256(theirs[:]))
	var inv lnactor.Invoice
	waitFor(t, ctx, "the peer's channel_update", func() bool {
		if inv, err = carol.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 40_000_000, Hash: &hash}); err != nil {
			t.Fatal(err)
		}
		return inv.Hints == 1
	})
	req, err := invoice.Decode(inv.Bolt11, p.chain.Params(), time.Now())
	if err != nil || req.Hash != hash || !req.MPP || len(req.RouteHints) != 1 ||
		lnactor.NodeID(req.RouteHints[0][0].NodeID.SerializeCompressed()) != p.bob.ID() {
		t.Fatalf("%+v, %v", req, err)
	}
	if _, err := p.alice.Pay(ctx, inv.Bolt11); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, carol, func(ev lnactor.Event) bool {
		c, ok := ev.Kind.(lnactor.PaymentClaimable)
		return ok && c.Hash == hash && c.PreimageUnknown && c.AmountMsat == 40_000_000 && len(c.Parts) == 1 && c.Deadline > 0
	})
	if err := carol.ClaimPayment(ctx, hash); !errors.Is(err, lnactor.ErrPreimage) {
		t.Fatalf("claimed without the preimage: %v", err)
	}
	if err := carol.ClaimPaymentWith(ctx, theirs); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, p.alice, func(ev lnactor.Event) bool {
		k, ok := ev.Kind.(lnactor.PaymentSent)
		return ok && k.Hash == hash && k.Preimage == theirs
	})

	// Bob pays carol without an invoice; alice takes no such payments, and bob's come back.
	for _, payee := range []*lnactor.Node{carol, p.alice} {
		id, err := p.bob.Keysend(ctx, payee.ID(), 5_000_000)
		if err != nil {
			t.Fatal(err)
		}
		await(t, ctx, p.bob, func(ev lnactor.Event) bool {
			switch k := ev.Kind.(type) {
			case lnactor.PaymentSent:
				return k.PaymentID == id && payee == carol
			case lnactor.PaymentFailed:
				return k.PaymentID == id && payee != carol
			}
			return false
		})
	}
	await(t, ctx, carol, func(ev lnactor.Event) bool {
		k, ok := ev.Kind.(lnactor.PaymentClaimed)
		return ok && k.AmountMsat == 5_000_000
	})
}
