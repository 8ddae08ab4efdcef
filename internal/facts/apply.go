package facts

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/ln"
)

// InvalidUpdateError says that an update does not fit the facts. Nothing was changed. From our own channel it is a bug, so the channel is
// quarantined and nothing more is signed.
type InvalidUpdateError struct {
	Channel ln.ChannelID
	Update  string // its type
	Why     string
}

func (e *InvalidUpdateError) Error() string {
	return fmt.Sprintf("channel %s: %s does not fit the channel's facts: %s", e.Channel, e.Update, e.Why)
}

// Changes is what an update meant for HTLCs, each list by ascending id.
type Changes struct {
	Claimed     []*HTLC // outbound: the preimage is known for the first time
	Accepted    []*HTLC // inbound: irrevocably committed
	Failed      []*HTLC // outbound: irrevocably removed without a preimage ever known, on chain or off, or failed early
	OutboundEnd []*HTLC // outbound: in no commitment any more, however it ended
	Resolved    []*HTLC // inbound: irrevocably removed from the counterparty's commitment, or ended on chain
	Revoked     *Revoked
}

// Revoked is the HTLC data of a counterparty commitment that was just revoked: needed to punish its outputs, should it ever confirm.
type Revoked struct {
	Number uint64
	HTLCs  []RevokedHTLC // those with an output, by direction and id
}

// RevokedHTLC is one of its HTLCs.
type RevokedHTLC struct {
	HTLCID     uint64
	Offered    bool // by the counterparty, the owner of that commitment
	AmountMsat uint64
	Hash       ln.Hash
	CLTVExpiry uint32
}

// ErrUnverified refuses what could forfeit a channel that was restored from a copy of unknown age.
var ErrUnverified = errors.New("the channel was restored from a copy that may be old: nothing of it is broadcast, signed or revoked until its peer " +
	"has connected and shown that the copy is current")

// Apply changes the facts by one update, or returns InvalidUpdateError and changes nothing.
func (c *Channel) Apply(u Update) (Changes, error) {
	var (
		ch  Changes
		why string
	)
	switch u := u.(type) {
	case Opened:
		why = "the channel exists"
	case FundingConfirmed:
		// Another place than before, with or without a FundingUnconfirmed between.
		c.Reburying = c.Reburying || c.HolderReady && (c.Funding == nil || *c.Funding != u)
		c.Funding, c.WasFunded = &u, true
	case FundingUnconfirmed:
		c.Funding = nil
	case HolderReady:
		c.HolderReady, c.Reburying = true, false
	case CounterpartyReady:
		why = c.applyCounterpartyReady(u)
	case CounterpartyCommitment:
		why = c.applyCounterpartyCommitment(u)
	case HolderCommitment:
		ch, why = c.applyHolderCommitment(u)
	case Revocation:
		ch, why = c.applyRevocation(u)
	case PreimageLearned:
		ch, why = c.applyPreimage(u)
	case Decided:
		why = c.applyDecided(u)
	case HolderShutdown:
		c.HolderShutdown = u.Script
	case CounterpartyShutdown:
		c.CounterpartyShutdown = u.Script
	case ClosingProposed:
		c.ClosingFeeSat = u.FeeSat
	case MutualClosed:
		c.MutualClose = u.Tx
	case ForceClosed:
		if c.ForceClose == nil {
			c.ForceClose = &u
		}
	case ProvenBehind:
		c.ProvenBehind = true
	case Restored:
		c.Unverified = !c.Ended()
	case Verified:
		c.Unverified = false
	case BlockSeen:
		c.Height, c.BlockHash = u.Height, u.Hash
	case FundingSpent:
		c.applySpent(u)
	case FundingUnspent:
		c.applyUnspent()
	case RevokedRead:
		why = c.applyRevokedRead(u)
	case OutputSpent:
		c.applyOutputSpent(u)
	case OutputUnspent:
		c.OnChain.Spends = without(c.OnChain.Spends, u.Output)
	case ClaimSigned:
		why = c.applyClaimSigned(u)
	case ClaimEnded:
		c.OnChain.Claims = without(c.OnChain.Claims, u.ID)
	case HTLCEnded:
		ch, why = c.applyHTLCEnded(u)
	case HTLCFailedEarly:
		ch, why = c.applyFailedEarly(u)
	case OutputsSpendable:
		c.applySpendable(u)
	case PolicySet:
		c.Policy = u.Policy
	default:
		why = "unknown kind"
	}
	if why != "" {
		return Changes{}, &InvalidUpdateError{Channel: c.ID, Update: fmt.Sprintf("%T", u), Why: why}
	}
	return ch, nil
}

