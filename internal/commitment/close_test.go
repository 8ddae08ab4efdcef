package commitment_test

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
)

var (
	aliceScript = append([]byte{0, 20}, make([]byte, 20)...)
	bobScript   = append([]byte{0, 20}, append([]byte{1}, make([]byte, 19)...)...)
)

// mutual is a close of a channel of 1,000,000 sat that alice funded.
func mutual(aliceSat, fee btcutil.Amount) *commitment.Close {
	alice := lnwire.NewMSatFromSatoshis(aliceSat)
	return &commitment.Close{
		HolderScript: aliceScript, CounterpartyScript: bobScript,
		HolderMsat: alice, CounterpartyMsat: 1_000_000_000 - alice, Fee: fee,
	}
}

// mirrorClose is the same close as the counterparty sees it.
func mirrorClose(c *commitment.Close) *commitment.Close {
	return &commitment.Close{
		HolderScript: c.CounterpartyScript, CounterpartyScript: c.HolderScript,
		HolderMsat: c.CounterpartyMsat, CounterpartyMsat: c.HolderMsat, Fee: c.Fee,
	}
}

// TestMutualClose: bob offers, alice accepts what he signed and the script
// engine what they made together. Alice's dust limit is 354, bob's 546.
func TestMutualClose(t *testing.T) {
	for _, tc := range []struct {
		name         string
		alice, fee   btcutil.Amount
		wantA, wantB int64 // outputs, 0 for none
	}{
		{"both", 400_000, 1000, 399_000, 600_000},
		{"alice at bob's dust limit", 1546, 1000, 546, 998_454},
		{"alice dust to bob only", 1500, 1000, 0, 998_500},
		{"alice dust to both", 1100, 1000, 0, 998_900},
		{"alice pays all she has", 1000, 1000, 0, 999_000},
		{"bob dust to himself", 999_500, 1000, 998_500, 0},
		{"bob has nothing", 1_000_000, 1000, 999_000, 0},
		{"no fee", 500_000, 0, 500_000, 500_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			alice, bob := newParties(t, 1_000_000)
			c := mutual(tc.alice, tc.fee)
			offered, err := commitment.MutualClose(bob.static, mirrorClose(c))
			must(t, err)
			bobSig, err := bob.keys.SignMutualClose(testIndex, bob.static, offered)
			must(t, err)
			tx, err := commitment.VerifyMutualClose(alice.static, c, bobSig)
			must(t, err)
			aliceSig, err := alice.keys.SignMutualClose(testIndex, alice.static, tx)
			must(t, err)
			full, err := tx.Complete(alice.static, aliceSig, bobSig)
			must(t, err)
			_, pk, err := commitment.FundingScript(alice.static.Holder.Funding, bob.static.Holder.Funding)
			must(t, err)
			must(t, execute(full, wire.NewTxOut(1_000_000, pk)))
			if full.TxHash() != offered.Tx.TxHash() {
				t.Fatal("alice completed another transaction than bob offered")
			}
			for what, out := range map[string]struct {
				index  int
				want   int64
				script []byte
			}{"alice": {tx.HolderIndex, tc.wantA, aliceScript}, "bob": {tx.CounterpartyIndex, tc.wantB, bobScript}} {
				switch {
				case out.want == 0 && out.index >= 0:
					t.Errorf("%s has an output", what)
				case out.want > 0 && (out.index < 0 || full.TxOut[out.index].Value != out.want ||
					string(full.TxOut[out.index].PkScript) != string(out.script)):
					t.Errorf("%s: output %d of %v", what, out.index, full.TxOut)
				}
			}
		})
	}
}

