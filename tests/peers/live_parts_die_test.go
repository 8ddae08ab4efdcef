package peers

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/ln"
)

// TestLivePartsDie kills us at random moments of payments of both directions that need several channels. Each is sent whole or not at all, once.
func TestLivePartsDie(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 10 * time.Minute})
	r.partsDie(8, func() { r.restartUs(true) })
}

// TestLivePartsLndDies kills lnd.
func TestLivePartsLndDies(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 15 * time.Minute})
	r.lndMayLose = true
	r.partsDie(6, func() { r.restartLnd(true) })
}

// most is how much a part may have.
const most = 500_000_000

// partsDie does harm again and again while each side pays the other, over three channels of which no one takes all of it.
func (r *rig) partsDie(rounds int, harm func()) {
	t := r.t
	t.Helper()
	r.connect(true)
	var links []link
	for range 3 { // lnd lets no more than this be under way to it in each
		links = append(links, r.open(false, capacity/2, map[string]any{"remote_max_value_in_flight_msat": fmt.Sprint(most)}))
	}
	const half = 3 * capacity / 2 * 1000
	const there, back = 2*most - 100_000_000, 2*most - 200_000_000
	// Of a payment that lnd has claimed it may fail a part after its death, as in TestLiveLndDies: we know that it is sent, and have some of it back.
	whole := func(p lnactor.Payment) {
		t.Helper()
		var live uint64
		n := 0
		for _, part := range p.Parts {
			if part.State == lnactor.PartClaimed {
				live += part.AmountMsat
				n++
			}
		}
		if p.Status == lnactor.PaymentIsSent && (n == 0 || (live != there || n < 2) && !r.lndMayLose) || p.Status != lnactor.PaymentIsSent && n > 0 {
			t.Fatalf("%d parts of ours with %d msat were claimed: %+v", n, live, p)
		}
	}
	sent, claimed := 0, 0
	for round := range rounds {
		before := r.allOurs(links)
		inv, err := r.lnd.invoice(r.ctx, there, nil)
		must(t, err)
		ours, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: back})
		must(t, err)
		theirs := make(chan struct{})
		go func() {
			defer close(theirs)
			_, _ = r.lnd.pay(r.ctx, ours.Bolt11, inParts)
		}()
		id := ln.PaymentID(randomBytes(r.rng, 32))
		_, err = r.us.Pay(r.ctx, inv.Bolt11, lnactor.WithPaymentID(id), lnactor.WithTimeout(20*time.Second))
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.rng.IntN(200)) * time.Millisecond)
		_, over := find(r.us, func(e lnactor.PaymentSent) bool { return e.PaymentID == id })
		harm()
		r.weDial()
		for _, l := range links {
			r.awaitActive(l)
		}
		select {
		case <-theirs:
		case <-r.ctx.Done():
			t.Fatal("lnd's payment hangs")
		}
		if r.lndMayLose {
			r.lndSigns(links)
		}
		p := r.us.outcome(t, r.ctx, id)
		after := r.allOurs(links)
		whole(p)

		want := before
		lookup, err := r.lnd.lookup(r.ctx, inv.Hash)
		must(t, err)
		settled, weSent := lookup.State == "SETTLED", p.Status == lnactor.PaymentIsSent
		if weSent && (!settled || lookup.Paid != there || sha256.Sum256(p.Preimage[:]) != p.Hash) || settled && !weSent && !r.lndMayLose {
			t.Fatalf("ours is %+v, lnd's invoice %+v", p, lookup)
		}
		if weSent {
			want -= there
			sent++
		}
		n := 0
		for _, e := range all[lnactor.PaymentClaimed](r.us) {
			if e.Hash == ours.Hash {
				n++
				want += e.AmountMsat
				if e.AmountMsat != back {
					t.Errorf("we claimed %d of %d msat", e.AmountMsat, uint64(back))
				}
			}
		}
		claimed += n
		var known lndPayment
		await(t, r.ctx, "the end of lnd's payment", func() bool {
			paid, err := r.lnd.payments(r.ctx)
			known = paid[ours.Hash.String()]
			return err == nil && (known.Status == "SUCCEEDED" || known.Status == "FAILED" || known.Status == "" || r.lndMayLose)
		})
		if weSaw := known.Status == "SUCCEEDED"; n > 1 || weSaw && n == 0 || n == 1 && !weSaw && !r.lndMayLose {
			t.Fatalf("we claimed lnd's payment %d times, and it is %+v", n, known)
		}
		switch {
		case after == want:
		case after > want && r.lndMayLose:
			t.Logf("lnd lost %d msat: what it had fulfilled it failed after its death", after-want)
		default:
			t.Fatalf("we had %d msat and have %d, want %d", before, after, want)
		}
		t.Logf("round %d: killed after the end of our payment: %v; ours is %v (%s), lnd's %q (%s)", round, over, p.Status, p.Reason, known.Status, known.Failure)
		r.level(links, after, half)
	}
	t.Logf("of %d payments each, %d of ours were sent, and %d of lnd's claimed", rounds, sent, claimed)
	for _, l := range links {
		r.closeMutually(l, l.ours)
	}
}

