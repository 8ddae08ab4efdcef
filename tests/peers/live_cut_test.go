package peers

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/ln"
)

// course is something that goes on in a channel while the connection is lost, at each of these moments.
type course struct {
	name string
	run  func(*cutRig, cut)
	cuts []cut
}

// cutRig is a rig with a channel and what was paid over it.
type cutRig struct {
	*rig
	faults *cutter
	link   link
	msat   uint64 // of the last payment
	sent   uint64 // of ours, in all
	n      int
}

func join(lists ...[]cut) (all []cut) {
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// commitments are both dances of a payment: one that takes the HTLC in, one that takes it out.
func commitments() []cut {
	return join(around(lnwire.MsgCommitSig, 1), around(lnwire.MsgRevokeAndAck, 1), around(lnwire.MsgCommitSig, 2), around(lnwire.MsgRevokeAndAck, 2))
}

// courses of an open channel.
func courses() []course {
	return []course{
		{"we pay", (*cutRig).wePayCut, join(aroundSending(lnwire.MsgUpdateAddHTLC, 1), commitments(), aroundReceiving(lnwire.MsgUpdateFulfillHTLC, 1))},
		{"lnd pays", (*cutRig).lndPaysCut, join(aroundReceiving(lnwire.MsgUpdateAddHTLC, 1), commitments(), aroundSending(lnwire.MsgUpdateFulfillHTLC, 1))},
		{"lnd refuses", (*cutRig).lndRefusesCut, aroundReceiving(lnwire.MsgUpdateFailHTLC, 1)},
		{"we refuse", (*cutRig).weRefuseCut, aroundSending(lnwire.MsgUpdateFailHTLC, 1)},
		{"reconnect", (*cutRig).reconnectCut, join(around(lnwire.MsgInit, 1), around(lnwire.MsgChannelReestablish, 1))},
	}
}

// fewCourses are those of which some run in CI.
func fewCourses() []course {
	all := courses()
	all[0].cuts = join(aroundReceiving(lnwire.MsgRevokeAndAck, 1), aroundReceiving(lnwire.MsgUpdateFulfillHTLC, 1))
	all[1].cuts = join(aroundSending(lnwire.MsgRevokeAndAck, 1), aroundSending(lnwire.MsgUpdateFulfillHTLC, 1))
	all[4].cuts = aroundSending(lnwire.MsgChannelReestablish, 1)
	return []course{all[0], all[1], all[4]}
}

// TestLiveCuts loses the connection before and after each message of payments. The channel comes back each time, no payment is lost, stuck or made twice,
// and the balances are what the outcomes make them.
func TestLiveCuts(t *testing.T) {
	for _, weFund := range []bool{true, false} {
		t.Run(fmt.Sprintf("we fund %v", weFund), func(t *testing.T) {
			list := courses()
			s := setup{limit: 15 * time.Minute}
			if *flagLive == "some" {
				list, s.extra = fewCourses(), !weFund
			}
			faults := &cutter{}
			s.us = func(c *lnactor.Config) { c.Faults = faults }
			r := &cutRig{rig: newRig(t, s), faults: faults, msat: 5_000_000}
			r.connect(true)
			r.link = r.open(weFund, capacity/2, nil)
			before, _ := r.balances(r.link)
			if weFund && *flagLive != "some" {
				list = append(list, course{"our fee", (*cutRig).ourFeeCut, join(aroundSending(lnwire.MsgUpdateFee, 1), commitments()[:8])})
			}
			r.all(list)
			r.audit(r.link, before, func() (uint64, int) { return r.sent, r.n })
		})
	}
}

// TestLiveCutsOfLndsFee loses the connection before and after each message with which lnd, as the funder, changes the fee.
func TestLiveCutsOfLndsFee(t *testing.T) {
	faults := &cutter{}
	r := &cutRig{faults: faults, msat: 5_000_000}
	r.rig = newRig(t, setup{extra: true, quickFees: true, limit: 10 * time.Minute, us: func(c *lnactor.Config) { c.Faults = faults }})
	r.connect(true)
	r.link = r.open(false, capacity/2, nil)
	before, _ := r.balances(r.link)
	r.all([]course{{"lnd's fee", (*cutRig).lndsFeeCut, join(aroundReceiving(lnwire.MsgUpdateFee, 1), commitments()[:8])}})
	r.audit(r.link, before, func() (uint64, int) { return r.sent, r.n })
}

// all runs courses with each of their cuts.
func (r *cutRig) all(list []course) {
	r.t.Helper()
	for _, c := range list {
		for _, m := range c.cuts {
			r.t.Logf("%s, cut %v", c.name, m)
			c.run(r, m)
			r.awaitActive(r.link)
			r.balances(r.link)
		}
		r.weMustSend(1_000_000)
		r.sent += 1_000_000
		r.n++
		r.lndMustSend(1_000_000)
	}
}

func (r *cutRig) wePayCut(m cut) {
	r.t.Helper()
	r.msat++
	inv, err := r.lnd.invoice(r.ctx, r.msat, nil)
	must(r.t, err)
	id := ln.PaymentID(randomBytes(r.rng, 32))
	r.cutNow(r.faults, m, func() {
		_, err := r.us.Pay(r.ctx, inv.Bolt11, lnactor.WithPaymentID(id))
		must(r.t, err)
	})
	p := r.us.outcome(r.t, r.ctx, id)
	got, err := r.lnd.lookup(r.ctx, inv.Hash)
	must(r.t, err)
	sent := p.Status == lnactor.PaymentIsSent
	switch {
	case sent != (got.State == "SETTLED"):
		r.t.Fatalf("our payment is %v (%s), lnd's invoice %s", p.Status, p.Reason, got.State)
	case sent && (got.Paid != r.msat || sha256.Sum256(p.Preimage[:]) != p.Hash):
		r.t.Fatalf("our payment: %+v, lnd got %d msat", p, got.Paid)
	case sent:
		r.sent += r.msat
		r.n++
	default:
		r.t.Logf("our payment failed: %s", p.Reason)
	}
}

func (r *cutRig) lndPaysCut(m cut) {
	r.t.Helper()
	r.msat++
	inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: r.msat})
	must(r.t, err)
	p := r.lndPaysOver(m, func() (lndPayment, error) { return r.lnd.pay(r.ctx, inv.Bolt11, nil) })
	_, claimed := find(r.us, func(e lnactor.PaymentClaimed) bool { return e.Hash == inv.Hash })
	switch {
	case p.Status == "SUCCEEDED":
		awaitEvent(r.t, r.ctx, r.us, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == inv.Hash && e.AmountMsat == r.msat })
	case claimed:
		r.t.Fatalf("we claimed what lnd did not pay: %+v", p)
	default:
		r.t.Logf("lnd's payment failed: %s", p.Failure)
	}
}

