package claim

import (
	"crypto/sha256"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

const (
	// earlyMargin is the 3-block rule: that near to its expiry the inbound HTLC of a forward is given up rather than its channel.
	earlyMargin = 3

	// abandonDelay is how long after its expiry an HTLC that nobody took is waited for.
	abandonDelay = 100
)

const never = ^uint32(0)

// Due is what the height of the facts makes final: HTLCEnded, HTLCFailedEarly, OutputsSpendable; and PreimageLearned of a spend that could not be
// understood when it was recorded, because the data of its HTLC was not read yet.
func (r *Resolution) Due() (due []facts.Update) {
	if !r.f.Ended() {
		return nil
	}
	late := r.lateClaims()
	known := make(map[uint64]bool, len(late))
	for _, u := range late {
		known[u.HTLCID] = true
		due = append(due, u)
	}
	for _, h := range facts.Sorted(r.f.Outbound) {
		if known[h.ID] {
			continue // the height of it is asked for again with the preimage applied
		}
		if at, fulfilled := r.outboundEnd(h); at <= r.f.Height {
			due = append(due, facts.HTLCEnded{Outbound: true, HTLCID: h.ID, Fulfilled: fulfilled})
		} else if r.earlyAt(h) <= r.f.Height {
			due = append(due, facts.HTLCFailedEarly{HTLCID: h.ID})
		}
	}
	for _, h := range facts.Sorted(r.f.Inbound) {
		if at, fulfilled := r.inboundEnd(h); at <= r.f.Height {
			due = append(due, facts.HTLCEnded{HTLCID: h.ID, Fulfilled: fulfilled})
		}
	}
	if outs := r.spendable(); len(outs) > 0 {
		due = append(due, facts.OutputsSpendable{Outputs: outs})
	}
	return due
}

// lateClaims are preimages in recorded spends that the facts of the HTLCs lack.
func (r *Resolution) lateClaims() (late []facts.PreimageLearned) {
	learned := map[uint64]bool{}
	for _, o := range r.outs {
		if o.spend == nil || o.spend.Preimage == nil {
			continue
		}
		if o.htlc == nil || o.htlc.hash != sha256.Sum256(o.spend.Preimage[:]) {
			continue // without an HTLC it was learned with the spend
		}
		if id, ok := r.claimed(o, *o.spend.Preimage, learned); ok {
			learned[id] = true
			late = append(late, facts.PreimageLearned{HTLCID: id, Preimage: *o.spend.Preimage, OnChain: true})
		}
	}
	return late
}

// outboundEnd is the height at which the end of an outbound HTLC is irrevocable, never while that is open (rule 12).
func (r *Resolution) outboundEnd(h *facts.HTLC) (at uint32, fulfilled bool) {
	if h.Fate != facts.FateOpen || r.height == 0 {
		return never, false
	}
	fulfilled = h.Preimage != nil
	o := r.out[h.ID]
	switch {
	case o != nil && o.spend != nil:
		return finalAt(o.spend.Height), fulfilled
	case fulfilled:
		return finalAt(r.height), true // whoever takes the output, this was paid
	case o != nil && o.script != nil:
		return r.abandonedAt(o), false
	case o != nil, r.unread:
		return never, false
	case r.end == foreignCommitment, r.unmatched:
		return max(finalAt(r.height), plus(h.CLTVExpiry, Irrevocable)), false
	}
	return finalAt(r.height), false // the commitment lacks it, or has it as dust
}

// inboundEnd is the same for an inbound HTLC. Fulfilled means that its money is ours: by the preimage, by the balance of a commitment that it was
// removed from, or, when its preimage is known and so we owe or paid it, by punishing a revoked commitment.
func (r *Resolution) inboundEnd(h *facts.HTLC) (at uint32, fulfilled bool) {
	if h.Fate != facts.FateOpen || r.height == 0 {
		return never, false
	}
	o := r.in[h.ID]
	if o == nil {
		return r.inboundWithout(h)
	}
	if o.kind == htlcRevoked && o.stage != nil {
		o = o.stage // theirs, and still ours to punish
	}
	switch {
	case o.spend != nil:
		return finalAt(o.spend.Height), o.spend.Ours && h.Preimage != nil
	case h.Preimage != nil:
		return r.leftAt(o), false // we claimed it towards others, and it is not worth its fee: a loss, which somebody waits to hear of
	}
	return never, false
}

// inboundWithout is about an inbound HTLC that the commitment lacks, or has as dust.
func (r *Resolution) inboundWithout(h *facts.HTLC) (at uint32, fulfilled bool) {
	removed := h.State >= facts.RcvdRemoveRevocation
	switch r.end {
	case holderCommitment, counterpartyCommitment:
		removed = h.State.Added(r.which) && !h.State.In(r.which)
	case revokedCommitment:
		if r.unread {
			return never, false
		}
	case mutualClose:
		removed = true
	case foreignCommitment, notClosed, holderUnconfirmed:
	}
	return finalAt(r.height), removed && h.Resolution.Fulfilled()
}

// earlyAt is when the 3-block rule gives an outbound HTLC up: that of a forward whose inbound HTLC is about to expire, and whose own channel can't
// settle it off chain any more.
func (r *Resolution) earlyAt(h *facts.HTLC) uint32 {
	if h.Fate != facts.FateOpen || h.FailedEarly || h.Preimage != nil {
		return never
	}
	expiry := inboundExpiry(h.Source)
	if expiry == 0 {
		return never
	}
	return minus(expiry, earlyMargin)
}

// inboundExpiry is the expiry of the inbound HTLC of a forward, 0 if there is none or it is not known.
func inboundExpiry(s *ln.Source) uint32 {
	if s == nil || s.Forward == nil {
		return 0
	}
	return s.Forward.CLTVExpiry
}

// spendableAt is the height at which an output is the holder's for good and the wallet can spend it in the next block.
func (r *Resolution) spendableAt(o *output) uint32 {
	if o.height == 0 || o.spend != nil {
		return never
	}
	switch o.kind {
	case toRemote:
		return finalAt(o.height)
	case ownDelayed:
		return max(finalAt(o.height), minus(plus(o.height, uint32(r.f.Tx.HolderToSelfDelay)), 1))
	case anchor, htlcOwn, htlcTheirs, htlcRevoked, revokedDelayed, htlcForeign:
	}
	return never
}

// spendable are the outputs to hand to the wallet now. The anchor goes along with others: alone it is not worth its fee.
func (r *Resolution) spendable() (ops []wire.OutPoint) {
	var with []wire.OutPoint
	for _, o := range r.outs {
		switch {
		case r.f.OnChain.Spendable[o.op]:
		case o.kind == anchor:
			if o.height != 0 && o.spend == nil {
				with = append(with, o.op)
			}
		case r.spendableAt(o) <= r.f.Height:
			ops = append(ops, o.op)
		}
	}
	if len(ops) == 0 {
		return nil
	}
	return append(ops, with...)
}

// Spendable describes outputs of an OutputsSpendable for the wallet. Those that are no output of the resolution are left out.
func (r *Resolution) Spendable(outputs []wire.OutPoint) (list []facts.SpendableOutput) {
	for _, op := range outputs {
		o := r.byOp[op]
		if o == nil {
			continue
		}
		s := facts.SpendableOutput{Output: op, ValueSat: uint64(o.value), KeyIndex: r.f.KeyIndex, WitnessScript: o.script}
		switch o.kind {
		case ownDelayed:
			s.Kind, s.Sequence = facts.SpendableDelayed, uint32(r.f.Tx.HolderToSelfDelay)
			copy(s.Point[:], r.keys.PerCommitmentPoint.SerializeCompressed())
		case toRemote:
			s.Kind, s.Sequence = facts.SpendableToRemote, 1
		case anchor:
			s.Kind = facts.SpendableAnchor
		case htlcOwn, htlcTheirs, htlcRevoked, revokedDelayed, htlcForeign:
			continue
		}
		list = append(list, s)
	}
	return list
}

// Swept tells whether all outputs are irrevocably spent; anchors are left out of account.
func (r *Resolution) Swept(outputs []facts.SpendableOutput) bool {
	for i := range outputs {
		if outputs[i].Kind == facts.SpendableAnchor {
			continue
		}
		if s, ok := r.f.OnChain.Spends[outputs[i].Output]; !ok || !r.final(s.Height) {
			return false
		}
	}
	return true
}
