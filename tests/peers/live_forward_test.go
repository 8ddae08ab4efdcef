package peers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/lnactor/lnactor"
)

// public makes what a node that routes is: heard of, and with fees of its own.
func public(c *lnactor.Config) {
	c.Public = lnactor.PublicInfo{Alias: "lnactor", Addresses: []string{"127.0.0.1:19735"}}
	c.Forwarding.BaseMsat, c.Forwarding.PropMillionths = 1234, 200
}

// fee is what public asks for forwarding.
func fee(msat uint64) uint64 { return 1234 + msat*200/1_000_000 }

// secondLnd starts another lnd with money, connected to us.
func (r *rig) secondLnd(args ...string) *lndNode {
	r.t.Helper()
	l := newLnd(r.t, r.ctx, r.lnd.program, filepath.Join(r.dir, "lnd2"), r.chain, args...)
	r.t.Cleanup(l.kill)
	r.fund(l.newAddress(r.t, r.ctx), btcutil.SatoshiPerBitcoin/10, 3)
	r.mine(1)
	await(r.t, r.ctx, "coins of the second lnd", func() bool { return l.wallet(r.t, r.ctx).Confirmed == 3*btcutil.SatoshiPerBitcoin/10 })
	await(r.t, r.ctx, "connection to the second lnd", func() bool {
		_ = r.us.Connect(r.ctx, l.ID, l.Addr)
		return l.connected(r.ctx, r.us.ID())
	})
	return l
}

// betweenLnds is lnd - lnactor - lnd: public channels of ours with both, half of each with either side.
func (r *rig) betweenLnds(args ...string) (other *lndNode, first link, second lnactor.ChannelID) {
	r.t.Helper()
	r.connect(true)
	other = r.secondLnd(args...)
	first = r.open(false, capacity/2, map[string]any{"private": false})
	second, err := r.us.OpenChannel(r.ctx, lnactor.OpenParams{Peer: other.ID, CapacitySat: capacity, PushMsat: capacity / 2 * 1000, Announce: true})
	must(r.t, err)
	await(r.t, r.ctx, "funding of the second channel", func() bool { return len(r.mempool()) > 0 })
	r.mine(6)
	r.usKnows(r.us, 2)
	r.lndKnows(r.lnd, 2)
	r.lndKnows(other, 2)
	r.awaitActive(first)
	return other, first, second
}

// dialBoth connects us with both lnds.
func (r *rig) dialBoth(other *lndNode) {
	r.t.Helper()
	await(r.t, r.ctx, "connections with both lnds", func() bool {
		_ = r.us.Connect(r.ctx, r.lnd.ID, r.lnd.Addr)
		_ = r.us.Connect(r.ctx, other.ID, other.Addr)
		return r.connected() && other.connected(r.ctx, r.us.ID())
	})
}

// lndKnows waits until an lnd has so many channels with both policies in its graph.
func (r *rig) lndKnows(l *lndNode, channels int) {
	r.t.Helper()
	await(r.t, r.ctx, fmt.Sprintf("%d channels in lnd's graph", channels), func() bool {
		var g struct {
			Edges []struct {
				One *struct{} `json:"node1_policy"`
				Two *struct{} `json:"node2_policy"`
			} `json:"edges"`
		}
		if l.get(r.ctx, "/v1/graph", &g) != nil {
			return false
		}
		known := 0
		for _, e := range g.Edges {
			if e.One != nil && e.Two != nil {
				known++
			}
		}
		return known == channels
	})
}

// usKnows waits until one of ours has so many channels with both policies in its graph.
func (r *rig) usKnows(u *ourNode, channels int) {
	r.t.Helper()
	await(r.t, r.ctx, fmt.Sprintf("%d channels in our graph", channels), func() bool {
		g, err := u.Graph(r.ctx)
		return err == nil && g.Channels == channels && g.Policies == 2*channels
	})
}

