package peers

import (
	"context"
	"errors"
	"fmt"
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
	r.lndMayLose = true
	r.throughLnd(public).massacre(8, func(round int) { r.restartLnd(round%4 != 3) })
}

// TestLiveLndForwardsEndsDie is the same while one of ours dies, then the other, then both: as payers, and as payees. lnd lives, so nobody may lose anything.
func TestLiveLndForwardsEndsDie(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 15 * time.Minute, us: public})
	w := r.throughLnd(public)
	w.massacre(9, func(round int) {
		for i, u := range w.nodes() {
			if round%3 == i || round%3 == 2 {
				must(t, u.stop(true))
				u.start(t, r.ctx)
			}
		}
	})
}

// massacre does harm again and again while both of ours pay each other over lnd, and accounts for all of it.
func (w *throughLnd) massacre(rounds int, harm func(round int)) {
	w.t.Helper()
	for round := range rounds {
		stop := make(chan struct{})
		var mu sync.Mutex
		var payers sync.WaitGroup
		for i := range 4 {
			from, to := w.us, w.other
			if i%2 == 1 {
				from, to = to, from
			}
			payers.Go(func() {
				keepOn(stop, 30*time.Millisecond, func() bool {
					mu.Lock()
					id, msat := randomBytes(w.rng, 32), 1_000_000+uint64(w.rng.IntN(1_000_000))
					mu.Unlock()
					p, bolt11, err := w.newPassage(from, to, msat, id)
					if err != nil {
						return true // the payee is away
					}
					_, err = from.now().Pay(w.ctx, bolt11, lnactor.WithPaymentID(p.id))
					switch {
					case err == nil, errors.Is(err, lnactor.ErrClosed), errors.Is(err, context.DeadlineExceeded): // accepted, or nobody knows
						mu.Lock()
						w.made = append(w.made, p)
						mu.Unlock()
					case errors.Is(err, lnactor.ErrNoChannel), errors.Is(err, lnactor.ErrStarting), errors.Is(err, lnactor.ErrBusy),
						errors.Is(err, lnactor.ErrBalance), errors.Is(err, lnactor.ErrNoRoute):
					default:
						w.t.Error(err)
						return false
					}
					return true
				})
			})
		}
		mu.Lock()
		pause := time.Duration(300+w.rng.IntN(1200)) * time.Millisecond
		mu.Unlock()
		time.Sleep(pause)
		close(stop) // those under way go on
		harm(round)
		payers.Wait()
		w.revive()
		w.t.Logf("round %d: %d payments so far", round, len(w.made))
	}
	sent := w.audit()
	w.t.Logf("of %d payments %d were sent", len(w.made), sent)
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
	w, list := newDeaths(t)
	r := w.rig
	r.lndMayLose = true
	for _, d := range list {
		t.Logf("lnd dies at the message of %s: %v", d.name(w), d.cut)
		pause := time.Duration(r.rng.IntN(15)) * time.Millisecond
		d.faults().armWith(d.cut, func() {
			time.Sleep(pause) // it may have read what was sent, or said more
			r.lnd.kill()
		})
		p := w.begin()
		w.awaitCut(d, p)
		r.lnd.start(t, r.ctx)
		w.finish(p, d.claim)
	}
	for _, claim := range []bool{true, false} {
		t.Logf("lnd dies while the payment is held, which is decided while it is away: claimed %v", claim)
		p := w.begin()
		w.awaitHeld(p)
		r.lnd.kill()
		w.decide(p, claim)
		r.lnd.start(t, r.ctx)
		w.finish(p, claim)
	}
	w.mostSent()
}

