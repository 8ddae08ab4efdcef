package peers

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/channeldb"
	"github.com/lightningnetwork/lnd/fn/v2"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lntypes"
	"github.com/lightningnetwork/lnd/lnwallet"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
)

// channelType is lnd's name for the one type of this project.
const channelType = channeldb.SingleFunderTweaklessBit | channeldb.AnchorOutputsBit | channeldb.ZeroHtlcTxFeeBit

func randomBasepoints(rng *rand.Rand) commitment.Basepoints {
	return commitment.Basepoints{
		Funding: randomKey(rng), Revocation: randomKey(rng), Payment: randomKey(rng),
		DelayedPayment: randomKey(rng), HTLC: randomKey(rng),
	}
}

// randomCommitment draws a channel and a commitment; amounts gather around the
// dust limits, and HTLCs share amounts, hashes and expiries.
func randomCommitment(rng *rand.Rand) (*commitment.Static, *commitment.View) {
	s := &commitment.Static{
		Funding:                 wire.OutPoint{Hash: [32]byte(randomBytes(rng, 32)), Index: rng.Uint32N(4)},
		Capacity:                btcutil.Amount(pick[int64](rng, 20_000, 1_000_000, 100_000_000) + rng.Int64N(1000)),
		HolderIsFunder:          rng.IntN(2) == 0,
		Holder:                  randomBasepoints(rng),
		Counterparty:            randomBasepoints(rng),
		HolderDustLimit:         btcutil.Amount(pick(rng, 330, 354, 546, 1000)),
		CounterpartyDustLimit:   btcutil.Amount(pick(rng, 330, 354, 546, 1000)),
		HolderToSelfDelay:       uint16(rng.Uint32()),
		CounterpartyToSelfDelay: uint16(pick(rng, 0, 1, 16, 17, 144, 2016)),
	}
	v := &commitment.View{
		OwnerIsHolder:      rng.IntN(2) == 0,
		Number:             pick(rng, 0, 1, rng.Uint64N(1<<48), commitment.MaxNumber),
		PerCommitmentPoint: randomKey(rng),
		FeePerKw:           chainfee.SatPerKWeight(pick[int64](rng, 0, 253, 1000, 15_000) + rng.Int64N(300)),
	}
	left := lnwire.NewMSatFromSatoshis(s.Capacity)
	hashes := [2][32]byte{[32]byte(randomBytes(rng, 32)), [32]byte(randomBytes(rng, 32))}
	for i := range rng.IntN(13) {
		h := commitment.HTLC{
			ID: uint64(i), Offered: rng.IntN(2) == 0, Hash: pick(rng, hashes[:]...),
			CLTVExpiry: pick[uint32](rng, 1, 500, 501, 499_999_999),
			Amount:     lnwire.MilliSatoshi(pick(rng, rng.Uint64N(2_000_000), 353_999, 354_000, 546_000, 5_000_000)),
		}
		if h.Amount > left {
			break
		}
		left -= h.Amount
		v.HTLCs = append(v.HTLCs, h)
	}
	v.OwnerMsat = lnwire.MilliSatoshi(pick(rng, 0, uint64(left), rng.Uint64N(uint64(left)+1), min(uint64(left), rng.Uint64N(2_000_000))))
	v.OtherMsat = left - v.OwnerMsat
	return s, v
}

// lndConfig is one side's parameters as lnd keeps them.
func lndConfig(b *commitment.Basepoints, dust btcutil.Amount, delay uint16) *channeldb.ChannelConfig {
	return &channeldb.ChannelConfig{
		CommitmentParams:    channeldb.CommitmentParams{DustLimit: dust, CsvDelay: delay},
		MultiSigKey:         keychain.KeyDescriptor{PubKey: b.Funding},
		RevocationBasePoint: keychain.KeyDescriptor{PubKey: b.Revocation},
		PaymentBasePoint:    keychain.KeyDescriptor{PubKey: b.Payment},
		DelayBasePoint:      keychain.KeyDescriptor{PubKey: b.DelayedPayment},
		HtlcBasePoint:       keychain.KeyDescriptor{PubKey: b.HTLC},
	}
}

