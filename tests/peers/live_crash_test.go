package peers

import (
	"context"
	cryptorand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/ln"
)

// TestLiveWeDie kills lnactor at random moments of payments in both directions.
func TestLiveWeDie(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 6 * time.Minute})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	r.massacre(l, 12, r.byInvoice(), func() { r.restartUs(true) })
}

// TestLiveLndDies kills lnd at random moments of payments in both directions, and ends it in order sometimes.
//
// lnd itself loses money here, which is no fault of ours: it sends update_fulfill_htlc, is killed before it commits to it, takes the same HTLC for a
// replay after its restart, and fails it with invalid_onion_version. We have the preimage and say that the payment was sent, and have the money
// back. So each payment that we call sent must be settled in lnd's books, but not the reverse, and our balance may be higher than it should.
func TestLiveLndDies(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 8 * time.Minute})
	r.connect(true)
	l := r.open(false, capacity/2, nil)
	r.lndMayLose = true
	lives := 0
	r.massacre(l, 8, r.byInvoice(), func() {
		lives++
		r.restartLnd(lives%3 > 0)
	})
}

// TestLiveConnectionDies cuts the connection at random moments of payments in both directions.
func TestLiveConnectionDies(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 6 * time.Minute})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	r.massacre(l, 30, r.byInvoice(), func() { r.lnd.disconnect(t, r.ctx, r.us.ID()) })
}

// TestLiveKeysendsDie is the same with payments that nobody asked for: there is no invoice that could tell who has paid it.
func TestLiveKeysendsDie(t *testing.T) {
	for _, weDie := range []bool{true, false} {
		t.Run(fmt.Sprintf("we die %v", weDie), func(t *testing.T) {
			r := newRig(t, setup{
				extra: true, limit: 6 * time.Minute, lnd: []string{"--accept-keysend"}, us: func(c *lnactor.Config) { c.AcceptKeysend = true },
			})
			r.connect(true)
			l := r.open(weDie, capacity/2, nil)
			r.lndMayLose = !weDie
			harm := func() { r.restartUs(true) }
			if !weDie {
				harm = func() { r.restartLnd(true) }
			}
			r.massacre(l, 8, r.byKeysend(), harm)
		})
	}
}

// ways are how both sides pay each other.
type ways struct {
	we  func(id lnactor.PaymentID, msat uint64) (hash []byte, err error) // errAway: nothing was begun. The hash is nil if it is not known before
	lnd func(ctx context.Context, msat uint64)
}

// errAway says that lnd did not answer, so that there was nothing to pay.
var errAway = errors.New("lnd is away")

// byInvoice pays invoices.
func (r *rig) byInvoice() ways {
	return ways{
		we: func(id lnactor.PaymentID, msat uint64) ([]byte, error) {
			inv, err := r.lnd.invoice(r.ctx, msat, nil)
			if err != nil {
				return nil, errAway
			}
			_, err = r.us.now().Pay(r.ctx, inv.Bolt11, lnactor.WithPaymentID(id))
			return inv.Hash, err
		},
		lnd: func(ctx context.Context, msat uint64) {
			inv, err := r.us.now().CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: msat})
			if err == nil {
				r.lndForgives(r.lnd.pay(ctx, inv.Bolt11, map[string]any{"timeout_seconds": 10}))
			}
		},
	}
}

// byKeysend pays without.
func (r *rig) byKeysend() ways {
	return ways{
		we: func(id lnactor.PaymentID, msat uint64) ([]byte, error) {
			_, err := r.us.now().Keysend(r.ctx, r.lnd.ID, msat, lnactor.WithPaymentID(id))
			return nil, err
		},
		lnd: func(ctx context.Context, msat uint64) {
			var preimage [32]byte
			_, _ = cryptorand.Read(preimage[:]) // what is drawn by the seed must not depend on who is faster
			r.lndForgives(r.lndKeysends(ctx, preimage, msat))
		},
	}
}

// lndForgives has lnd forget what failed, or it would find no way to us for the rest of the test once a payment has met one of us dead.
func (r *rig) lndForgives(p lndPayment, err error) {
	if err == nil && p.Status != "SUCCEEDED" {
		_ = r.lnd.post(r.ctx, "/v2/router/mc/reset", map[string]any{}, nil)
	}
}