// TestMutualCloseOwnOutputOmitted: a peer may drop its own output whatever it is
// worth, but never ours.
func TestMutualCloseOwnOutputOmitted(t *testing.T) {
	alice, bob := newParties(t, 1_000_000)
	c := mutual(400_000, 1000)
	one := func(script []byte, value int64) *commitment.CloseTx {
		both, err := commitment.MutualClose(bob.static, mirrorClose(c))
		must(t, err)
		both.Tx.TxOut = []*wire.TxOut{{Value: value, PkScript: script}}
		return both
	}
	sig, err := bob.keys.SignMutualClose(testIndex, bob.static, one(aliceScript, 399_000))
	must(t, err)
	tx, err := commitment.VerifyMutualClose(alice.static, c, sig)
	must(t, err)
	if tx.CounterpartyIndex != -1 || tx.HolderIndex != 0 || len(tx.Tx.TxOut) != 1 {
		t.Fatalf("%+v", tx)
	}

	sig, err = bob.keys.SignMutualClose(testIndex, bob.static, one(bobScript, 600_000))
	must(t, err)
	var bad *commitment.SignatureError
	if _, err := commitment.VerifyMutualClose(alice.static, c, sig); !errors.As(err, &bad) || bad.Of != commitment.OfMutualClose {
		t.Fatalf("our output was dropped: %v", err)
	}
}

// TestScriptDust is the table of BOLT 3, Dust Limits.
func TestScriptDust(t *testing.T) {
	for _, tc := range []struct {
		name   string
		prefix []byte
		length int
		want   btcutil.Amount
	}{
		{"p2pkh", []byte{0x76, 0xa9, 20}, 25, 546},
		{"p2sh", []byte{0xa9, 20}, 23, 540},
		{"p2wpkh", []byte{0, 20}, 22, 294},
		{"p2wsh", []byte{0, 32}, 34, 330},
		{"p2tr", []byte{0x51, 32}, 34, 330},
		{"longest of an unknown witness version", []byte{0x60, 40}, 42, 354},
		{"op_return", []byte{0x6a}, 20, 0},
	} {
		script := append(tc.prefix, make([]byte, tc.length-len(tc.prefix))...)
		if got := commitment.ScriptDust(script); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestMutualCloseNeverRelays: an output above both dust limits but below what
// relays with its script fails the close, whoever offers it.
func TestMutualCloseNeverRelays(t *testing.T) {
	alice, bob := newParties(t, 1_000_000)
	alice.static.CounterpartyDustLimit = 354
	bob.static = mirror(alice.static)
	c := mutual(500, 0)
	c.HolderScript = append([]byte{0x76, 0xa9, 20}, make([]byte, 22)...) // p2pkh needs 546
	if _, err := commitment.MutualClose(bob.static, mirrorClose(c)); !errors.Is(err, commitment.ErrDustOutput) {
		t.Fatal(err)
	}
	if _, err := commitment.VerifyMutualClose(alice.static, c, lnwire.Sig{}); !errors.Is(err, commitment.ErrDustOutput) {
		t.Fatal(err)
	}
}

func TestMutualCloseRefuses(t *testing.T) {
	alice, _ := newParties(t, 1_000_000)
	for name, tc := range map[string]struct {
		change func(c *commitment.Close)
		want   error
	}{
		"fee above the balance": {func(c *commitment.Close) { c.Fee = 400_001 }, commitment.ErrFunderCannotPay},
		"negative fee":          {func(c *commitment.Close) { c.Fee = -1 }, commitment.ErrInvalid},
		"no script":             {func(c *commitment.Close) { c.CounterpartyScript = nil }, commitment.ErrInvalid},
		"unbalanced":            {func(c *commitment.Close) { c.HolderMsat++ }, commitment.ErrUnbalanced},
		"overflow":              {func(c *commitment.Close) { c.HolderMsat = 1 << 63; c.CounterpartyMsat = 1<<63 + 1_000_000_000 }, commitment.ErrUnbalanced},
	} {
		c := mutual(400_000, 1000)
		tc.change(c)
		if _, err := commitment.MutualClose(alice.static, c); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := commitment.VerifyMutualClose(alice.static, c, lnwire.Sig{}); !errors.Is(err, tc.want) {
			t.Errorf("%s: verify: %v", name, err)
		}
	}
	alice.static.HolderDustLimit = 1_000_000
	if _, err := commitment.MutualClose(alice.static, mutual(400_000, 0)); !errors.Is(err, commitment.ErrNoOutputs) {
		t.Error(err)
	}
}
