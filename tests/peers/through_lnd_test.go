package peers

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/ln"
)

// throughLnd is lnactor - lnd - lnactor: public channels of lnd's with two nodes of ours, half of each with either side.
type throughLnd struct {
	*rig
	other  *ourNode
	links  [2]link // with r.us, with other
	before uint64  // what both of ours had at first
	made   []*passage
}

// passage is a payment from one of ours to the other.
type passage struct {
	from, to *ourNode
	id       lnactor.PaymentID
	hash     lnactor.Hash
	msat     uint64
}

// throughLnd starts the second node of ours, and opens both channels.
func (r *rig) throughLnd(edit func(*lnactor.Config)) *throughLnd {
	r.t.Helper()
	w := &throughLnd{rig: r, other: newUs(r.t, r.ctx, filepath.Join(r.dir, "us2"), r.chain, edit)}
	r.t.Cleanup(func() { _ = w.other.stop(false) })
	w.dial()
	w.links[0] = r.open(false, capacity/2, map[string]any{"private": false})
	must(r.t, r.lnd.openChannel(r.ctx, w.other.ID(), capacity, capacity/2, map[string]any{"private": false}))
	await(r.t, r.ctx, "funding of the second channel", func() bool { return len(r.mempool()) > 0 })
	r.mine(6)
	r.usKnows(r.us, 2)
	r.usKnows(w.other, 2)
	r.lndKnows(r.lnd, 2)
	list, err := w.other.Channels(r.ctx)
	must(r.t, err)
	w.links[1] = link{id: list[0].Channel, point: pointOf(list[0])}
	w.active()
	w.before = w.total()
	return w
}

func (w *throughLnd) nodes() [2]*ourNode { return [2]*ourNode{w.us, w.other} }

// dial connects both of ours with lnd.
func (w *throughLnd) dial() {
	w.t.Helper()
	for i, u := range w.nodes() {
		await(w.t, w.ctx, fmt.Sprintf("connection of lnd and our node %d", i), func() bool {
			_ = u.Connect(w.ctx, w.lnd.ID, w.lnd.Addr)
			return w.lnd.connected(w.ctx, u.ID())
		})
	}
}

// both waits until something holds for both channels, as lnd sees them and as ours do.
func (w *throughLnd) both(what string, holds func(ours *lnactor.Channel, theirs lndChannel) bool) {
	w.t.Helper()
	for i, l := range w.links {
		var theirs lndChannel
		var ours *lnactor.Channel
		func() {
			defer w.explain(&ours, &theirs)
			await(w.t, w.ctx, fmt.Sprintf("%s in channel %d", what, i), func() bool {
				var err error
				theirs, err = w.lnd.channel(w.ctx, l.point)
				ours = w.nodes()[i].channel(w.ctx, l.id)
				return err == nil && ours != nil && holds(ours, theirs)
			})
		}()
	}
}

// active waits until both channels can be used.
func (w *throughLnd) active() {
	w.t.Helper()
	w.both("activity", func(ours *lnactor.Channel, theirs lndChannel) bool {
		return theirs.Active && ours.Phase == lnactor.PhaseOpen && w.lnd.knows(w.ctx, theirs)
	})
}

// rest waits until no HTLC is left in either channel, as all three see it.
func (w *throughLnd) rest() {
	w.t.Helper()
	w.both("rest", atRest)
}

// total is what both of ours have in the channels.
func (w *throughLnd) total() (msat uint64) {
	w.t.Helper()
	for i, u := range w.nodes() {
		c := u.channel(w.ctx, w.links[i].id)
		if c == nil {
			w.t.Fatalf("channel %s is not listed", w.links[i].id)
		}
		msat += c.HolderMsat
	}
	return msat
}

