package peers

import (
	"fmt"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
)

// TestLiveAnnouncementsDie kills either side at random moments of the opening and the announcement of public channels, and at each message of it. Both have
// all of it in the end: the channel, both policies and both nodes; it carries payments, and is closed with every satoshi where it belongs.
func TestLiveAnnouncementsDie(t *testing.T) {
	faults := &cutter{}
	r := newRig(t, setup{extra: true, limit: 20 * time.Minute, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = faults
	}})
	r.connect(true)
	deaths := [2]func(){func() { r.restartUs(true) }, func() { r.restartLnd(true) }}
	who := [2]string{"we die", "lnd dies"}

	for round := range 8 {
		i := round % 2
		l := r.openPublic(round%4 < 2)
		r.chain.Mine(t, 1+r.rng.IntN(6))
		pause := time.Duration(r.rng.IntN(800)) * time.Millisecond
		time.Sleep(pause)
		t.Logf("%s %v after the blocks", who[i], pause)
		deaths[i]()
		r.weDial()
		r.mine(6)
		r.announced(l)
	}
	for n, m := range join(
		around(lnwire.MsgChannelReady, 1), around(lnwire.MsgAnnounceSignatures, 1), around(lnwire.MsgChannelUpdate, 1), aroundSending(lnwire.MsgChannelAnnouncement, 1),
	) {
		for i, dies := range who {
			t.Logf("%s, %v", dies, m)
			l := r.openPublic(n%2 == 0)
			if i == 0 {
				faults.arm(m)
			} else {
				faults.armWith(m, r.lnd.kill)
			}
			r.chain.Mine(t, 6)
			await(t, r.ctx, "the cut "+m.String(), func() bool { return !faults.pending() })
			if i == 0 {
				r.restartUs(true)
			} else {
				r.lnd.start(t, r.ctx)
			}
			r.weDial()
			r.follow()
			r.announced(l)
		}
	}
}

// openPublic opens a public channel whose funding transaction is in the mempool.
func (r *rig) openPublic(weFund bool) link {
	r.t.Helper()
	if !weFund {
		return r.openUnconfirmed(false, capacity/2, map[string]any{"private": false})
	}
	opened := r.newChannel()
	_, err := r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: r.lnd.ID, CapacitySat: capacity, PushMsat: capacity / 2 * 1000, Announce: true})
	must(r.t, err)
	l, err := opened()
	must(r.t, err)
	l.ours = true
	r.chain.AwaitTx(r.t, txidOf(r.t, l.point))
	return l
}

// announced waits until both know all of a public channel that is the only one, and uses and closes it.
func (r *rig) announced(l link) {
	r.t.Helper()
	r.awaitActive(l)
	r.lndKnows(r.lnd, 1)
	r.usKnows(r.us, 1)
	await(r.t, r.ctx, "both nodes in our graph", func() bool {
		s, err := r.us.Graph(r.ctx)
		return err == nil && s.Announced == 2
	})
	await(r.t, r.ctx, "our name at lnd", func() bool {
		var a struct {
			Node struct {
				Alias string `json:"alias"`
			} `json:"node"`
		}
		err := r.lnd.get(r.ctx, "/v1/graph/node/"+r.us.ID().String(), &a)
		return err == nil && a.Node.Alias == "lnactor"
	})
	r.weMustSend(1_500_000)
	r.lndMustSend(1_500_000)
	r.balances(l)
	r.closeMutually(l, l.ours)
}

