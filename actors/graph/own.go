package graph

import (
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// ownChannel is a channel of this node.
type ownChannel struct {
	messages.OwnChannel
	theirs     *lnwire.AnnounceSignatures1 // until the announcement is made of both halves
	signed     uint64                      // session in which our half was sent
	signedAt   time.Time
	told       uint64 // session in which the peer was sent our update
	toldAt     time.Time
	toldAs     uint64           // under this short channel id
	ours       *store.UpdateMsg // newest, made for the peer or for all
	policy     *store.Policy    // of the peer, as it told us
	away       time.Time        // since when the peer is away; zero: it is not
	managerHas managerHas
	rejected   bool         // signatures of the peer were wrong: told once
	changes    store.Bucket // of our updates
}

// dir is the index of this node among the channel's two.
func (c *core) dir(o *ownChannel) int {
	if compareNodes(c.cfg.Self, o.Peer) > 0 {
		return 1
	}
	return 0
}

// public is the channel in the graph, nil before it is announced.
func (c *core) public(o *ownChannel) *store.Channel {
	if o.SCID == 0 || !o.Announce {
		return nil
	}
	return c.g.Channel(o.SCID)
}

// ownChannel takes in what a channel tells of itself.
func (c *core) ownChannel(m messages.OwnChannel, now time.Time) {
	o := c.own[m.Channel]
	if o == nil {
		if m.Ended {
			return
		}
		o = &ownChannel{away: now}
		c.own[m.Channel] = o
	}
	if o.SCID != m.SCID { // found in the chain, or moved by a reorganisation
		delete(c.places, o.SCID)
		c.g.Remove(o.SCID)
		c.g.Exhume(m.SCID)
		o.theirs, o.signed, o.told = nil, 0, 0
	}
	if m.Up != o.Up || o.away.IsZero() != m.Up {
		o.away = time.Time{}
		if !m.Up {
			o.away = now
		}
	}
	o.OwnChannel = m
	if m.Ended {
		c.update(o, now) // the last one says that it is disabled
		delete(c.places, o.SCID)
		delete(c.places, o.Alias)
		delete(c.own, m.Channel)
		return // the block that spends the funding output takes it out of the graph
	}
	for _, place := range []uint64{m.SCID, m.Alias} {
		if place != 0 {
			c.places[place] = m.Channel
		}
	}
	c.tend(o, now)
	c.announceNode(now)
}

// at is the own channel with a short channel id or an alias, nil if there is none.
func (c *core) at(scid uint64) *ownChannel {
	if id, known := c.places[scid]; known {
		return c.own[id]
	}
	return nil
}

// owns are the own channels, in order.
func (c *core) owns() []*ownChannel {
	out := make([]*ownChannel, 0, len(c.own))
	for _, o := range c.own {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b *ownChannel) int { return slices.Compare(a.Channel[:], b.Channel[:]) })
	return out
}

func (c *core) tendAll(now time.Time) {
	for _, o := range c.owns() {
		c.tend(o, now)
	}
	c.announceNode(now)
}

func (c *core) tendPeer(id ln.NodeID, now time.Time) {
	for _, o := range c.owns() {
		if o.Peer == id {
			c.tend(o, now)
		}
	}
}

// tend does what is due for a channel.
func (c *core) tend(o *ownChannel, now time.Time) {
	c.halves(o, now)
	c.update(o, now)
}

// buried tells whether a channel may be announced.
func (c *core) buried(o *ownChannel) bool {
	return o.Announce && o.Open && o.SCID != 0 && c.tip != 0 && uint64(c.tip)+1 >= uint64(store.Height(o.SCID))+Depth
}

// halves sends our announcement_signatures, and makes the announcement once both halves are known.
func (c *core) halves(o *ownChannel, now time.Time) {
	if !c.buried(o) || c.public(o) != nil {
		return
	}
	if p := c.peers[o.Peer]; p != nil && o.Up && c.again(o.signed, o.signedAt, p, now) {
		c.sendHalf(o, p, now)
	}
	if o.theirs == nil {
		return
	}
	if err := c.announceChannel(o, now); err != nil {
		o.theirs = nil
		if !o.rejected {
			o.rejected = true
			c.log.Warn("a peer's announcement_signatures are no use", "channel_id", o.Channel.String(), "error", err)
		}
	}
}

// again tells whether a peer is to be told something now: once in a session, and after a while again, for it may have lost what it keeps in memory.
func (c *core) again(session uint64, at time.Time, p *peer, now time.Time) bool {
	return session != p.session || now.Sub(at) >= c.cfg.Times.Resync
}

func (c *core) sendHalf(o *ownChannel, p *peer, now time.Time) {
	m, err := c.half(o)
	if err != nil {
		c.complain("channel can't be announced", err)
		return
	}
	o.signed, o.signedAt = p.session, now
	c.send(p, false, m)
}

// theirSignatures takes in the peer's half. Ours is sent again for it, but not time and again, since a peer that sends its half lacks ours (BOLT 7).
func (c *core) theirSignatures(p *peer, m *lnwire.AnnounceSignatures1, now time.Time) {
	o := c.own[ln.ChannelID(m.ChannelID)]
	if o == nil || o.Peer != p.id || !o.Announce || o.SCID != 0 && m.ShortChannelID.ToUint64() != o.SCID {
		return
	}
	if c.buried(o) && c.again(o.signed, o.signedAt, p, now) {
		c.sendHalf(o, p, now)
	}
	if c.public(o) == nil {
		o.theirs = m
		c.halves(o, now)
		c.update(o, now)
		c.announceNode(now)
	}
}

// theirPolicy takes a channel_update of a peer for a channel that we share and that is not public (yet); false if it is none.
func (c *core) theirPolicy(p *peer, u *lnwire.ChannelUpdate1, now time.Time) bool {
	o := c.at(u.ShortChannelID.ToUint64())
	if o == nil || o.Peer != p.id {
		return false
	}
	m, err := store.ParseUpdate(u, c.cfg.Chain)
	if err != nil || m.Dir != 1-c.dir(o) || m.Policy.MaxMsat/1000 > o.CapacitySat || o.policy != nil && m.Policy.Timestamp <= o.policy.Timestamp {
		return c.public(o) == nil
	}
	if !p.bucket.Take(c.cfg.Queries, now, 1) || m.Verify(o.Peer) != nil {
		return c.public(o) == nil
	}
	o.policy = &m.Policy
	return c.public(o) == nil
}
