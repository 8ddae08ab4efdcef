package claim

import (
	"errors"
	"fmt"
	"math"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// ErrContradiction means that the transaction that spent the funding output is not what the facts say it is.
var ErrContradiction = errors.New("claim: the facts do not give the commitment transaction that confirmed")

// kind says what an output is, and so who can spend it how.
type kind uint8

const (
	ownDelayed     kind = iota + 1 // ours after to_self_delay: to_local, or the output of a second stage of ours
	toRemote                       // ours after one confirmation
	anchor                         // ours; anybody's after 16 blocks
	htlcOwn                        // an HTLC on our commitment: spent by our second stage, or directly by the counterparty
	htlcTheirs                     // an HTLC on the counterparty's: the other way round
	htlcRevoked                    // an HTLC on a revoked one; unclaimable while htlc is nil
	revokedDelayed                 // to_local of a revoked commitment, or the output of a second stage on it: ours, until the delay is over
	htlcForeign                    // perhaps an HTLC of a commitment that we do not know: can reveal a preimage
)

// output is an output that the holder has an interest in.
type output struct {
	op     wire.OutPoint
	value  int64
	pk     []byte
	script []byte // witness script; nil of one that can't be claimed
	kind   kind
	claim  claimKind // that the holder takes it with, 0 for none
	height uint32    // of the block that made it; 0 of a commitment that is not confirmed
	htlc   *htlc     // nil for none, or if it is not known which
	index  int       // of an htlcOwn in commitment.Tx.HTLCs
	own    bool      // an htlcForeign on a commitment of ours
	parent *output
	stage  *output            // the second stage's output that came of it
	spend  *facts.OutputSpent // nil while it is unspent
}

// htlc is an HTLC with an output.
type htlc struct {
	id       uint64
	outbound bool
	hash     ln.Hash
	expiry   uint32
	live     *facts.HTLC // nil if it was settled before the channel was closed: it stands on a revoked commitment only
}

// preimage of the HTLC, nil while it is not known.
func (h *htlc) preimage() *ln.Preimage {
	if h == nil || h.live == nil {
		return nil
	}
	return h.live.Preimage
}

// htlc is the HTLC of a commitment whose owner offered it, or not.
func (r *Resolution) htlc(id uint64, outbound bool, hash ln.Hash, expiry uint32) *htlc {
	h := &htlc{id: id, outbound: outbound, hash: hash, expiry: expiry, live: r.f.Inbound[id]}
	if outbound {
		h.live = r.f.Outbound[id]
	}
	if h.live != nil && h.live.Hash != hash {
		h.live = nil // ids are never used twice, so this can't be
	}
	return h
}

// add notes output index of the commitment.
func (r *Resolution) add(tx *wire.MsgTx, txid chainhash.Hash, index int, k kind, script []byte, h *htlc) *output {
	if index < 0 || index >= len(tx.TxOut) {
		return &output{}
	}
	out := tx.TxOut[index]
	o := &output{
		op: wire.OutPoint{Hash: txid, Index: uint32(index)}, value: out.Value, pk: out.PkScript, script: script, kind: k, height: r.height, htlc: h,
	}
	r.put(o)
	if h == nil {
		return o
	}
	if h.outbound {
		r.out[h.id] = o
	} else {
		r.in[h.id] = o
	}
	return o
}

func (r *Resolution) put(o *output) {
	if s, ok := r.f.OnChain.Spends[o.op]; ok && r.height != 0 {
		o.spend = &s
	}
	o.claim = r.claimFor(o)
	if r.lost(o) {
		r.contested[o.claim] = true
	}
	r.outs = append(r.outs, o)
	r.byOp[o.op] = o
}

// stages adds the outputs of the second stages that are in the chain. A second stage has its output at the index of its input, with the value of
// the HTLC, because that is what the other side signed (BOLT 3; zero-fee HTLC transactions).
func (r *Resolution) stages(k kind, script []byte) {
	outs := r.outs
	r.outs = make([]*output, 0, len(outs))
	for _, o := range outs {
		r.outs = append(r.outs, o)
		if o.spend == nil || !o.secondStage() {
			continue
		}
		o.stage = &output{
			op: wire.OutPoint{Hash: o.spend.Txid, Index: o.spend.Input}, value: o.value, pk: commitment.PayTo(script), script: script, kind: k,
			height: o.spend.Height, parent: o,
		}
		r.put(o.stage)
	}
}

// secondStage tells whether the output was spent by an HTLC transaction whose output is of interest. On a commitment each side has one way that
// needs both signatures, its owner's, so the side says it.
func (o *output) secondStage() bool {
	return ((o.kind == htlcOwn || o.kind == htlcForeign) && o.spend.Ours) || (o.kind == htlcRevoked && !o.spend.Ours)
}

// holder lists the outputs of our commitment: confirmed, or to be broadcast.
func (r *Resolution) holder(points Points) error {
	point, err := points(r.f.HolderNumber)
	if err != nil {
		return fmt.Errorf("point of holder commitment %d: %w", r.f.HolderNumber, err)
	}
	v, err := r.f.View(facts.Holder, point)
	if err != nil {
		return err
	}
	t, err := commitment.Build(&r.f.Tx, v)
	if err != nil {
		return fmt.Errorf("holder commitment %d: %w", r.f.HolderNumber, err)
	}
	if r.f.Spent != nil && t.Txid != r.f.Spent.Txid {
		return fmt.Errorf("holder commitment %d, %s: %w", r.f.HolderNumber, r.f.Spent.Txid, ErrContradiction)
	}
	r.which, r.tx, r.keys = facts.Holder, t, t.Keys
	anchorScript, err := commitment.AnchorScript(r.f.Tx.Holder.Funding)
	if err != nil {
		return err
	}
	htlcs := htlcsByOutput(t)
	for i := range t.Tx.TxOut {
		switch j, ok := htlcs[i]; {
		case ok:
			h := &t.HTLCs[j]
			r.add(t.Tx, t.Txid, i, htlcOwn, h.WitnessScript, r.htlc(h.ID, h.Offered, h.Hash, h.CLTVExpiry)).index = j
		case i == t.ToOwnerIndex:
			r.add(t.Tx, t.Txid, i, ownDelayed, t.ToOwnerScript, nil)
		case i == t.OwnerAnchorIndex:
			r.add(t.Tx, t.Txid, i, anchor, anchorScript, nil)
		}
	}
	r.stages(ownDelayed, t.SecondStageScript)
	return nil
}

// counterparty lists the outputs of the counterparty's commitment, the current one or the next. Any other is one that we know nothing of.
func (r *Resolution) counterparty(points Points) error {
	for _, w := range [...]facts.Which{facts.Counterparty, facts.CounterpartyNext} {
		if w == facts.CounterpartyNext && !r.f.Unrevoked {
			break
		}
		v, err := r.f.View(w, nil)
		if err != nil {
			return err
		}
		t, err := commitment.Build(&r.f.Tx, v)
		if err != nil {
			return fmt.Errorf("counterparty commitment %d: %w", v.Number, err)
		}
		if t.Txid == r.f.Spent.Txid {
			return r.theirs(w, t)
		}
	}
	return r.foreign(points)
}

func (r *Resolution) theirs(w facts.Which, t *commitment.Tx) error {
	r.end, r.which, r.tx, r.keys = counterpartyCommitment, w, t, t.Keys
	anchorScript, err := commitment.AnchorScript(r.f.Tx.Holder.Funding)
	if err != nil {
		return err
	}
	htlcs := htlcsByOutput(t)
	for i := range t.Tx.TxOut {
		switch j, ok := htlcs[i]; {
		case ok:
			h := &t.HTLCs[j]
			r.add(t.Tx, t.Txid, i, htlcTheirs, h.WitnessScript, r.htlc(h.ID, !h.Offered, h.Hash, h.CLTVExpiry)).index = j
		case i == t.ToOtherIndex:
			r.add(t.Tx, t.Txid, i, toRemote, t.ToOtherScript, nil)
		case i == t.OtherAnchorIndex:
			r.add(t.Tx, t.Txid, i, anchor, anchorScript, nil)
		}
	}
	return nil
}

// htlcsByOutput is looked up, never walked.
func htlcsByOutput(t *commitment.Tx) map[int]int {
	m := make(map[int]int, len(t.HTLCs))
	for j := range t.HTLCs {
		m[int(t.HTLCs[j].OutputIndex)] = j
	}
	return m
}

func plus(a, b uint32) uint32 {
	if a > math.MaxUint32-b {
		return math.MaxUint32
	}
	return a + b
}

func minus(a, b uint32) uint32 { return max(a, b) - b }