// forwarded waits for our fee of a payment.
func (r *rig) forwarded(u *ourNode, hash []byte, msat uint64) {
	r.t.Helper()
	e := awaitEvent(r.t, r.ctx, u, "PaymentForwarded", func(e lnactor.PaymentForwarded) bool { return e.Hash == lnactor.Hash(hash) })
	if want := fee(msat); e.FeeMsat != want || e.OutAmountMsat != msat || e.InAmountMsat != msat+want || e.ClaimLost || e.OnChain {
		r.t.Fatalf("forwarded %+v, want a fee of %d for %d", e, want, msat)
	}
}

// TestLiveWeForward: lnd - lnactor - lnd. Both lnds find the way by what we gossip; payments both ways, failures of each kind at the end, and a restart
// of ours with an HTLC on its way.
func TestLiveWeForward(t *testing.T) {
	r := newRig(t, setup{limit: 5 * time.Minute, us: public})
	other, first, _ := r.betweenLnds()

	pays := func(from, to *lndNode, msat uint64) {
		t.Helper()
		inv, err := to.invoice(r.ctx, msat, nil)
		must(t, err)
		p, err := from.pay(r.ctx, inv.Bolt11, nil)
		must(t, err)
		if p.Status != "SUCCEEDED" {
			t.Fatalf("%d msat over us: %+v", msat, p)
		}
		r.forwarded(r.us, inv.Hash, msat)
	}
	for i := range uint64(10) {
		pays(r.lnd, other, 2_000_000+i)
		pays(other, r.lnd, 1_000_000+i)
	}
	pays(r.lnd, other, 150_000) // dust

	// An unknown payment: the last node's failure comes back as its own.
	inv, err := other.invoice(r.ctx, 3_000_000, nil)
	must(t, err)
	must(t, other.call(r.ctx, "POST", "/v2/invoices/cancel", map[string]any{"payment_hash": b64(inv.Hash)}, nil))
	p, err := r.lnd.pay(r.ctx, inv.Bolt11, nil)
	must(t, err)
	if n := len(p.HTLCs); p.Status != "FAILED" || n == 0 || p.HTLCs[n-1].Failure == nil ||
		p.HTLCs[n-1].Failure.Code != "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS" || p.HTLCs[n-1].Failure.Source != 2 {
		t.Fatalf("cancelled invoice: %+v", p)
	}

	// A payment is held downstream while we die: it goes on, once.
	preimage := lnactor.Preimage(sha256.Sum256([]byte("held over us")))
	hash := sha256.Sum256(preimage[:])
	bolt11, err := other.holdInvoice(r.ctx, preimage, 5_000_000)
	must(t, err)
	done := make(chan lndPayment, 1)
	go func() {
		p, err := r.lnd.pay(r.ctx, bolt11, nil)
		if err != nil {
			p.Failure = err.Error()
		}
		done <- p
	}()
	accepted := func() bool {
		i, err := other.lookup(r.ctx, hash[:])
		return err == nil && i.State == "ACCEPTED"
	}
	await(t, r.ctx, "the payment to be held", accepted)
	r.restartUs(true)
	must(t, other.settle(r.ctx, preimage))
	r.dialBoth(other)
	select {
	case p := <-done:
		if p.Status != "SUCCEEDED" || p.Preimage != hex.EncodeToString(preimage[:]) {
			t.Fatalf("the payment over our death: %+v", p)
		}
	case <-r.ctx.Done():
		t.Fatal("the payment over our death hangs")
	}
	r.forwarded(r.us, hash[:], 5_000_000)
	r.balances(first)
}

