package graph

import (
	"slices"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/messages"
)

// summary answers GetGraph.
func (c *core) summary(m messages.GetGraph) {
	s := c.g.Stats()
	r := messages.GraphSummary{
		Nodes: s.Nodes, Announced: s.Announced, Channels: s.Channels, Policies: s.Policies, Bytes: s.Bytes, Dropped: c.dropped,
	}
	for _, id := range c.order {
		switch y := c.peers[id].sync; {
		case !y.chosen:
		case y.stage == syncDone:
			r.Synced++
		default:
			r.Syncing++
		}
	}
	c.tell(m.ReplyTo, r)
}

// list answers ListGraph.
func (c *core) list(m messages.ListGraph) {
	limit := m.Limit
	if limit <= 0 {
		limit = 100
	}
	all := c.g.Sorted()
	i, found := slices.BinarySearchFunc(all, m.After, func(ch *store.Channel, scid uint64) int {
		switch {
		case ch.SCID < scid:
			return -1
		case ch.SCID > scid:
			return 1
		}
		return 0
	})
	if found {
		i++
	}
	var r messages.GraphList
	for _, ch := range all[i:min(len(all), i+min(limit, len(all)-i))] {
		x := messages.GraphChannel{SCID: ch.SCID, CapacitySat: ch.CapacitySat}
		for d, n := range ch.Nodes {
			x.Nodes[d] = n.ID
			if n.Info != nil {
				x.Aliases[d] = n.Info.Alias
			}
			x.Policies[d] = policyOf(ch.Policies[d])
		}
		r.Channels = append(r.Channels, x)
	}
	c.tell(m.ReplyTo, r)
}

// policies answers ListPolicies.
func (c *core) policies(m messages.ListPolicies) {
	var r messages.PolicyList
	for _, o := range c.owns() {
		x := messages.OwnPolicies{Channel: o.Channel, Peer: o.Peer, SCID: o.SCID, Alias: o.Alias, Ours: policyOf(ourPolicy(o)), Theirs: policyOf(o.policy)}
		x.Policy, x.Default = c.policy(o), o.Policy.IsDefault()
		if ch := c.public(o); ch != nil {
			x.Announced = true
			d := c.dir(o)
			x.Ours = policyOf(ch.Policies[d])
			if p := ch.Policies[1-d]; p != nil && (o.policy == nil || p.Timestamp >= o.policy.Timestamp) {
				x.Theirs = policyOf(p)
			}
		}
		r.Channels = append(r.Channels, x)
	}
	c.tell(m.ReplyTo, r)
}

func policyOf(p *store.Policy) messages.ChannelPolicy {
	if p == nil {
		return messages.ChannelPolicy{}
	}
	return messages.ChannelPolicy{
		Known: true, Disabled: p.Disabled, CLTVDelta: p.CLTVDelta, MinMsat: p.MinMsat, MaxMsat: p.MaxMsat, BaseMsat: p.BaseMsat,
		PropMillionths: p.PropMillionths, Timestamp: p.Timestamp,
	}
}
