package commitment_test

import (
	"bytes"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
)

// TestBuildRefuses: bad input is a typed error.
func TestBuildRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(s *commitment.Static, v *commitment.View)
		want   error
	}{
		{"missing basepoint", func(s *commitment.Static, _ *commitment.View) { s.Counterparty.Revocation = nil }, commitment.ErrInvalid},
		{"no capacity", func(s *commitment.Static, _ *commitment.View) { s.Capacity = 0 }, commitment.ErrInvalid},
		{"more than all money", func(s *commitment.Static, _ *commitment.View) { s.Capacity = 1 << 60 }, commitment.ErrInvalid},
		{"negative dust limit", func(s *commitment.Static, _ *commitment.View) { s.HolderDustLimit = -1 }, commitment.ErrInvalid},
		{"no point", func(_ *commitment.Static, v *commitment.View) { v.PerCommitmentPoint = nil }, commitment.ErrInvalid},
		{"number of 49 bits", func(_ *commitment.Static, v *commitment.View) { v.Number = 1 << 48 }, commitment.ErrInvalid},
		{"negative fee", func(_ *commitment.Static, v *commitment.View) { v.FeePerKw = -1 }, commitment.ErrInvalid},
		{"fee that overflows", func(_ *commitment.Static, v *commitment.View) { v.FeePerKw = 1 << 62 }, commitment.ErrInvalid},
		{"expiry that is a time", func(_ *commitment.Static, v *commitment.View) { v.HTLCs[0].CLTVExpiry = 500_000_000 }, commitment.ErrInvalid},
		{"too many HTLCs", func(_ *commitment.Static, v *commitment.View) { v.HTLCs = make([]commitment.HTLC, 967) }, commitment.ErrInvalid},
		{"a millisatoshi too much", func(_ *commitment.Static, v *commitment.View) { v.OwnerMsat++ }, commitment.ErrUnbalanced},
		{"a millisatoshi too little", func(_ *commitment.Static, v *commitment.View) { v.OtherMsat-- }, commitment.ErrUnbalanced},
		{"balance that overflows", func(_ *commitment.Static, v *commitment.View) {
			v.OwnerMsat -= v.OtherMsat + 1<<63
			v.OtherMsat += 1 << 63
		}, commitment.ErrUnbalanced},
		{"fee above the balance", func(_ *commitment.Static, v *commitment.View) { v.FeePerKw = 100_000_000 }, commitment.ErrFunderCannotPay},
		{"nothing but dust", func(s *commitment.Static, v *commitment.View) { s.HolderDustLimit = s.Capacity }, commitment.ErrNoOutputs},
	} {
		t.Run(tc.name, func(t *testing.T) {
			alice, _ := newParties(t, 1_000_000)
			v := manyHTLCs(t, alice, 3, 4)
			tc.change(alice.static, v)
			if tx, err := commitment.Build(alice.static, v); !errors.Is(err, tc.want) || tx != nil {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
		})
	}
	if _, err := commitment.Build(nil, nil); !errors.Is(err, commitment.ErrInvalid) {
		t.Fatal(err)
	}
	alice, _ := newParties(t, 1_000_000)
	if _, err := commitment.Build(alice.static, nil); !errors.Is(err, commitment.ErrInvalid) {
		t.Fatal(err)
	}
}

// highS is the other signature of the same key and message, which verifies but
// does not relay.
func highS(t *testing.T, sig lnwire.Sig) lnwire.Sig {
	t.Helper()
	raw := bytes.Clone(sig.RawBytes())
	var s btcec.ModNScalar
	s.SetByteSlice(raw[32:])
	s.Negate().PutBytesUnchecked(raw[32:])
	high, err := lnwire.NewSigFromWireECDSA(raw)
	must(t, err)
	return high
}