// lndCommitment is the same commitment by lnd's own steps. Local is the holder;
// ok is false where the funder cannot pay, which lnd turns into an output of 0.
func lndCommitment(t *testing.T, s *commitment.Static, v *commitment.View) (tx *wire.MsgTx, ring *lnwallet.CommitmentKeyRing, csv uint32, ok bool) {
	t.Helper()
	local := lndConfig(&s.Holder, s.HolderDustLimit, s.HolderToSelfDelay)
	remote := lndConfig(&s.Counterparty, s.CounterpartyDustLimit, s.CounterpartyToSelfDelay)
	who, owner, other := lntypes.Local, local, remote
	if !v.OwnerIsHolder {
		who, owner, other = lntypes.Remote, remote, local
	}
	ring = lnwallet.DeriveCommitmentKeys(v.PerCommitmentPoint, who, channelType, local, remote)
	ownerHTLC, otherHTLC := ring.LocalHtlcKey, ring.RemoteHtlcKey
	if !v.OwnerIsHolder {
		ownerHTLC, otherHTLC = otherHTLC, ownerHTLC
	}

	incoming := func(h *commitment.HTLC) bool { return h.Offered != v.OwnerIsHolder }
	dust := func(h *commitment.HTLC) bool {
		return lnwallet.HtlcIsDust(channelType, incoming(h), who, v.FeePerKw, h.Amount.ToSatoshis(), owner.DustLimit)
	}
	num := int64(0)
	for i := range v.HTLCs {
		if !dust(&v.HTLCs[i]) {
			num++
		}
	}
	fee := v.FeePerKw.FeeForWeight(lnwallet.CommitWeight(channelType) + lntypes.WeightUnit(input.HTLCWeight*num))
	ownerMsat, otherMsat := v.OwnerMsat, v.OtherMsat
	funder := &ownerMsat
	if s.HolderIsFunder != v.OwnerIsHolder {
		funder = &otherMsat
	}
	cost := lnwire.NewMSatFromSatoshis(fee + 2*lnwallet.AnchorSize)
	if *funder < cost {
		return nil, nil, 0, false
	}
	*funder -= cost

	tx, err := lnwallet.CreateCommitTx(channelType, *wire.NewTxIn(&s.Funding, nil, nil), ring, owner, other,
		ownerMsat.ToSatoshis(), otherMsat.ToSatoshis(), num, s.HolderIsFunder == v.OwnerIsHolder, 0,
		fn.None[lnwallet.CommitAuxLeaves]())
	must(t, err)
	cltvs := make([]uint32, len(tx.TxOut))
	for i := range v.HTLCs {
		h := &v.HTLCs[i]
		if dust(h) {
			continue
		}
		var script []byte
		if h.Offered {
			script, err = input.SenderHTLCScript(ownerHTLC, otherHTLC, ring.RevocationKey, h.Hash[:], true)
		} else {
			script, err = input.ReceiverHTLCScript(h.CLTVExpiry, otherHTLC, ownerHTLC, ring.RevocationKey, h.Hash[:], true)
		}
		must(t, err)
		pk, err := input.WitnessScriptHash(script)
		must(t, err)
		tx.AddTxOut(wire.NewTxOut(int64(h.Amount.ToSatoshis()), pk))
		cltvs = append(cltvs, h.CLTVExpiry)
	}
	opener, accepter := s.Holder.Payment, s.Counterparty.Payment
	if !s.HolderIsFunder {
		opener, accepter = accepter, opener
	}
	must(t, lnwallet.SetStateNumHint(tx, v.Number, lnwallet.DeriveStateHintObfuscator(opener, accepter)))
	lnwallet.InPlaceCommitSort(tx, cltvs)
	return tx, ring, uint32(owner.CsvDelay), true
}

