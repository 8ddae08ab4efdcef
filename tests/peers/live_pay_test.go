package peers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/commitment"
)

// TestLivePaymentsInSequence makes 200 payments each way, one after the other.
func TestLivePaymentsInSequence(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 5 * time.Minute})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	before, _ := r.balances(l)
	for range 200 {
		r.weMustSend(3_000_000)
	}
	if after, _ := r.balances(l); before-after != 600_000_000 {
		t.Fatalf("200 payments of 3,000,000 msat cost %d", before-after)
	}
	for range 200 {
		r.lndMustSend(3_000_000)
	}
	if after, _ := r.balances(l); before != after {
		t.Fatalf("%d msat before, %d after", before, after)
	}
}

// TestLivePaymentsAtOnce makes 200 payments each way, 32 at a time: first ours, then lnd's, then both at once.
func TestLivePaymentsAtOnce(t *testing.T) {
	for _, weFund := range []bool{true, false} {
		t.Run(fmt.Sprintf("we fund %v", weFund), func(t *testing.T) {
			r := newRig(t, setup{extra: true, limit: 5 * time.Minute})
			r.connect(weFund)
			l := r.open(weFund, capacity/2, nil)
			before, _ := r.balances(l)
			const each = 2_000_000
			burst(r, 200, 32, r.wePay(each))
			if after, _ := r.balances(l); before-after != 200*each {
				t.Fatalf("ours cost %d", before-after)
			}
			burst(r, 200, 32, r.lndPays(each))
			if after, _ := r.balances(l); before != after {
				t.Fatalf("%d msat before, %d after", before, after)
			}
			var both sync.WaitGroup
			both.Go(func() { burst(r, 200, 32, r.wePay(each)) })
			both.Go(func() { burst(r, 200, 32, r.lndPays(each+7)) })
			both.Wait()
			if after, _ := r.balances(l); after-before != 1400 {
				t.Fatalf("%d msat before, %d after", before, after)
			}
		})
	}
}

// burst runs n calls, of which so many are under way at a time.
func burst(r *rig, n, atOnce int, call func() error) {
	r.t.Helper()
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			if err := call(); err != nil {
				r.t.Error(err)
			}
		})
	}
	all.Wait()
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// keepOn does something over and over until it is told to stop, or the doing says that it is of no use.
func keepOn(stop <-chan struct{}, pause time.Duration, do func() bool) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(pause):
		}
		if !do() {
			return
		}
	}
}

// wePay is a payment of ours to lnd.
func (r *rig) wePay(msat uint64) func() error {
	return func() error {
		inv, err := r.lnd.invoice(r.ctx, msat, nil)
		if err != nil {
			return err
		}
		id, err := r.us.Pay(r.ctx, inv.Bolt11)
		if err != nil {
			return err
		}
		for {
			if _, ok := find(r.us, func(e lnactor.PaymentSent) bool { return e.PaymentID == id }); ok {
				return nil
			}
			if e, ok := find(r.us, func(e lnactor.PaymentFailed) bool { return e.PaymentID == id }); ok {
				return errors.New("our payment failed: " + e.Reason)
			}
			select {
			case <-r.ctx.Done():
				return context.Cause(r.ctx)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
}

// lndPays is a payment of lnd's to us.
func (r *rig) lndPays(msat uint64) func() error {
	return func() error {
		inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: msat})
		if err != nil {
			return err
		}
		p, err := r.lnd.pay(r.ctx, inv.Bolt11, nil)
		if err == nil && p.Status != "SUCCEEDED" {
			err = fmt.Errorf("lnd's payment: %+v", p)
		}
		return err
	}
}

// TestLiveAmounts pays everything from a millisatoshi to all that each side can send.
func TestLiveAmounts(t *testing.T) {
	for _, weFund := range []bool{true, false} {
		t.Run(fmt.Sprintf("we fund %v", weFund), func(t *testing.T) {
			r := newRig(t, setup{extra: true})
			r.connect(true)
			l := r.open(weFund, capacity/2, nil)
			for _, msat := range []uint64{1, 999, 1_000, 1_001, 353_999, 354_000, 354_001, 999_999, 123_456_789} {
				r.weMustSend(msat)
				if msat >= 1_000 { // lnd offers nothing below, by its own policy
					r.lndMustSend(msat)
				}
			}
			r.balances(l)
			// All that we can send, not a millisatoshi more, and all of it back.
			most := r.mostOfUs(l)
			inv, err := r.lnd.invoice(r.ctx, most+1, nil)
			must(t, err)
			if id, err := r.us.Pay(r.ctx, inv.Bolt11); err == nil {
				if p := r.us.outcome(t, r.ctx, id); p.Status != lnactor.PaymentFailure || !strings.Contains(p.Reason, "balance") && !strings.Contains(p.Reason, "fee") {
					t.Fatalf("%d msat: %+v", most+1, p)
				}
			} else if !errors.Is(err, lnactor.ErrBalance) {
				t.Fatal(err)
			}
			r.weMustSend(most)
			r.balances(l)
			r.lndMustSend(most)
			r.balances(l)
			// As much as lnd will send: close to all that it has above its reserve.
			c, err := r.lnd.channel(r.ctx, l.point)
			must(t, err)
			for off := uint64(0); ; off += 1000 {
				msat := (c.Local - capacity/100 - off) * 1000
				inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: msat})
				must(t, err)
				p, err := r.lnd.pay(r.ctx, inv.Bolt11, nil)
				must(t, err)
				if p.Status == "SUCCEEDED" {
					t.Logf("lnd sent %d of %d msat", msat, c.Local*1000)
					break
				}
				if off > 20_000 || p.Failure != "FAILURE_REASON_INSUFFICIENT_BALANCE" {
					t.Fatalf("lnd's payment of %d msat: %+v", msat, p)
				}
			}
			r.balances(l)
			r.weMustSend(200_000_000)
			r.balances(l)
		})
	}
}

