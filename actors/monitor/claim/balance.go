package claim

import (
	"bytes"

	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Balance says where the holder's money is, at the height of the facts. Each output of interest is in exactly one part:
//
//	output                                  unspent                                       taken by us       by the counterparty
//	to_local, to_remote, our second stage   Awaiting; Available once handed over          Swept             Lost
//	anchor                                  Fees                                          Swept             Fees
//	HTLC that we offered                    InHTLCs; Contested once expired               Swept, or stage   Lost
//	HTLC offered to us, preimage known      Awaiting; Contested once expired              Swept, or stage   Lost
//	HTLC offered to us, without             not counted: it is the counterparty's
//	revoked to_local, HTLC, second stage    Contested                                     Swept             Lost, or stage
//
// What an output is not worth to be claimed is Fees, as are the commitment's fee and trimmed HTLCs of ours. Total grows when the preimage of an
// HTLC offered to us becomes known, and when a revoked commitment confirms; otherwise it stays what it was when the channel was closed.
func (r *Resolution) Balance() messages.ChannelBalance {
	var b messages.ChannelBalance
	switch r.end {
	case notClosed, holderUnconfirmed:
		r.offChain(&b)
	case mutualClose:
		r.mutual(&b)
	case holderCommitment, counterpartyCommitment:
		stake, _ := r.stake(r.which)
		r.onChain(&b, stake)
	case revokedCommitment:
		r.onChain(&b, r.revokedStake())
	case foreignCommitment:
		r.unknown(&b)
	}
	b.Total = b.Available + b.InHTLCs + b.Awaiting + b.Contested + b.Swept + b.Fees + b.Lost
	return b
}

// stake is what is the holder's of a commitment, HTLCs that we offered and fees included, and how much of it is in HTLCs.
func (r *Resolution) stake(w facts.Which) (total, inHTLCs uint64) {
	holder, _ := r.f.Balances(w)
	for _, h := range r.f.Outbound {
		if h.State.In(w) {
			inHTLCs += h.AmountMsat
		}
	}
	return (holder + inHTLCs) / 1000, inHTLCs / 1000
}

// offChain is the balance in our commitment, while nothing confirmed. Once the channel has ended it waits for that.
func (r *Resolution) offChain(b *messages.ChannelBalance) {
	stake, inHTLCs := r.stake(facts.Holder)
	b.InHTLCs = inHTLCs
	left := stake - inHTLCs
	if r.f.Tx.HolderIsFunder {
		b.Fees = min(left, uint64(commitment.CommitFee(chainfee.SatPerKWeight(r.f.Fee(facts.Holder)), r.nonDust())+commitment.AnchorsAmount))
	}
	if r.f.Ended() {
		b.Awaiting = left - b.Fees
	} else {
		b.Available = left - b.Fees
	}
}

// nonDust counts the HTLCs with an output on our commitment.
func (r *Resolution) nonDust() (n int) {
	for _, m := range [...]map[uint64]*facts.HTLC{r.f.Outbound, r.f.Inbound} {
		for _, h := range m {
			if h.State.In(facts.Holder) && !commitment.Trimmed(&r.f.Tx, true, lnwire.MilliSatoshi(h.AmountMsat)) {
				n++
			}
		}
	}
	return n
}

// mutual: our output went to our shutdown script, which is the wallet's.
func (r *Resolution) mutual(b *messages.ChannelBalance) {
	stake, _ := r.stake(facts.Holder)
	if r.f.Spent.Tx != nil && len(r.f.HolderShutdown) > 0 {
		for _, out := range r.f.Spent.Tx.TxOut {
			if bytes.Equal(out.PkScript, r.f.HolderShutdown) {
				b.Swept += uint64(out.Value)
			}
		}
	}
	b.Swept = min(b.Swept, stake) // both sides may have named one script
	b.Fees = stake - b.Swept
}

// revokedStake is what of a revoked commitment we can get, and what we paid as its funder. Its own balances are not kept.
func (r *Resolution) revokedStake() (stake uint64) {
	if r.f.Tx.HolderIsFunder {
		return uint64(r.f.Tx.Capacity) // all but fee and anchors can be had, and these we paid
	}
	for _, o := range r.outs {
		if o.parent == nil && o.kind != anchor {
			stake += uint64(o.value)
		}
	}
	return stake
}

// unknown is a commitment of which we see to_remote only. What we had in HTLCs may be taken by time-out or preimage, but not by us.
func (r *Resolution) unknown(b *messages.ChannelBalance) {
	for _, o := range r.outs {
		r.place(b, o)
	}
	for _, h := range facts.Sorted(r.f.Outbound) {
		if h.Fate == facts.FateOpen {
			b.InHTLCs += h.AmountMsat / 1000
		} else {
			b.Lost += h.AmountMsat / 1000
		}
	}
}

// onChain places every output, and what of the stake is in none of them: fees.
func (r *Resolution) onChain(b *messages.ChannelBalance, stake uint64) {
	ours := uint64(0)
	for _, o := range r.outs {
		r.place(b, o)
		switch {
		case o.parent != nil: // came of an output that is counted
		case o.kind == anchor && !r.f.Tx.HolderIsFunder: // the counterparty paid for it
		case (o.kind == htlcOwn || o.kind == htlcTheirs) && !o.htlc.outbound: // the counterparty's money until it is ours
		default:
			ours += uint64(o.value)
		}
	}
	b.Fees += max(stake, ours) - ours
}

// place puts an output into its part. One that a second stage came of is counted as that.
func (r *Resolution) place(b *messages.ChannelBalance, o *output) {
	value := uint64(o.value)
	switch {
	case o.stage != nil, o.kind == htlcForeign:
	case o.spend != nil && o.spend.Ours:
		b.Swept += value
	case o.kind == anchor:
		b.Fees += value
	case (o.kind == htlcOwn || o.kind == htlcTheirs) && !o.htlc.outbound && o.htlc.preimage() == nil:
	case o.spend != nil:
		b.Lost += value
	case r.abandonedAt(o) <= r.f.Height:
		b.Fees += value
	case o.kind == toRemote, o.kind == ownDelayed:
		r.placeOwn(b, o)
	case o.kind == htlcRevoked, o.kind == revokedDelayed, o.htlc.expiry <= r.f.Height:
		b.Contested += value
	case o.htlc.outbound:
		b.InHTLCs += value
	default:
		b.Awaiting += value
	}
}

func (r *Resolution) placeOwn(b *messages.ChannelBalance, o *output) {
	if r.f.OnChain.Spendable[o.op] {
		b.Available += uint64(o.value)
		return
	}
	b.Awaiting += uint64(o.value)
	if at := r.spendableAt(o); at != never && (b.SpendableAt == 0 || at < b.SpendableAt) {
		b.SpendableAt = at
	}
}
