package channel

import (
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// gossip is what may change of what the graph is told about a channel.
type gossip struct {
	scid, alias     uint64
	open, up, ended bool
	policy          facts.Policy
}

// tellGraph tells the graph of the channel when something changed that it may have to announce (BOLT 7).
func (c *Channel) tellGraph() {
	f := c.facts
	if f == nil || !c.cfg.Gossip {
		return
	}
	now := gossip{alias: f.CounterpartyAlias, open: f.Open() && !c.failed, up: c.usable, ended: f.Ended(), policy: f.Policy}
	if t := f.Funding; t != nil {
		now.scid = uint64(t.Height)<<40 | uint64(t.TxIndex)<<16 | uint64(f.Tx.Funding.Index)
	}
	if c.told != nil && *c.told == now {
		return
	}
	c.told = &now
	m := messages.OwnChannel{
		Channel: f.ID, Peer: f.Peer, KeyIndex: f.KeyIndex, Announce: f.Announce, Funding: f.Tx.Funding, CapacitySat: uint64(f.Tx.Capacity),
		SCID: now.scid, Alias: f.Alias, CounterpartyAlias: f.CounterpartyAlias,
		MinMsat: f.Counterparty.HTLCMinimumMsat, MaxMsat: f.Counterparty.MaxHTLCValueInFlightMsat, Policy: f.Policy,
		Open: now.open, Up: now.up && now.open, Ended: now.ended,
	}
	if h, t := f.Tx.Holder.Funding, f.Tx.Counterparty.Funding; h != nil && t != nil {
		copy(m.HolderKey[:], h.SerializeCompressed())
		copy(m.CounterpartyKey[:], t.SerializeCompressed())
	}
	c.tell(messages.GraphAddr, m)
}