// massacre does harm again and again while both sides pay each other. In the end each payment of ours that was accepted has one outcome, lnd agrees
// with it, each that lnd settled was claimed once, and the balances are what the outcomes make them.
func (r *rig) massacre(l link, rounds int, by ways, harm func()) {
	r.t.Helper()
	before, _ := r.balances(l)
	type payment struct {
		id   lnactor.PaymentID
		hash []byte
		msat uint64
	}
	var ours []payment
	msat := uint64(360_000) // more than dust
	for round := range rounds {
		var mu sync.Mutex
		stop := make(chan struct{})
		var payers sync.WaitGroup
		for range 4 {
			payers.Go(func() {
				keepOn(stop, 15*time.Millisecond, func() bool {
					mu.Lock()
					msat++
					p := payment{msat: msat, id: ln.PaymentID(randomBytes(r.rng, 32))}
					mu.Unlock()
					var err error
					p.hash, err = by.we(p.id, p.msat)
					switch {
					case err == nil, errors.Is(err, lnactor.ErrClosed), errors.Is(err, context.DeadlineExceeded):
						mu.Lock() // accepted, or nobody knows
						ours = append(ours, p)
						mu.Unlock()
					case errors.Is(err, lnactor.ErrNoChannel), errors.Is(err, lnactor.ErrStarting), errors.Is(err, lnactor.ErrBusy),
						errors.Is(err, lnactor.ErrBalance), errors.Is(err, errAway):
					default:
						r.t.Error(err)
						return false
					}
					return true
				})
			})
			payers.Go(func() {
				keepOn(stop, 15*time.Millisecond, func() bool {
					ctx, cancel := context.WithTimeout(r.ctx, 3*time.Second)
					defer cancel()
					by.lnd(ctx, 1_500_000)
					return true
				})
			})
		}
		mu.Lock()
		pause := time.Duration(300+r.rng.IntN(1200)) * time.Millisecond
		mu.Unlock()
		time.Sleep(pause)
		close(stop) // those under way go on
		harm()
		payers.Wait()
		if r.t.Failed() {
			r.t.FailNow()
		}
		r.weDial()
		r.awaitActive(l)
		r.t.Logf("round %d: %d payments of ours so far", round, len(ours))
	}
	r.audit(l, before, func() (sent uint64, n int) {
		for _, p := range ours {
			var known lnactor.Payment
			await(r.t, r.ctx, "the outcome of each payment of ours", func() bool {
				var err error
				known, err = r.us.GetPayment(r.ctx, p.id)
				return errors.Is(err, lnactor.ErrNotFound) || err == nil && known.Status != lnactor.PaymentPending
			})
			if p.hash == nil && known.Status != 0 {
				p.hash = known.Hash[:]
			}
			if p.hash == nil {
				continue // it was never begun
			}
			inv, err := r.lnd.lookup(r.ctx, p.hash)
			if err != nil && !strings.Contains(err.Error(), "unable to locate invoice") { // of a payment without one that never arrived
				r.t.Fatal(err)
			}
			settled := inv.State == "SETTLED"
			weSent := known.Status == lnactor.PaymentIsSent
			if weSent && !settled || settled && !weSent && !r.lndMayLose {
				r.t.Errorf("payment %s: ours is %v (%s), lnd's invoice is %s", p.id, known.Status, known.Reason, inv.State)
			}
			if weSent {
				if inv.Paid != p.msat || len(inv.HTLCs) != 1 || sha256.Sum256(known.Preimage[:]) != known.Hash {
					r.t.Errorf("payment %s of %d msat: lnd got %+v", p.id, p.msat, inv)
				}
				sent += p.msat
				n++
			}
		}
		return sent, n
	})
	r.weMustSend(1_234_000)
	r.lndMustSend(1_234_000)
}

// audit compares the balances with what was sent and claimed.
func (r *rig) audit(l link, before uint64, sent func() (uint64, int)) {
	r.t.Helper()
	out, n := sent()
	r.atRest(l)
	lndPaid, err := r.lnd.payments(r.ctx)
	must(r.t, err)
	var in uint64
	claimed := map[lnactor.Hash]bool{}
	for _, e := range all[lnactor.PaymentClaimed](r.us) {
		if claimed[e.Hash] {
			r.t.Errorf("%s was claimed twice", e.Hash)
		}
		claimed[e.Hash] = true
		in += e.AmountMsat
	}
	lost := 0
	for hash, p := range lndPaid {
		var h lnactor.Hash
		copy(h[:], fromHex(r.t, hash))
		switch {
		case p.Status == "SUCCEEDED" && !claimed[h]:
			r.t.Errorf("lnd paid %s, but we did not claim it", hash)
		case p.Status != "SUCCEEDED" && claimed[h]:
			lost++ // lnd does not always know the end of its payments after a crash
		}
		if raw := fromHex(r.t, p.Preimage); p.Status == "SUCCEEDED" && sha256.Sum256(raw) != h {
			r.t.Errorf("lnd has another preimage of %s", hash)
		}
	}
	for _, e := range all[lnactor.PaymentSent](r.us) {
		if _, failed := find(r.us, func(f lnactor.PaymentFailed) bool { return f.PaymentID == e.PaymentID }); failed {
			r.t.Errorf("payment %s was sent and failed", e.PaymentID)
		}
	}
	switch after, _ := r.balances(l); {
	case after == before+in-out:
	case r.lndMayLose && after > before+in-out:
		r.t.Logf("lnd lost %d msat: payments that it had fulfilled it failed after a crash", after-(before+in-out))
	default:
		r.t.Errorf("%d msat before, %d after, but %d came in and %d went out", before, after, in, out)
	}
	r.t.Logf("%d payments of ours sent, %d of lnd's claimed; of lnd's, %d that we claimed it does not call succeeded", n, len(claimed), lost)
}
