package claim

import (
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/messages"
)

// Fees are satoshis, fee rates satoshis per 1000 weight units.
const (
	floorFeePerKw = 253 // what nodes relay at least, and by how much a replacement has to pay more (BIP 125, rule 4)
	dustSat       = 330 // the smallest output that is relayed whatever its script (a taproot output)

	bumpAfter    = 6   // blocks without a confirmation until a claim is replaced, or half of what is left to its deadline
	nearDeadline = 12  // from here on each output is claimed alone, if its value pays the fee
	lazyTarget   = 36  // blocks within which a claim without a deadline should confirm
	maxTarget    = 144 // no fee estimate looks further ahead

	commitMargin   = 9      // blocks that an HTLC of our commitment needs for its own claim, after the commitment confirmed
	anchorFloorSat = 10_000 // what it is worth to confirm our commitment when no HTLC urges

	// Weight units.
	txOverhead   = 42      // version, lock time, counts, segwit marker
	inputWeight  = 41 * 4  // without its witness
	outputWeight = 43 * 4  // P2WSH or taproot
	walletWeight = 230 * 2 // an input of the wallet and what surrounds it
	stageWitness = 2 + 2*73
	maxInputs    = 60
)

// path is the way to spend an output with the holder's keys alone, 0 for a second stage.
func (o *output) path() chankeys.Path {
	switch o.kind {
	case ownDelayed:
		return chankeys.PathDelayed
	case toRemote:
		return chankeys.PathToRemote
	case anchor:
		return chankeys.PathAnchor
	case htlcTheirs:
		if o.htlc.outbound {
			return chankeys.PathHTLCTimeout
		}
		return chankeys.PathHTLCPreimage
	case htlcRevoked:
		return chankeys.PathRevokedHTLC
	case revokedDelayed:
		return chankeys.PathRevokedDelayed
	case htlcOwn, htlcForeign:
	}
	return 0
}

// witnessWeight is an upper bound, in weight units.
func (o *output) witnessWeight() uint64 {
	if o.kind != htlcOwn {
		s := chankeys.Spend{Path: o.path(), WitnessScript: o.script}
		return uint64(s.WitnessWeight())
	}
	w := stageWitness + 1 + 3 + len(o.script)
	if !o.htlc.outbound {
		w += 32
	}
	return uint64(w)
}

// share is how much of what is at stake may go to fees. A cheater is left with nothing, so there it is all of it.
func (k claimKind) share(value uint64) uint64 {
	switch k {
	case justiceDelayed, justiceHTLC:
		return value
	case anchorCPFP, ownSuccess, ownTimeout, theirsPreimage, theirsTimeout:
	}
	return value / 2
}

// budget is the same for a claim of its own: what is left has to be an output.
func (k claimKind) budget(value uint64) uint64 {
	if k.paidByWallet() {
		return k.share(value)
	}
	return min(k.share(value), max(value, dustSat)-dustSat)
}

// paidByWallet: the outputs give no fee.
func (k claimKind) paidByWallet() bool { return k == anchorCPFP || k == ownSuccess || k == ownTimeout }

// feeAt is the fee of a weight, rounded up.
func feeAt(feePerKw, weight uint64) uint64 { return (feePerKw*weight + 999) / 1000 }

// weight of a claim of outputs, about.
func (k claimKind) weight(outs []*output) uint64 {
	w := uint64(txOverhead + outputWeight)
	if k.paidByWallet() {
		w += walletWeight
	}
	for _, o := range outs {
		w += k.marginal(o)
	}
	return w
}

// marginal is what one output more adds to a claim's weight.
func (k claimKind) marginal(o *output) uint64 {
	w := inputWeight + o.witnessWeight()
	if k == ownSuccess || k == ownTimeout {
		w += outputWeight
	}
	return w
}

// worth tells whether a claim of outputs can ever pay its fee.
func (k claimKind) worth(outs ...*output) bool {
	return feeAt(floorFeePerKw, k.weight(outs)) <= k.budget(sum(outs))
}

func sum(outs []*output) (value uint64) {
	for _, o := range outs {
		value += uint64(o.value)
	}
	return value
}

// abandonedAt is when an output that is not worth a claim of its own is given up: there was time enough then for others to be claimed with it. Never
// for one that is worth it.
func (r *Resolution) abandonedAt(o *output) uint32 {
	k := o.claim
	if k == 0 || k == anchorCPFP || k.worth(o) {
		return never
	}
	at := o.height
	if o.htlc != nil {
		at = max(at, o.htlc.expiry)
	}
	return plus(at, abandonDelay)
}

