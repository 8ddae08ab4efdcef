package channel

import (
	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/internal/commitment"
)

// ahead is what the next commitments need and what does not depend on what will be in them. Deriving keys is nearly all that a commitment with few
// HTLCs costs, so it is done while records are on their way to the disk. All of it follows from the facts: nothing changes but the time it takes.
// A channel that is not in use has none.
type ahead struct {
	used bool // on this connection

	number uint64           // of the holder commitment that point is of
	point  *btcec.PublicKey // nil if none
	holder *commitment.Keys // at point

	counterparty *commitment.Keys // of its next commitment
}

// Prepare does what can be done before the next message. It is called when everything so far was delivered, returns nothing and changes no outcome.
func (c *Channel) Prepare() {
	// A commitment that is about to be signed comes first.
	if !c.ahead.used || c.armed || c.facts == nil || !c.up() {
		return
	}
	f := c.facts
	if point, err := c.holderPoint(f.HolderNumber + 1); err == nil && c.ahead.holder == nil {
		c.ahead.holder, _ = c.cfg.Keys(&f.Tx, true, point)
	}
	if f.Unrevoked {
		return // the point after it comes with the revocation
	}
	if point, err := btcec.ParsePubKey(f.CounterpartyNextPoint[:]); err == nil && (c.ahead.counterparty == nil || !c.ahead.counterparty.PerCommitmentPoint.IsEqual(point)) {
		c.ahead.counterparty, _ = c.cfg.Keys(&f.Tx, false, point)
	}
}

// holderPoint is the per-commitment point of a holder commitment. It is asked for twice: to be told to the peer, and when the commitment comes.
func (c *Channel) holderPoint(number uint64) (*btcec.PublicKey, error) {
	if c.ahead.point != nil && c.ahead.number == number {
		return c.ahead.point, nil
	}
	point, err := c.signer.PerCommitmentPoint(c.facts.KeyIndex, number)
	if err != nil {
		return nil, err
	}
	c.ahead.number, c.ahead.point, c.ahead.holder = number, point, nil
	return point, nil
}

// build makes the transaction of a view, with the keys that were derived ahead if they are of it.
func (c *Channel) build(s *commitment.Static, v *commitment.View) (*commitment.Tx, error) {
	c.ahead.used = true
	keys := c.ahead.counterparty
	if v.OwnerIsHolder {
		keys = c.ahead.holder
	}
	if keys == nil || !keys.PerCommitmentPoint.IsEqual(v.PerCommitmentPoint) {
		var err error
		if keys, err = c.cfg.Keys(s, v.OwnerIsHolder, v.PerCommitmentPoint); err != nil {
			return nil, err
		}
	}
	v.Keys = keys
	return commitment.Build(s, v)
}