// TestLivePoliciesDie kills either side just after a policy was changed. What was said to be changed stays so, and both know it in the end.
func TestLivePoliciesDie(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 10 * time.Minute, us: public})
	r.connect(true)
	l := r.openPublic(true)
	r.mine(6)
	r.awaitActive(l)
	r.lndKnows(r.lnd, 1)
	r.usKnows(r.us, 1)
	deaths := [2]func(){func() { r.restartUs(true) }, func() { r.restartLnd(true) }}
	for round := range uint64(8) {
		weChange, die := round%2 == 0, deaths[round/2%2]
		p := lndPolicy{Base: 3000 + round, PPM: 500 + round, Delta: uint32(50 + round)}
		t.Logf("we change it %v, and %s", weChange, []string{"we die", "lnd dies"}[round/2%2])
		if weChange {
			must(t, r.us.SetPolicy(r.ctx, l.id, lnactor.ForwardingPolicy{BaseMsat: uint32(p.Base), PropMillionths: uint32(p.PPM), CLTVDelta: uint16(p.Delta)}))
		} else {
			must(t, r.lnd.setPolicy(r.ctx, l.point, p))
		}
		time.Sleep(time.Duration(r.rng.IntN(200)) * time.Millisecond)
		die()
		r.weDial()
		r.awaitActive(l)
		await(t, r.ctx, fmt.Sprintf("the policy %+v at both", p), func() bool {
			owner := r.lnd.ID
			if weChange {
				owner = r.us.ID()
			}
			e, err := r.lnd.edge(r.ctx, r.scid(r.lnd, l.point))
			got := e.policy(owner)
			if err != nil || got == nil || got.Base != p.Base || got.PPM != p.PPM || got.Delta != p.Delta {
				return false
			}
			list, err := r.us.Policies(r.ctx)
			for _, q := range list {
				ours := q.Theirs
				if weChange {
					ours = q.Ours
				}
				if err == nil && q.Channel == l.id {
					return ours.Known && uint64(ours.BaseMsat) == p.Base && uint64(ours.PropMillionths) == p.PPM && uint32(ours.CLTVDelta) == p.Delta
				}
			}
			return false
		})
	}
	r.weMustSend(1_500_000)
	r.lndMustSend(1_500_000)
	r.closeMutually(l, true)
}

// TestLiveHeldOverDeaths: payments of both directions are held by their payees while either side dies. Then they are claimed or refused, and come out so.
func TestLiveHeldOverDeaths(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 6 * time.Minute, us: func(c *lnactor.Config) { c.ManualClaim = true }})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	before, _ := r.balances(l)
	for _, deaths := range [][]func(){
		{func() { r.restartUs(true) }}, {func() { r.restartLnd(true) }}, {func() { r.restartUs(true) }, func() { r.restartLnd(true) }},
	} {
		out := r.weOffer(50_000_000, 60_000_000)
		in := r.lndOffers(30_000_000, 40_000_000)
		for _, die := range deaths {
			die()
			r.weDial()
			r.awaitActive(l)
		}
		must(t, r.lnd.settle(r.ctx, out[0].preimage))
		must(t, r.lnd.cancel(r.ctx, out[1].hash[:]))
		must(t, r.us.ClaimPayment(r.ctx, in[0].hash))
		must(t, r.us.RefusePayment(r.ctx, in[1].hash))
		if p := r.us.outcome(t, r.ctx, out[0].id); p.Status != lnactor.PaymentIsSent || p.Preimage != out[0].preimage {
			t.Errorf("claimed by lnd: %+v", p)
		}
		if p := r.us.outcome(t, r.ctx, out[1].id); p.Status != lnactor.PaymentFailure {
			t.Errorf("refused by lnd: %+v", p)
		}
		awaitEvent(t, r.ctx, r.us, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == in[0].hash && e.AmountMsat == in[0].msat })
		var paid map[string]lndPayment
		await(t, r.ctx, "the ends of lnd's payments", func() bool {
			var err error
			paid, err = r.lnd.payments(r.ctx)
			return err == nil && paid[in[0].hash.String()].Status == "SUCCEEDED" && paid[in[1].hash.String()].Status == "FAILED"
		})
		after, _ := r.balances(l)
		if before-after != 20_000_000 {
			t.Fatalf("%d msat before, %d after", before, after)
		}
		before = after
	}
	r.closeMutually(l, true)
}