// inParts has lnd pay so.
var inParts = map[string]any{"max_parts": 8, "max_shard_size_msat": fmt.Sprint(most), "timeout_seconds": 20}

// allOurs waits for rest in several channels, compares their balances, and returns what we have in all of them.
func (r *rig) allOurs(links []link) (msat uint64) {
	r.t.Helper()
	for _, l := range links {
		ours, _ := r.balances(l)
		msat += ours
	}
	return msat
}

// lndSigns has a little paid over each channel, and as much back: what lnd owed when it was killed it signs with that, and not before.
func (r *rig) lndSigns(links []link) {
	r.t.Helper()
	const little = 1_000_000
	for _, l := range links {
		await(r.t, r.ctx, "a payment over a channel after a death", func() bool {
			must(r.t, r.lnd.post(r.ctx, "/v2/router/mc/reset", map[string]any{}, nil))
			theirs, err := r.lnd.channel(r.ctx, l.point)
			must(r.t, err)
			if theirs.Local < 100_000 { // then we have the most there, and pay over the channel where that is so
				return r.lndGets(little).Status == lnactor.PaymentIsSent && r.weGet(little, nil)
			}
			return r.weGet(little, map[string]any{"outgoing_chan_ids": []string{theirs.SCID}, "timeout_seconds": 20}) &&
				r.lndGets(little).Status == lnactor.PaymentIsSent
		})
	}
}

func (r *rig) lndGets(msat uint64) lnactor.Payment {
	r.t.Helper()
	inv, err := r.lnd.invoice(r.ctx, msat, nil)
	must(r.t, err)
	return r.weSend(inv.Bolt11)
}

func (r *rig) weGet(msat uint64, how map[string]any) bool {
	r.t.Helper()
	inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: msat})
	must(r.t, err)
	p, err := r.lnd.pay(r.ctx, inv.Bolt11, how)
	if err != nil || p.Status != "SUCCEEDED" {
		return false
	}
	awaitEvent(r.t, r.ctx, r.us, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == inv.Hash })
	return true
}

// level brings what we have back to about half, in parts, by whoever has more.
func (r *rig) level(links []link, ours, half uint64) {
	r.t.Helper()
	const little = 300_000_000
	await(r.t, r.ctx, "a payment in parts after a death", func() bool {
		switch {
		case ours > half+little:
			return r.lndGets(ours-half).Status == lnactor.PaymentIsSent
		case ours+little < half:
			must(r.t, r.lnd.post(r.ctx, "/v2/router/mc/reset", map[string]any{}, nil))
			return r.weGet(half-ours, inParts)
		}
		return true
	})
	r.allOurs(links)
}
