package invoice

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/zpay32"
	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/seed"
)

const height = 1000

var (
	regtest = &chaincfg.RegressionNetParams
	now     = time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
	nodeKey = func() *btcec.PrivateKey {
		h := sha256.Sum256([]byte("node"))
		key, _ := btcec.PrivKeyFromBytes(h[:])
		return key
	}()
)

func testKeys(t interface{ Fatal(...any) }, b byte) Keys {
	root, err := seed.FromEntropy([seed.EntropySize]byte{b}, now, regtest)
	if err != nil {
		t.Fatal(err)
	}
	return NewKeys(root)
}

func testParams() Params {
	return Params{
		AmountMsat: 50_000, Description: "coffee", Expiry: time.Hour, MinFinalCLTVDelta: 40,
		Now: now, IV: [16]byte{1, 2, 3}, Signer: SignerOf(nodeKey), Chain: regtest,
	}
}

func mustNew(t interface{ Fatal(...any) }, keys Keys, p Params) Invoice {
	inv, err := New(keys, p)
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// pay is the HTLC that pays an invoice over amount exactly.
func pay(inv Invoice, amount uint64) HTLC {
	return HTLC{
		Hash: inv.Hash, Secret: inv.Secret, AmountMsat: amount, OnionAmountMsat: amount, TotalMsat: amount,
		CLTVExpiry: height + 40, OnionCLTVExpiry: height + 40,
	}
}

func TestPayersViewIsOurs(t *testing.T) {
	keys := testKeys(t, 1)
	for _, amount := range []uint64{0, 1, 999, 50_000, 1_000_000_000, 123_456_789_012, maxMsat} {
		p := testParams()
		p.AmountMsat = amount
		p.MPP = amount%2 == 0
		inv := mustNew(t, keys, p)
		for _, text := range []string{inv.Bolt11, strings.ToUpper(inv.Bolt11), "lightning:" + inv.Bolt11, " LIGHTNING:" + inv.Bolt11 + "\n"} {
			r, err := Decode(text, regtest, now)
			if err != nil {
				t.Fatalf("%d msat: %v", amount, err)
			}
			if r.AmountMsat != amount || r.Hash != inv.Hash || r.Secret != inv.Secret || r.Description != "coffee" || r.MinFinalCLTVDelta != 40 ||
				!r.ExpiresAt.Equal(now.Add(time.Hour)) || !r.CreatedAt.Equal(now) || !r.Destination.IsEqual(nodeKey.PubKey()) || r.MPP != p.MPP {
				t.Errorf("%d msat: %+v", amount, r)
			}
		}
		// What the payer then sends is accepted, by a node that kept nothing but its seed.
		sent := max(amount, 1)
		preimage, details, err := Check(testKeys(t, 1), pay(inv, sent), height, now)
		if err != nil {
			t.Fatalf("%d msat: %v", amount, err)
		}
		if ln.Hash(sha256.Sum256(preimage[:])) != inv.Hash {
			t.Error("wrong preimage")
		}
		want := Details{AmountMsat: amount, ExpiresAt: inv.ExpiresAt, MinFinalCLTVDelta: 40, MPP: p.MPP}
		if !details.ExpiresAt.Equal(want.ExpiresAt) || details.AmountMsat != amount || details.MPP != p.MPP || details.MinFinalCLTVDelta != 40 {
			t.Errorf("details %+v, want %+v", details, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	p := testParams()
	p.Expiry, p.MinFinalCLTVDelta, p.Description = 0, 0, ""
	r, err := Decode(mustNew(t, testKeys(t, 1), p).Bolt11, regtest, now)
	if err != nil {
		t.Fatal(err)
	}
	if r.MinFinalCLTVDelta != DefaultMinFinalCLTVDelta || !r.ExpiresAt.Equal(now.Add(DefaultExpiry)) {
		t.Errorf("%+v", r)
	}
}

func TestEveryBitOfTheSecretCounts(t *testing.T) {
	keys := testKeys(t, 1)
	inv := mustNew(t, keys, testParams())
	for bit := range 256 {
		h := pay(inv, 50_000)
		h.Secret[bit/8] ^= 1 << (bit % 8)
		if preimage, _, err := Check(keys, h, height, now); !errors.Is(err, ErrUnknownPayment) || preimage != nil {
			t.Errorf("secret bit %d: %v", bit, err)
		}
		h = pay(inv, 50_000)
		h.Hash[bit/8] ^= 1 << (bit % 8)
		if _, _, err := Check(keys, h, height, now); !errors.Is(err, ErrUnknownPayment) {
			t.Errorf("hash bit %d: %v", bit, err)
		}
	}
	if _, _, err := Check(testKeys(t, 2), pay(inv, 50_000), height, now); !errors.Is(err, ErrUnknownPayment) {
		t.Errorf("another node's invoice: %v", err)
	}
}

// The layout is for ever: a payer may hold the invoice while the node is upgraded.
func TestGolden(t *testing.T) {
	inv := mustNew(t, testKeys(t, 1), testParams())
	const wantSecret, wantHash = "01020300000000000000000000000000d338e9010d9e2a381f06b63cffcf5d04",
		"322cb0ed28a0094a7df7183c3976e8b514768af165749870b1bb0911f4ed4c83"
	if got := fmt.Sprintf("%x", inv.Secret); got != wantSecret {
		t.Errorf("secret %s", got)
	}
	if got := inv.Hash.String(); got != wantHash {
		t.Errorf("hash %s", got)
	}
}

// BOLT 4, "Requirements for the final node": each case is one of its sentences.
func TestCheckRefuses(t *testing.T) {
	keys := testKeys(t, 1)
	details, amount, expiry := lnwire.CodeIncorrectOrUnknownPaymentDetails, lnwire.CodeFinalIncorrectHtlcAmount, lnwire.CodeFinalIncorrectCltvExpiry
	for _, tc := range []struct {
		name   string
		change func(*HTLC)
		mpp    bool
		at     time.Duration
		want   error
		code   lnwire.FailCode
	}{
		{name: "exact", change: func(*HTLC) {}},
		{name: "last second", change: func(*HTLC) {}, at: time.Hour - 1},
		{name: "expired", change: func(*HTLC) {}, at: time.Hour, want: ErrInvoiceExpired, code: details},
		{name: "too little", change: func(h *HTLC) { h.AmountMsat, h.OnionAmountMsat, h.TotalMsat = 49_999, 49_999, 49_999 }, want: ErrAmountTooLow, code: details},
		{name: "twice", change: func(h *HTLC) { h.AmountMsat, h.OnionAmountMsat, h.TotalMsat = 100_000, 100_000, 100_000 }},
		{name: "more than twice", change: func(h *HTLC) { h.AmountMsat, h.OnionAmountMsat, h.TotalMsat = 100_001, 100_001, 100_001 }, want: ErrAmountTooHigh, code: details},
		{name: "HTLC above onion", change: func(h *HTLC) { h.AmountMsat++ }},
		{name: "HTLC below onion", change: func(h *HTLC) { h.AmountMsat-- }, want: ErrHTLCAmount, code: amount},
		{name: "HTLC expiry above onion", change: func(h *HTLC) { h.CLTVExpiry++ }},
		{name: "HTLC expiry below onion", change: func(h *HTLC) { h.OnionCLTVExpiry++ }, want: ErrHTLCExpiry, code: expiry},
		{name: "too soon", change: func(h *HTLC) { h.CLTVExpiry, h.OnionCLTVExpiry = height+39, height+39 }, want: ErrExpiryTooSoon, code: details},
		{name: "part not allowed", change: func(h *HTLC) { h.AmountMsat, h.OnionAmountMsat = 20_000, 20_000 }, want: ErrPartial, code: details},
		{name: "part allowed", change: func(h *HTLC) { h.AmountMsat, h.OnionAmountMsat = 20_000, 20_000 }, mpp: true},
		{name: "part above its total", change: func(h *HTLC) { h.TotalMsat = 49_999 }, mpp: true, want: ErrPartial, code: details},
		{name: "total overflow", change: func(h *HTLC) { h.TotalMsat = 1<<64 - 1 }, mpp: true, want: ErrAmountTooHigh, code: details},
		{name: "expiry overflow", change: func(h *HTLC) { h.CLTVExpiry = 1<<32 - 1 }},
	} {
		p := testParams()
		p.MPP = tc.mpp
		h := pay(mustNew(t, keys, p), 50_000)
		tc.change(&h)
		preimage, _, err := Check(keys, h, height, now.Add(tc.at))
		if tc.want == nil {
			if err != nil || preimage == nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			continue
		}
		var rejection *Rejection
		if !errors.Is(err, tc.want) || !errors.As(err, &rejection) || preimage != nil {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
			continue
		}
		if got := rejection.Failure(); got.Code() != tc.code {
			t.Errorf("%s: failure %v", tc.name, got)
		} else if f, ok := got.(*lnwire.FailIncorrectDetails); ok && (uint64(f.Amount()) != h.AmountMsat || f.Height() != height) {
			t.Errorf("%s: failure says %d msat at %d", tc.name, f.Amount(), f.Height())
		}
	}
}

func TestAnyAmount(t *testing.T) {
	keys, p := testKeys(t, 1), testParams()
	p.AmountMsat = 0
	inv := mustNew(t, keys, p)
	for _, amount := range []uint64{1, 1 << 60} {
		if _, _, err := Check(keys, pay(inv, amount), height, now); err != nil {
			t.Errorf("%d msat: %v", amount, err)
		}
	}
	if _, _, err := Check(keys, pay(inv, 0), height, now); !errors.Is(err, ErrAmountTooLow) {
		t.Errorf("nothing at all: %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, change := range map[string]func(*Params){
		"no IV":              func(p *Params) { p.IV = [16]byte{} },
		"no signer":          func(p *Params) { p.Signer = nil },
		"no chain":           func(p *Params) { p.Chain = nil },
		"too much":           func(p *Params) { p.AmountMsat = maxMsat + 1 },
		"delta too low":      func(p *Params) { p.MinFinalCLTVDelta = LeastMinFinalCLTVDelta - 1 },
		"delta too high":     func(p *Params) { p.MinFinalCLTVDelta = maxDelta + 1 },
		"negative expiry":    func(p *Params) { p.Expiry = -time.Second },
		"part of a second":   func(p *Params) { p.Expiry = 1500 * time.Millisecond },
		"before 1970":        func(p *Params) { p.Now = time.Time{} },
		"a long description": func(p *Params) { p.Description = strings.Repeat("x", MaxDescription+1) },
	} {
		p := testParams()
		change(&p)
		if _, err := New(testKeys(t, 1), p); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := testParams()
	p.Description = strings.Repeat("x", MaxDescription)
	if _, err := New(testKeys(t, 1), p); err != nil {
		t.Errorf("the longest description: %v", err)
	}
}

func TestSealOpen(t *testing.T) {
	keys := testKeys(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		want := Details{
			AmountMsat:        rapid.Uint64Max(maxMsat).Draw(t, "amount"),
			ExpiresAt:         time.Unix(rapid.Int64Range(0, maxExpiry).Draw(t, "expiry"), 0),
			MinFinalCLTVDelta: rapid.Uint16().Draw(t, "delta"),
			MPP:               rapid.Bool().Draw(t, "mpp"),
			Hold:              rapid.Bool().Draw(t, "hold"),
		}
		iv := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "iv"))
		secret := keys.seal(iv, want)
		preimage, hash := keys.Preimage(secret)
		if got, p, ok := keys.Open(hash, secret); !ok || got != want || *p != preimage {
			t.Fatalf("sealed %+v, opened %+v, %v", want, got, ok)
		}
		given := ln.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
		want.Given = true
		if got, p, ok := keys.Open(given, keys.sealGiven(given, want)); !ok || got != want || p != nil {
			t.Fatalf("sealed for a hash %+v, opened %+v, %v, %v", want, got, p, ok)
		}
	})
}

// The metadata must tell a reader of the invoice nothing, so the same terms look different each time.
func TestSecretsDiffer(t *testing.T) {
	keys, p := testKeys(t, 1), testParams()
	a := mustNew(t, keys, p)
	p.IV[15]++
	b := mustNew(t, keys, p)
	if a.Hash == b.Hash || [16]byte(a.Secret[16:]) == [16]byte(b.Secret[16:]) {
		t.Error("two IVs, one secret")
	}
}

func TestKeysAreNotPrinted(t *testing.T) {
	keys := testKeys(t, 1)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, keys); got != "invoice.Keys(redacted)" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// foreign makes an invoice as someone else would.
func foreign(t *testing.T, options ...func(*zpay32.Invoice)) string {
	t.Helper()
	options = append([]func(*zpay32.Invoice){zpay32.Description("d"), zpay32.PaymentAddr([32]byte{1})}, options...)
	inv, err := zpay32.NewInvoice(regtest, [32]byte{2}, now, options...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := inv.Encode(zpay32.MessageSigner{SignCompact: func(msg []byte) ([]byte, error) {
		return SignerOf(nodeKey).SignMessageCompact(msg, false)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func withFeature(bits ...lnwire.FeatureBit) func(*zpay32.Invoice) {
	return zpay32.Features(lnwire.NewFeatureVector(lnwire.NewRawFeatureVector(bits...), lnwire.Features))
}

func TestDecodeRefuses(t *testing.T) {
	good := mustNew(t, testKeys(t, 1), testParams()).Bolt11
	main := testParams()
	main.Chain = &chaincfg.MainNetParams
	mainnet := mustNew(t, testKeys(t, 1), main).Bolt11
	signet := testParams()
	signet.Chain = &chaincfg.SigNetParams
	broken := good[:40] + "q" + good[41:]
	if broken == good {
		broken = good[:40] + "p" + good[41:]
	}
	for _, tc := range []struct {
		name, text string
		chain      *chaincfg.Params
		at         time.Duration
		want       error
	}{
		{"good", good, regtest, 0, nil},
		{"last moment", good, regtest, time.Hour - 1, nil},
		{"expired", good, regtest, time.Hour, ErrExpired},
		{"mainnet on regtest", mainnet, regtest, 0, ErrWrongNetwork},
		{"regtest on mainnet", good, &chaincfg.MainNetParams, 0, ErrWrongNetwork},
		{"signet on testnet", mustNew(t, testKeys(t, 1), signet).Bolt11, &chaincfg.TestNet3Params, 0, ErrWrongNetwork},
		{"signet on signet", mustNew(t, testKeys(t, 1), signet).Bolt11, &chaincfg.SigNetParams, 0, nil},
		{"nothing", "", regtest, 0, ErrMalformed},
		{"an address", "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", regtest, 0, ErrMalformed},
		{"truncated", good[:100], regtest, 0, ErrMalformed},
		{"typing error", broken, regtest, 0, ErrMalformed},
		{"no secret", foreign(t, func(i *zpay32.Invoice) { i.PaymentAddr = zpay32.Invoice{}.PaymentAddr }), regtest, 0, ErrNoSecret},
		{"unknown even feature", foreign(t, withFeature(8, 14, 1000)), regtest, 0, ErrUnknownFeature},
		{"even feature known to lnd only", foreign(t, withFeature(8, 14, lnwire.AMPRequired)), regtest, 0, ErrUnknownFeature},
		{"unknown odd feature", foreign(t, withFeature(8, 14, 1001)), regtest, 0, nil},
		{"compulsory mpp", foreign(t, withFeature(8, 14, 16)), regtest, 0, nil},
		{"metadata", foreign(t, withFeature(8, 14, 48), zpay32.Metadata([]byte{7})), regtest, 0, nil},
		{"endless lock", foreign(t, zpay32.CLTVExpiry(maxDelta+1)), regtest, 0, ErrDeltaTooHigh},
		{"impossible amount", foreign(t, zpay32.Amount(20_000_000*100_000_000*1000)), regtest, 0, ErrAmountImpossible},
	} {
		r, err := Decode(tc.text, tc.chain, now.Add(tc.at))
		if !errors.Is(err, tc.want) || (err == nil) != (r != nil) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	r, err := Decode(foreign(t, withFeature(8, 14, 48), zpay32.Metadata([]byte{7})), regtest, now)
	if err != nil || string(r.Metadata) != "\x07" {
		t.Errorf("metadata: %+v, %v", r, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(mustNew(f, testKeys(f, 1), testParams()).Bolt11)
	f.Add("lnbcrt1")
	f.Add("lightning:")
	f.Add("lnbcrt500n1\xff")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := Decode(text, regtest, now); (r == nil) == (err == nil) {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	keys := testKeys(b, 1)
	h := pay(mustNew(b, keys, testParams()), 50_000)
	for b.Loop() {
		if _, _, err := Check(keys, h, height, now); err != nil {
			b.Fatal(err)
		}
	}
}
