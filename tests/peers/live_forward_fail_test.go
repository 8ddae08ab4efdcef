package peers

import (
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
)

// TestLiveForwardFailures: lnd - lnactor - lnd, over routes that lnd is told to take and that we may not: the payer learns the right reason, from us. Then the
// second lnd can't read what we forward, and says so by update_fail_malformed_htlc: the payer learns that from us, too, also when the connection is lost around
// the message, and when we die of it.
func TestLiveForwardFailures(t *testing.T) {
	faults := &cutter{}
	r := newRig(t, setup{extra: true, limit: 6 * time.Minute, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = faults
	}})
	r.connect(true)
	other := r.secondLnd("--bitcoin.minhtlc=1000")
	first := r.open(false, capacity/2, map[string]any{"private": false})
	second, err := r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: other.ID, CapacitySat: capacity, PushMsat: capacity / 2 * 1000, Announce: true})
	must(t, err)
	await(t, r.ctx, "funding of the second channel", func() bool { return len(r.mempool()) > 0 })
	r.mine(6)
	r.usKnows(r.us, 2)
	r.lndKnows(r.lnd, 2)
	r.lndKnows(other, 2)
	r.awaitActive(first)
	inv, err := other.invoice(r.ctx, 300_000_000, nil)
	must(t, err)
	if p := r.weSend(inv.Bolt11); p.Status != lnactor.PaymentIsSent {
		t.Fatalf("%+v", p)
	}
	r.rest(first.id, second)
	before := r.ours(first.id, second)

	us := r.us.ID()
	in, out := r.scid(r.lnd, first.point), r.scid(other, pointOf(*r.us.channel(r.ctx, second)))
	delta := uint32(r.us.Forwarding().CLTVDelta)
	misroute := func(edit func(hops []lndHop, lock *uint32)) (lndFailure, error) {
		_, tip := r.chain.Tip(t)
		const msat = 2_000_000
		expiry := uint32(tip) + 80
		hops := []lndHop{
			{scid: in, msat: msat, fee: fee(msat), expiry: expiry, key: us[:]},
			{scid: out, msat: msat, expiry: expiry, key: other.ID[:]},
		}
		lock := expiry + delta
		edit(hops, &lock)
		return r.lndTakes(lock, hops...)
	}
	amount := func(hops []lndHop, msat uint64) {
		hops[0].msat, hops[0].fee, hops[1].msat = msat, fee(msat), msat
	}
	for _, c := range []struct {
		want   string
		source uint32
		edit   func(hops []lndHop, lock *uint32)
	}{
		{"INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS", 2, func([]lndHop, *uint32) {}}, // we forward it, and nobody asked for it
		{"FEE_INSUFFICIENT", 1, func(hops []lndHop, _ *uint32) { hops[0].fee-- }},
		{"INCORRECT_CLTV_EXPIRY", 1, func(_ []lndHop, lock *uint32) { *lock-- }},
		{"UNKNOWN_NEXT_PEER", 1, func(hops []lndHop, _ *uint32) { hops[1].scid = "123456789" }},
		{"UNKNOWN_NEXT_PEER", 1, func(hops []lndHop, _ *uint32) { hops[1].scid = in }}, // back where it came from
		{"AMOUNT_BELOW_MINIMUM", 1, func(hops []lndHop, _ *uint32) { amount(hops, 999) }},
		{"TEMPORARY_CHANNEL_FAILURE", 1, func(hops []lndHop, _ *uint32) { amount(hops, 800_000_000) }},
		{"EXPIRY_TOO_SOON", 1, func(hops []lndHop, lock *uint32) {
			for i := range hops {
				hops[i].expiry -= 79
			}
			*lock -= 79
		}},
		{"INVALID_ONION_PAYLOAD", 1, func(hops []lndHop, _ *uint32) { hops[0].records = map[string]string{"65536": b64([]byte("even"))} }},
		{"INVALID_ONION_HMAC", 1, func(hops []lndHop, _ *uint32) { hops[1].key = hopKey(2).PubKey().SerializeCompressed() }},
	} {
		got, err := misroute(c.edit)
		must(t, err)
		if want := (lndFailure{Code: c.want, Source: c.source}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}

	want := lndFailure{Code: "INVALID_ONION_HMAC", Source: 1}
	for _, m := range aroundReceiving(lnwire.MsgUpdateFailMalformedHTLC, 1) {
		for _, die := range []bool{false, true} {
			t.Logf("cut %v, and we die: %v", m, die)
			faults.arm(m)
			type outcome struct {
				lndFailure
				err error
			}
			done := make(chan outcome, 1)
			go func() {
				f, err := misroute(func(hops []lndHop, _ *uint32) { hops[1].key = hopKey(2).PubKey().SerializeCompressed() })
				done <- outcome{f, err}
			}()
			await(t, r.ctx, "the cut "+m.String(), func() bool { return !faults.pending() })
			if die {
				r.restartUs(true)
			}
			await(t, r.ctx, "connections after the cut", func() bool {
				_ = r.us.Connect(r.ctx, r.lnd.ID, r.lnd.Addr)
				_ = r.us.Connect(r.ctx, other.ID, other.Addr)
				return r.connected() && other.connected(r.ctx, r.us.ID())
			})
			select {
			case got := <-done:
				must(t, got.err)
				if got.lndFailure != want {
					t.Fatalf("%+v, want %+v", got.lndFailure, want)
				}
			case <-r.ctx.Done():
				t.Fatal("the payment hangs")
			}
			r.awaitActive(first)
			r.rest(first.id, second)
		}
	}
	r.balances(first)
	if after := r.ours(first.id, second); after != before {
		t.Errorf("we had %d msat and have %d", before, after)
	}
	must(t, r.lnd.post(r.ctx, "/v2/router/mc/reset", map[string]any{}, nil)) // lnd thinks badly of us now
	inv, err = other.invoice(r.ctx, 2_000_000, nil)
	must(t, err)
	if p, err := r.lnd.pay(r.ctx, inv.Bolt11, nil); err != nil || p.Status != "SUCCEEDED" {
		t.Fatalf("%+v, %v", p, err)
	}
	r.forwarded(r.us, inv.Hash, 2_000_000)
}

