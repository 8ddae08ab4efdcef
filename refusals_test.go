package lnactor_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// TestOpenChannelRefusals: each refusal is typed, opens nothing and binds no coin.
func TestOpenChannelRefusals(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	var before lnactor.Balance
	waitFor(t, ctx, "the change of the first channel", func() (ok bool) {
		var err error
		before, err = p.alice.Balance(ctx)
		return err == nil && before.ConfirmedSat > 0 && before.UnconfirmedSat == 0
	})
	var funds *lnactor.InsufficientFundsError
	for _, tc := range []struct {
		name string
		p    lnactor.OpenParams
		is   func(error) bool
	}{
		{"stranger", lnactor.OpenParams{Peer: p.alice.ID(), CapacitySat: 500_000}, func(err error) bool { return errors.Is(err, lnactor.ErrNotConnected) }},
		{"too small", lnactor.OpenParams{Peer: p.bob.ID(), CapacitySat: 100}, func(err error) bool { return errors.Is(err, lnactor.ErrRejected) }},
		{"pushes all", lnactor.OpenParams{Peer: p.bob.ID(), CapacitySat: 500_000, PushMsat: 500_000_000}, func(err error) bool { return errors.Is(err, lnactor.ErrRejected) }},
		{"too little money", lnactor.OpenParams{Peer: p.bob.ID(), CapacitySat: 900_000_000}, func(err error) bool { return errors.As(err, &funds) }},
	} {
		_, err := p.alice.OpenChannel(ctx, tc.p)
		if !tc.is(err) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	after, err := p.alice.Balance(ctx)
	if err != nil || after != before {
		t.Fatalf("balance was %+v, is %+v, %v", before, after, err)
	}
	if list, err := p.alice.Channels(ctx); err != nil || len(list) != 1 {
		t.Fatalf("%d channels, %v", len(list), err)
	}
}

func TestPayRefusals(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	invoice := func(n *lnactor.Node, msat uint64) string {
		inv, err := n.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: msat})
		if err != nil {
			t.Fatal(err)
		}
		return inv.Bolt11
	}
	id := lnactor.PaymentID{9}
	for _, tc := range []struct {
		name, bolt11 string
		is           error
		opts         []lnactor.PayOption
	}{
		{"garbage", "lnbcrt1garbage", lnactor.ErrInvoiceMalformed, nil},
		{"other network", "lnbc20u1garbage", lnactor.ErrWrongNetwork, nil},
		{"too much", invoice(p.bob, 900_000_000), lnactor.ErrBalance, nil},
		{"to itself", invoice(p.alice, 1000), lnactor.ErrSelfPayment, nil},
		{"no amount", invoice(p.bob, 0), lnactor.ErrAmount, nil},
		{"other amount", invoice(p.bob, 1000), lnactor.ErrAmount, []lnactor.PayOption{lnactor.WithAmount(999)}},
	} {
		_, err := p.alice.Pay(ctx, tc.bolt11, append(tc.opts, lnactor.WithPaymentID(id))...)
		if !errors.Is(err, tc.is) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.is)
		}
	}
	// None of them used the id.
	if _, err := p.alice.GetPayment(ctx, id); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := p.alice.Pay(ctx, invoice(p.bob, 0), lnactor.WithPaymentID(id), lnactor.WithAmount(2_000_000)); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, p.alice, func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.PaymentSent); return ok })
}

// TestHeldPayment: with ManualClaim the user decides; refusing gives the payer the money back.
func TestHeldPayment(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPairWith(t, ctx, func(cfg *lnactor.Config) { cfg.ManualClaim = true })
	for _, claim := range []bool{true, false} {
		inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 3_000_000})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.alice.Pay(ctx, inv.Bolt11); err != nil {
			t.Fatal(err)
		}
		await(t, ctx, p.bob, func(ev lnactor.Event) bool {
			c, ok := ev.Kind.(lnactor.PaymentClaimable)
			return ok && c.Hash == inv.Hash
		})
		decide := p.bob.RefusePayment
		if claim {
			decide = p.bob.ClaimPayment
		}
		if err := decide(ctx, inv.Hash); err != nil {
			t.Fatal(err)
		}
		await(t, ctx, p.alice, func(ev lnactor.Event) bool {
			switch k := ev.Kind.(type) {
			case lnactor.PaymentSent:
				return claim && k.Hash == inv.Hash
			case lnactor.PaymentFailed:
				return !claim && k.Hash == inv.Hash
			}
			return false
		})
		if err := decide(ctx, inv.Hash); !errors.Is(err, lnactor.ErrNotHeld) {
			t.Fatalf("decided twice: %v", err)
		}
	}
}

// TestForceClose: the holder commitment reaches the chain, both sides say why, and nothing of the channel is used any more.
func TestForceClose(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	if err := p.alice.ForceCloseChannel(ctx, p.channel); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "commitment transaction", func() bool { return len(p.chain.Mempool()) > 0 })
	if _, err := p.chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, p.alice, func(ev lnactor.Event) bool {
		c, ok := ev.Kind.(lnactor.ChannelClosed)
		return ok && c.Cause == lnactor.ClosedByUs
	})
	await(t, ctx, p.bob, func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.ChannelClosed); return ok })
	inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.alice.Pay(ctx, inv.Bolt11); !errors.Is(err, lnactor.ErrNoChannel) {
		t.Fatal(err)
	}
	waitFor(t, ctx, "phase", func() bool { return channelOf(t, ctx, p.alice, p.channel).Phase == lnactor.PhaseClosed })
}

// TestSetChannelFee: the funder changes the fee, and both sides agree on it.
func TestSetChannelFee(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	if err := p.alice.SetChannelFee(ctx, p.channel, 1234); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "the new fee", func() bool {
		return channelOf(t, ctx, p.alice, p.channel).FeePerKw == 1234 && channelOf(t, ctx, p.bob, p.channel).FeePerKw == 1234
	})
	if err := p.alice.SetChannelFee(ctx, lnactor.ChannelID{1}, 1234); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatal(err)
	}
}

// TestReorganisation: a channel whose funding transaction moves to another block goes on when it is as deep there.
func TestReorganisation(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	before, err := p.alice.Channels(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.chain.Reorg(3, 5); err != nil { // into empty blocks
		t.Fatal(err)
	}
	if _, err := p.chain.Mine(3); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*lnactor.Node{p.alice, p.bob} {
		for {
			now, err := n.Channels(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if now[0].Phase == lnactor.PhaseOpen && now[0].ShortChannelID != before[0].ShortChannelID {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("height %d, channel %+v", p.chain.Height(), now[0])
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
	inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.alice.Pay(ctx, inv.Bolt11); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, p.alice, func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.PaymentSent); return ok })
}

// TestOpenChannelWithoutFees: beyond regtest and simnet no channel is opened while nothing estimates fees, unless a rate is given.
func TestOpenChannelWithoutFees(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	elsewhere := *chain.Params()
	elsewhere.Name = "elsewhere"
	n, err := lnactor.Open(ctx, lnactor.Config{Chain: chain.Source(), Params: &elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if _, err := n.OpenChannel(ctx, lnactor.OpenParams{Peer: n.ID(), CapacitySat: 500_000}); !errors.Is(err, lnactor.ErrNoFeeSource) {
		t.Errorf("without a rate: %v", err)
	}
	if _, err := n.OpenChannel(ctx, lnactor.OpenParams{Peer: n.ID(), CapacitySat: 500_000, FeePerKw: 300}); !errors.Is(err, lnactor.ErrNotConnected) {
		t.Errorf("with a rate: %v", err)
	}
}
