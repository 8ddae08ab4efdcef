package peers

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
)

// TestLiveCutOurQueries loses the connection before and after each message with which we ask lnd for the network, having lost what we knew of it. What is lost
// is asked for again: we know the channel of lnd's that we have no part in, and pay over it, and a payment that lnd held meanwhile comes out as it should.
func TestLiveCutOurQueries(t *testing.T) {
	faults := &cutter{}
	r := newRig(t, setup{extra: true, limit: 10 * time.Minute, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = faults
	}})
	w := r.throughLnd(public)
	c := &cutRig{rig: r, faults: faults, link: w.links[0], msat: 5_000_000}
	out := uint64(0)
	for _, m := range join(
		aroundSending(lnwire.MsgGossipTimestampRange, 1), aroundSending(lnwire.MsgQueryChannelRange, 1), aroundReceiving(lnwire.MsgReplyChannelRange, 1),
		aroundSending(lnwire.MsgQueryShortChanIDs, 1), aroundReceiving(lnwire.MsgReplyShortChanIDsEnd, 1),
	) {
		t.Logf("cut %v", m)
		c.heldAcross(func() {
			must(t, r.us.stop(true))
			if err := os.Remove(filepath.Join(r.us.cfg.Dir, "graph")); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			faults.arm(m)
			r.us.start(t, r.ctx)
			c.dialUntilCut(m)
			w.dial()
			w.active()
			r.usKnows(r.us, 2)
		})
		w.works()
		out += c.msat
	}
	// What lnd held for us came beside what both of ours paid each other.
	w.before -= out
	w.audit()
}

// TestLiveCutLndsQueries: the same with lnd as the one that asks. While it was away we opened a public channel with a third node, of which only we tell lnd.
func TestLiveCutLndsQueries(t *testing.T) {
	faults := &cutter{}
	r := newRig(t, setup{extra: true, limit: 15 * time.Minute, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = faults
	}})
	r.connect(true)
	l := r.openPublic(false)
	r.mine(6)
	r.awaitActive(l)
	c := &cutRig{rig: r, faults: faults, link: l, msat: 5_000_000}
	before, _ := r.balances(l)
	other := newUs(t, r.ctx, filepath.Join(r.dir, "us2"), r.chain, public)
	t.Cleanup(func() { _ = other.stop(false) })
	known := 1
	for _, m := range join(
		aroundReceiving(lnwire.MsgQueryChannelRange, 1), aroundSending(lnwire.MsgReplyChannelRange, 1), aroundReceiving(lnwire.MsgQueryShortChanIDs, 1),
		aroundSending(lnwire.MsgReplyShortChanIDsEnd, 1), aroundReceiving(lnwire.MsgGossipTimestampRange, 1),
	) {
		t.Logf("cut %v", m)
		c.heldAcross(func() {
			r.lnd.stop(t)
			await(t, r.ctx, "a connection of ours", func() bool { return r.us.Connect(r.ctx, other.ID(), other.ListenAddress()) == nil })
			_, err := r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: other.ID(), CapacitySat: 200_000, Announce: true})
			must(t, err)
			await(t, r.ctx, "the funding", func() bool { return len(r.mempool()) > 0 })
			r.chain.Mine(t, 6)
			known++
			r.usKnows(r.us, known)
			faults.arm(m)
			r.lnd.start(t, r.ctx)
			c.dialUntilCut(m)
			r.weDial()
			r.awaitActive(l)
			r.lndKnows(r.lnd, known)
		})
		r.lndMustSend(1_000_000)
	}
	r.audit(l, before, func() (uint64, int) { return c.sent, c.n })
}

// heldAcross does something while lnd holds a payment of ours, which it settles afterwards.
func (r *cutRig) heldAcross(do func()) {
	r.t.Helper()
	r.msat++
	held := r.weOffer(r.msat)[0]
	do()
	must(r.t, r.lnd.settle(r.ctx, held.preimage))
	if p := r.us.outcome(r.t, r.ctx, held.id); p.Status != lnactor.PaymentIsSent || p.Preimage != held.preimage {
		r.t.Fatalf("held meanwhile: %+v", p)
	}
	r.sent += r.msat
	r.n++
	r.balances(r.link)
}

// dialUntilCut connects until the connection is lost where it was to be.
func (r *cutRig) dialUntilCut(m cut) {
	r.t.Helper()
	await(r.t, r.ctx, "the cut "+m.String(), func() bool {
		if !r.connected() {
			_ = r.us.Connect(r.ctx, r.lnd.ID, r.lnd.Addr)
		}
		return !r.faults.pending()
	})
}
