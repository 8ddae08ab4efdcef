package commitment

import "github.com/btcsuite/btcd/btcec/v2"

// The scripts below are those of a commitment that can't be built again, because only its keys and its HTLCs are known and not its balances: a
// revoked one. All are witness scripts; PayTo is the output that pays to one.

// ToOwnerScript is the owner's delayed output, and the output of each of its HTLC transactions.
func ToOwnerScript(k *Keys, delay uint16) ([]byte, error) { return delayedScript(k, delay) }

// ToOtherScript is the output of the side with the payment basepoint given, on every commitment of the counterparty of that side
// (option_static_remotekey): it takes no per-commitment point to find it.
func ToOtherScript(payment *btcec.PublicKey) ([]byte, error) {
	return toOtherScript(&Keys{OtherPayment: payment})
}

// AnchorScript is the anchor of the side with the funding key given, on both commitments.
func AnchorScript(funding *btcec.PublicKey) ([]byte, error) { return anchorScript(funding) }

// HTLCScript is the output of an HTLC.
func HTLCScript(k *Keys, h *HTLC) ([]byte, error) {
	s := newHTLCScripts(k)
	return s.script(h)
}

// PayTo is the output script (P2WSH) of a witness script.
func PayTo(witnessScript []byte) []byte { return p2wsh(witnessScript) }
