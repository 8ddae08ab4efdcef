package claim

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Plan is what claims there should be at the height of the facts.
type Plan struct {
	Build []Request           // the wallet is to build these; an ID that is live is replaced once the new one is signed
	Keep  []facts.ClaimSigned // to be in the chain: broadcast until they confirm. By id
	Ended []uint64            // claims whose purpose is gone. Ascending
}

// Request is a claim to build. Its ID follows from what it claims, so that the same claim has the same id after a restart, and a fee bump the id
// of what it replaces.
type Request struct {
	ID       uint64
	Deadline uint32              // 0 for none
	Build    messages.BuildClaim // but for Channel, Incarnation, Claim and ReplyTo
}

// claimKind says what outputs may be in one claim.
type claimKind uint8

const (
	anchorCPFP     claimKind = iota + 1 // our anchor, to pay for our commitment
	ownSuccess                          // second stage: HTLC-success
	ownTimeout                          // second stage: HTLC-timeout; of one lock time
	theirsPreimage                      // HTLCs on their commitment, directly
	theirsTimeout                       //
	justiceDelayed                      // to_local and second stages of a revoked commitment
	justiceHTLC                         // its HTLCs
)

// claimFor is the kind of claim that an output is for, 0 for none ever.
func (r *Resolution) claimFor(o *output) claimKind {
	if len(o.script) == 0 {
		return 0 // not known
	}
	outbound := o.htlc != nil && o.htlc.outbound
	switch o.kind {
	case anchor:
		if r.end == holderUnconfirmed {
			return anchorCPFP
		}
	case htlcOwn:
		if outbound {
			return ownTimeout
		}
		return ownSuccess
	case htlcTheirs:
		if outbound {
			return theirsTimeout
		}
		return theirsPreimage
	case htlcRevoked:
		return justiceHTLC
	case revokedDelayed:
		return justiceDelayed
	case ownDelayed, toRemote, htlcForeign:
	}
	return 0
}

// claimableAt is the height at which a claim of an output can be in the next block, never while it can't.
func (r *Resolution) claimableAt(o *output) uint32 {
	k := o.claim
	switch {
	case k == 0, o.spend != nil:
		return never
	case k == anchorCPFP:
		return 0
	case o.height == 0, r.abandonedAt(o) <= r.f.Height:
		return never
	case k == ownSuccess, k == theirsPreimage:
		if o.htlc.preimage() == nil {
			return never
		}
	case k == ownTimeout, k == theirsTimeout:
		return max(o.height, o.htlc.expiry) // a lock time is final in the blocks above it
	}
	return o.height
}

// liveClaim is a claim of the facts that can still confirm.
type liveClaim struct {
	facts.ClaimSigned
	kind claimKind
	outs []*output
}

// Plan plans. It never changes its mind about a claim that is under way and can still confirm: what becomes claimable later gets a claim of its
// own, and an output leaves its claim only to be claimed alone.
func (r *Resolution) Plan() (p Plan) {
	live, ended := r.live()
	covered := map[*output]bool{}
	for i := range live {
		c := &live[i]
		p.Keep = append(p.Keep, c.ClaimSigned)
		for _, o := range c.outs {
			covered[o] = true
		}
		if q, ok := r.renew(c); ok {
			p.Build = append(p.Build, q)
		}
	}
	p.Build = append(p.Build, r.fresh(covered)...)
	for _, id := range ended {
		if !slices.ContainsFunc(p.Build, func(q Request) bool { return q.ID == id }) {
			p.Ended = append(p.Ended, id)
		}
	}
	return p
}

