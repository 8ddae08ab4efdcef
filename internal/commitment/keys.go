package commitment

import (
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/input"
)

// Keys are the public keys of one commitment (BOLT 3, Key Derivation).
type Keys struct {
	PerCommitmentPoint *btcec.PublicKey

	OwnerFunding, OtherFunding *btcec.PublicKey

	// Revocation is spendable by the other side once the owner has revealed
	// the per-commitment secret.
	Revocation   *btcec.PublicKey
	OwnerDelayed *btcec.PublicKey

	// OtherPayment is the other side's payment basepoint itself
	// (option_static_remotekey).
	OtherPayment *btcec.PublicKey

	OwnerHTLC, OtherHTLC *btcec.PublicKey
}

// deriveKeys derives the keys of the commitment of the given owner.
func deriveKeys(s *Static, ownerIsHolder bool, point *btcec.PublicKey) Keys {
	owner, other, _, _ := s.side(ownerIsHolder)
	return Keys{
		PerCommitmentPoint: point,
		OwnerFunding:       owner.Funding,
		OtherFunding:       other.Funding,
		Revocation:         input.DeriveRevocationPubkey(other.Revocation, point),
		OwnerDelayed:       tweak(owner.DelayedPayment, point),
		OtherPayment:       other.Payment,
		OwnerHTLC:          tweak(owner.HTLC, point),
		OtherHTLC:          tweak(other.HTLC, point),
	}
}

// SecretOpens tells whether a per-commitment secret belongs to a point: what has
// to hold for the secret in revoke_and_ack before anything relies on it (rule 7).
func SecretOpens(secret [32]byte, point *btcec.PublicKey) bool {
	return point != nil && input.ComputeCommitmentPoint(secret[:]).IsEqual(point)
}

// tweak is base + SHA256(point || base) * G, the public key of a basepoint at one
// commitment. The library's function multiplies by G twice, and this is the
// larger part of building a commitment with few HTLCs.
func tweak(base, point *btcec.PublicKey) *btcec.PublicKey {
	var t btcec.ModNScalar
	t.SetByteSlice(input.SingleTweakBytes(point, base))
	var tG, b, sum btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&t, &tG)
	base.AsJacobian(&b)
	btcec.AddNonConst(&b, &tG, &sum)
	sum.ToAffine()
	return btcec.NewPublicKey(&sum.X, &sum.Y)
}
