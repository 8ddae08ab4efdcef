package peers

import (
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestLiveForwarderDies: lnd - lnactor - lnd, with payments in both directions, while we die at random moments. Whatever the payers call paid has arrived, what
// has arrived they call paid, and we have gained our fees, to the millisatoshi.
func TestLiveForwarderDies(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 12 * time.Minute, us: public})
	r.forwarderDeaths(8, func(int, *lndNode) { r.restartUs(true) })
}

// TestLiveForwardersPeersDie is the same while one lnd dies, then the other. They may lose money, as in TestLiveLndDies, we may not.
func TestLiveForwardersPeersDie(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 12 * time.Minute, us: public})
	r.lndMayLose = true
	r.forwarderDeaths(6, func(round int, other *lndNode) {
		if round%2 == 0 {
			r.restartLnd(true)
			return
		}
		other.kill()
		other.start(t, r.ctx)
	})
}

// forwarderDeaths does harm to one of the three again and again while both lnds pay each other over us.
func (r *rig) forwarderDeaths(rounds int, harm func(round int, other *lndNode)) {
	t := r.t
	t.Helper()
	other, first, second := r.betweenLnds()

	type attempt struct {
		from, to *lndNode
		hash     []byte
		err      error
		got      lndPayment
	}
	var mu sync.Mutex
	var made []*attempt
	pay := func(from, to *lndNode) error {
		inv, err := to.invoice(r.ctx, 1_000_000, nil)
		if err != nil {
			return err
		}
		a := &attempt{from: from, to: to, hash: inv.Hash}
		mu.Lock()
		made = append(made, a)
		mu.Unlock()
		a.got, a.err = from.pay(r.ctx, inv.Bolt11, map[string]any{"timeout_seconds": 20})
		if a.err == nil && a.got.Status != "SUCCEEDED" {
			return errors.New(a.got.Failure)
		}
		return a.err
	}
	before := r.ours(first.id, second)
	for round := range rounds {
		stop := make(chan struct{})
		var payers sync.WaitGroup
		for i := range 4 {
			from, to := r.lnd, other
			if i%2 == 1 {
				from, to = other, r.lnd
			}
			payers.Go(func() {
				keepOn(stop, 15*time.Millisecond, func() bool {
					_ = pay(from, to)
					return true
				})
			})
		}
		time.Sleep(time.Duration(300+r.rng.IntN(1200)) * time.Millisecond)
		close(stop)
		harm(round, other)
		r.dialBoth(other)
		payers.Wait()
		r.awaitActive(first)
		for _, way := range [][2]*lndNode{{r.lnd, other}, {other, r.lnd}} { // lnd signs what it owes with the next payment
			await(t, r.ctx, "a payment after a death", func() bool {
				must(t, way[0].post(r.ctx, "/v2/router/mc/reset", map[string]any{}, nil)) // it thinks badly of us for what failed
				return pay(way[0], way[1]) == nil
			})
		}
		r.rest(first.id, second)
		t.Logf("round %d: %d payments so far", round, len(made))
	}
	paid, gone := uint64(0), 0
	for _, a := range made {
		if a.err != nil && !r.lndMayLose {
			t.Error(a.err)
		}
		if a.err != nil { // the payer died; it may call the payment in flight for ever, though no channel holds it
			all, err := a.from.payments(r.ctx)
			must(t, err)
			a.got = all[hex.EncodeToString(a.hash)]
		}
		inv, err := a.to.lookup(r.ctx, a.hash)
		must(t, err)
		sent, settled := a.got.Status == "SUCCEEDED", inv.State == "SETTLED"
		switch {
		case sent && settled:
			paid++
		case settled && r.lndMayLose:
			gone++
		case sent != settled:
			t.Errorf("the payer says %s (%s), the payee %s", a.got.Status, a.got.Failure, inv.State)
		}
	}
	gained, want := r.ours(first.id, second)-before, paid*fee(1_000_000)
	if paid == 0 || gained != want && (!r.lndMayLose || gained < want) {
		t.Errorf("%d payments went over us: we gained %d msat, want %d", paid, gained, want)
	}
	t.Logf("%d payments, %d arrived, %d arrived that their payers do not call paid; we gained %d msat more than our fees", len(made), paid, gone, gained-want)
	if p, q := r.lnd.pending(t, r.ctx), other.pending(t, r.ctx); len(p.ForceCloses)+len(p.Waiting)+len(q.ForceCloses)+len(q.Waiting) > 0 {
		t.Errorf("closed: %+v, %+v", p, q)
	}
}

// ours is what we have in channels.
func (r *rig) ours(ids ...lnactor.ChannelID) (msat uint64) {
	r.t.Helper()
	for _, id := range ids {
		c := r.us.channel(r.ctx, id)
		if c == nil {
			r.t.Fatalf("channel %s is not listed", id)
		}
		msat += c.HolderMsat
	}
	return msat
}