// live are the claims that can confirm, by id, and those that are over. Neither are claims whose outputs were spent by a transaction that is not
// irrevocable yet, or whose commitment left the chain: a reorganisation would bring them back.
func (r *Resolution) live() (live []liveClaim, ended []uint64) {
	var candidates []liveClaim
	for _, id := range slices.Sorted(maps.Keys(r.f.OnChain.Claims)) {
		c := r.f.OnChain.Claims[id]
		l, over := r.state(c)
		switch {
		case over:
			ended = append(ended, id)
		case l != nil:
			candidates = append(candidates, *l)
		}
	}
	// Of two that spend the same output, the one with the higher fee took the place of the other.
	slices.SortStableFunc(candidates, func(a, b liveClaim) int {
		return cmp.Or(cmp.Compare(b.FeeSat, a.FeeSat), cmp.Compare(b.Height, a.Height), cmp.Compare(a.ID, b.ID))
	})
	taken := map[*output]bool{}
	for _, c := range candidates {
		if slices.ContainsFunc(c.outs, func(o *output) bool { return taken[o] }) {
			ended = append(ended, c.ID)
			continue
		}
		for _, o := range c.outs {
			taken[o] = true
		}
		live = append(live, c)
	}
	slices.SortFunc(live, func(a, b liveClaim) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(ended)
	return live, ended
}

// state of a claim: live, over, or neither for now.
func (r *Resolution) state(c facts.ClaimSigned) (l *liveClaim, over bool) {
	if over = r.overAt(c) <= r.f.Height; over {
		return nil, true
	}
	l = &liveClaim{ClaimSigned: c}
	for _, in := range c.Tx.TxIn {
		o := r.byOp[in.PreviousOutPoint]
		switch {
		case o == nil:
			continue // the wallet's
		case r.claimableAt(o) > r.f.Height:
			return nil, false
		}
		l.kind, l.outs = o.claim, append(l.outs, o)
	}
	if len(l.outs) == 0 {
		return nil, false
	}
	return l, false
}

// overAt is the height at which a claim has nothing left to do: one of its outputs is irrevocably spent, or does not exist, or it was to confirm a
// commitment that did.
func (r *Resolution) overAt(c facts.ClaimSigned) uint32 {
	at, outs := never, 0
	for _, in := range c.Tx.TxIn {
		o := r.byOp[in.PreviousOutPoint]
		if o == nil {
			continue
		}
		outs++
		if o.spend != nil {
			at = min(at, finalAt(o.spend.Height))
		}
		if o.kind == anchor && r.height != 0 {
			at = min(at, finalAt(r.height))
		}
		if a := r.abandonedAt(o); a != never {
			at = min(at, a)
		}
	}
	if outs == 0 && r.height != 0 {
		at = finalAt(r.height)
	}
	return at
}

// renew is a request for another version of a live claim: one that pays more, or one of its outputs alone.
func (r *Resolution) renew(c *liveClaim) (Request, bool) {
	if len(c.outs) > 1 && r.split(c.kind, c.outs) {
		// The most valuable output replaces the whole claim. Once that is signed the others are free, and replace nothing.
		best := slices.MaxFunc(c.outs, func(a, b *output) int {
			return cmp.Or(cmp.Compare(a.value, b.value), facts.CompareOutPoints(b.op, a.op))
		})
		q := r.request(c.kind, []*output{best})
		if r.replaces(&q, c) {
			return q, true
		}
	}
	deadline := r.deadlineOf(c.kind, c.outs)
	if bumpAt(c.Height, deadline) > r.f.Height {
		return Request{}, false
	}
	q := r.request(c.kind, c.outs)
	q.ID = c.ID
	return q, r.replaces(&q, c)
}

// replaces makes a request one for a replacement (BIP 125), and tells whether it is worth it.
func (r *Resolution) replaces(q *Request, c *liveClaim) bool {
	b := &q.Build
	weight := c.kind.weight(c.outs) + walletWeight // the wallet may need more coins than before
	b.MinFeePerKw = max(uint32(min(uint64(c.FeePerKw)*5/4, uint64(never))), floorFeePerKw)
	b.MinFeeSat = c.FeeSat + feeAt(floorFeePerKw, weight)
	for _, in := range c.Tx.TxIn {
		if r.byOp[in.PreviousOutPoint] == nil {
			b.Coins = append(b.Coins, in.PreviousOutPoint)
		}
	}
	return b.MinFeeSat <= b.MaxFeeSat || len(b.Coins) > 0 // the wallet knows whether its coins are still there
}

// fresh are requests for what no live claim covers.
func (r *Resolution) fresh(covered map[*output]bool) (requests []Request) {
	type group struct {
		kind     claimKind
		lockTime uint32
		alone    bool
		outs     []*output
	}
	var groups []group
	for _, o := range r.outs {
		if covered[o] || r.claimableAt(o) > r.f.Height {
			continue
		}
		k, lockTime := o.claim, uint32(0)
		if k == ownTimeout {
			lockTime = o.htlc.expiry // as it was signed
		}
		alone, i := r.split(k, []*output{o}), -1
		if !alone {
			i = slices.IndexFunc(groups, func(g group) bool {
				return g.kind == k && g.lockTime == lockTime && len(g.outs) < maxInputs && !g.alone
			})
		}
		if i < 0 {
			groups = append(groups, group{kind: k, lockTime: lockTime, alone: alone, outs: []*output{o}})
			continue
		}
		groups[i].outs = append(groups[i].outs, o)
	}
	for _, g := range groups {
		if g.kind == anchorCPFP || g.kind.worth(g.outs...) {
			requests = append(requests, r.request(g.kind, g.outs))
		}
	}
	return requests
}

// split tells whether outputs are to be claimed each alone: near the deadline, or when the counterparty has won a race for one of their kind. A
// claim of many dies as soon as one of its outputs is taken. Second stages need a coin of the wallet each, so they stay together until it is known
// that the counterparty races.
func (r *Resolution) split(k claimKind, outs []*output) bool {
	if k == anchorCPFP {
		return false
	}
	if at := r.splitAt(k, outs); at <= r.f.Height {
		return true
	}
	return r.contested[k]
}

func (r *Resolution) splitAt(k claimKind, outs []*output) uint32 {
	deadline := r.deadlineOf(k, outs)
	if deadline == 0 || k.paidByWallet() {
		return never
	}
	return minus(deadline, nearDeadline)
}

// lost tells whether the counterparty took an output while we could have taken it.
func (r *Resolution) lost(o *output) bool {
	if o.spend == nil || o.spend.Ours {
		return false
	}
	switch o.kind {
	case htlcRevoked, revokedDelayed:
		return true
	case htlcOwn, htlcTheirs:
		if o.htlc.outbound {
			return o.spend.Height > o.htlc.expiry
		}
		return o.htlc.preimage() != nil
	case ownDelayed, toRemote, anchor, htlcForeign:
	}
	return false
}

func (r *Resolution) deadlineOf(k claimKind, outs []*output) (first uint32) {
	for _, o := range outs {
		first = earlier(first, r.deadline(k, o))
	}
	return first
}

// request asks for a claim of outputs.
func (r *Resolution) request(k claimKind, outs []*output) Request {
	q := Request{ID: claimID(k, outs), Deadline: r.deadlineOf(k, outs)}
	b := &q.Build
	b.Target, b.MaxFeeSat = target(r.f.Height, q.Deadline), r.maxFee(k, outs)
	for _, o := range outs {
		b.Inputs = append(b.Inputs, r.input(k, o))
		if k == ownTimeout || k == theirsTimeout {
			b.LockTime = max(b.LockTime, o.htlc.expiry)
		}
	}
	if k == anchorCPFP {
		b.Parent = r.parent()
	}
	return q
}

// claimID names a claim by its kind and the lowest of its outputs. No two claims under way have one in common.
func claimID(k claimKind, outs []*output) uint64 {
	low := slices.MinFunc(outs, func(a, b *output) int { return facts.CompareOutPoints(a.op, b.op) })
	b := append([]byte{byte(k)}, low.op.Hash[:]...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint32(b, low.op.Index))
	return max(binary.BigEndian.Uint64(sum[:]), 1)
}
