package commitment

import (
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/input"
)

// Keys are the public keys of one commitment (BOLT 3, Key Derivation), made by
// DeriveKeys.
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

// DeriveKeys derives the keys of the commitment of the given owner at a
// per-commitment point. Build does it by itself, and for a commitment with few
// HTLCs it is nearly all that Build costs; a caller that knows the next point can
// do it while it waits for something else, and hand the result over in View.Keys.
func DeriveKeys(s *Static, ownerIsHolder bool, point *btcec.PublicKey) (*Keys, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if point == nil {
		return nil, invalid("no per-commitment point")
	}
	owner, other, _, _ := s.side(ownerIsHolder)
	return &Keys{
		PerCommitmentPoint: point,
		OwnerFunding:       owner.Funding,
		OtherFunding:       other.Funding,
		Revocation:         input.DeriveRevocationPubkey(other.Revocation, point),
		OwnerDelayed:       tweak(owner.DelayedPayment, point),
		OtherPayment:       other.Payment,
		OwnerHTLC:          tweak(owner.HTLC, point),
		OtherHTLC:          tweak(other.HTLC, point),
	}, nil
}

// keys are the keys of a view: those handed over, if they are of this channel,
// owner and point, or derived.
func (v *View) keys(s *Static) (*Keys, error) {
	if v.Keys == nil {
		return DeriveKeys(s, v.OwnerIsHolder, v.PerCommitmentPoint)
	}
	owner, other, _, _ := s.side(v.OwnerIsHolder)
	for _, pair := range [...][2]*btcec.PublicKey{
		{v.Keys.PerCommitmentPoint, v.PerCommitmentPoint},
		{v.Keys.OwnerFunding, owner.Funding},
		{v.Keys.OtherFunding, other.Funding},
		{v.Keys.OtherPayment, other.Payment},
	} {
		if pair[0] == nil || !pair[0].IsEqual(pair[1]) {
			return nil, invalid("keys are of another commitment")
		}
	}
	return v.Keys, nil
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
