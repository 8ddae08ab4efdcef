package peers

import (
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/ln"
)

// TestLiveLndForwardFailures: lnactor - lnd - lnactor, over routes that lnd may not take. We are led onto them by invoices of a node that does not exist,
// whose route hints say what lnd does not ask for. The payer shows what lnd answered, no payment is stuck, and nobody has paid.
func TestLiveLndForwardFailures(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 8 * time.Minute, lnd: []string{"--max-cltv-expiry=500"}, us: public})
	w := r.throughLnd(public)
	r.lndMustSend(200_000_000) // now we can send more than lnd can send on
	w.rest()
	w.before = w.total()

	must(t, r.lnd.setPolicy(r.ctx, w.links[1].point, lndPolicy{Base: 1000, PPM: 1, Delta: 80, MinMsat: 1500}))
	theirs, err := r.lnd.channel(r.ctx, w.links[1].point)
	must(t, err)
	in, out := r.scid(r.lnd, w.links[0].point), theirs.SCID
	type way struct {
		want       lnwire.FailCode
		scid       string
		msat       uint64
		base, prop uint32
		delta      uint16
		final      uint64
	}
	good := way{scid: out, msat: 2_000_000, base: 1000, prop: 1, delta: 80, final: 80}
	fails := func(name string, edit func(*way)) {
		t.Helper()
		c := good
		edit(&c)
		id := ln.PaymentID(randomBytes(r.rng, 32))
		hint := zpay32.HopHint{
			NodeID: r.lndKey(), ChannelID: number(t, c.scid), FeeBaseMSat: c.base, FeeProportionalMillionths: c.prop, CLTVExpiryDelta: c.delta,
		}
		_, err := r.us.Pay(r.ctx, r.invented(hopKey(3), c.msat, c.final, hint), lnactor.WithPaymentID(id), lnactor.WithMaxParts(1))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := r.us.outcome(t, r.ctx, id)
		if want := fmt.Sprintf("hop 1 answered %s", c.want); p.Status != lnactor.PaymentFailure || !strings.Contains(p.Reason, want) {
			t.Errorf("%s: %q in %+v, want %q", name, p.Reason, p, want)
		}
		w.rest()
		if now := w.total(); now != w.before {
			t.Errorf("%s: ours had %d msat and have %d", name, w.before, now)
		}
		r.restartUs(true) // what failed would be remembered, and not tried again for a while
		w.dial()
		w.active()
		if again, err := r.us.GetPayment(r.ctx, id); err != nil || again.Status != lnactor.PaymentFailure || again.Reason != p.Reason {
			t.Errorf("%s: %+v, %v after a death of ours", name, again, err)
		}
	}
	fails("less than lnd asks for", func(c *way) { c.want, c.base, c.prop = lnwire.CodeFeeInsufficient, 999, 0 })
	fails("less time than lnd asks for", func(c *way) { c.want, c.delta = lnwire.CodeIncorrectCltvExpiry, 79 })
	fails("too little", func(c *way) { c.want, c.msat = lnwire.CodeAmountBelowMinimum, 1499 })
	fails("more than lnd has there", func(c *way) { c.want, c.msat = lnwire.CodeTemporaryChannelFailure, 1_100_000_000 })
	fails("no such channel", func(c *way) { c.want, c.scid = lnwire.CodeUnknownNextPeer, "123456789" })
	fails("back where it came from", func(c *way) { c.want, c.scid = lnwire.CodeTemporaryChannelFailure, in })
	fails("over too soon", func(c *way) { c.want, c.final = lnwire.CodeExpiryTooSoon, 0 })
	fails("locked for too long", func(c *way) { c.want, c.final = lnwire.CodeExpiryTooFar, 498 })
	fails("the next node can't read it", func(c *way) { c.want = lnwire.CodeInvalidOnionHmac })

	// lnd is told to forward nothing. Its failure has an empty channel_update.
	r.lnd.stop(t)
	r.lnd.start(t, r.ctx, "--rejecthtlc")
	w.dial()
	w.active()
	fails("lnd forwards nothing", func(c *way) { c.want = lnwire.CodeChannelDisabled })
	r.restartLnd(false)
	w.dial()
	w.active()
	w.works()
	w.audit()
}

// TestLiveLndDisables: lnd says of a channel that it is disabled, and we do not try to go over it; then that it is enabled, and we do.
func TestLiveLndDisables(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 5 * time.Minute, us: public})
	w := r.throughLnd(public)
	txid, index, _ := strings.Cut(w.links[1].point, ":")
	for _, action := range []string{"DISABLE", "ENABLE"} {
		disabled := action == "DISABLE"
		must(t, r.lnd.post(r.ctx, "/v2/router/updatechanstatus", map[string]any{
			"chan_point": map[string]any{"funding_txid_str": txid, "output_index": number(t, index)}, "action": action,
		}, nil))
		await(t, r.ctx, "our graph to say "+action, func() bool {
			list, err := r.us.GraphChannels(r.ctx, 0, 0)
			for _, c := range list {
				for side, node := range c.Nodes {
					if err == nil && node == r.lnd.ID && c.Nodes[1-side] == w.other.ID() {
						return c.Policies[side].Disabled == disabled
					}
				}
			}
			return false
		})
		p, bolt11, err := w.newPassage(w.us, w.other, 2_000_000, randomBytes(r.rng, 32))
		must(t, err)
		w.made = append(w.made, p)
		_, err = w.us.Pay(r.ctx, bolt11, lnactor.WithPaymentID(p.id))
		if err == nil {
			known := w.us.outcome(t, r.ctx, p.id)
			if sent := known.Status == lnactor.PaymentIsSent; sent == disabled || disabled && len(known.Parts) > 0 {
				t.Fatalf("%s: %+v", action, known)
			}
			t.Logf("%s: %s", action, known.Reason)
		} else if !disabled {
			t.Fatal(err)
		} else {
			t.Logf("%s: %v", action, err)
		}
	}
	w.audit()
}

// invented is an invoice of a node that is not there, with the way to it.
func (r *rig) invented(payee *btcec.PrivateKey, msat, final uint64, way ...zpay32.HopHint) string {
	r.t.Helper()
	features := lnwire.NewFeatureVector(lnwire.NewRawFeatureVector(lnwire.TLVOnionPayloadOptional, lnwire.PaymentAddrOptional), lnwire.Features)
	inv, err := zpay32.NewInvoice(r.chain.Params, sha256.Sum256(randomBytes(r.rng, 32)), time.Now(),
		zpay32.Amount(lnwire.MilliSatoshi(msat)), zpay32.Description("nobody"), zpay32.CLTVExpiry(final), zpay32.RouteHint(way),
		zpay32.PaymentAddr([32]byte(randomBytes(r.rng, 32))), zpay32.Features(features))
	must(r.t, err)
	text, err := inv.Encode(zpay32.MessageSigner{SignCompact: func(msg []byte) ([]byte, error) {
		return ecdsa.SignCompact(payee, chainhash.HashB(msg), true), nil
	}})
	must(r.t, err)
	return text
}

// lndKey is lnd's key.
func (r *rig) lndKey() *btcec.PublicKey {
	r.t.Helper()
	key, err := btcec.ParsePubKey(r.lnd.ID[:])
	must(r.t, err)
	return key
}

// number reads what lnd's interface writes as a string.
func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	must(t, err)
	return n
}