// TestCommitmentsLikeLnd compares commitment and HTLC transactions of random
// channels with lnd's, byte for byte.
func TestCommitmentsLikeLnd(t *testing.T) {
	eachSeed(t, *flagCases, func(t *testing.T, rng *rand.Rand) {
		s, v := randomCommitment(rng)
		got, err := commitment.Build(s, v)
		want, ring, csv, ok := lndCommitment(t, s, v)
		switch {
		case !ok:
			if !errors.Is(err, commitment.ErrFunderCannotPay) {
				t.Fatalf("funder cannot pay, got %v", err)
			}
			return
		case len(want.TxOut) == 0:
			if !errors.Is(err, commitment.ErrNoOutputs) {
				t.Fatalf("no outputs, got %v", err)
			}
			return
		case err != nil:
			t.Fatal(err)
		}
		equalTx(t, "commitment", got.Tx, want)

		last := -1
		for i := range got.HTLCs {
			h := &got.HTLCs[i]
			if int(h.OutputIndex) <= last {
				t.Fatal("htlc transactions are not in the order of the outputs")
			}
			last = int(h.OutputIndex)
			op := wire.OutPoint{Hash: want.TxHash(), Index: h.OutputIndex}
			var second *wire.MsgTx
			if h.Offered {
				second, err = lnwallet.CreateHtlcTimeoutTx(channelType, false, op, h.Amount.ToSatoshis(), h.CLTVExpiry, csv, 0,
					ring.RevocationKey, ring.ToLocalKey, input.NoneTapLeaf())
			} else {
				second, err = lnwallet.CreateHtlcSuccessTx(channelType, false, op, h.Amount.ToSatoshis(), csv, 0,
					ring.RevocationKey, ring.ToLocalKey, input.NoneTapLeaf())
			}
			must(t, err)
			equalTx(t, "htlc transaction", h.Tx, second)
		}
	})
}

// TestMutualCloseLikeLnd compares closing transactions with lnd's, where lnd is
// told the dust limit that BOLT 3 has us use for both outputs, our own.
func TestMutualCloseLikeLnd(t *testing.T) {
	eachSeed(t, *flagCases, func(t *testing.T, rng *rand.Rand) {
		s, _ := randomCommitment(rng)
		total := lnwire.NewMSatFromSatoshis(s.Capacity)
		c := &commitment.Close{
			HolderScript: append([]byte{0, 20}, randomBytes(rng, 20)...), CounterpartyScript: append([]byte{0, 32}, randomBytes(rng, 32)...),
			HolderMsat: lnwire.MilliSatoshi(pick(rng, 0, uint64(total), uint64(total)/2, rng.Uint64N(uint64(total)), rng.Uint64N(2_000_000))),
			Fee:        btcutil.Amount(rng.Int64N(1000)),
		}
		c.CounterpartyMsat = total - c.HolderMsat
		ours, theirs := c.HolderMsat.ToSatoshis(), c.CounterpartyMsat.ToSatoshis()
		if s.HolderIsFunder {
			ours -= c.Fee
		} else {
			theirs -= c.Fee
		}
		got, err := commitment.MutualClose(s, c)
		if ours < 0 || theirs < 0 {
			if !errors.Is(err, commitment.ErrFunderCannotPay) {
				t.Fatal(err)
			}
			return
		}
		must(t, err)
		want, err := lnwallet.CreateCooperativeCloseTx(*wire.NewTxIn(&s.Funding, nil, nil), s.HolderDustLimit, s.HolderDustLimit,
			ours, theirs, c.HolderScript, c.CounterpartyScript)
		must(t, err)
		equalTx(t, "mutual close", got.Tx, want)
	})
}

// equalTx compares serialised transactions.
func equalTx(t *testing.T, what string, got, want *wire.MsgTx) {
	t.Helper()
	var g, w bytes.Buffer
	must(t, got.Serialize(&g))
	must(t, want.Serialize(&w))
	if !bytes.Equal(g.Bytes(), w.Bytes()) {
		t.Fatalf("%s\n got %x\nwant %x", what, g.Bytes(), w.Bytes())
	}
}