func (c *Channel) applyCounterpartyReady(u CounterpartyReady) string {
	if c.CounterpartyReady {
		return "channel_ready was received already"
	}
	c.CounterpartyReady, c.CounterpartyNextPoint, c.CounterpartyAlias = true, u.NextPoint, u.Alias
	return ""
}

func (c *Channel) applyCounterpartyCommitment(u CounterpartyCommitment) string {
	switch {
	case c.Ended():
		return "the channel has ended (rule 18)"
	case c.Unverified:
		return ErrUnverified.Error()
	case c.Unrevoked:
		return "the last commitment_signed is not acknowledged"
	case u.FeePerKw != 0 && !c.Tx.HolderIsFunder:
		return "only the funder changes the fee"
	}
	for i, h := range u.Adds {
		if h.ID != c.NextOutboundHTLCID+uint64(i) {
			return fmt.Sprintf("outbound htlc id %d, want %d", h.ID, c.NextOutboundHTLCID+uint64(i))
		}
	}
	for _, id := range u.Removes {
		h := c.Inbound[id]
		if h == nil || h.State != RcvdAddAckRevocation || h.Resolution == nil {
			return fmt.Sprintf("inbound htlc %d is not decided", id)
		}
	}

	for _, h := range Sorted(c.Outbound) {
		h.move(onCounterpartyCommitment)
	}
	for _, h := range Sorted(c.Inbound) {
		h.move(onCounterpartyCommitment)
	}
	c.moveFees(onCounterpartyCommitment)
	for _, id := range u.Removes {
		c.Inbound[id].State = SentRemoveCommit
	}
	for _, h := range u.Adds {
		h.State, h.Resolution, h.Preimage = SentAddCommit, nil, nil
		c.Outbound[h.ID] = &h
		c.NextOutboundHTLCID++
	}
	if u.FeePerKw != 0 {
		c.addFee(FeeUpdate{FeePerKw: u.FeePerKw, State: SentAddCommit})
	}
	c.Unrevoked, c.CommitmentAfterRAA = true, true
	return ""
}

