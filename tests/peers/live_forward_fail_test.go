package peers

import (
	"crypto/sha256"
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
	// lnd as the payer must be ready to lock more than we are to forward.
	r := newRig(t, setup{extra: true, limit: 6 * time.Minute, lnd: []string{"--max-cltv-expiry=5000"}, us: func(c *lnactor.Config) {
		public(c)
		c.Faults = faults
	}})
	other, first, second := r.betweenLnds("--bitcoin.minhtlc=1000")
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
		{"EXPIRY_TOO_FAR", 1, func(hops []lndHop, lock *uint32) { // what goes out is locked for more than 2016 blocks
			for i := range hops {
				hops[i].expiry += 2016 - 80 + 1
			}
			*lock += 2016 - 80 + 1
		}},
		{"EXPIRY_TOO_FAR", 1, func(_ []lndHop, lock *uint32) { *lock += 2 * 2016 }}, // what comes in is locked for more than twice that
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
			r.dialBoth(other)
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

	// The second channel is to be closed once an HTLC in it is done for: until then it takes nothing new.
	held := lnactor.Preimage(randomBytes(r.rng, 32))
	hash := sha256.Sum256(held[:])
	bolt11, err := other.holdInvoice(r.ctx, held, 5_000_000)
	must(t, err)
	type payment struct {
		lndPayment
		err error
	}
	done := make(chan payment, 1)
	go func() {
		p, err := r.lnd.pay(r.ctx, bolt11, nil)
		done <- payment{p, err}
	}()
	await(t, r.ctx, "the payment to be held", func() bool {
		i, err := other.lookup(r.ctx, hash[:])
		return err == nil && i.State == "ACCEPTED"
	})
	must(t, r.us.CloseChannel(r.ctx, second))
	await(t, r.ctx, "the close to begin", func() bool {
		c := r.us.channel(r.ctx, second)
		return c != nil && c.Phase != lnactor.PhaseOpen
	})
	got, err := misroute(func([]lndHop, *uint32) {})
	must(t, err)
	if want := (lndFailure{Code: "CHANNEL_DISABLED", Source: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	must(t, other.settle(r.ctx, held))
	select {
	case p := <-done:
		if p.err != nil || p.Status != "SUCCEEDED" {
			t.Fatalf("held in a channel that is being closed: %+v", p)
		}
	case <-r.ctx.Done():
		t.Fatal("the payment hangs")
	}
	r.forwarded(r.us, hash[:], 5_000_000)
	await(t, r.ctx, "the closing transaction", func() bool { return len(r.mempool()) > 0 })
	r.mine(1)
	closed := awaitEvent(t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool { return e.Channel == second && e.Txid != [32]byte{} })
	if closed.Cause != lnactor.ClosedMutually {
		t.Errorf("closed: %+v", closed)
	}
	r.balances(first)
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
	of        *lndRoute // the payment of which this is a part; nil: nobody asked for it
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

// lndTakes has lnd pay over a route what nobody asked for, or a part of a payment, and returns the failure.
func (r *rig) lndTakes(lock uint32, hops ...lndHop) (lndFailure, error) {
	var list []map[string]any
	var fees uint64
	msat := hops[len(hops)-1].msat
	hash, secret, total := randomBytes(r.rng, 32), make([]byte, 32), msat
	if p := hops[len(hops)-1].of; p != nil {
		hash, secret, total = p.hash, p.secret, p.msat
	}
	for i, h := range hops {
		fees += h.fee
		hop := map[string]any{
			"chan_id": h.scid, "amt_to_forward_msat": fmt.Sprint(h.msat), "fee_msat": fmt.Sprint(h.fee), "expiry": h.expiry,
			"pub_key": hex.EncodeToString(h.key), "tlv_payload": true, "custom_records": h.records,
		}
		if i == len(hops)-1 {
			hop["mpp_record"] = map[string]any{"payment_addr": b64(secret), "total_amt_msat": fmt.Sprint(total)}
		}
		list = append(list, hop)
	}
	var a struct {
		Status  string      `json:"status"`
		Failure *lndFailure `json:"failure"`
	}
	err := r.lnd.post(r.ctx, "/v2/router/route/send", map[string]any{
		"payment_hash": b64(hash),
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
