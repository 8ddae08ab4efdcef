package commitment

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"
)

// Build makes the commitment transaction of a view, and the second stage of
// each of its HTLCs (BOLT 3, Commitment Transaction Construction). Errors:
// ErrInvalid, ErrUnbalanced, ErrFunderCannotPay, ErrNoOutputs.
func Build(s *Static, v *View) (*Tx, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	if err := v.check(s); err != nil {
		return nil, err
	}

	fee := CommitFee(v.FeePerKw, NonDust(s, v.OwnerIsHolder, v.HTLCs))
	owner, other, err := payFee(s, v, fee)
	if err != nil {
		return nil, err
	}

	keys, err := v.keys(s)
	if err != nil {
		return nil, err
	}

	t := &Tx{
		Number:        v.Number,
		OwnerIsHolder: v.OwnerIsHolder,
		Capacity:      s.Capacity,
		Keys:          keys,
	}
	t.FundingScript, _, err = FundingScript(t.Keys.OwnerFunding, t.Keys.OtherFunding)
	if err != nil {
		return nil, err
	}
	_, _, dust, delay := s.side(v.OwnerIsHolder)
	t.SecondStageScript, err = delayedScript(t.Keys, delay)
	if err != nil {
		return nil, err
	}
	// The owner's own output has the same script as the HTLC transactions.
	t.ToOwnerScript = t.SecondStageScript
	t.ToOtherScript, err = toOtherScript(t.Keys)
	if err != nil {
		return nil, err
	}

	outs, err := t.outputs(s, v, owner, other, dust)
	if err != nil {
		return nil, err
	}
	if len(outs) == 0 {
		return nil, ErrNoOutputs
	}
	t.assemble(s, v, outs)
	return t, nil
}

// payFee takes fee and anchors from the funder and rounds both balances down.
func payFee(s *Static, v *View, fee btcutil.Amount) (owner, other btcutil.Amount, err error) {
	ownerMsat, otherMsat := v.OwnerMsat, v.OtherMsat
	funder := &ownerMsat
	if v.OwnerIsHolder != s.HolderIsFunder {
		funder = &otherMsat
	}
	cost := lnwire.NewMSatFromSatoshis(fee + AnchorsAmount)
	if *funder < cost {
		return 0, 0, &FunderError{Balance: *funder, Fee: fee, Anchors: AnchorsAmount}
	}
	*funder -= cost
	return ownerMsat.ToSatoshis(), otherMsat.ToSatoshis(), nil
}

// output is an output on its way into the transaction.
type output struct {
	value  int64
	script []byte // output script
	index  *int   // where to note its index; nil for an HTLC
	htlc   *HTLC
	wscr   []byte // witness script of an HTLC
}

// cltv is the third sort key: the expiry of an HTLC, 0 for all else.
func (o *output) cltv() uint32 {
	if o.htlc == nil {
		return 0
	}
	return o.htlc.CLTVExpiry
}

// compare orders outputs by value, script and expiry (BOLT 3, Transaction
// Output Ordering). HTLCs equal in all three are interchangeable, and so are
// their signatures; direction and id only make the result unique.
func (o *output) compare(p *output) int {
	if c := cmp.Compare(o.value, p.value); c != 0 {
		return c
	}
	if c := bytes.Compare(o.script, p.script); c != 0 {
		return c
	}
	if c := cmp.Compare(o.cltv(), p.cltv()); c != 0 || o.htlc == nil || p.htlc == nil {
		return c
	}
	if o.htlc.Offered != p.htlc.Offered {
		if o.htlc.Offered {
			return -1
		}
		return 1
	}
	return cmp.Compare(o.htlc.ID, p.htlc.ID)
}