// lndFailure is why a payment of lnd's failed: what was said, and by which node of the route.
type lndFailure struct {
	Code   string `json:"code"`
	Source uint32 `json:"failure_source_index"`
}

// lndHop is a hop of a route that lnd is told to take.
type lndHop struct {
	scid      string
	msat, fee uint64 // goes on from there; is kept there
	expiry    uint32
	key       []byte
	records   map[string]string
}

// scid is a channel's number as an lnd writes it.
func (r *rig) scid(l *lndNode, point string) string {
	r.t.Helper()
	c, err := l.channel(r.ctx, point)
	must(r.t, err)
	return c.SCID
}

// misroutes has lnd pay nobody over one channel to a node that may not be there, and returns the failure.
func (r *rig) misroutes(scid string, msat uint64, key []byte) (lndFailure, error) {
	_, tip := r.chain.Tip(r.t)
	expiry := uint32(tip) + 80
	return r.lndTakes(expiry, lndHop{scid: scid, msat: msat, expiry: expiry, key: key})
}

// lndTakes has lnd pay nobody over a route, and returns the failure.
func (r *rig) lndTakes(lock uint32, hops ...lndHop) (lndFailure, error) {
	var list []map[string]any
	var fees uint64
	msat := hops[len(hops)-1].msat
	for i, h := range hops {
		fees += h.fee
		hop := map[string]any{
			"chan_id": h.scid, "amt_to_forward_msat": fmt.Sprint(h.msat), "fee_msat": fmt.Sprint(h.fee), "expiry": h.expiry,
			"pub_key": hex.EncodeToString(h.key), "tlv_payload": true, "custom_records": h.records,
		}
		if i == len(hops)-1 {
			hop["mpp_record"] = map[string]any{"payment_addr": b64(make([]byte, 32)), "total_amt_msat": fmt.Sprint(msat)}
		}
		list = append(list, hop)
	}
	var a struct {
		Status  string      `json:"status"`
		Failure *lndFailure `json:"failure"`
	}
	err := r.lnd.post(r.ctx, "/v2/router/route/send", map[string]any{
		"payment_hash": b64(randomBytes(r.rng, 32)),
		"route": map[string]any{
			"total_time_lock": lock, "total_amt_msat": fmt.Sprint(msat + fees), "total_fees_msat": fmt.Sprint(fees), "hops": list,
		},
	}, &a)
	if err == nil && a.Failure == nil {
		err = fmt.Errorf("a payment to nobody is %s", a.Status)
	}
	if err != nil {
		return lndFailure{}, err
	}
	return *a.Failure, nil
}

// rest waits until channels of ours hold no HTLC.
func (r *rig) rest(ids ...lnactor.ChannelID) {
	r.t.Helper()
	for _, id := range ids {
		await(r.t, r.ctx, "rest in "+id.String(), func() bool {
			c := r.us.channel(r.ctx, id)
			return c != nil && c.InboundHTLCs+c.OutboundHTLCs+c.UnackedEvents == 0
		})
	}
}
