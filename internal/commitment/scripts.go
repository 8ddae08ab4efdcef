package commitment

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/txscript"
	"github.com/lightningnetwork/lnd/input"
)

// FundingScript is the 2-of-2 of the funding output: its witness script and the
// P2WSH script that pays to it. The order of the keys does not matter.
func FundingScript(a, b *btcec.PublicKey) (witnessScript, pkScript []byte, err error) {
	if a == nil || b == nil {
		return nil, nil, invalid("a funding key is missing")
	}
	witnessScript, err = input.GenMultiSigScript(a.SerializeCompressed(), b.SerializeCompressed())
	if err != nil {
		return nil, nil, err
	}
	return witnessScript, p2wsh(witnessScript), nil
}

// p2wsh is the output script that pays to a witness script.
func p2wsh(witnessScript []byte) []byte {
	sum := sha256.Sum256(witnessScript)
	pk := make([]byte, 0, 2+len(sum))
	pk = append(pk, txscript.OP_0, txscript.OP_DATA_32)
	return append(pk, sum[:]...)
}

// htlcScript is the witness script of an HTLC output. The last argument of the
// library's functions asks for the 1 CSV of option_anchors.
func htlcScript(k *Keys, h *HTLC) ([]byte, error) {
	if h.Offered {
		return input.SenderHTLCScript(k.OwnerHTLC, k.OtherHTLC, k.Revocation, h.Hash[:], true)
	}
	return input.ReceiverHTLCScript(h.CLTVExpiry, k.OtherHTLC, k.OwnerHTLC, k.Revocation, h.Hash[:], true)
}
