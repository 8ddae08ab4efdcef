package peers

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestLiveFailures: what one side refuses, the other shows with the right reason, and the channel goes on.
func TestLiveFailures(t *testing.T) {
	r := newRig(t, setup{extra: true})
	r.connect(true)
	l := r.open(true, capacity/4, nil)
	before, _ := r.balances(l)

	t.Run("we refuse", func(t *testing.T) {
		inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: 5_000_000})
		must(t, err)
		short, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: 5_000_000, Expiry: time.Second})
		must(t, err)
		for name, edit := range map[string]func(*lndRoute){
			"another hash":    func(p *lndRoute) { p.hash[0] ^= 1 },
			"another secret":  func(p *lndRoute) { p.secret[0] ^= 1 },
			"too little":      func(p *lndRoute) { p.msat-- },
			"more than twice": func(p *lndRoute) { p.msat = 2*p.msat + 1 },
			"expiry too near": func(p *lndRoute) { p.cltv = 9 },
			"an expired invoice": func(p *lndRoute) {
				time.Sleep(time.Until(short.ExpiresAt) + time.Second)
				*p = r.route(t, short.Bolt11)
			},
		} {
			t.Run(name, func(t *testing.T) {
				route := r.route(t, inv.Bolt11)
				edit(&route)
				p := r.lndSends(t, route)
				if p.Status != "FAILED" || p.Failure != "FAILURE_REASON_INCORRECT_PAYMENT_DETAILS" ||
					len(p.HTLCs) == 0 || p.HTLCs[0].Failure.Code != "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS" || p.HTLCs[0].Failure.Source != 1 {
					t.Fatalf("%+v", p)
				}
			})
		}
		// Once the invoice is paid, it is not paid again.
		route := r.route(t, inv.Bolt11)
		if p := r.lndSends(t, route); p.Status != "SUCCEEDED" {
			t.Fatalf("%+v", p)
		}
	})

	t.Run("lnd refuses", func(t *testing.T) {
		const wrong = "IncorrectOrUnknownPaymentDetails"
		inv, err := r.lnd.invoice(r.ctx, 7_000_000, nil)
		must(t, err)
		must(t, r.lnd.cancel(r.ctx, inv.Hash))
		if p := r.weSend(inv.Bolt11); p.Status != lnactor.PaymentFailure || !strings.Contains(p.Reason, wrong) {
			t.Fatalf("cancelled: %+v", p)
		}
		inv, err = r.lnd.invoice(r.ctx, 7_000_000, nil)
		must(t, err)
		if p := r.weSend(inv.Bolt11); p.Status != lnactor.PaymentIsSent {
			t.Fatalf("%+v", p)
		}
		if p := r.weSend(inv.Bolt11); p.Status != lnactor.PaymentFailure || !strings.Contains(p.Reason, wrong) {
			t.Fatalf("paid twice: %+v", p)
		}
		held := r.weOffer(8_000_000)
		must(t, r.lnd.cancel(r.ctx, held[0].hash[:]))
		if p := r.us.outcome(t, r.ctx, held[0].id); p.Status != lnactor.PaymentFailure || !strings.Contains(p.Reason, wrong) {
			t.Fatalf("held, then cancelled: %+v", p)
		}
		inv, err = r.lnd.invoice(r.ctx, 7_000_000, map[string]any{"expiry": "1"})
		must(t, err)
		time.Sleep(2 * time.Second)
		if _, err := r.us.Pay(r.ctx, inv.Bolt11); !errors.Is(err, lnactor.ErrInvoiceExpired) {
			t.Fatalf("expired: %v", err)
		}
	})

	t.Run("too little balance", func(t *testing.T) {
		inv, err := r.lnd.invoice(r.ctx, capacity*1000*9/10, nil)
		must(t, err)
		if _, err := r.us.Pay(r.ctx, inv.Bolt11); !errors.Is(err, lnactor.ErrBalance) {
			t.Fatal(err)
		}
		ours, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: capacity * 1000 / 2})
		must(t, err)
		if p, err := r.lnd.pay(r.ctx, ours.Bolt11, nil); err != nil || p.Failure != "FAILURE_REASON_INSUFFICIENT_BALANCE" {
			t.Fatalf("%+v, %v", p, err)
		}
	})

	t.Run("nobody takes keysend", func(t *testing.T) {
		p, err := r.lndKeysends(r.ctx, [32]byte(randomBytes(r.rng, 32)), 3_000_000)
		must(t, err)
		if p.Status != "FAILED" || len(p.HTLCs) == 0 || p.HTLCs[0].Failure == nil ||
			p.HTLCs[0].Failure.Code != "INCORRECT_OR_UNKNOWN_PAYMENT_DETAILS" || p.HTLCs[0].Failure.Source != 1 {
			t.Fatalf("lnd's: %+v", p)
		}
		id, err := r.us.Keysend(r.ctx, r.lnd.ID, 3_000_000)
		must(t, err)
		if p := r.us.outcome(t, r.ctx, id); p.Status != lnactor.PaymentFailure || !strings.Contains(p.Reason, "hop 1 answered") {
			t.Fatalf("ours: %+v", p)
		} else {
			t.Log(p.Reason)
		}
	})

	t.Run("a part only", func(t *testing.T) {
		inv, err := r.us.CreateInvoice(r.ctx, lnactor.InvoiceParams{AmountMsat: 6_000_000})
		must(t, err)
		want, us := r.route(t, inv.Bolt11), r.us.ID()
		_, tip := r.chain.Tip(t)
		expiry := uint32(tip) + want.cltv + 10
		got, err := r.lndTakes(expiry, lndHop{
			scid: r.scid(r.lnd, l.point), msat: 2_000_000, expiry: expiry, key: us[:], of: &want,
		})
		must(t, err)
		if want := (lndFailure{Code: "MPP_TIMEOUT", Source: 1}); got != want {
			t.Fatalf("%+v, want %+v", got, want)
		}
	})

	if after, _ := r.balances(l); after != before+5_000_000-7_000_000 {
		t.Fatalf("%d msat before, %d after", before, after)
	}
	r.weMustSend(1_000_000)
	r.lndMustSend(1_000_000)
}

// lndRoute is a payment that lnd makes without a look at the invoice.
type lndRoute struct {
	dest, hash, secret []byte
	msat               uint64
	cltv               uint32
}

// route is what an invoice asks for.
func (r *rig) route(t *testing.T, bolt11 string) lndRoute {
	t.Helper()
	var a struct {
		Hash   string `json:"payment_hash"`
		Secret []byte `json:"payment_addr"`
		Msat   uint64 `json:"num_msat,string"`
		CLTV   uint32 `json:"cltv_expiry,string"`
	}
	must(t, r.lnd.get(r.ctx, "/v1/payreq/"+bolt11, &a))
	hash := fromHex(t, a.Hash)
	id := r.us.ID()
	return lndRoute{dest: id[:], hash: hash, secret: a.Secret, msat: a.Msat, cltv: a.CLTV}
}

func (r *rig) lndSends(t *testing.T, p lndRoute) lndPayment {
	t.Helper()
	a, err := r.lndSendsBlindly(p)
	must(t, err)
	return a
}

func (r *rig) lndSendsBlindly(p lndRoute) (lndPayment, error) {
	return r.lnd.pay(r.ctx, "", map[string]any{
		"dest": b64(p.dest), "payment_hash": b64(p.hash), "payment_addr": b64(p.secret),
		"amt_msat": fmt.Sprint(p.msat), "final_cltv_delta": p.cltv, "dest_features": []string{"TLV_ONION_REQ", "PAYMENT_ADDR_REQ"},
	})
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