// outputs lists what is not trimmed, in the order of BOLT 3.
func (t *Tx) outputs(s *Static, v *View, owner, other, dust btcutil.Amount) ([]output, error) {
	outs := make([]output, 0, len(v.HTLCs)+4)
	scripts := newHTLCScripts(t.Keys)
	for i := range v.HTLCs {
		h := &v.HTLCs[i]
		if Trimmed(s, v.OwnerIsHolder, h.Amount) {
			continue
		}
		script, err := scripts.script(h)
		if err != nil {
			return nil, err
		}
		outs = append(outs, output{
			value: int64(h.Amount.ToSatoshis()), script: p2wsh(script), htlc: h, wscr: script,
		})
	}
	anyHTLC := len(outs) > 0

	t.ToOwnerIndex, t.ToOtherIndex = -1, -1
	t.OwnerAnchorIndex, t.OtherAnchorIndex = -1, -1
	// An amount of 0 is no output, also where the dust limit is 0.
	hasOwner := owner > 0 && owner >= dust
	hasOther := other > 0 && other >= dust
	if hasOwner {
		outs = append(outs, output{value: int64(owner), script: p2wsh(t.ToOwnerScript), index: &t.ToOwnerIndex})
	}
	if hasOther {
		outs = append(outs, output{value: int64(other), script: p2wsh(t.ToOtherScript), index: &t.ToOtherIndex})
	}
	if hasOwner || anyHTLC {
		script, err := anchorScript(t.Keys.OwnerFunding)
		if err != nil {
			return nil, err
		}
		outs = append(outs, output{value: int64(AnchorAmount), script: p2wsh(script), index: &t.OwnerAnchorIndex})
	}
	if hasOther || anyHTLC {
		script, err := anchorScript(t.Keys.OtherFunding)
		if err != nil {
			return nil, err
		}
		outs = append(outs, output{value: int64(AnchorAmount), script: p2wsh(script), index: &t.OtherAnchorIndex})
	}
	slices.SortFunc(outs, func(a, b output) int { return a.compare(&b) })
	return outs, nil
}

// assemble turns sorted outputs into the transaction and its second stage.
func (t *Tx) assemble(s *Static, v *View, outs []output) {
	tx := wire.NewMsgTx(2)
	tx.TxIn = []*wire.TxIn{{PreviousOutPoint: s.Funding}}
	setNumber(tx, s, v.Number)

	tx.TxOut = make([]*wire.TxOut, len(outs))
	txOuts := make([]wire.TxOut, len(outs))
	total, htlcs := int64(0), 0
	for i := range outs {
		txOuts[i] = wire.TxOut{Value: outs[i].value, PkScript: outs[i].script}
		tx.TxOut[i] = &txOuts[i]
		total += outs[i].value
		if outs[i].index != nil {
			*outs[i].index = i
		} else {
			htlcs++
		}
	}
	t.Tx, t.Txid, t.Fee = tx, tx.TxHash(), s.Capacity-btcutil.Amount(total)

	t.HTLCs = make([]HTLCTx, 0, htlcs)
	pkScript := p2wsh(t.SecondStageScript)
	for i := range outs {
		if o := &outs[i]; o.htlc != nil {
			t.HTLCs = append(t.HTLCs, HTLCTx{
				HTLC: *o.htlc, OutputIndex: uint32(i), WitnessScript: o.wscr,
				Tx: secondStage(t, uint32(i), o, pkScript),
			})
		}
	}
}

// secondStage is the HTLC-success or HTLC-timeout transaction of an output
// (BOLT 3). Its sequence of 1 is the confirmation that anchors demand.
func secondStage(t *Tx, index uint32, o *output, pkScript []byte) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	if o.htlc.Offered {
		tx.LockTime = o.htlc.CLTVExpiry
	}
	tx.TxIn = []*wire.TxIn{{
		PreviousOutPoint: wire.OutPoint{Hash: t.Txid, Index: index}, Sequence: 1,
	}}
	tx.TxOut = []*wire.TxOut{{Value: o.value, PkScript: pkScript}}
	return tx
}
