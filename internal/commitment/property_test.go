package commitment_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"
	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/internal/commitment"
)

// drawView draws a channel and one of its commitments. Amounts crowd around the
// dust limits, and HTLCs share amounts, hashes and expiries, because that is
// where transactions go wrong.
func drawView(t *rapid.T, tb testing.TB) (alice, bob *party, v *commitment.View) {
	alice, bob = newParties(tb, btcutil.Amount(rapid.Int64Range(100_000, 100_000_000).Draw(t, "capacity")))
	s := alice.static
	dust := rapid.SampledFrom([]btcutil.Amount{0, 330, 354, 546, 1000})
	s.HolderDustLimit, s.CounterpartyDustLimit = dust.Draw(t, "holder dust"), dust.Draw(t, "counterparty dust")
	s.HolderToSelfDelay = rapid.Uint16Range(1, 2016).Draw(t, "delay")
	s.HolderIsFunder = rapid.Bool().Draw(t, "holder is funder")
	bob.static = mirror(s)

	number := rapid.Uint64Max(commitment.MaxNumber).Draw(t, "number")
	v = &commitment.View{
		OwnerIsHolder: rapid.Bool().Draw(t, "owner is holder"), Number: number,
		FeePerKw: chainfee.SatPerKWeight(rapid.Int64Range(0, 5000).Draw(t, "fee")),
	}
	owner := alice
	if !v.OwnerIsHolder {
		owner = bob
	}
	point, err := owner.keys.PerCommitmentPoint(testIndex, number)
	must(tb, err)
	v.PerCommitmentPoint = point

	left := lnwire.NewMSatFromSatoshis(s.Capacity)
	for i := range rapid.Uint64Max(8).Draw(t, "htlcs") {
		amount := min(left, lnwire.MilliSatoshi(rapid.OneOf(
			rapid.Uint64Range(0, 1_500_000), rapid.SampledFrom([]uint64{353_999, 354_000, 546_000, 5_000_000}),
		).Draw(t, "amount")))
		left -= amount
		p := preimage(rapid.Uint64Max(2).Draw(t, "preimage"))
		v.HTLCs = append(v.HTLCs, commitment.HTLC{
			ID: i, Offered: rapid.Bool().Draw(t, "offered"), Amount: amount, Hash: sha256.Sum256(p[:]),
			CLTVExpiry: rapid.Uint32Range(500, 503).Draw(t, "expiry"),
		})
	}
	v.OwnerMsat = lnwire.MilliSatoshi(rapid.OneOf(
		rapid.Uint64Max(uint64(left)), rapid.SampledFrom([]uint64{0, uint64(left)}),
	).Draw(t, "owner"))
	v.OtherMsat = left - v.OwnerMsat
	return alice, bob, v
}