// TestVerifyNamesSignature: the error says which signature of
// commitment_signed failed, the first one if there are several.
func TestVerifyNamesSignature(t *testing.T) {
	alice, bob := newParties(t, 10_000_000)
	tx, sig, htlcSigs := signed(t, alice, bob, manyHTLCs(t, alice, 9, 40))
	must(t, tx.Verify(sig, htlcSigs))

	check := func(name string, sig lnwire.Sig, htlcSigs []lnwire.Sig, of commitment.SignatureOf, index int) {
		t.Run(name, func(t *testing.T) {
			var bad *commitment.SignatureError
			err := tx.Verify(sig, htlcSigs)
			if !errors.As(err, &bad) || !errors.Is(err, commitment.ErrBadSignature) ||
				bad.Of != of || bad.Index != index || bad.Number != 9 {
				t.Fatalf("%#v", err)
			}
		})
	}
	with := func(changes map[int]lnwire.Sig) []lnwire.Sig {
		sigs := slices.Clone(htlcSigs)
		for i, s := range changes {
			sigs[i] = s
		}
		return sigs
	}
	check("commitment", htlcSigs[0], htlcSigs, commitment.OfCommitment, 0)
	check("commitment high s", highS(t, sig), htlcSigs, commitment.OfCommitment, 0)
	check("zero", lnwire.Sig{}, htlcSigs, commitment.OfCommitment, 0)
	check("one missing", sig, htlcSigs[:39], commitment.OfHTLC, 39)
	check("one too many", sig, append(slices.Clone(htlcSigs), sig), commitment.OfHTLC, 40)
	check("none", sig, nil, commitment.OfHTLC, 0)
	check("swapped", sig, with(map[int]lnwire.Sig{3: htlcSigs[30], 30: htlcSigs[3]}), commitment.OfHTLC, 3)
	check("last", sig, with(map[int]lnwire.Sig{39: sig}), commitment.OfHTLC, 39)
	check("high s", sig, with(map[int]lnwire.Sig{17: highS(t, htlcSigs[17])}), commitment.OfHTLC, 17)
	check("all", sig, make([]lnwire.Sig, 40), commitment.OfHTLC, 0)
}

// TestForEachHTLC: every call is made once, and the error is the lowest.
func TestForEachHTLC(t *testing.T) {
	for n := range 70 {
		calls := make([]atomic.Int32, n)
		must(t, commitment.ForEachHTLC(n, func(i int) error { calls[i].Add(1); return nil }))
		for i := range calls {
			if calls[i].Load() != 1 {
				t.Fatalf("n=%d: call %d was made %d times", n, i, calls[i].Load())
			}
		}
		for low := range n {
			err := commitment.ForEachHTLC(n, func(i int) error {
				if i >= low {
					return &commitment.SignatureError{Index: i}
				}
				return nil
			})
			var bad *commitment.SignatureError
			if !errors.As(err, &bad) || bad.Index != low {
				t.Fatalf("n=%d low=%d: %v", n, low, err)
			}
		}
	}
}

// TestForEachHTLCPanics: whichever call panics, its caller can recover, and no call is still running.
func TestForEachHTLCPanics(t *testing.T) {
	for bad := range 40 {
		var running atomic.Int32
		func() {
			defer func() {
				if r := recover(); r != bad {
					t.Errorf("recovered %v, want %d", r, bad)
				}
			}()
			_ = commitment.ForEachHTLC(40, func(i int) error {
				running.Add(1)
				defer running.Add(-1)
				if i == bad {
					panic(i)
				}
				return nil
			})
		}()
		if running.Load() != 0 {
			t.Errorf("%d calls still run", running.Load())
		}
	}
}

