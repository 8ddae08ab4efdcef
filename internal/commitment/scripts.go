package commitment

import (
	"bytes"
	"crypto/sha256"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/lightningnetwork/lnd/input"
)

// The scripts of BOLT 3 are built here and not with lnd's input package, whose
// functions parse a text template each time: that cost as much as signing, for
// every HTLC of every commitment. The tests hold each of them against the
// library's, byte for byte.

// FundingScript is the 2-of-2 of the funding output: its witness script and the
// P2WSH script that pays to it. The order of the keys does not matter.
func FundingScript(a, b *btcec.PublicKey) (witnessScript, pkScript []byte, err error) {
	if a == nil || b == nil {
		return nil, nil, invalid("a funding key is missing")
	}
	first, second := a.SerializeCompressed(), b.SerializeCompressed()
	if bytes.Compare(first, second) > 0 {
		first, second = second, first
	}
	witnessScript, err = txscript.NewScriptBuilder().
		AddOp(txscript.OP_2).AddData(first).AddData(second).AddOp(txscript.OP_2).
		AddOp(txscript.OP_CHECKMULTISIG).
		Script()
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

// delayedScript is the output that the owner gets after its delay: to_local, and
// the output of every HTLC transaction.
func delayedScript(k *Keys, delay uint16) ([]byte, error) {
	return txscript.NewScriptBuilder().
		AddOp(txscript.OP_IF).
		AddData(k.Revocation.SerializeCompressed()).
		AddOp(txscript.OP_ELSE).
		AddInt64(int64(delay)).
		AddOp(txscript.OP_CHECKSEQUENCEVERIFY).AddOp(txscript.OP_DROP).
		AddData(k.OwnerDelayed.SerializeCompressed()).
		AddOp(txscript.OP_ENDIF).
		AddOp(txscript.OP_CHECKSIG).
		Script()
}

// toOtherScript is to_remote: the other side's key, after one confirmation.
func toOtherScript(k *Keys) ([]byte, error) {
	return txscript.NewScriptBuilder().
		AddData(k.OtherPayment.SerializeCompressed()).AddOp(txscript.OP_CHECKSIGVERIFY).
		AddOp(txscript.OP_1).AddOp(txscript.OP_CHECKSEQUENCEVERIFY).
		Script()
}

// anchorScript is an anchor: one side's funding key, or anyone after 16 blocks.
func anchorScript(funding *btcec.PublicKey) ([]byte, error) {
	return txscript.NewScriptBuilder().
		AddData(funding.SerializeCompressed()).
		AddOp(txscript.OP_CHECKSIG).AddOp(txscript.OP_IFDUP).
		AddOp(txscript.OP_NOTIF).
		AddOp(txscript.OP_16).AddOp(txscript.OP_CHECKSEQUENCEVERIFY).
		AddOp(txscript.OP_ENDIF).
		Script()
}

// htlcScripts makes the scripts of the HTLC outputs of one commitment, which
// differ only in payment hash and expiry.
type htlcScripts struct {
	revocationHash, owner, other []byte
}

func newHTLCScripts(k *Keys) htlcScripts {
	return htlcScripts{
		revocationHash: btcutil.Hash160(k.Revocation.SerializeCompressed()),
		owner:          k.OwnerHTLC.SerializeCompressed(),
		other:          k.OtherHTLC.SerializeCompressed(),
	}
}

// script is the witness script of one HTLC output, with the 1 CSV of
// option_anchors.
func (k *htlcScripts) script(h *HTLC) ([]byte, error) {
	b := txscript.NewScriptBuilder(txscript.WithScriptAllocSize(160)).
		AddOp(txscript.OP_DUP).AddOp(txscript.OP_HASH160).
		AddData(k.revocationHash).
		AddOp(txscript.OP_EQUAL).
		AddOp(txscript.OP_IF).
		AddOp(txscript.OP_CHECKSIG).
		AddOp(txscript.OP_ELSE).
		AddData(k.other).
		AddOp(txscript.OP_SWAP).AddOp(txscript.OP_SIZE).AddInt64(32).AddOp(txscript.OP_EQUAL)
	if h.Offered {
		b.AddOp(txscript.OP_NOTIF).
			AddOp(txscript.OP_DROP).AddOp(txscript.OP_2).AddOp(txscript.OP_SWAP).
			AddData(k.owner).
			AddOp(txscript.OP_2).AddOp(txscript.OP_CHECKMULTISIG).
			AddOp(txscript.OP_ELSE).
			AddOp(txscript.OP_HASH160).AddData(input.Ripemd160H(h.Hash[:])).AddOp(txscript.OP_EQUALVERIFY).
			AddOp(txscript.OP_CHECKSIG).
			AddOp(txscript.OP_ENDIF)
	} else {
		b.AddOp(txscript.OP_IF).
			AddOp(txscript.OP_HASH160).AddData(input.Ripemd160H(h.Hash[:])).AddOp(txscript.OP_EQUALVERIFY).
			AddOp(txscript.OP_2).AddOp(txscript.OP_SWAP).
			AddData(k.owner).
			AddOp(txscript.OP_2).AddOp(txscript.OP_CHECKMULTISIG).
			AddOp(txscript.OP_ELSE).
			AddOp(txscript.OP_DROP).
			AddInt64(int64(h.CLTVExpiry)).AddOp(txscript.OP_CHECKLOCKTIMEVERIFY).AddOp(txscript.OP_DROP).
			AddOp(txscript.OP_CHECKSIG).
			AddOp(txscript.OP_ENDIF)
	}
	return b.AddOp(txscript.OP_1).AddOp(txscript.OP_CHECKSEQUENCEVERIFY).AddOp(txscript.OP_DROP).
		AddOp(txscript.OP_ENDIF).
		Script()
}