// TestBuildConserves: outputs and fee are the capacity; each side gets its
// balance rounded down, the funder less fee and anchors, or nothing if that is
// dust; nothing but dust and rounding is added to the commitment fee.
func TestBuildConserves(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		alice, _, v := drawView(rt, t)
		s := alice.static
		tx, err := commitment.Build(s, v)
		fee := commitment.CommitFee(v.FeePerKw, commitment.NonDust(s, v.OwnerIsHolder, v.HTLCs))
		owner, otherSide := v.OwnerMsat, v.OtherMsat
		funder := &owner
		if v.OwnerIsHolder != s.HolderIsFunder {
			funder = &otherSide
		}
		cost := lnwire.NewMSatFromSatoshis(fee + 660)
		if *funder < cost {
			var short *commitment.FunderError
			if !errors.As(err, &short) || !errors.Is(err, commitment.ErrFunderCannotPay) || short.Balance != *funder {
				rt.Fatalf("funder has %v of %v, got %v", *funder, cost, err)
			}
			return
		}
		*funder -= cost
		if errors.Is(err, commitment.ErrNoOutputs) {
			return
		}
		if err != nil {
			rt.Fatal(err)
		}

		sum, trimmed := btcutil.Amount(0), btcutil.Amount(0)
		for i, out := range tx.Tx.TxOut {
			sum += btcutil.Amount(out.Value)
			if i > 0 && out.Value < tx.Tx.TxOut[i-1].Value {
				rt.Fatal("outputs are not in order")
			}
		}
		if sum+tx.Fee != s.Capacity {
			rt.Fatalf("%v + %v is not %v", sum, tx.Fee, s.Capacity)
		}
		dust := s.HolderDustLimit
		if !v.OwnerIsHolder {
			dust = s.CounterpartyDustLimit
		}
		checkOut := func(index int, want lnwire.MilliSatoshi) {
			if amount := want.ToSatoshis(); index < 0 {
				trimmed += amount
				if amount >= dust && amount > 0 {
					rt.Fatalf("output of %v left out", amount)
				}
			} else if got := tx.Tx.TxOut[index].Value; got != int64(amount) || amount < dust {
				rt.Fatalf("output of %d, want %v above %v", got, amount, dust)
			}
		}
		checkOut(tx.ToOwnerIndex, owner)
		checkOut(tx.ToOtherIndex, otherSide)
		for _, index := range []int{tx.OwnerAnchorIndex, tx.OtherAnchorIndex} {
			if index < 0 {
				trimmed += 330
			} else if tx.Tx.TxOut[index].Value != 330 {
				rt.Fatal("not an anchor")
			}
		}
		if (tx.OwnerAnchorIndex >= 0) != (tx.ToOwnerIndex >= 0 || len(tx.HTLCs) > 0) ||
			(tx.OtherAnchorIndex >= 0) != (tx.ToOtherIndex >= 0 || len(tx.HTLCs) > 0) {
			rt.Fatal("an anchor is missing or is too many")
		}
		onTx := 0
		for _, h := range v.HTLCs {
			if commitment.Trimmed(s, v.OwnerIsHolder, h.Amount) {
				trimmed += h.Amount.ToSatoshis()
			} else {
				onTx++
			}
		}
		if onTx != len(tx.HTLCs) {
			rt.Fatalf("%d HTLCs, want %d", len(tx.HTLCs), onTx)
		}
		// Rounding takes less than a satoshi of each balance and HTLC.
		rounding := tx.Fee - fee - trimmed
		if rounding < 0 || int(rounding) > len(v.HTLCs)+2 {
			rt.Fatalf("fee %v is %v beyond %v and %v of dust", tx.Fee, rounding, fee, trimmed)
		}
		if n, err := commitment.NumberOf(tx.Tx, s); err != nil || n != v.Number {
			rt.Fatalf("NumberOf = %d, %v, want %d", n, err, v.Number)
		}
	})
}

// TestBuildDeterministic: the order of the HTLCs does not matter, nor which side
// builds.
func TestBuildDeterministic(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		alice, bob, v := drawView(rt, t)
		tx, err := commitment.Build(alice.static, v)
		if err != nil {
			rt.Skip(err)
		}
		shuffled := *other(v)
		shuffled.HTLCs = rapid.Permutation(v.HTLCs).Draw(rt, "order")
		again, err := commitment.Build(bob.static, &shuffled)
		if err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(serialize(t, tx.Tx), serialize(t, again.Tx)) || len(tx.HTLCs) != len(again.HTLCs) {
			rt.Fatal("the transaction depends on who builds it")
		}
		for i := range tx.HTLCs {
			if tx.HTLCs[i].HTLC != again.HTLCs[i].HTLC ||
				tx.HTLCs[i].OutputIndex != again.HTLCs[i].OutputIndex ||
				!bytes.Equal(serialize(t, tx.HTLCs[i].Tx), serialize(t, again.HTLCs[i].Tx)) {
				rt.Fatalf("htlc transaction %d depends on who builds it", i)
			}
		}
	})
}