// maxFee of a claim.
func (r *Resolution) maxFee(k claimKind, outs []*output) uint64 {
	if k != anchorCPFP {
		return k.budget(sum(outs))
	}
	fee := uint64(anchorFloorSat)
	for _, o := range r.outs {
		switch {
		case o.kind == ownDelayed:
			fee += uint64(o.value) / 100
		case o.kind == htlcOwn && r.commitDeadline(o) != 0:
			fee += uint64(o.value) / 2
		}
	}
	return fee
}

// deadline is the height from which somebody else may take what an output holds, or from which it costs us something that it is not ours; 0 if
// there is none.
//
//	preimage     the HTLC's expiry: then the counterparty can take it back
//	time-out     the expiry of the forward's inbound HTLC: then we lose that one and can still be made to pay this one. Of own payments none: the
//	             counterparty's claim with the preimage is what we paid for
//	justice      the end of the counterparty's delay. An HTLC can be moved on to a second stage before, which only costs us fees: its expiry
//	             counts, but leaves time to be claimed with others
//	anchor       of the earliest HTLC, less what its own claim takes
func (r *Resolution) deadline(k claimKind, o *output) uint32 {
	switch k {
	case ownSuccess, theirsPreimage:
		return o.htlc.expiry
	case ownTimeout, theirsTimeout:
		if o.htlc.live != nil {
			return inboundExpiry(o.htlc.live.Source)
		}
	case justiceDelayed:
		return plus(o.height, uint32(r.f.Tx.CounterpartyToSelfDelay))
	case justiceHTLC:
		expiry := max(o.htlc.expiry, plus(o.height, nearDeadline+bumpAfter))
		return min(expiry, plus(o.height, uint32(r.f.Tx.CounterpartyToSelfDelay)))
	case anchorCPFP:
		first := uint32(0)
		for _, p := range r.outs {
			first = earlier(first, r.commitDeadline(p))
		}
		return first
	}
	return 0
}

// commitDeadline is when our commitment should be in the chain for the sake of one of its HTLCs, 0 for none.
func (r *Resolution) commitDeadline(o *output) uint32 {
	if o.kind != htlcOwn || o.htlc.live == nil {
		return 0
	}
	expiry := uint32(0)
	switch h := o.htlc; {
	case h.outbound && h.preimage() == nil:
		expiry = inboundExpiry(h.live.Source)
	case !h.outbound && h.preimage() != nil:
		expiry = h.expiry
	}
	if expiry == 0 {
		return 0
	}
	return max(minus(expiry, commitMargin), 1)
}

// earlier of two deadlines, of which 0 is none.
func earlier(a, b uint32) uint32 {
	if a == 0 || (b != 0 && b < a) {
		return b
	}
	return a
}

// bumpAt is the height at which a claim that has not confirmed is replaced by one that pays more.
func bumpAt(signed, deadline uint32) uint32 {
	wait := uint32(bumpAfter)
	if deadline != 0 {
		wait = max(1, min(wait, minus(deadline, signed)/2))
	}
	return plus(signed, wait)
}

// target is how many blocks there are until a deadline.
func target(height, deadline uint32) uint32 {
	if deadline == 0 {
		return lazyTarget
	}
	return min(max(minus(deadline, height), 1), maxTarget)
}

// parent is our unconfirmed commitment, for CPFP.
func (r *Resolution) parent() *messages.ClaimParent {
	const witness = 2 + 1 + 1 + 2*73 + 1 + 71 // marker, count, empty, signatures, script
	return &messages.ClaimParent{Weight: uint32(r.tx.Tx.SerializeSizeStripped()*4 + witness), FeeSat: uint64(r.tx.Fee)}
}

// input asks the wallet for an input.
func (r *Resolution) input(k claimKind, o *output) messages.ClaimInput {
	in := messages.ClaimInput{OutPoint: o.op, ValueSat: uint64(o.value), PkScript: o.pk, WitnessWeight: uint32(o.witnessWeight())}
	switch k {
	case ownSuccess, ownTimeout:
		stage := r.tx.HTLCs[o.index].Tx
		in.Sequence, in.Output = stage.TxIn[0].Sequence, stage.TxOut[0]
	case theirsPreimage, theirsTimeout:
		in.Sequence = 1 // the script asks for it
	case anchorCPFP:
		in.Sequence, in.Attach = replaceable, true
	case justiceDelayed, justiceHTLC:
		in.Sequence = replaceable // the revocation paths ask for nothing
	}
	return in
}

// replaceable signals BIP 125, sets no relative lock time and lets the lock time count.
const replaceable = 0xffffffff - 2
