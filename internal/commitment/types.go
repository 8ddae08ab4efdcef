package commitment

import (
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"
)

// MaxHTLCs is how many HTLCs one commitment can carry: 483 of each side keep
// the transaction below the standard weight (BOLT 2, max_accepted_htlcs).
const MaxHTLCs = 2 * 483

// maxMoney bounds a capacity, so that sums of millisatoshi cannot overflow.
const maxMoney = btcutil.Amount(btcutil.MaxSatoshi)

// Basepoints are the public keys of one side that never change in a channel.
type Basepoints struct {
	Funding        *btcec.PublicKey
	Revocation     *btcec.PublicKey
	Payment        *btcec.PublicKey
	DelayedPayment *btcec.PublicKey
	HTLC           *btcec.PublicKey
}

// complete tells whether no key is missing.
func (b *Basepoints) complete() bool {
	return b.Funding != nil && b.Revocation != nil && b.Payment != nil &&
		b.DelayedPayment != nil && b.HTLC != nil
}

// Static is what never changes in a channel.
type Static struct {
	Funding  wire.OutPoint
	Capacity btcutil.Amount

	// HolderIsFunder: this node opened the channel, so it pays the fees.
	HolderIsFunder bool

	Holder, Counterparty Basepoints

	// Each side's dust limit applies to the commitment that side owns.
	HolderDustLimit, CounterpartyDustLimit btcutil.Amount

	// HolderToSelfDelay is how many blocks the holder waits for its own money
	// on the holder's commitment; the counterparty chose it.
	// CounterpartyToSelfDelay is the mirror of it, chosen by the holder.
	HolderToSelfDelay, CounterpartyToSelfDelay uint16
}

// Check reports what is missing or out of range, as ErrInvalid.
func (s *Static) Check() error {
	switch {
	case s == nil:
		return invalid("no channel")
	case !s.Holder.complete() || !s.Counterparty.complete():
		return invalid("a basepoint is missing")
	case s.Capacity <= 0 || s.Capacity > maxMoney:
		return invalid("capacity of %d sat", int64(s.Capacity))
	case s.HolderDustLimit < 0 || s.CounterpartyDustLimit < 0:
		return invalid("negative dust limit")
	}
	return nil
}

// side returns the parameters of a commitment by its owner.
func (s *Static) side(ownerIsHolder bool) (owner, other *Basepoints, dust btcutil.Amount, delay uint16) {
	if ownerIsHolder {
		return &s.Holder, &s.Counterparty, s.HolderDustLimit, s.HolderToSelfDelay
	}
	return &s.Counterparty, &s.Holder, s.CounterpartyDustLimit, s.CounterpartyToSelfDelay
}

// HTLC is an HTLC as it stands on one commitment.
type HTLC struct {
	// ID is the id given by the side that offered it; unique together with
	// Offered.
	ID uint64

	// Offered: by the owner of this commitment.
	Offered    bool
	Amount     lnwire.MilliSatoshi
	Hash       [32]byte
	CLTVExpiry uint32
}

// View is one commitment as its owner sees it.
type View struct {
	OwnerIsHolder bool

	// Number of the commitment, counting from 0.
	Number uint64

	// PerCommitmentPoint of the owner at Number.
	PerCommitmentPoint *btcec.PublicKey

	// Keys may be derived ahead with DeriveKeys; nil is fine.
	Keys *Keys

	FeePerKw chainfee.SatPerKWeight

	// OwnerMsat and OtherMsat are the balances with all HTLCs already taken
	// off, before fee and anchors, which the funder pays. Together with the
	// HTLCs they add up to the capacity.
	OwnerMsat, OtherMsat lnwire.MilliSatoshi

	// HTLCs in any order; Build does not keep or change the slice.
	HTLCs []HTLC
}

// check validates a view against its channel.
func (v *View) check(s *Static) error {
	switch {
	case v == nil:
		return invalid("no view")
	case v.PerCommitmentPoint == nil:
		return invalid("no per-commitment point")
	case v.Number > MaxNumber:
		return invalid("commitment number %d", v.Number)
	case v.FeePerKw < 0 || btcutil.Amount(v.FeePerKw) > maxMoney/maxCommitWeight:
		return invalid("fee rate %d sat/kw", int64(v.FeePerKw))
	case len(v.HTLCs) > MaxHTLCs:
		return invalid("%d HTLCs, at most %d fit", len(v.HTLCs), MaxHTLCs)
	}

	// Each addend is compared before it is added: the sum stays below twice
	// the capacity and cannot overflow.
	capacity := lnwire.NewMSatFromSatoshis(s.Capacity)
	sum := lnwire.MilliSatoshi(0)
	add := func(m lnwire.MilliSatoshi) bool {
		if m > capacity {
			return false
		}
		sum += m
		return sum <= capacity
	}
	ok := add(v.OwnerMsat) && add(v.OtherMsat)
	for i := range v.HTLCs {
		// An expiry from here on would be read as a time, not as a height
		// (BOLT 2, update_add_htlc).
		if v.HTLCs[i].CLTVExpiry >= 500_000_000 {
			return invalid("htlc %d expires at %d, which is not a height",
				v.HTLCs[i].ID, v.HTLCs[i].CLTVExpiry)
		}
		ok = ok && add(v.HTLCs[i].Amount)
	}
	if !ok || sum != capacity {
		return ErrUnbalanced
	}
	return nil
}

// Tx is a commitment transaction, unsigned, with all that is needed to sign,
// check and later spend it. It is read-only.
type Tx struct {
	Tx     *wire.MsgTx
	Txid   chainhash.Hash
	Number uint64

	OwnerIsHolder bool
	Capacity      btcutil.Amount
	Keys          *Keys

	// Fee is what the transaction really pays: the commitment fee, trimmed
	// outputs and rounding together.
	Fee btcutil.Amount

	// FundingScript is the witness script of the funding output.
	FundingScript []byte

	// HTLCs are the untrimmed ones in the order of their outputs, which is
	// the order of the signatures in commitment_signed (BOLT 2).
	HTLCs []HTLCTx

	// Output indexes, -1 when the output does not exist.
	ToOwnerIndex, ToOtherIndex         int
	OwnerAnchorIndex, OtherAnchorIndex int

	// ToOwnerScript, ToOtherScript and SecondStageScript are witness scripts:
	// of the owner's delayed output, of the other side's output, and of the
	// output of every HTLC transaction.
	ToOwnerScript, ToOtherScript, SecondStageScript []byte
}

// HTLCTx is an HTLC output and the second-stage transaction that spends it:
// HTLC-timeout when the owner offered it, HTLC-success otherwise.
type HTLCTx struct {
	HTLC

	// OutputIndex is the output of the commitment transaction.
	OutputIndex uint32

	// WitnessScript of that output.
	WitnessScript []byte

	// Tx is the unsigned second stage. It pays no fee; whoever broadcasts it
	// adds inputs and outputs behind its own, which the counterparty's
	// signature allows.
	Tx *wire.MsgTx
}
