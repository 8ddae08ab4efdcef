package commitment

import (
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"
)

// AnchorAmount is the value of an anchor output (BOLT 3).
const AnchorAmount = btcutil.Amount(330)

// AnchorsAmount is what the funder pays for both anchors, whether or not both
// exist on a given commitment (BOLT 3, Fee Payment).
const AnchorsAmount = 2 * AnchorAmount

// maxCommitWeight is the weight of the largest commitment.
const maxCommitWeight = input.AnchorCommitWeight + MaxHTLCs*input.HTLCWeight

// CommitFee is the fee of a commitment with nonDust untrimmed HTLCs, rounded
// down (BOLT 3, Fee Calculation). The anchors are not part of it.
func CommitFee(feePerKw chainfee.SatPerKWeight, nonDust int) btcutil.Amount {
	weight := int64(input.AnchorCommitWeight) + int64(nonDust)*input.HTLCWeight
	return btcutil.Amount(int64(feePerKw) * weight / 1000)
}

// Trimmed tells whether an HTLC of this amount has no output on the commitment
// of the given owner. As HTLC transactions pay no fee, neither the fee rate nor
// the direction matters, only the owner's dust limit (BOLT 3, Trimmed Outputs).
func Trimmed(s *Static, ownerIsHolder bool, amount lnwire.MilliSatoshi) bool {
	_, _, dust, _ := s.side(ownerIsHolder)
	return amount.ToSatoshis() < max(dust, 1)
}

// NonDust counts the HTLCs that have an output on the commitment of the given
// owner: the nonDust of CommitFee.
func NonDust(s *Static, ownerIsHolder bool, htlcs []HTLC) int {
	n := 0
	for i := range htlcs {
		if !Trimmed(s, ownerIsHolder, htlcs[i].Amount) {
			n++
		}
	}
	return n
}

// ScriptDust is the amount below which nodes do not relay an output with this
// script: what it costs to spend it, at 3 sat per byte (BOLT 3, Dust Limits).
func ScriptDust(pkScript []byte) btcutil.Amount {
	const amountAndLength, spend, spendWitness, satPerByte = 8 + 1, 148, 67, 3
	switch {
	case len(pkScript) > 0 && pkScript[0] == txscript.OP_RETURN:
		return 0
	case txscript.IsWitnessProgram(pkScript):
		return btcutil.Amount(satPerByte * (amountAndLength + len(pkScript) + spendWitness))
	default:
		return btcutil.Amount(satPerByte * (amountAndLength + len(pkScript) + spend))
	}
}