// mostOfUs is the most that we can send in one payment (BOLT 2: reserve, fee and, as funder, the fee spike buffer).
func (r *rig) mostOfUs(l link) uint64 {
	r.t.Helper()
	c := r.us.channel(r.ctx, l.id)
	keep := c.Reserves.HolderMsat
	if l.ours {
		keep += uint64(commitment.CommitFee(2*satPerKw(c.FeePerKw), 2)+commitment.AnchorsAmount) * 1000
	}
	return min(c.HolderMsat-keep, c.Reserves.MaxInFlightMsat)
}

// TestLiveAmountless pays invoices that leave the amount to the payer, in both directions.
func TestLiveAmountless(t *testing.T) {
	r := newRig(t, setup{extra: true})
	r.connect(true)
	r.open(true, capacity/2, nil)
	inv, err := r.lnd.invoice(r.ctx, 0, nil)
	must(t, err)
	if _, err := r.us.Pay(r.ctx, inv.Bolt11); !errors.Is(err, lnactor.ErrAmount) {
		t.Fatal(err)
	}
	if p := r.weSend(inv.Bolt11, lnactor.WithAmount(4_321_000)); p.Status != lnactor.PaymentIsSent {
		t.Fatalf("%+v", p)
	}
	if got, err := r.lnd.lookup(r.ctx, inv.Hash); err != nil || got.Paid != 4_321_000 || got.State != "SETTLED" {
		t.Fatalf("%+v, %v", got, err)
	}
	ours, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{})
	must(t, err)
	p, err := r.lnd.pay(r.ctx, ours.Bolt11, map[string]any{"amt_msat": "7654321"})
	if err != nil || p.Status != "SUCCEEDED" {
		t.Fatalf("%+v, %v", p, err)
	}
	awaitEvent(t, r.ctx, r.us, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == ours.Hash && e.AmountMsat == 7_654_321 })
}

// TestLiveHeldPayments: payments that the payee decides about later, by hold invoices of lnd and by ManualClaim of ours, claimed and refused.
func TestLiveHeldPayments(t *testing.T) {
	r := newRig(t, setup{extra: true, us: func(c *lnactor.Config) { c.ManualClaim = true }})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	before, _ := r.balances(l)

	held := r.weOffer(50_000_000, 60_000_000)
	must(t, r.lnd.settle(r.ctx, held[0].preimage))
	must(t, r.lnd.cancel(r.ctx, held[1].hash[:]))
	if p := r.us.outcome(t, r.ctx, held[0].id); p.Status != lnactor.PaymentIsSent || p.Preimage != held[0].preimage {
		t.Fatalf("%+v", p)
	}
	if p := r.us.outcome(t, r.ctx, held[1].id); p.Status != lnactor.PaymentFailure {
		t.Fatalf("%+v", p)
	}

	offered := r.lndOffers(30_000_000, 40_000_000)
	must(t, r.us.ClaimPayment(r.ctx, offered[0].hash))
	must(t, r.us.RefusePayment(r.ctx, offered[1].hash))
	if p := <-offered[0].outcome; p.Status != "SUCCEEDED" {
		t.Fatalf("claimed: %+v", p)
	}
	if p := <-offered[1].outcome; p.Status != "FAILED" || p.Failure != "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS" {
		t.Fatalf("refused: %+v", p)
	}
	if after, _ := r.balances(l); before-after != 20_000_000 {
		t.Fatalf("%d msat before, %d after", before, after)
	}
}
