package commitment

import (
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// HTLCSigHashType is how the counterparty signs an HTLC transaction under
// option_anchors: bound to its own input and output only, so that the
// broadcaster can add inputs that pay a fee (BOLT 3).
const HTLCSigHashType = txscript.SigHashSingle | txscript.SigHashAnyOneCanPay

// SigHash is what both sides sign of the commitment transaction.
func (t *Tx) SigHash() ([]byte, error) {
	return sigHashAll(t.Tx, 0, t.FundingScript, int64(t.Capacity))
}

// CounterSigHash is what the side that does not own the commitment signs of
// HTLC i: the hash behind htlc_signature i of commitment_signed. No midstate is
// shared between HTLCs because this hash type leaves none: it covers no other
// input, and each transaction has an output of its own.
func (t *Tx) CounterSigHash(i int) ([]byte, error) {
	if i < 0 || i >= len(t.HTLCs) {
		return nil, invalid("no htlc transaction %d", i)
	}
	h := &t.HTLCs[i]
	return txscript.CalcWitnessSigHash(h.WitnessScript, noMidstate, HTLCSigHashType, h.Tx, 0,
		int64(h.Amount.ToSatoshis()))
}

// noMidstate is never read under HTLCSigHashType, nor written.
var noMidstate = &txscript.TxSigHashes{}

// OwnerSigHash is what the owner signs of HTLC i, in the transaction that will
// be broadcast: spend, or the HTLC transaction itself if spend is nil. The spend
// must carry the HTLC's input and output at one index, as the counterparty
// signed them; otherwise the error is ErrWrongSpend.
func (t *Tx) OwnerSigHash(i int, spend *wire.MsgTx) ([]byte, error) {
	spend, input, err := t.carrier(i, spend)
	if err != nil {
		return nil, err
	}
	h := &t.HTLCs[i]
	return sigHashAll(spend, input, h.WitnessScript, int64(h.Amount.ToSatoshis()))
}

// carrier finds the input of HTLC i in the transaction that spends it.
func (t *Tx) carrier(i int, spend *wire.MsgTx) (*wire.MsgTx, int, error) {
	if i < 0 || i >= len(t.HTLCs) {
		return nil, 0, invalid("no htlc transaction %d", i)
	}
	want := t.HTLCs[i].Tx
	if spend == nil {
		return want, 0, nil
	}
	if spend.Version != want.Version || spend.LockTime != want.LockTime {
		return nil, 0, ErrWrongSpend
	}
	for j, in := range spend.TxIn {
		if in.PreviousOutPoint != want.TxIn[0].PreviousOutPoint {
			continue
		}
		if in.Sequence != want.TxIn[0].Sequence || j >= len(spend.TxOut) ||
			spend.TxOut[j].Value != want.TxOut[0].Value ||
			string(spend.TxOut[j].PkScript) != string(want.TxOut[0].PkScript) {
			return nil, 0, ErrWrongSpend
		}
		return spend, j, nil
	}
	return nil, 0, ErrWrongSpend
}

// sigHashAll is the BIP 143 hash of an input under SIGHASH_ALL.
func sigHashAll(tx *wire.MsgTx, index int, script []byte, amount int64) ([]byte, error) {
	// One canned previous output for all inputs only tells the library that
	// none of them asks for the hashes of taproot.
	fetcher := txscript.NewCannedPrevOutputFetcher(p2wsh(script), amount)
	return txscript.CalcWitnessSigHash(script, txscript.NewTxSigHashes(tx, fetcher),
		txscript.SigHashAll, tx, index, amount)
}
