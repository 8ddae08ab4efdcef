package claim

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// revoked lists the outputs of a revoked commitment of the counterparty. Its balances are not kept, so it is not built again: outputs are found in
// the transaction by their scripts. Outputs that no script fits are HTLCs whose data was not read yet; their second stages can be punished without.
func (r *Resolution) revoked(points Points) error {
	tx := r.f.Spent.Tx
	if tx == nil {
		return r.foreign(points)
	}
	number, err := commitment.NumberOf(tx, &r.f.Tx)
	if err != nil {
		return fmt.Errorf("revoked commitment %s: %w", r.f.Spent.Txid, err)
	}
	secret, err := r.f.Secret(number)
	if err != nil {
		return fmt.Errorf("revoked commitment %d: %w", number, err)
	}
	_, point := btcec.PrivKeyFromBytes(secret[:])
	keys, err := commitment.DeriveKeys(&r.f.Tx, false, point)
	if err != nil {
		return err
	}
	r.end, r.keys, r.secret = revokedCommitment, keys, &secret
	r.unread = r.f.OnChain.Revoked == nil || r.f.OnChain.Revoked.Number != number

	s, err := r.scripts(keys)
	if err != nil {
		return err
	}
	found, err := r.findHTLCs(tx, keys)
	if err != nil {
		return err
	}
	for i, out := range tx.TxOut {
		switch f, ok := found[i]; {
		case ok:
			r.add(tx, r.f.Spent.Txid, i, htlcRevoked, f.script, f.htlc)
		case bytes.Equal(out.PkScript, commitment.PayTo(s.toOwner)):
			r.add(tx, r.f.Spent.Txid, i, revokedDelayed, s.toOwner, nil)
		case r.addStatic(tx, i, s):
		default:
			r.add(tx, r.f.Spent.Txid, i, htlcRevoked, nil, nil)
			r.unmatched = !r.unread
		}
	}
	r.stages(revokedDelayed, s.toOwner)
	return nil
}

// foundHTLC is an HTLC of a revoked commitment and its witness script.
type foundHTLC struct {
	htlc   *htlc
	script []byte
}

// findHTLCs maps outputs to HTLCs, one to one. HTLCs with the same script and value stand in the order of their expiries (BOLT 3), and those that
// are equal in it as well can't be told apart, by anybody.
func (r *Resolution) findHTLCs(tx *wire.MsgTx, keys *commitment.Keys) (map[int]foundHTLC, error) {
	found := map[int]foundHTLC{}
	if r.unread {
		return found, nil
	}
	htlcs := slices.Clone(r.f.OnChain.Revoked.HTLCs)
	slices.SortStableFunc(htlcs, func(a, b facts.RevokedHTLC) int {
		return cmp.Or(cmp.Compare(a.CLTVExpiry, b.CLTVExpiry), cmp.Compare(a.HTLCID, b.HTLCID))
	})
	type payment struct {
		pk    string
		value int64
	}
	free := make(map[payment][]int, len(tx.TxOut)) // outputs by what they pay, in their order
	for i, out := range tx.TxOut {
		p := payment{string(out.PkScript), out.Value}
		free[p] = append(free[p], i)
	}
	for i := range htlcs {
		h := &htlcs[i]
		script, err := commitment.HTLCScript(keys, &commitment.HTLC{
			ID: h.HTLCID, Offered: h.Offered, Amount: lnwire.MilliSatoshi(h.AmountMsat), Hash: h.Hash, CLTVExpiry: h.CLTVExpiry,
		})
		if err != nil {
			return nil, err
		}
		p := payment{string(commitment.PayTo(script)), int64(h.AmountMsat / 1000)}
		if list := free[p]; len(list) > 0 {
			found[list[0]] = foundHTLC{htlc: r.htlc(h.HTLCID, !h.Offered, h.Hash, h.CLTVExpiry), script: script}
			free[p] = list[1:]
		}
	}
	return found, nil
}