// TestLiveLndForwards: lnactor - lnd - lnactor, both ways, and failures that are attributed to the right hop.
func TestLiveLndForwards(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 5 * time.Minute, us: public})
	w := r.throughLnd(public)
	other, first := w.other, w.links[0]

	pays := func(from, to *ourNode, msat uint64) {
		t.Helper()
		inv, err := to.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: msat})
		must(t, err)
		id, err := from.Pay(r.ctx, inv.Bolt11)
		must(t, err)
		p := from.outcome(t, r.ctx, id)
		if want := 1000 + msat/1_000_000; p.Status != lnactor.PaymentIsSent || p.FeeMsat != want { // lnd's default policy
			t.Fatalf("%d msat over lnd: %+v, want a fee of %d", msat, p, want)
		}
		awaitEvent(t, r.ctx, to, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == inv.Hash && e.AmountMsat == msat })
	}
	for i := range uint64(10) {
		pays(r.us, other, 2_000_000+i)
		pays(other, r.us, 1_000_000+i)
	}
	// More than lnd has towards the other: it fails the HTLC, and we say so.
	inv, err := other.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: 990_000_000})
	must(t, err)
	id, err := r.us.Pay(r.ctx, inv.Bolt11)
	if err == nil {
		if p := r.us.outcome(t, r.ctx, id); p.Status != lnactor.PaymentFailure {
			t.Fatalf("%+v", p)
		}
	}
	pays(r.us, other, 3_000_000)
	r.balances(first)
}

// TestLiveParts: payments that need two channels, in both directions.
func TestLiveParts(t *testing.T) {
	r := newRig(t, setup{limit: 4 * time.Minute})
	r.connect(true)
	one := r.open(true, capacity/2, nil)
	two := r.open(false, capacity/2, nil)
	const there, back = 1_400_000_000, 2_600_000_000 // each side has about 1,000,000 sat in each channel
	inv, err := r.lnd.invoice(r.ctx, there, nil)
	must(t, err)
	p := r.weSend(inv.Bolt11)
	if p.Status != lnactor.PaymentIsSent || len(p.Parts) < 2 {
		t.Fatalf("ours: %+v", p)
	}
	r.atRest(one)
	r.atRest(two)
	ours, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: back})
	must(t, err)
	q, err := r.lnd.pay(r.ctx, ours.Bolt11, map[string]any{"max_parts": 8})
	must(t, err)
	if q.Status != "SUCCEEDED" || len(q.HTLCs) < 2 {
		t.Fatalf("lnd's: %+v", q)
	}
	awaitEvent(t, r.ctx, r.us, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == ours.Hash && e.AmountMsat == back })
	r.atRest(one)
	r.atRest(two)
}

// TestLiveKeysend: payments without an invoice, both ways.
func TestLiveKeysend(t *testing.T) {
	r := newRig(t, setup{extra: true, lnd: []string{"--accept-keysend"}, us: func(c *lnactor.Config) { c.AcceptKeysend = true }})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	id, err := r.us.Keysend(r.ctx, r.lnd.ID, 7_000_000)
	must(t, err)
	if p := r.us.outcome(t, r.ctx, id); p.Status != lnactor.PaymentIsSent || sha256.Sum256(p.Preimage[:]) != p.Hash {
		t.Fatalf("ours: %+v", p)
	}
	r.balances(l)
	preimage := sha256.Sum256([]byte("keysend"))
	hash := sha256.Sum256(preimage[:])
	p, err := r.lndKeysends(r.ctx, preimage, 6_000_000)
	must(t, err)
	if p.Status != "SUCCEEDED" {
		t.Fatalf("lnd's: %+v", p)
	}
	awaitEvent(t, r.ctx, r.us, "PaymentClaimed", func(e lnactor.PaymentClaimed) bool { return e.Hash == hash && e.AmountMsat == 6_000_000 })
	r.balances(l)
}

// lndKeysends has lnd pay us without an invoice.
func (r *rig) lndKeysends(ctx context.Context, preimage [32]byte, msat uint64) (lndPayment, error) {
	hash, us := sha256.Sum256(preimage[:]), r.us.now().ID()
	return r.lnd.pay(ctx, "", map[string]any{
		"dest": b64(us[:]), "amt_msat": fmt.Sprint(msat), "payment_hash": b64(hash[:]), "final_cltv_delta": 40,
		"dest_custom_records": map[string]string{"5482373484": b64(preimage[:])}, "dest_features": []string{"TLV_ONION_OPT"}, "timeout_seconds": 20,
	})
}
