package channel

import (
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
)

// monitorFact takes over what the monitor itself found out; it is durable.
func (c *Channel) monitorFact(u facts.Update) error {
	if d, ok := u.(facts.Decided); ok && c.facts.Inbound[d.HTLCID] == nil {
		return nil // a preimage for an HTLC that was live for the monitor, which is behind; its removal is under way
	}
	ended, ready := c.facts.Ended(), c.facts.HolderReady
	if _, err := c.facts.Apply(u); err != nil {
		return err
	}
	switch {
	case c.facts.Ended() && !ended:
		c.refuseQueue(ErrClosing)
	case c.facts.Unburied():
		c.refuseQueue(ErrUnburied)
	}
	switch u.(type) {
	case facts.HolderReady:
		if !ready && (c.up() || c.readyWanted()) { // else the funding is deep again, which is nothing to the peer
			return c.sayReady()
		}
	case facts.ForceClosed:
		if c.session.link == linkUp && !c.failed {
			c.session.link = linkMute
			c.sayError("the channel was closed with our commitment")
		}
	}
	return nil
}

// sayReady sends channel_ready: the funding is deep enough, which is durable (rule 4). After a new connection it is sent again as long as no
// commitment was made (BOLT 2).
func (c *Channel) sayReady() error {
	if c.session.readySaid {
		return nil
	}
	point, err := c.signer.PerCommitmentPoint(c.facts.KeyIndex, 1)
	if err != nil {
		return err
	}
	msg := lnwire.NewChannelReady(c.wireID(), point)
	if c.facts.Alias != 0 {
		alias := lnwire.NewShortChanIDFromInt(c.facts.Alias)
		msg.AliasScid = &alias
	}
	c.session.readySaid = true
	c.say(msg)
	return nil
}

// readyWanted tells whether the peer says channel_ready before channel_reestablish and waits for ours. lnd does so when the connection was lost before the
// funding confirmed: its link to the channel, which says channel_reestablish, is made when our channel_ready has come. To hold ours back until then, as BOLT 2
// asks, would leave both waiting for ever. With no commitment made, there is nothing that it could come too early for.
func (c *Channel) readyWanted() bool {
	f := c.facts
	return c.session.link == linkSyncing && c.session.readyEarly && f.HolderReady && f.HolderNumber == 0 && f.CounterpartyNumber == 0 && !f.Unrevoked &&
		!f.Unverified && !c.failed && !f.Ended()
}

// channelReady: the peer is ready, perhaps before us. Repeats tell nothing new (BOLT 2), but on which connection it said so.
func (c *Channel) channelReady(m *lnwire.ChannelReady) error {
	if err := c.counterpartyReady(m); err != nil {
		return err
	}
	c.session.readyEarly = c.session.link == linkSyncing
	if c.readyWanted() {
		return c.sayReady()
	}
	return nil
}

func (c *Channel) counterpartyReady(m *lnwire.ChannelReady) error {
	if c.facts.CounterpartyReady || c.facts.Ended() {
		return nil
	}
	if m.NextPerCommitmentPoint == nil {
		return broken("channel_ready without second_per_commitment_point")
	}
	u := facts.CounterpartyReady{NextPoint: [33]byte(m.NextPerCommitmentPoint.SerializeCompressed())}
	if m.AliasScid != nil {
		u.Alias = m.AliasScid.ToUint64()
	}
	return c.apply(u)
}
