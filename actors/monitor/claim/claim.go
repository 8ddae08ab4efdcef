package claim

import (
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// Irrevocable is the number of confirmations after which a transaction counts as final (monitor-events.md).
const Irrevocable = 6

// watchDepth is how deep a spend has to be until the output is not watched any more: as deep as the archive waits (rule 23).
const watchDepth = 100

// Points gives the holder's per-commitment points.
type Points func(number uint64) (*btcec.PublicKey, error)

// Resolution is what became of a channel on chain, and what there is to do about it. It follows from the facts and is as old as they are: make a
// new one after every update.
type Resolution struct {
	f      *facts.Channel
	end    ending
	height uint32         // of the transaction that spent the funding output; 0 while there is none
	which  facts.Which    // of holderCommitment and counterpartyCommitment
	tx     *commitment.Tx // likewise
	keys   *commitment.Keys
	secret *[32]byte // of a revoked commitment
	unread bool      // the HTLC data of the revoked commitment is missing

	unmatched bool // a revoked commitment has outputs that its HTLC data does not explain: what it lacks is not known

	outs []*output // of the commitment in their order, each followed by its second stage
	byOp map[wire.OutPoint]*output
	out  map[uint64]*output // outputs of outbound HTLCs
	in   map[uint64]*output // of inbound ones

	contested map[claimKind]bool // the counterparty has won a race for an output of such a claim
}

// ending says how the channel ends on chain.
type ending uint8

const (
	notClosed              ending = iota // open, or nothing of the end is in the chain and no commitment of ours is to be
	holderUnconfirmed                    // the holder commitment is to be broadcast (rule 18)
	mutualClose                          //
	holderCommitment                     //
	counterpartyCommitment               // the current one, or the next
	revokedCommitment                    //
	foreignCommitment                    // of either side and newer than our facts, or not understood
)

// Resolve derives the resolution from the facts. It is never nil; of a channel that has not been closed it is empty, and costs nothing. With an
// error it is empty as well: the facts contradict each other, or the points are missing.
func Resolve(f *facts.Channel, points Points) (*Resolution, error) {
	r := &Resolution{f: f}
	if !f.Ended() {
		return r, nil
	}
	r.byOp, r.out, r.in = map[wire.OutPoint]*output{}, map[uint64]*output{}, map[uint64]*output{}
	r.contested = map[claimKind]bool{}
	var err error
	switch {
	case f.Spent != nil:
		err = r.spent(points)
	case f.ForceClose != nil && !f.ProvenBehind:
		r.end = holderUnconfirmed
		err = r.holder(points)
	}
	if err != nil {
		return &Resolution{f: f}, err
	}
	return r, nil
}

// spent looks at the transaction that spent the funding output.
func (r *Resolution) spent(points Points) error {
	r.height = r.f.Spent.Height
	switch r.f.Spent.Spend {
	case facts.SpendMutualClose:
		r.end = mutualClose
		return nil
	case facts.SpendHolder:
		r.end = holderCommitment
		return r.holder(points)
	case facts.SpendCounterparty:
		return r.counterparty(points)
	case facts.SpendRevoked:
		return r.revoked(points)
	case facts.SpendUnknown:
	}
	return r.foreign(points)
}

// Overtaken tells that the transaction which closed the channel is newer than the facts, as those of a copy may be: an outbound HTLC that is live in
// them may have been claimed since, and nothing on chain would show it. A mutual close has no HTLC that is live.
func (r *Resolution) Overtaken() bool { return r.end == foreignCommitment || r.end == mutualClose }

// NeedsRevoked tells which revoked commitment's HTLC data must be read before its HTLCs can be resolved: facts.RevokedRead is missing. Of one
// without a row it is recorded with no HTLCs.
func (r *Resolution) NeedsRevoked() (number uint64, ok bool) {
	if !r.unread {
		return 0, false
	}
	number, err := commitment.NumberOf(r.f.Spent.Tx, &r.f.Tx)
	return number, err == nil
}

// depth is the number of confirmations of what is in the block at a height.
func (r *Resolution) depth(height uint32) uint32 {
	if height == 0 || height > r.f.Height {
		return 0
	}
	return r.f.Height - height + 1
}

// final tells whether what is in the block at a height is irrevocable.
func (r *Resolution) final(height uint32) bool { return r.depth(height) >= Irrevocable }

// finalAt is the height at which it will be.
func finalAt(height uint32) uint32 { return plus(height, Irrevocable-1) }