// TestLiveLndForwardsEndsDieAt: here the payer or the payee dies, at each message of its channel with lnd, and while the payment is held.
func TestLiveLndForwardsEndsDieAt(t *testing.T) {
	w, list := newDeaths(t)
	r := w.rig
	for _, d := range list {
		t.Logf("%s dies at %v", d.name(w), d.cut)
		d.faults().arm(d.cut)
		p := w.begin()
		w.awaitCut(d, p)
		must(t, d.node.stop(true))
		d.node.start(t, r.ctx)
		w.finish(p, d.claim)
	}
	for _, claim := range []bool{true, false} {
		for _, u := range w.nodes() {
			t.Logf("%s dies while the payment is held, claimed %v", death{node: u}.name(w), claim)
			p := w.begin()
			w.awaitHeld(p)
			must(t, u.stop(true))
			if u == w.us {
				w.decide(p, claim) // the payer hears of it when it is there again
			}
			u.start(t, r.ctx)
			w.finish(p, claim)
		}
	}
	w.mostSent()
}

// death is a moment of a payment over lnd at which somebody dies: a message of one of ours. The payment is to be claimed, or refused.
type death struct {
	node  *ourNode
	cut   cut
	claim bool
}

func (d death) faults() *cutter { return d.node.cfg.Faults.(*cutter) }

func (d death) name(w *throughLnd) string {
	if d.node == w.us {
		return "the payer"
	}
	return "the payee"
}

// newDeaths is lnactor - lnd - lnactor, and all messages of a payment from the one to the other.
func newDeaths(t *testing.T) (*throughLnd, []death) {
	t.Helper()
	r := newRig(t, setup{extra: true, limit: 20 * time.Minute, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = &cutter{}
	}})
	w := r.throughLnd(func(c *lnactor.Config) {
		public(c)
		c.ManualClaim, c.Faults = true, &cutter{}
	})
	var list []death
	add := func(node *ourNode, claim bool, cuts ...[]cut) {
		for _, m := range join(cuts...) {
			list = append(list, death{node, m, claim})
		}
	}
	add(w.us, true, aroundSending(lnwire.MsgUpdateAddHTLC, 1), commitments(), aroundReceiving(lnwire.MsgUpdateFulfillHTLC, 1))
	add(w.us, false, aroundReceiving(lnwire.MsgUpdateFailHTLC, 1))
	add(w.other, true, aroundReceiving(lnwire.MsgUpdateAddHTLC, 1), commitments(), aroundSending(lnwire.MsgUpdateFulfillHTLC, 1))
	add(w.other, false, aroundSending(lnwire.MsgUpdateFailHTLC, 1))
	return w, list
}

// awaitCut waits for the message.
func (w *throughLnd) awaitCut(d death, p *passage) {
	w.t.Helper()
	await(w.t, w.ctx, "the cut "+d.cut.String(), func() bool {
		w.decide(p, d.claim)
		return !d.faults().pending()
	})
}

// awaitHeld waits until the payee has the payment.
func (w *throughLnd) awaitHeld(p *passage) {
	w.t.Helper()
	awaitEvent(w.t, w.ctx, p.to, "PaymentClaimable", func(e lnactor.PaymentClaimable) bool { return e.Hash == p.hash })
}

// mostSent accounts for all payments, of which most were to be sent.
func (w *throughLnd) mostSent() {
	w.t.Helper()
	sent := w.audit()
	w.t.Logf("of %d payments %d were sent", len(w.made), sent)
	if sent < len(w.made)/3 {
		w.t.Errorf("of %d payments only %d were sent", len(w.made), sent)
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

// lndSignsBoth has lnd paid a little over each channel: what it owed when it was killed it signs with that, and not before.
func (w *throughLnd) lndSignsBoth() {
	w.t.Helper()
	const little = 1_000_000
	for i, u := range w.nodes() {
		await(w.t, w.ctx, fmt.Sprintf("a payment over channel %d", i), func() bool {
			inv, err := w.lnd.invoice(w.ctx, little, nil)
			must(w.t, err)
			id, err := u.Pay(w.ctx, inv.Bolt11)
			if err != nil || u.outcome(w.t, w.ctx, id).Status != lnactor.PaymentIsSent {
				return false
			}
			w.before -= little
			return true
		})
	}
}

// finish brings a payment to its end after a death of lnd's.
func (w *throughLnd) finish(p *passage, claim bool) {
	w.t.Helper()
	w.dial()
	w.active()
	if w.lndMayLose {
		w.lndSignsBoth()
	}
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
