package peers

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
)

// TestLiveLndForwarderDies: lnactor - lnd - lnactor, with payments both ways, while lnd dies at random moments, and ends in order now and then. No outcome
// is lost, none is paid twice, no channel is closed, and no HTLC is left.
func TestLiveLndForwarderDies(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 12 * time.Minute, us: public})
	w := r.throughLnd(public)
	for round := range 8 {
		stop := make(chan struct{})
		var mu sync.Mutex
		var payers sync.WaitGroup
		for i := range 4 {
			from, to := w.us, w.other
			if i%2 == 1 {
				from, to = to, from
			}
			payers.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(30 * time.Millisecond):
					}
					mu.Lock()
					id, msat := randomBytes(r.rng, 32), 1_000_000+uint64(r.rng.IntN(1_000_000))
					mu.Unlock()
					p, bolt11, err := w.newPassage(from, to, msat, id)
					if err == nil {
						_, err = from.Pay(r.ctx, bolt11, lnactor.WithPaymentID(p.id))
					}
					switch {
					case err == nil, errors.Is(err, context.DeadlineExceeded):
						mu.Lock()
						w.made = append(w.made, p)
						mu.Unlock()
					case errors.Is(err, lnactor.ErrNoChannel), errors.Is(err, lnactor.ErrBusy), errors.Is(err, lnactor.ErrBalance):
					default:
						t.Error(err)
						return
					}
				}
			})
		}
		mu.Lock()
		pause := time.Duration(300+r.rng.IntN(1200)) * time.Millisecond
		mu.Unlock()
		time.Sleep(pause)
		close(stop) // those under way go on
		r.restartLnd(round%4 != 3)
		payers.Wait()
		w.revive()
		t.Logf("round %d: %d payments so far", round, len(w.made))
	}
	sent := w.audit()
	t.Logf("of %d payments %d were sent", len(w.made), sent)
}

// revive waits until all is as it was before a death of lnd's: both channels carry payments, and no HTLC is left. lnd does not sign what it owed when it was
// killed before something else is to be signed, and when it is killed a second time before it has tidied up, it may forget HTLCs altogether, so that they
// time out on chain.
func (w *throughLnd) revive() {
	w.t.Helper()
	w.dial()
	w.active()
	w.works()
	w.rest()
}

// works pays both ways.
func (w *throughLnd) works() {
	w.t.Helper()
	for i, from := range w.nodes() {
		to := w.nodes()[1-i]
		await(w.t, w.ctx, "a payment over lnd", func() bool { // what failed before may keep us from a channel for a while
			p, bolt11, err := w.newPassage(from, to, 3_000_000, randomBytes(w.rng, 32))
			must(w.t, err)
			if _, err := from.Pay(w.ctx, bolt11, lnactor.WithPaymentID(p.id)); err != nil {
				return false
			}
			w.made = append(w.made, p)
			if to.cfg.ManualClaim {
				await(w.t, w.ctx, "the outcome of the payment", func() bool {
					w.decide(p, true)
					_, ended := w.ended(p)
					return ended
				})
			}
			return from.outcome(w.t, w.ctx, p.id).Status == lnactor.PaymentIsSent
		})
	}
}

// TestLiveLndForwarderDiesAt: the same with one payment at a time, and lnd dies at each message of it, in either channel, and while the payee holds it.
func TestLiveLndForwarderDiesAt(t *testing.T) {
	payer, payee := &cutter{}, &cutter{}
	r := newRig(t, setup{extra: true, limit: 20 * time.Minute, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = payer
	}})
	w := r.throughLnd(func(c *lnactor.Config) {
		public(c)
		c.ManualClaim, c.Faults = true, payee
	})
	type death struct {
		faults *cutter
		cut    cut
		claim  bool
	}
	var list []death
	add := func(faults *cutter, claim bool, cuts ...[]cut) {
		for _, m := range join(cuts...) {
			list = append(list, death{faults, m, claim})
		}
	}
	add(payer, true, aroundSending(lnwire.MsgUpdateAddHTLC, 1), commitments(), aroundReceiving(lnwire.MsgUpdateFulfillHTLC, 1))
	add(payer, false, aroundReceiving(lnwire.MsgUpdateFailHTLC, 1))
	add(payee, true, aroundReceiving(lnwire.MsgUpdateAddHTLC, 1), commitments(), aroundSending(lnwire.MsgUpdateFulfillHTLC, 1))
	add(payee, false, aroundSending(lnwire.MsgUpdateFailHTLC, 1))
	for _, d := range list {
		at := "the payer"
		if d.faults == payee {
			at = "the payee"
		}
		t.Logf("lnd dies at the message of %s: %v", at, d.cut)
		pause := time.Duration(r.rng.IntN(15)) * time.Millisecond
		d.faults.armWith(d.cut, func() {
			time.Sleep(pause) // it may have read what was sent, or said more
			r.lnd.kill()
		})
		p := w.begin()
		await(t, r.ctx, "the cut "+d.cut.String(), func() bool {
			w.decide(p, d.claim)
			return !d.faults.pending()
		})
		r.lnd.start(t, r.ctx)
		w.finish(p, d.claim)
	}
	for _, claim := range []bool{true, false} {
		t.Logf("lnd dies while the payment is held, which is decided while it is away: claimed %v", claim)
		p := w.begin()
		awaitEvent(t, r.ctx, w.other, "PaymentClaimable", func(e lnactor.PaymentClaimable) bool { return e.Hash == p.hash })
		r.lnd.kill()
		w.decide(p, claim)
		r.lnd.start(t, r.ctx)
		w.finish(p, claim)
	}
	sent := w.audit()
	t.Logf("of %d payments %d were sent", len(w.made), sent)
	if sent < len(w.made)/3 {
		t.Errorf("of %d payments only %d were sent", len(w.made), sent)
	}
}

// begin starts a payment from the first to the second.
func (w *throughLnd) begin() *passage {
	w.t.Helper()
	p, bolt11, err := w.newPassage(w.us, w.other, 2_000_000+uint64(len(w.made)), randomBytes(w.rng, 32))
	must(w.t, err)
	await(w.t, w.ctx, "a payment to begin", func() bool { // lnd says that the channel is active a moment before we do
		_, err := p.from.Pay(w.ctx, bolt11, lnactor.WithPaymentID(p.id))
		if err != nil && !errors.Is(err, lnactor.ErrNoChannel) {
			w.t.Fatal(err)
		}
		return err == nil
	})
	w.made = append(w.made, p)
	return p
}

// decide claims a payment that has arrived, or refuses it. Again is no harm.
func (w *throughLnd) decide(p *passage, claim bool) {
	w.t.Helper()
	if _, arrived := find(p.to, func(e lnactor.PaymentClaimable) bool { return e.Hash == p.hash }); !arrived {
		return
	}
	if claim {
		_ = p.to.ClaimPayment(w.ctx, p.hash)
	} else {
		_ = p.to.RefusePayment(w.ctx, p.hash)
	}
}

// finish brings a payment to its end after a death of lnd's.
func (w *throughLnd) finish(p *passage, claim bool) {
	w.t.Helper()
	w.dial()
	w.active()
	var known lnactor.Payment
	await(w.t, w.ctx, "the outcome of the payment", func() bool {
		w.decide(p, claim)
		k, ended := w.ended(p)
		known = k
		return ended
	})
	switch {
	case known.Status == lnactor.PaymentIsSent && !claim:
		w.t.Fatalf("refused, but %+v", known)
	case known.Status != lnactor.PaymentIsSent:
		w.t.Logf("failed: %s", known.Reason)
	}
	w.revive()
}
