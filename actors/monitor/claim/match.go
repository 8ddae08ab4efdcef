package claim

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// Match says what a confirmed transaction means: OutputSpent for each watched output that it spends, PreimageLearned for each outbound HTLC whose
// preimage it reveals, also if that HTLC was failed (S7). What the facts have already is left out. Outputs that the transaction makes are known
// once these updates are applied.
func (r *Resolution) Match(tx *wire.MsgTx, txid chainhash.Hash, height uint32) (found []facts.Update) {
	if tx == nil || len(r.byOp) == 0 || r.height == 0 {
		return nil
	}
	learned := map[uint64]bool{}
	for i, in := range tx.TxIn {
		o := r.byOp[in.PreviousOutPoint]
		if o == nil {
			continue
		}
		preimage := o.revealed(in.Witness, r.f)
		u := facts.OutputSpent{Output: o.op, Txid: txid, Input: uint32(i), Height: height, Ours: o.ours(in.Witness), Preimage: preimage}
		if s := o.spend; s == nil || s.Txid != u.Txid || s.Height != u.Height || s.Input != u.Input {
			found = append(found, u)
		}
		if preimage == nil {
			continue
		}
		if id, ok := r.claimed(o, *preimage, learned); ok {
			learned[id] = true
			found = append(found, facts.PreimageLearned{HTLCID: id, Preimage: *preimage, OnChain: true})
		}
	}
	return found
}

// Disconnected is what a reorganisation that leaves nothing above height takes back: OutputUnspent, in a fixed order.
func Disconnected(f *facts.Channel, height uint32) (out []facts.Update) {
	for _, op := range facts.SortedOutPoints(f.OnChain.Spends) {
		if f.OnChain.Spends[op].Height > height {
			out = append(out, facts.OutputUnspent{Output: op})
		}
	}
	return out
}

// A witness of one of our scripts has one of these shapes, and the scripts refuse every other number of elements, because exactly one may be left
// on the stack (BIP 141):
//
//	to_local                     signature, true (revocation) or false (delayed), script
//	HTLC                         signature, revocation key | preimage | empty, script
//	HTLC, second stage           empty, signature, signature, preimage | empty, script
//	anchor                       signature or empty, script
//	to_remote                    signature, script
//
// Who made it follows from the shape: a version of a claim that was replaced is as much ours as the last one, and whichever confirms counts.
const (
	directElements = 3
	stageElements  = 5
)

// ours tells whether the holder signed the spend. Witnesses that can't be in a block are somebody else's.
func (o *output) ours(w wire.TxWitness) bool {
	switch o.kind {
	case toRemote:
		return true // nobody else has the key
	case anchor:
		return len(w) > 0 && len(w[0]) > 0
	case htlcOwn:
		return len(w) == stageElements
	case htlcTheirs, htlcRevoked:
		return len(w) == directElements
	case ownDelayed:
		return len(w) == directElements && !truth(w[1])
	case revokedDelayed:
		return len(w) == directElements && truth(w[1])
	case htlcForeign:
		return o.own && len(w) == stageElements
	}
	return false
}

// truth is how a script reads a stack element as a condition.
func truth(b []byte) bool {
	for i, v := range b {
		if v != 0 {
			return i != len(b)-1 || v != 0x80 // negative zero
		}
	}
	return false
}

// revealed is the preimage in a witness of an HTLC output, nil if there is none that fits.
func (o *output) revealed(w wire.TxWitness, f *facts.Channel) *ln.Preimage {
	var b []byte
	switch {
	case len(w) == directElements:
		b = w[1]
	case len(w) == stageElements:
		b = w[3]
	}
	if len(b) != sha256.Size {
		return nil
	}
	hash := ln.Hash(sha256.Sum256(b))
	switch {
	case o.htlc != nil:
		if o.htlc.hash != hash {
			return nil
		}
	case o.kind == htlcForeign || o.kind == htlcRevoked:
		if _, ok := unnamed(f, o.value, hash, nil); !ok {
			return nil
		}
	default:
		return nil
	}
	p := ln.Preimage(b)
	return &p
}

// claimed is the outbound HTLC whose preimage is known by the spend of an output and was not before.
func (r *Resolution) claimed(o *output, p ln.Preimage, learned map[uint64]bool) (id uint64, ok bool) {
	if o.htlc == nil {
		return unnamed(r.f, o.value, sha256.Sum256(p[:]), learned)
	}
	h := o.htlc
	return h.id, h.outbound && h.live != nil && h.live.Preimage == nil && !learned[h.id]
}

// unnamed is the outbound HTLC that an output of a commitment we do not know was for: the oldest of its hash without a preimage, of its amount if
// there is one.
func unnamed(f *facts.Channel, value int64, hash ln.Hash, learned map[uint64]bool) (id uint64, ok bool) {
	for _, h := range facts.Sorted(f.Outbound) {
		if h.Hash != hash || h.Preimage != nil || learned[h.ID] {
			continue
		}
		if int64(h.AmountMsat/1000) == value {
			return h.ID, true
		}
		if !ok {
			id, ok = h.ID, true
		}
	}
	return id, ok
}