// lndPaysOver is the end of a payment of lnd's during which the connection is lost.
func (r *cutRig) lndPaysOver(m cut, pay func() (lndPayment, error)) lndPayment {
	r.t.Helper()
	type outcome struct {
		lndPayment
		err error
	}
	done := make(chan outcome, 1)
	r.cutNow(r.faults, m, func() {
		go func() {
			p, err := pay()
			done <- outcome{p, err}
		}()
	})
	var got outcome
	await(r.t, r.ctx, "the end of lnd's payment", func() bool {
		select {
		case got = <-done:
			return true
		default:
			return false
		}
	})
	must(r.t, got.err)
	if got.Status != "SUCCEEDED" && got.Status != "FAILED" {
		r.t.Fatalf("lnd's payment: %+v", got.lndPayment)
	}
	return got.lndPayment
}

func (r *cutRig) lndRefusesCut(m cut) {
	r.t.Helper()
	inv, err := r.lnd.invoice(r.ctx, 3_000_000, nil)
	must(r.t, err)
	must(r.t, r.lnd.cancel(r.ctx, inv.Hash))
	id := ln.PaymentID(randomBytes(r.rng, 32))
	r.cutNow(r.faults, m, func() {
		_, err := r.us.Pay(r.ctx, inv.Bolt11, lnactor.WithPaymentID(id))
		must(r.t, err)
	})
	if p := r.us.outcome(r.t, r.ctx, id); p.Status != lnactor.PaymentFailure {
		r.t.Fatalf("lnd refused, but %+v", p)
	}
}

func (r *cutRig) weRefuseCut(m cut) {
	r.t.Helper()
	inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: 3_000_000})
	must(r.t, err)
	route := r.route(r.t, inv.Bolt11)
	route.hash = randomBytes(r.rng, 32)
	p := r.lndPaysOver(m, func() (lndPayment, error) { return r.lndSendsBlindly(route) })
	if p.Status != "FAILED" {
		r.t.Fatalf("we refused, but %+v", p)
	}
}

// reconnectCut loses the connection again while it begins.
func (r *cutRig) reconnectCut(m cut) {
	r.t.Helper()
	r.cutNow(r.faults, m, func() {
		r.lnd.disconnect(r.t, r.ctx, r.us.ID())
		await(r.t, r.ctx, "the cut "+m.String(), func() bool { // by ourselves we would wait for minutes after so many connections that were lost soon
			_ = r.us.Connect(r.ctx, r.lnd.ID, r.lnd.Addr)
			return !r.faults.pending()
		})
	})
}

// otherFee is a fee that the channel does not have.
func (r *cutRig) otherFee() uint32 {
	if c := r.us.channel(r.ctx, r.link.id); c != nil && c.FeePerKw == 1250 {
		return 2400
	}
	return 1250
}

func (r *cutRig) ourFeeCut(m cut) {
	r.t.Helper()
	fee := r.otherFee()
	r.cutNow(r.faults, m, func() { must(r.t, r.us.SetChannelFee(r.ctx, r.link.id, fee)) })
	r.awaitActive(r.link)
	r.balances(r.link) // both have the same fee, the old or the new one
	must(r.t, r.us.SetChannelFee(r.ctx, r.link.id, fee))
	r.awaitFee(r.link, fee)
}

func (r *cutRig) lndsFeeCut(m cut) {
	r.t.Helper()
	fee := r.otherFee()
	r.cutNow(r.faults, m, func() { r.lnd.fees.satPerKw.Store(fee) })
	r.awaitActive(r.link)
	r.awaitFee(r.link, fee)
}

// awaitFee waits until both have a fee.
func (r *rig) awaitFee(l link, fee uint32) {
	r.t.Helper()
	await(r.t, r.ctx, fmt.Sprintf("a fee of %d at both", fee), func() bool {
		theirs, err := r.lnd.channel(r.ctx, l.point)
		ours := r.us.channel(r.ctx, l.id)
		return err == nil && ours != nil && theirs.FeePerKw == fee && ours.FeePerKw == fee
	})
}
