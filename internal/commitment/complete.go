package commitment

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/lnwire"
)

// Complete returns a copy of the commitment transaction with its witness, ready
// to broadcast. Signatures are not verified here: the other side's was when it
// came in (rule 6), and the owner's was just made.
func (t *Tx) Complete(ownerSig, otherSig lnwire.Sig) (*wire.MsgTx, error) {
	return completeFunding(t.Tx, t.FundingScript, t.Keys.OwnerFunding, ownerSig, t.Keys.OtherFunding, otherSig)
}

// completeFunding returns a copy of tx, whose only input is the funding output,
// with both signatures in the order of their keys.
func completeFunding(tx *wire.MsgTx, script []byte, aKey *btcec.PublicKey, aSig lnwire.Sig,
	bKey *btcec.PublicKey, bSig lnwire.Sig,
) (*wire.MsgTx, error) {
	a, err := parseSig(aSig)
	if err != nil {
		return nil, err
	}
	b, err := parseSig(bSig)
	if err != nil {
		return nil, err
	}
	signed := tx.Copy()
	signed.TxIn[0].Witness = input.SpendMultiSig(script,
		aKey.SerializeCompressed(), a, bKey.SerializeCompressed(), b)
	return signed, nil
}

// CompleteHTLC returns a copy of the second stage of HTLC i with its witness:
// of spend, which carries it and pays the fee, or of the HTLC transaction
// itself if spend is nil. ownerSig is over OwnerSigHash(i, spend), otherSig came
// with commitment_signed. An HTLC that the owner offered is timed out and takes
// no preimage; all others need theirs (ErrPreimage).
func (t *Tx) CompleteHTLC(i int, spend *wire.MsgTx, ownerSig, otherSig lnwire.Sig, preimage *[32]byte) (*wire.MsgTx, error) {
	spend, index, err := t.carrier(i, spend)
	if err != nil {
		return nil, err
	}
	h := &t.HTLCs[i]
	var last []byte
	if !h.Offered {
		if preimage == nil || sha256.Sum256(preimage[:]) != h.Hash {
			return nil, ErrPreimage
		}
		last = append(last, preimage[:]...)
	}
	other, err := parseSig(otherSig)
	if err != nil {
		return nil, err
	}
	owner, err := parseSig(ownerSig)
	if err != nil {
		return nil, err
	}
	signed := spend.Copy()
	signed.TxIn[index].Witness = wire.TxWitness{
		nil, // for the extra element that OP_CHECKMULTISIG pops
		append(other.Serialize(), byte(HTLCSigHashType)),
		append(owner.Serialize(), byte(txscript.SigHashAll)),
		last,
		h.WitnessScript,
	}
	return signed, nil
}