// TestLiveOpensAndClosesDie kills either side at random moments of openings, and then of cooperative closes. A channel that both have comes to be used, and
// is closed with every satoshi where it belongs; one that only one has holds no money.
func TestLiveOpensAndClosesDie(t *testing.T) {
	for _, weFund := range []bool{true, false} {
		t.Run(fmt.Sprintf("we fund %v", weFund), func(t *testing.T) {
			r := newRig(t, setup{extra: true, limit: 15 * time.Minute})
			r.connect(true)
			for round := range 4 {
				die := func() { r.restartUs(true) }
				if round%2 == 1 {
					die = func() { r.restartLnd(true) }
				}
				l, ok := r.openDying(weFund, die)
				if !ok {
					t.Log("no channel")
					l = r.open(weFund, capacity/2, nil)
				}
				r.weMustSend(1_500_000)
				r.lndMustSend(1_500_000)
				r.balances(l)
				r.closeMutuallyBy(l, func() {
					if weFund == (round < 2) {
						must(t, r.us.CloseChannel(r.ctx, l.id))
					} else {
						go func() { _ = r.lnd.closeChannel(r.ctx, l.point, false) }() // lnd may die of it
						await(t, r.ctx, "lnd to begin the close", func() bool {
							c := r.us.channel(r.ctx, l.id)
							return c == nil || c.Phase != lnactor.PhaseOpen
						})
					}
					time.Sleep(time.Duration(r.rng.IntN(100)) * time.Millisecond)
					die()
					r.weDial()
				})
			}
		})
	}
}

// openDying opens a channel while somebody dies; false if it came to nothing.
func (r *rig) openDying(weFund bool, die func()) (link, bool) {
	r.t.Helper()
	opened := r.newChannel()
	var over atomic.Bool
	var opening sync.WaitGroup
	opening.Go(func() {
		defer over.Store(true)
		if weFund {
			_, _ = r.us.now().OpenChannel(r.ctx, lnactor.OpenParams{Peer: r.lnd.ID, CapacitySat: capacity, PushMsat: capacity / 2 * 1000})
			return
		}
		_ = r.lnd.openChannel(r.ctx, r.us.ID(), capacity, capacity/2, nil)
	})
	time.Sleep(time.Duration(r.rng.IntN(150)) * time.Millisecond)
	r.t.Logf("killed after the opening: %v", over.Load())
	die()
	opening.Wait()
	r.weDial()
	l, err := opened()
	must(r.t, err)
	l.ours = weFund
	if l.point == "" || !r.lndHas(l.point) {
		if l.point != "" && weFund {
			r.t.Fatalf("our channel %s was signed by lnd, which does not know it", l.id)
		}
		return link{}, false
	}
	await(r.t, r.ctx, "the funding transaction", func() bool { return r.transaction(txidOf(r.t, l.point)) != nil })
	r.mine(3)
	r.weDial()
	r.awaitActive(l)
	return l, true
}

// lndHas tells whether lnd knows a channel, perhaps one that is not open yet.
func (r *rig) lndHas(point string) bool {
	r.t.Helper()
	for _, p := range r.lnd.pending(r.t, r.ctx).Opens {
		if p.Channel.Point == point {
			return true
		}
	}
	_, err := r.lnd.channel(r.ctx, point)
	return err == nil
}

// TestLiveCloseWithHTLCs: either side begins a cooperative close while HTLCs of both directions are in flight. It waits for them, and then every satoshi is where it
// belongs.
func TestLiveCloseWithHTLCs(t *testing.T) {
	for i := range 4 {
		weFund, weStart := i%2 == 0, i/2 == 0
		t.Run(fmt.Sprintf("we fund %v, we start %v", weFund, weStart), func(t *testing.T) {
			r := newRig(t, setup{extra: true, us: func(c *lnactor.Config) { c.ManualClaim = true }})
			r.connect(true)
			l := r.open(weFund, capacity/2, nil)
			a := r.openAccounts()
			ours, theirs := r.balances(l)
			out := r.weOffer(61_000_000, 113_000_000)
			in := r.lndOffers(47_000_000, 89_000_000)
			if weStart {
				must(t, r.us.CloseChannel(r.ctx, l.id))
			} else {
				must(t, r.lnd.closeChannel(r.ctx, l.point, false, "no_wait=true"))
			}
			await(t, r.ctx, "the close to begin", func() bool {
				c := r.us.channel(r.ctx, l.id)
				return c != nil && c.Phase != lnactor.PhaseOpen
			})
			await(t, r.ctx, "no new payments", func() bool {
				inv, err := r.lnd.invoice(r.ctx, 1_000_000, nil)
				if err != nil {
					return false
				}
				_, err = r.us.Pay(r.ctx, inv.Bolt11)
				return errors.Is(err, lnactor.ErrNoChannel) || errors.Is(err, lnactor.ErrBalance)
			})
			must(t, r.lnd.settle(r.ctx, out[0].preimage))
			must(t, r.lnd.cancel(r.ctx, out[1].hash[:]))
			must(t, r.us.ClaimPayment(r.ctx, in[0].hash))
			must(t, r.us.RefusePayment(r.ctx, in[1].hash))
			tx := r.awaitSpend(l)
			r.mine(1)
			closed := awaitEvent(t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool { return e.Channel == l.id && e.Txid != [32]byte{} })
			if closed.Cause != lnactor.ClosedMutually || closed.Txid != tx.TxHash() {
				t.Fatalf("closed by %d with %x, want mutually with %v", closed.Cause, closed.Txid, tx.TxHash())
			}
			r.mine(6)
			r.toTheEnd(l)
			if p := r.us.outcome(t, r.ctx, out[0].id); p.Status != lnactor.PaymentIsSent {
				t.Errorf("claimed by lnd: %+v", p)
			}
			if p := r.us.outcome(t, r.ctx, out[1].id); p.Status != lnactor.PaymentFailure {
				t.Errorf("refused by lnd: %+v", p)
			}
			a.settle(l, int64(ours/1000)-61_000+47_000, int64(theirs/1000)+61_000-47_000)
		})
	}
}