func (c *Channel) applyHolderCommitment(u HolderCommitment) (ch Changes, why string) {
	switch {
	case c.Ended():
		return ch, "the channel has ended, its holder commitment is never revoked (rule 18)"
	case c.Unverified:
		return ch, ErrUnverified.Error()
	case u.FeePerKw != 0 && c.Tx.HolderIsFunder:
		return ch, "only the funder changes the fee"
	}
	for i, h := range u.Adds {
		if h.ID != c.NextInboundHTLCID+uint64(i) {
			return ch, fmt.Sprintf("inbound htlc id %d, want %d", h.ID, c.NextInboundHTLCID+uint64(i))
		}
	}
	seen := make(map[uint64]bool, len(u.Removes))
	for _, r := range u.Removes {
		// An HTLC is removable once both sides are irrevocably committed to it (BOLT 2, Removing an HTLC).
		if h := c.Outbound[r.HTLCID]; h == nil || h.State != SentAddAckRevocation || seen[r.HTLCID] {
			return ch, fmt.Sprintf("outbound htlc %d can't be removed", r.HTLCID)
		}
		if !c.Outbound[r.HTLCID].settledBy(r.Resolution.Preimage) {
			return ch, fmt.Sprintf("the preimage of outbound htlc %d is wrong", r.HTLCID)
		}
		seen[r.HTLCID] = true
	}

	for _, h := range Sorted(c.Outbound) {
		h.move(onHolderCommitment)
	}
	for _, h := range Sorted(c.Inbound) {
		if h.move(onHolderCommitment); h.State == SentRemoveAckRevocation {
			c.settle(h, false)
		}
	}
	c.moveFees(onHolderCommitment)
	for _, r := range u.Removes {
		h := c.Outbound[r.HTLCID]
		h.State, h.Resolution = SentRemoveRevocation, &r.Resolution
		if p := r.Resolution.Preimage; p != nil && h.Preimage == nil {
			h.Preimage = p
			ch.Claimed = append(ch.Claimed, h)
		}
	}
	for _, h := range u.Adds {
		h.State, h.Resolution, h.Preimage, h.Source = SentAddRevocation, nil, nil, nil
		c.Inbound[h.ID] = &h
		c.NextInboundHTLCID++
	}
	if u.FeePerKw != 0 {
		c.addFee(FeeUpdate{FeePerKw: u.FeePerKw, State: SentAddRevocation})
	}
	c.settleFees()
	c.HolderNumber++
	c.HolderSig, c.HolderHTLCSigs = u.Sig, u.HTLCSigs
	c.CommitmentAfterRAA = false
	slices.SortFunc(ch.Claimed, byID)
	return ch, ""
}

func (c *Channel) applyRevocation(u Revocation) (ch Changes, why string) {
	if !c.Unrevoked {
		return ch, "no commitment_signed waits for it"
	}
	revoked := c.revoked()
	if err := c.addSecret(u.Secret); err != nil {
		return ch, fmt.Sprintf("the secret does not follow from the earlier ones: %v", err)
	}
	for _, h := range Sorted(c.Outbound) {
		h.move(onRevocation)
		switch h.State { //nolint:exhaustive // the other states are on their way
		case RcvdAddRevocation:
			h.Onion = nil // never sent again
		case RcvdRemoveAckRevocation:
			ch.OutboundEnd = append(ch.OutboundEnd, h)
			if h.Preimage == nil {
				ch.Failed = append(ch.Failed, h)
			}
			c.settle(h, true)
		}
	}
	for _, h := range Sorted(c.Inbound) {
		was := h.State
		if h.move(onRevocation); h.State == was {
			continue
		}
		switch h.State { //nolint:exhaustive // the other states are on their way
		case RcvdAddAckRevocation:
			ch.Accepted = append(ch.Accepted, h)
		case RcvdRemoveRevocation:
			ch.Resolved = append(ch.Resolved, h)
		}
	}
	c.moveFees(onRevocation)
	c.settleFees()
	c.CounterpartyPoint, c.CounterpartyNextPoint = c.CounterpartyNextPoint, u.NextPoint
	c.CounterpartyNumber++
	c.Unrevoked = false
	if len(revoked.HTLCs) > 0 {
		ch.Revoked = &revoked
	}
	return ch, ""
}

func (c *Channel) applyPreimage(u PreimageLearned) (ch Changes, why string) {
	h := c.Outbound[u.HTLCID]
	switch {
	case h == nil:
		return ch, fmt.Sprintf("outbound htlc %d does not exist", u.HTLCID)
	case !h.settledBy(&u.Preimage):
		return ch, fmt.Sprintf("the preimage of outbound htlc %d is wrong", u.HTLCID)
	case h.Preimage != nil:
		return ch, ""
	}
	h.Preimage = &u.Preimage
	ch.Claimed = []*HTLC{h}
	return ch, ""
}