// foreign lists what can be found of a commitment that the facts know nothing of: to_remote and the anchor have the same script on all of them
// (option_static_remotekey), and a commitment of ours that was broadcast after a copy of the facts was made has a to_local whose key follows from the
// seed and the commitment's number; so have the second stages that were broadcast. Everything else may be an HTLC of ours whose spend reveals a preimage.
func (r *Resolution) foreign(points Points) error {
	r.end = foreignCommitment
	tx := r.f.Spent.Tx
	if tx == nil {
		return nil
	}
	s, err := r.scripts(nil)
	if err != nil {
		return err
	}
	own, delayed, err := r.ownDelayed(tx, points)
	if err != nil {
		return err
	}
	if own != nil {
		r.keys = own
	}
	for i, out := range tx.TxOut {
		switch {
		case own != nil && bytes.Equal(out.PkScript, commitment.PayTo(delayed)):
			r.add(tx, r.f.Spent.Txid, i, ownDelayed, delayed, nil)
		case r.addStatic(tx, i, s):
		default:
			r.add(tx, r.f.Spent.Txid, i, htlcForeign, nil, nil).own = own != nil
		}
	}
	if own != nil {
		r.stages(ownDelayed, delayed)
	}
	return nil
}

// ownDelayed is how to_local of a commitment of ours that the facts know nothing of is spent, nil if it is none. Both sides count alike, so the number
// does not say whose it is: our to_local, or the to_remote of the counterparty, does.
func (r *Resolution) ownDelayed(tx *wire.MsgTx, points Points) (*commitment.Keys, []byte, error) {
	number, err := commitment.NumberOf(tx, &r.f.Tx)
	if err != nil {
		return nil, nil, nil //nolint:nilerr // no commitment has no to_local
	}
	point, err := points(number)
	if err != nil {
		return nil, nil, fmt.Errorf("point of holder commitment %d: %w", number, err)
	}
	keys, err := commitment.DeriveKeys(&r.f.Tx, true, point)
	if err != nil {
		return nil, nil, err
	}
	delayed, err := commitment.ToOwnerScript(keys, r.f.Tx.HolderToSelfDelay)
	if err != nil {
		return nil, nil, err
	}
	theirs, err := commitment.ToOtherScript(r.f.Tx.Counterparty.Payment)
	if err != nil {
		return nil, nil, err
	}
	for _, out := range tx.TxOut {
		if bytes.Equal(out.PkScript, commitment.PayTo(delayed)) || bytes.Equal(out.PkScript, commitment.PayTo(theirs)) {
			return keys, delayed, nil
		}
	}
	return nil, nil, nil
}

// staticScripts are the witness scripts that take no HTLC data.
type staticScripts struct{ toOwner, toOther, ourAnchor, theirAnchor []byte }

func (r *Resolution) scripts(keys *commitment.Keys) (s staticScripts, err error) {
	if keys != nil {
		if s.toOwner, err = commitment.ToOwnerScript(keys, r.f.Tx.CounterpartyToSelfDelay); err != nil {
			return s, err
		}
	}
	if s.toOther, err = commitment.ToOtherScript(r.f.Tx.Holder.Payment); err != nil {
		return s, err
	}
	if s.ourAnchor, err = commitment.AnchorScript(r.f.Tx.Holder.Funding); err != nil {
		return s, err
	}
	s.theirAnchor, err = commitment.AnchorScript(r.f.Tx.Counterparty.Funding)
	return s, err
}

// addStatic notes an output that is ours whatever the commitment is, or the counterparty's anchor.
func (r *Resolution) addStatic(tx *wire.MsgTx, i int, s staticScripts) bool {
	switch pk := tx.TxOut[i].PkScript; {
	case bytes.Equal(pk, commitment.PayTo(s.toOther)):
		r.add(tx, r.f.Spent.Txid, i, toRemote, s.toOther, nil)
	case bytes.Equal(pk, commitment.PayTo(s.ourAnchor)):
		r.add(tx, r.f.Spent.Txid, i, anchor, s.ourAnchor, nil)
	case bytes.Equal(pk, commitment.PayTo(s.theirAnchor)):
	default:
		return false
	}
	return true
}