// TestNumberOfRefuses what is not a commitment of the channel.
func TestNumberOfRefuses(t *testing.T) {
	alice, _ := newParties(t, 1_000_000)
	tx, err := commitment.Build(alice.static, manyHTLCs(t, alice, 77, 0))
	must(t, err)
	for name, change := range map[string]func(tx *wire.MsgTx){
		"locktime":     func(tx *wire.MsgTx) { tx.LockTime = 500 },
		"sequence":     func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = wire.MaxTxInSequenceNum },
		"other input":  func(tx *wire.MsgTx) { tx.TxIn[0].PreviousOutPoint.Index++ },
		"second input": func(tx *wire.MsgTx) { tx.AddTxIn(&wire.TxIn{}) },
		"no input":     func(tx *wire.MsgTx) { tx.TxIn = nil },
	} {
		changed := tx.Tx.Copy()
		change(changed)
		if _, err := commitment.NumberOf(changed, alice.static); !errors.Is(err, commitment.ErrNotCommitment) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDustBoundary: an amount at the owner's dust limit is an output, a
// millisatoshi less is not (BOLT 3, Trimmed Outputs). Alice's limit is 354 sat,
// bob's 546.
func TestDustBoundary(t *testing.T) {
	alice, _ := newParties(t, 1_000_000)
	for _, tc := range []struct {
		ownerIsHolder bool
		amount        lnwire.MilliSatoshi
		trimmed       bool
	}{{true, 354_000, false}, {true, 353_999, true}, {false, 546_000, false}, {false, 545_999, true}, {true, 0, true}} {
		if got := commitment.Trimmed(alice.static, tc.ownerIsHolder, tc.amount); got != tc.trimmed {
			t.Errorf("htlc of %v: trimmed %v", tc.amount, got)
		}
		v := manyHTLCs(t, alice, 3, 0)
		v.OwnerIsHolder = tc.ownerIsHolder
		// The amount is the balance of the side that pays no fee: bob's.
		small, index := &v.OtherMsat, func(tx *commitment.Tx) int { return tx.ToOtherIndex }
		if !tc.ownerIsHolder {
			small, index = &v.OwnerMsat, func(tx *commitment.Tx) int { return tx.ToOwnerIndex }
		}
		v.OwnerMsat, v.OtherMsat = 1_000_000_000-tc.amount, 1_000_000_000-tc.amount
		*small = tc.amount
		tx, err := commitment.Build(alice.static, v)
		must(t, err)
		if (index(tx) < 0) != tc.trimmed {
			t.Errorf("balance of %v: output %d", tc.amount, index(tx))
		}
	}
}

// TestWrongSpend: what the counterparty did not sign is not signed by us either.
func TestWrongSpend(t *testing.T) {
	alice, bob := newParties(t, 1_000_000)
	tx, sig, htlcSigs := signed(t, alice, bob, manyHTLCs(t, alice, 1, 2))
	for name, change := range map[string]func(tx *wire.MsgTx){
		"version":     func(tx *wire.MsgTx) { tx.Version = 1 },
		"locktime":    func(tx *wire.MsgTx) { tx.LockTime++ },
		"sequence":    func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = 0 },
		"other input": func(tx *wire.MsgTx) { tx.TxIn[0].PreviousOutPoint.Index++ },
		"value":       func(tx *wire.MsgTx) { tx.TxOut[0].Value-- },
		"script":      func(tx *wire.MsgTx) { tx.TxOut[0].PkScript = []byte{0x51} },
		"no output":   func(tx *wire.MsgTx) { tx.TxOut = nil },
		"other index": func(tx *wire.MsgTx) { tx.TxIn = append([]*wire.TxIn{{}}, tx.TxIn...) },
	} {
		for i := range tx.HTLCs {
			spend := tx.HTLCs[i].Tx.Copy()
			change(spend)
			if _, err := tx.OwnerSigHash(i, spend); !errors.Is(err, commitment.ErrWrongSpend) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for i := range tx.HTLCs {
		if tx.HTLCs[i].Offered {
			continue
		}
		wrong := preimage(77)
		if _, err := tx.CompleteHTLC(i, nil, sig, htlcSigs[i], &wrong); !errors.Is(err, commitment.ErrPreimage) {
			t.Errorf("wrong preimage: %v", err)
		}
	}
	for _, i := range []int{-1, 2} {
		if _, err := tx.CounterSigHash(i); !errors.Is(err, commitment.ErrInvalid) {
			t.Errorf("htlc %d: %v", i, err)
		}
		if _, err := tx.CompleteHTLC(i, nil, sig, sig, nil); !errors.Is(err, commitment.ErrInvalid) {
			t.Errorf("htlc %d: %v", i, err)
		}
	}
}
