package peers

import (
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
	r.connect(true)
	other := r.secondLnd()
	first := r.open(false, capacity/2, map[string]any{"private": false})
	second, err := r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: other.ID, CapacitySat: capacity, PushMsat: capacity / 2 * 1000, Announce: true})
	must(t, err)
	await(t, r.ctx, "funding of the second channel", func() bool { return len(r.mempool()) > 0 })
	r.mine(6)
	r.usKnows(r.us, 2)
	r.lndKnows(r.lnd, 2)
	r.lndKnows(other, 2)
	r.awaitActive(first)

	type attempt struct {
		to   *lndNode
		hash []byte
		err  error
		got  lndPayment
	}
	var mu sync.Mutex
	var made []*attempt
	before := r.ours(first.id, second)
	for round := range 8 {
		stop := make(chan struct{})
		var payers sync.WaitGroup
		for i := range 4 {
			from, to := r.lnd, other
			if i%2 == 1 {
				from, to = other, r.lnd
			}
			payers.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(15 * time.Millisecond):
					}
					inv, err := to.invoice(r.ctx, 1_000_000, nil)
					if err != nil {
						t.Error(err)
						return
					}
					a := &attempt{to: to, hash: inv.Hash}
					mu.Lock()
					made = append(made, a)
					mu.Unlock()
					a.got, a.err = from.pay(r.ctx, inv.Bolt11, map[string]any{"timeout_seconds": 20})
				}
			})
		}
		time.Sleep(time.Duration(300+r.rng.IntN(1200)) * time.Millisecond)
		close(stop)
		r.restartUs(true)
		await(t, r.ctx, "connections after our death", func() bool {
			_ = r.us.Connect(r.ctx, r.lnd.ID, r.lnd.Addr)
			_ = r.us.Connect(r.ctx, other.ID, other.Addr)
			return r.connected() && other.connected(r.ctx, r.us.ID())
		})
		payers.Wait()
		r.awaitActive(first)
		t.Logf("round %d: %d payments so far", round, len(made))
	}
	await(t, r.ctx, "rest in both channels", func() bool {
		for _, id := range []lnactor.ChannelID{first.id, second} {
			if c := r.us.channel(r.ctx, id); c == nil || c.InboundHTLCs+c.OutboundHTLCs+c.UnackedEvents != 0 {
				return false
			}
		}
		return true
	})
	paid := uint64(0)
	for _, a := range made {
		must(t, a.err)
		inv, err := a.to.lookup(r.ctx, a.hash)
		must(t, err)
		if (a.got.Status == "SUCCEEDED") != (inv.State == "SETTLED") {
			t.Errorf("the payer says %s (%s), the payee %s", a.got.Status, a.got.Failure, inv.State)
		}
		if inv.State == "SETTLED" {
			paid++
		}
	}
	if gained, want := r.ours(first.id, second)-before, paid*fee(1_000_000); gained != want || paid == 0 {
		t.Errorf("%d payments went over us: we gained %d msat, want %d", paid, gained, want)
	}
	t.Logf("%d payments, %d arrived", len(made), paid)
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
	before := map[lnactor.ChannelID]bool{}
	list, err := r.us.Channels(r.ctx)
	must(r.t, err)
	for _, c := range list {
		before[c.Channel] = true
	}
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
	l := link{ours: weFund}
	list, err = r.us.Channels(r.ctx)
	must(r.t, err)
	for _, c := range list {
		if !before[c.Channel] {
			l.id, l.point = c.Channel, pointOf(c)
		}
	}
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

// TestLiveCloseWithHTLCs: a cooperative close begins while HTLCs of both directions are in flight. It waits for them, and then every satoshi is where it
// belongs.
func TestLiveCloseWithHTLCs(t *testing.T) {
	for _, weFund := range []bool{true, false} {
		t.Run(fmt.Sprintf("we fund %v", weFund), func(t *testing.T) {
			r := newRig(t, setup{extra: true, us: func(c *lnactor.Config) { c.ManualClaim = true }})
			r.connect(true)
			l := r.open(weFund, capacity/2, nil)
			a := r.openAccounts()
			ours, theirs := r.balances(l)
			out := r.weOffer(61_000_000, 113_000_000)
			in := r.lndOffers(47_000_000, 89_000_000)
			must(t, r.us.CloseChannel(r.ctx, l.id))
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
