package peers

import (
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestLiveFees: as the funder we change the fee of the commitments, up and down, when we are told and when the estimates move, with payments under way.
func TestLiveFees(t *testing.T) {
	r := newRig(t, setup{extra: true})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	for _, fee := range []uint32{2500, 500, 5000, 1250} {
		r.duringPayments(func() {
			must(t, r.us.SetChannelFee(r.ctx, l.id, fee))
			burst(r, 8, 4, r.wePay(1_000_000))
		})
		r.awaitFee(l, fee)
		r.balances(l)
	}
	for i, fee := range []uint32{2400, 600} {
		r.us.rate.Store(fee)
		r.duringPayments(func() { r.restartUs(i == 1) }) // they are asked for at the start, and every few minutes
		r.weDial()
		r.awaitActive(l)
		r.awaitFee(l, fee)
		r.weMustSend(1_000_000)
		r.lndMustSend(1_000_000)
		r.balances(l)
	}
	r.closeMutually(l, true)
}

// TestLiveLndFees: lnd does, as the funder, when its estimates move, with payments under way, and over a death of each side.
func TestLiveLndFees(t *testing.T) {
	r := newRig(t, setup{extra: true, quickFees: true, limit: 8 * time.Minute})
	r.connect(true)
	l := r.open(false, capacity/2, nil)
	for _, fee := range []uint32{2400, 500, 1250} {
		r.duringPayments(func() {
			r.lnd.fees.satPerKw.Store(fee)
			burst(r, 8, 4, r.wePay(1_000_000))
		})
		r.awaitFee(l, fee)
		r.balances(l)
	}
	for fee, die := range map[uint32]func(){2400: func() { r.restartUs(true) }, 600: func() { r.restartLnd(true) }} {
		r.lnd.fees.satPerKw.Store(fee)
		time.Sleep(time.Duration(r.rng.IntN(5000)) * time.Millisecond) // before, while or after lnd notices
		die()
		r.weDial()
		r.awaitActive(l)
		r.awaitFee(l, fee)
		r.weMustSend(1_000_000)
		r.lndMustSend(1_000_000)
		r.balances(l)
	}
	r.closeMutually(l, false)
}

// duringPayments does something while lnd pays us, over and over. Payments of lnd's may fail meanwhile.
func (r *rig) duringPayments(do func()) {
	r.t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		keepOn(stop, 10*time.Millisecond, func() bool {
			inv, err := r.us.now().CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: 1_000_000})
			if err == nil {
				_, _ = r.lnd.pay(r.ctx, inv.Bolt11, map[string]any{"timeout_seconds": 10})
			}
			return true
		})
	}()
	do()
	close(stop)
	<-done
}

// TestLivePolicies: lnd - lnactor - lnd. What we ask for is changed while the nodes run: the payer hears of it and pays it, and one who has not heard is
// refused and told. What lnd asks for is changed, and we hear of it and pay it.
func TestLivePolicies(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 6 * time.Minute, us: public})
	other, first, id := r.betweenLnds()
	var second lndChannel
	await(t, r.ctx, "the second lnd's channel", func() bool {
		list, err := other.channels(r.ctx)
		if err == nil && len(list) == 1 {
			second = list[0]
		}
		return second.SCID != ""
	})

	for i, p := range []lnactor.ForwardingPolicy{
		{BaseMsat: 5000, PropMillionths: 1000, CLTVDelta: 60},
		{BaseMsat: 1, PropMillionths: 0, CLTVDelta: 100, HTLCMinimumMsat: 2_000_000},
		{}, // the node's own again
	} {
		must(t, r.us.SetPolicy(r.ctx, id, p))
		want := p
		if i == 2 {
			want = r.us.Forwarding()
		}
		if i != 1 { // the payer may not have heard: it is refused with our update, and pays what that says
			await(t, r.ctx, "lnd to hear of our policy", func() bool {
				e, err := r.lnd.edge(r.ctx, second.SCID)
				got := e.policy(r.us.ID())
				return err == nil && got != nil && got.Base == uint64(want.BaseMsat) && got.PPM == uint64(want.PropMillionths) && got.Delta == uint32(want.CLTVDelta)
			})
		}
		const msat = 3_000_000
		inv, err := other.invoice(r.ctx, msat, nil)
		must(t, err)
		paid, err := r.lnd.pay(r.ctx, inv.Bolt11, nil)
		must(t, err)
		if paid.Status != "SUCCEEDED" {
			t.Fatalf("policy %+v: %+v", p, paid)
		}
		fee := uint64(want.BaseMsat) + msat*uint64(want.PropMillionths)/1_000_000
		e := awaitEvent(t, r.ctx, r.us, "PaymentForwarded", func(e lnactor.PaymentForwarded) bool { return e.Hash == lnactor.Hash(inv.Hash) })
		if e.OutAmountMsat != msat || e.FeeMsat < fee || i != 1 && e.FeeMsat != fee { // a payer who has not heard may pay what was asked before
			t.Fatalf("policy %+v: forwarded %+v, want a fee of %d", p, e, fee)
		}
	}

	// lnd's side of the channel with us, which ours to the second lnd would not use: a third node pays over it.
	must(t, r.lnd.setPolicy(r.ctx, first.point, lndPolicy{Base: 777, PPM: 333, Delta: 50}))
	await(t, r.ctx, "lnd's policy in our graph", func() bool {
		list, err := r.us.Policies(r.ctx)
		for _, p := range list {
			if err == nil && p.Channel == first.id {
				return p.Theirs.Known && p.Theirs.BaseMsat == 777 && p.Theirs.PropMillionths == 333 && p.Theirs.CLTVDelta == 50
			}
		}
		return false
	})
}

// TestLiveLndPolicies: lnactor - lnd - lnactor. lnd changes what it asks for, and we pay that.
func TestLiveLndPolicies(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 6 * time.Minute, us: public})
	w := r.throughLnd(public)
	other, first := w.other, w.links[0]
	for i, p := range []lndPolicy{{Base: 2500, PPM: 700, Delta: 60}, {Base: 10, PPM: 0, Delta: 100}, {Base: 4000, PPM: 2000, Delta: 40}} {
		must(t, r.lnd.setPolicy(r.ctx, w.links[1].point, p))
		if i != 2 { // we may not have heard of the last one: lnd refuses and sends its update with the failure
			await(t, r.ctx, "lnd's policy in our graph", func() bool {
				list, err := r.us.GraphChannels(r.ctx, 0, 0)
				for _, c := range list {
					for side, node := range c.Nodes {
						q := c.Policies[side]
						if err == nil && node == r.lnd.ID && uint64(q.BaseMsat) == p.Base && uint64(q.PropMillionths) == p.PPM && uint32(q.CLTVDelta) == p.Delta {
							return true
						}
					}
				}
				return false
			})
		}
		const msat = 3_000_000
		inv, err := other.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: msat})
		must(t, err)
		paid := r.weSend(inv.Bolt11, lnactor.WithMaxFee(50_000))
		if want := p.Base + msat*p.PPM/1_000_000; paid.Status != lnactor.PaymentIsSent || paid.FeeMsat != want {
			t.Fatalf("policy %+v: %+v, want a fee of %d", p, paid, want)
		}
		awaitEvent(t, r.ctx, other, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == inv.Hash && e.AmountMsat == msat })
	}
	r.balances(first)
}