func (c *Channel) applyDecided(u Decided) string {
	h := c.Inbound[u.HTLCID]
	switch {
	case h == nil:
		return fmt.Sprintf("inbound htlc %d does not exist", u.HTLCID)
	case !h.Decidable():
		return fmt.Sprintf("inbound htlc %d is not irrevocably committed", u.HTLCID)
	case !h.settledBy(u.Resolution.Preimage):
		return fmt.Sprintf("the preimage of inbound htlc %d is wrong", u.HTLCID)
	}
	if p := u.Resolution.Preimage; p != nil {
		h.Preimage = p
	}
	if h.Resolution == nil {
		h.Resolution = &u.Resolution
	}
	return ""
}

// Decidable tells whether an inbound HTLC is irrevocably committed, so that its fate may be decided (BOLT 2, Removing an HTLC).
func (h *HTLC) Decidable() bool { return h.State >= RcvdAddAckRevocation }

// settledBy tells whether the preimage, if there is one, is that of the HTLC.
func (h *HTLC) settledBy(p *ln.Preimage) bool { return p == nil || sha256.Sum256(p[:]) == h.Hash }

func (h *HTLC) move(table map[State]State) {
	if next, ok := table[h.State]; ok {
		h.State = next
	}
}

func (f *FeeUpdate) move(table map[State]State) {
	if next, ok := table[f.State]; ok {
		f.State = next
	}
}

// settle takes an HTLC that is in no commitment any more into the balances.
func (c *Channel) settle(h *HTLC, outbound bool) {
	from, to := &c.CounterpartyMsat, &c.HolderMsat
	if outbound {
		from, to = to, from
		delete(c.Outbound, h.ID)
	} else {
		delete(c.Inbound, h.ID)
	}
	if h.Resolution.Fulfilled() {
		*from -= h.AmountMsat
		*to += h.AmountMsat
	}
}

// addFee takes in a fee update. Of two in one state only the newer counts, in every commitment from here on, so the older goes: a peer may send as many
// as it likes while it owes us a revocation. Facts that were written with both have the same fees.
func (c *Channel) addFee(f FeeUpdate) {
	if n := len(c.FeeUpdates); n > 0 && c.FeeUpdates[n-1].State == f.State {
		c.FeeUpdates[n-1] = f
		return
	}
	c.FeeUpdates = append(c.FeeUpdates, f)
}

// moveFees takes the fee updates through a transition. Those that come to be in one state are one from then on, as in addFee: so there are never
// more than there are states.
func (c *Channel) moveFees(table map[State]State) {
	moved := c.FeeUpdates
	c.FeeUpdates = c.FeeUpdates[:0]
	for _, f := range moved {
		f.move(table)
		c.addFee(f)
	}
}

// settleFees makes the newest irrevocably committed fee the base.
func (c *Channel) settleFees() {
	for len(c.FeeUpdates) > 0 && (c.FeeUpdates[0].State == SentAddAckRevocation || c.FeeUpdates[0].State == RcvdAddAckRevocation) {
		c.FeePerKw = c.FeeUpdates[0].FeePerKw
		c.FeeUpdates = c.FeeUpdates[1:]
	}
}

// revoked lists the HTLCs with an output in the counterparty's oldest valid commitment.
func (c *Channel) revoked() Revoked {
	r := Revoked{Number: c.CounterpartyNumber}
	add := func(m map[uint64]*HTLC, offered bool) {
		for _, h := range Sorted(m) {
			if h.State.In(Counterparty) && !commitment.Trimmed(&c.Tx, false, msat(h.AmountMsat)) {
				r.HTLCs = append(r.HTLCs, RevokedHTLC{HTLCID: h.ID, Offered: offered, AmountMsat: h.AmountMsat, Hash: h.Hash, CLTVExpiry: h.CLTVExpiry})
			}
		}
	}
	add(c.Outbound, false)
	add(c.Inbound, true)
	return r
}

func byID(a, b *HTLC) int { return cmp.Compare(a.ID, b.ID) }

// Sorted returns the HTLCs by ascending id: a map is never walked in its own order.
func Sorted(m map[uint64]*HTLC) []*HTLC {
	out := make([]*HTLC, 0, len(m))
	for _, h := range m {
		out = append(out, h)
	}
	slices.SortFunc(out, byID)
	return out
}
