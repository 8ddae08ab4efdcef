package invoice

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/lnactor/lnactor/internal/ln"
)

var given = ln.Hash(sha256.Sum256([]byte("somebody's preimage")))

func givenParams() Params {
	p := testParams()
	p.Hash, p.IV = &given, [16]byte{}
	return p
}

// An invoice for a given hash is recognised by a node that kept nothing but its seed, and waits for the preimage.
func TestGivenHash(t *testing.T) {
	inv := mustNew(t, testKeys(t, 1), givenParams())
	r, err := Decode(inv.Bolt11, regtest, now)
	if err != nil || r.Hash != given || r.Secret != inv.Secret {
		t.Fatalf("%+v, %v", r, err)
	}
	preimage, d, err := Check(testKeys(t, 1), pay(inv, 50_000), height, now)
	if err != nil || preimage != nil || !d.Given || !d.Hold || d.AmountMsat != 50_000 || d.MinFinalCLTVDelta != 40 || !d.ExpiresAt.Equal(now.Add(time.Hour)) {
		t.Errorf("%v, %+v, %v", preimage, d, err)
	}
	again := givenParams()
	again.Now = now.Add(time.Second)
	if b := mustNew(t, testKeys(t, 1), again); b.Secret == inv.Secret || b.Hash != inv.Hash {
		t.Error("other terms, the same secret")
	}
}

func TestEveryBitOfAGivenHashCounts(t *testing.T) {
	keys := testKeys(t, 1)
	inv := mustNew(t, keys, givenParams())
	for bit := range 256 {
		h := pay(inv, 50_000)
		h.Secret[bit/8] ^= 1 << (bit % 8)
		if _, _, err := Check(keys, h, height, now); !errors.Is(err, ErrUnknownPayment) {
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

// Layouts are for ever.
func TestGoldenHold(t *testing.T) {
	hold := testParams()
	hold.Hold, hold.MPP = true, true
	a, b := mustNew(t, testKeys(t, 1), hold), mustNew(t, testKeys(t, 1), givenParams())
	const wantHold, wantGiven = "01020300000000000000000000000000d038e9010d9e2a381f06b63cffcf5d04",
		"554fe221968e4b459c5a8e3a5a9e0c93833ef80b8a59170a77c39d3de27b7924"
	if got := fmt.Sprintf("%x", a.Secret); got != wantHold {
		t.Errorf("hold: secret %s", got)
	}
	if got := fmt.Sprintf("%x", b.Secret); got != wantGiven {
		t.Errorf("given hash: secret %s", got)
	}
	if _, d, err := Check(testKeys(t, 1), pay(a, 50_000), height, now); err != nil || !d.Hold || d.Given || !d.MPP {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDescriptionHash(t *testing.T) {
	p := testParams()
	p.Description, p.DescriptionHash = "", &[32]byte{5}
	r, err := Decode(mustNew(t, testKeys(t, 1), p).Bolt11, regtest, now)
	if err != nil || r.Description != "" || r.DescriptionHash == nil || *r.DescriptionHash != [32]byte{5} {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNewRefusesMore(t *testing.T) {
	for name, change := range map[string]func(*Params){
		"a zero hash":      func(p *Params) { p.Hash = &ln.Hash{} },
		"both":             func(p *Params) { p.DescriptionHash = &[32]byte{} },
		"many route hints": func(p *Params) { p.RouteHints = make([][]zpay32.HopHint, MaxRouteHints+1) },
	} {
		p := testParams()
		change(&p)
		if _, err := New(testKeys(t, 1), p); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A keysend payment is checked against terms that no invoice says.
func TestCheckTerms(t *testing.T) {
	terms := Details{ExpiresAt: now.Add(time.Second), MinFinalCLTVDelta: 27}
	h := HTLC{Hash: given, AmountMsat: 5, OnionAmountMsat: 5, TotalMsat: 5, CLTVExpiry: height + 27, OnionCLTVExpiry: height + 27}
	if err := CheckTerms(terms, h, height, now); err != nil {
		t.Error(err)
	}
	h.CLTVExpiry--
	if err := CheckTerms(terms, h, height, now); !errors.Is(err, ErrHTLCExpiry) {
		t.Error(err)
	}
	h.OnionCLTVExpiry--
	if err := CheckTerms(terms, h, height, now); !errors.Is(err, ErrExpiryTooSoon) {
		t.Error(err)
	}
}
