package claim

import (
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
)

// unknownDelay is how long an output of a revoked commitment is waited for that we can't claim, because the data of its HTLC is lost: the
// counterparty's second stage of it can still be punished.
const unknownDelay = 2016

// Watch is an output whose spend the monitor has to be told of.
type Watch struct {
	Output     wire.OutPoint
	FromHeight uint32 // of the block that made it
}

// Watches are the outputs that are not irrevocably spent, in a fixed order: those of the commitment in theirs, each followed by its second stage.
// Irrevocable is as deep here as the archive waits, so that a reorganisation of any depth that is survived is seen.
func (r *Resolution) Watches() (list []Watch) {
	if r.height == 0 {
		return nil
	}
	for _, o := range r.outs {
		if o.spend == nil || r.depth(o.spend.Height) < watchDepth {
			list = append(list, Watch{Output: o.op, FromHeight: o.height})
		}
	}
	return list
}

// ResolvedAt is the height of the last transaction that the resolution rests on, once nothing is left to wait for but depth: every output is spent,
// or nobody's business any more, every HTLC has ended or was left in its output by both sides, and no claim is under way. Anchors are left out of
// account.
func (r *Resolution) ResolvedAt() (height uint32, ok bool) {
	if r.height == 0 || r.unread || len(r.f.OnChain.Claims) > 0 {
		return 0, false
	}
	for _, h := range r.f.Outbound {
		if h.Fate == facts.FateOpen {
			return 0, false
		}
	}
	for _, h := range r.f.Inbound {
		if h.Fate == facts.FateOpen && !r.nobodys(h) {
			return 0, false
		}
	}
	height = r.height
	for _, o := range r.outs {
		switch {
		case o.spend != nil:
			height = max(height, o.spend.Height)
		case r.leftAt(o) > r.f.Height:
			return 0, false
		}
	}
	return height, true
}

// nobodys tells whether an inbound HTLC was left by both sides: it never ends.
func (r *Resolution) nobodys(h *facts.HTLC) bool {
	o := r.in[h.ID]
	if o == nil {
		return false
	}
	if o.stage != nil {
		o = o.stage
	}
	return o.spend == nil && r.leftAt(o) <= r.f.Height
}

// leftAt is the height at which nobody waits for an unspent output any more.
func (r *Resolution) leftAt(o *output) uint32 {
	switch o.kind {
	case anchor, htlcForeign:
		return 0
	case htlcOwn, htlcTheirs:
		if !o.htlc.outbound && o.htlc.preimage() == nil {
			return plus(o.htlc.expiry, abandonDelay)
		}
	case htlcRevoked:
		if o.htlc == nil {
			return plus(o.height, unknownDelay)
		}
	case ownDelayed, toRemote:
		return never
	case revokedDelayed:
	}
	return r.abandonedAt(o)
}

// WakeAt is the next height at which something is due or planned, 0 for none.
func (r *Resolution) WakeAt() uint32 {
	if !r.f.Ended() {
		return 0
	}
	next := never
	wake := func(at uint32) {
		if at > r.f.Height {
			next = min(next, at)
		}
	}
	for _, h := range r.f.Outbound {
		at, _ := r.outboundEnd(h)
		wake(at)
		wake(r.earlyAt(h))
	}
	for _, h := range r.f.Inbound {
		at, _ := r.inboundEnd(h)
		wake(at)
		if h.Fate == facts.FateOpen && h.Resolution != nil && !h.Resolution.Fulfilled() && r.height != 0 {
			wake(finalAt(r.height)) // who decided is done with it then
		}
	}
	for _, o := range r.outs {
		if !r.f.OnChain.Spendable[o.op] {
			wake(r.spendableAt(o))
		}
		if o.spend == nil {
			wake(r.claimableAt(o))
			wake(r.leftAt(o))
		}
	}
	r.wakeForClaims(wake)
	if next == never {
		return 0
	}
	return next
}

func (r *Resolution) wakeForClaims(wake func(uint32)) {
	live, _ := r.live()
	covered := map[*output]bool{}
	for i := range live {
		c := &live[i]
		wake(bumpAt(c.Height, r.deadlineOf(c.kind, c.outs)))
		if len(c.outs) > 1 {
			wake(r.splitAt(c.kind, c.outs))
		}
		for _, o := range c.outs {
			covered[o] = true
		}
	}
	for _, c := range r.f.OnChain.Claims {
		wake(r.overAt(c))
	}
	if len(r.Plan().Build) > 0 {
		wake(plus(r.f.Height, 1)) // asked for again until the wallet has built it
	}
}