// newPassage is a payment for which there is an invoice; it was not begun.
func (w *throughLnd) newPassage(from, to *ourNode, msat uint64, id []byte) (*passage, string, error) {
	inv, err := to.now().CreateInvoice(w.ctx, lnactor.InvoiceParams{AmountMsat: msat})
	return &passage{from: from, to: to, id: ln.PaymentID(id), hash: inv.Hash, msat: msat}, inv.Bolt11, err
}

// ended tells whether the payer knows the outcome, or that there never was a payment.
func (w *throughLnd) ended(p *passage) (lnactor.Payment, bool) {
	known, err := p.from.GetPayment(w.ctx, p.id)
	return known, errors.Is(err, lnactor.ErrNotFound) || err == nil && known.Status != lnactor.PaymentPending
}

// lndFee is what lnd asks for a payment by its default policy.
func lndFee(msat uint64) uint64 { return 1000 + msat/1_000_000 }

// audit waits for the end of all payments, and accounts for each: what a payer calls sent was claimed, both once; the money is where the outcomes put it; no
// channel was closed, and no HTLC is left.
//
// Where lnd dies (lndMayLose) it loses money: killed while it forwards, it may fail an HTLC back after its restart and offer it onwards all the same. Then the payee has claimed
// what the payer did not pay, and together they have more than they should, by just that much.
func (w *throughLnd) audit() (sent int) {
	t := w.t
	t.Helper()
	var cost, lost uint64
	for _, p := range w.made {
		var known lnactor.Payment
		await(t, w.ctx, "the outcome of each payment", func() bool {
			k, ended := w.ended(p)
			known = k
			return ended
		})
		weSent := known.Status == lnactor.PaymentIsSent
		if known.Status != 0 { // it was begun
			p.from.outcome(t, w.ctx, p.id) // the event, too
		}
		if weSent {
			sent++
			cost += known.FeeMsat
			awaitEvent(t, w.ctx, p.to, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == p.hash && e.AmountMsat == p.msat })
			if sha256.Sum256(known.Preimage[:]) != p.hash || known.FeeMsat != lndFee(p.msat) {
				t.Errorf("payment %s of %d msat: %+v", p.id, p.msat, known)
			}
		} else if _, claimed := find(p.to, func(e lnactor.PaymentClaimed) bool { return e.Hash == p.hash }); claimed {
			if !w.lndMayLose {
				t.Errorf("payment %s was claimed, but failed: %s", p.id, known.Reason)
			}
			t.Logf("payment %s was claimed, but lnd failed it back: %s", p.id, known.Reason)
			lost += p.msat
		}
	}
	w.rest()
	for _, u := range w.nodes() {
		outcomes, claims := map[lnactor.PaymentID]int{}, map[lnactor.Hash]int{}
		for _, e := range all[lnactor.PaymentSent](u) {
			outcomes[e.PaymentID]++
		}
		for _, e := range all[lnactor.PaymentFailed](u) {
			outcomes[e.PaymentID]++
		}
		for _, e := range all[lnactor.PaymentClaimed](u) {
			claims[e.Hash]++
		}
		for id, n := range outcomes {
			if n != 1 {
				t.Errorf("payment %s has %d outcomes", id, n)
			}
		}
		for hash, n := range claims {
			if n != 1 {
				t.Errorf("%s was claimed %d times", hash, n)
			}
		}
		if closed := all[lnactor.ChannelClosed](u); len(closed) > 0 {
			t.Errorf("closed: %+v", closed)
		}
	}
	if p, c := w.lnd.pending(t, w.ctx), w.lnd.closed(t, w.ctx); len(p.ForceCloses)+len(p.Waiting)+len(c) > 0 {
		t.Errorf("lnd closed: %+v, %+v", p, c)
	}
	if after, want := w.total(), w.before-cost+lost; after < want || after > want && !w.lndMayLose {
		t.Errorf("ours had %d msat and have %d, but the fees of what was sent are %d, and lnd lost %d", w.before, after, cost, lost)
	} else if after > want {
		t.Logf("lnd lost %d msat more: it failed what we had the preimage of", after-want)
	}
	return sent
}