// TestSignVerifyExecute: what one side signs the other accepts, twice the same,
// and the script engine accepts every completed transaction; a signature that is
// changed or out of place is named.
func TestSignVerifyExecute(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		alice, bob, v := drawView(rt, t)
		owner, signer := alice, bob
		if !v.OwnerIsHolder {
			owner, signer, v = bob, alice, other(v)
		}
		if _, err := commitment.Build(owner.static, v); err != nil {
			rt.Skip(err)
		}
		tx, sig, htlcSigs := signed(t, owner, signer, v)
		_, sig2, htlcSigs2 := signed(t, owner, signer, v)
		if sig != sig2 || len(htlcSigs) != len(htlcSigs2) {
			rt.Fatal("signing is not deterministic")
		}
		for i := range htlcSigs {
			if htlcSigs[i] != htlcSigs2[i] {
				rt.Fatal("signing is not deterministic")
			}
		}
		if err := tx.Verify(sig, htlcSigs); err != nil {
			rt.Fatal(err)
		}

		holderSig, err := owner.keys.SignHolder(testIndex, owner.static, tx)
		must(t, err)
		full, err := tx.Complete(holderSig, sig)
		must(t, err)
		_, pk, err := commitment.FundingScript(owner.static.Holder.Funding, owner.static.Counterparty.Funding)
		must(t, err)
		if err := execute(full, wire.NewTxOut(int64(owner.static.Capacity), pk)); err != nil {
			rt.Fatalf("commitment: %v", err)
		}
		for i := range tx.HTLCs {
			checkSecondStage(rt, t, owner, tx, i, htlcSigs[i])
		}
		if len(htlcSigs) > 0 {
			i := rapid.IntRange(0, len(htlcSigs)-1).Draw(rt, "broken")
			wrong := bytes.Clone(htlcSigs[i].RawBytes())
			wrong[rapid.IntRange(1, 30).Draw(rt, "byte")] ^= 1
			htlcSigs[i], err = lnwire.NewSigFromWireECDSA(wrong)
			must(t, err)
			var bad *commitment.SignatureError
			if err := tx.Verify(sig, htlcSigs); !errors.As(err, &bad) || bad.Of != commitment.OfHTLC ||
				bad.Index != i || bad.HTLCID != tx.HTLCs[i].ID || bad.Number != v.Number {
				rt.Fatalf("broken signature %d: %v", i, err)
			}
		}
	})
}

// checkSecondStage completes HTLC i bare and inside a transaction that pays a
// fee, and runs the script engine over both.
func checkSecondStage(rt *rapid.T, t *testing.T, owner *party, tx *commitment.Tx, i int, otherSig lnwire.Sig) {
	h := &tx.HTLCs[i]
	out := tx.Tx.TxOut[h.OutputIndex]
	var p *[32]byte
	for n := range uint64(3) {
		if pre := preimage(n); sha256.Sum256(pre[:]) == h.Hash && !h.Offered {
			p = &pre
		}
	}
	carrier := h.Tx.Copy()
	carrier.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.HashH([]byte("wallet"))}, nil, nil))
	carrier.AddTxOut(wire.NewTxOut(1000, []byte{txscript.OP_TRUE}))
	for _, spend := range []*wire.MsgTx{nil, carrier} {
		own, err := owner.keys.SignHolderHTLC(testIndex, owner.static, tx, i, spend)
		must(t, err)
		full, err := tx.CompleteHTLC(i, spend, own, otherSig, p)
		must(t, err)
		if full.TxIn[0].PreviousOutPoint != (wire.OutPoint{Hash: tx.Txid, Index: h.OutputIndex}) {
			rt.Fatal("htlc transaction spends something else")
		}
		if err := execute(full, out); err != nil {
			rt.Fatalf("htlc %d (offered %v): %v", i, h.Offered, err)
		}
	}
	carrier.TxOut[0].Value--
	if _, err := tx.OwnerSigHash(i, carrier); !errors.Is(err, commitment.ErrWrongSpend) {
		rt.Fatalf("changed output: %v", err)
	}
	if !h.Offered {
		if _, err := tx.CompleteHTLC(i, nil, otherSig, otherSig, nil); !errors.Is(err, commitment.ErrPreimage) {
			rt.Fatalf("without preimage: %v", err)
		}
	}
}
