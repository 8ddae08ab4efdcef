package graph

import (
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
)

// answer is a query_short_channel_ids that is being answered.
type answer struct {
	active bool
	ids    []uint64
	nodes  map[ln.NodeID]bool // announced to the peer in this answer
}

// backlog is what a peer's filter asks for of what we know already.
type backlog struct {
	active bool
	next   uint64 // short channel id
	nodes  map[ln.NodeID]bool
}

// maxQuery bounds the channels asked for at once: more than fit a message without compression.
const maxQuery = 8192

// each is how many channels are told of in one tick.
const each = 100

// queryIDs begins to answer. A second query before the answer is complete breaks BOLT 7 and is ignored.
func (c *core) queryIDs(p *peer, m *lnwire.QueryShortChanIDs, now time.Time) {
	if p.answer.active {
		return
	}
	if m.ChainHash != c.cfg.Chain || len(m.ShortChanIDs) > maxQuery || !p.bucket.Take(c.cfg.Queries, now, int64(1+len(m.ShortChanIDs)/100)) {
		c.send(p, false, &lnwire.ReplyShortChanIDsEnd{ChainHash: m.ChainHash})
		return
	}
	p.answer = answer{active: true, nodes: map[ln.NodeID]bool{}}
	for _, id := range m.ShortChanIDs {
		p.answer.ids = append(p.answer.ids, id.ToUint64())
	}
	c.proceedAnswer(p)
}

// proceedAnswer tells the next portion.
func (c *core) proceedAnswer(p *peer) {
	a := &p.answer
	if !a.active {
		return
	}
	n := min(each, len(a.ids))
	var msgs []lnwire.Message
	for _, scid := range a.ids[:n] {
		if ch := c.g.Channel(scid); ch != nil {
			msgs = c.describe(msgs, ch, a.nodes, nil)
		}
	}
	a.ids = a.ids[n:]
	c.send(p, true, msgs...)
	if len(a.ids) == 0 {
		p.answer = answer{}
		c.send(p, false, &lnwire.ReplyShortChanIDsEnd{ChainHash: c.cfg.Chain, Complete: 1})
	}
}

// describe adds all that is known of a channel, and of its nodes if they were not told of, where a filter wants it.
func (c *core) describe(msgs []lnwire.Message, ch *store.Channel, nodes map[ln.NodeID]bool, wants func(uint32) bool) []lnwire.Message {
	add := func(raw []byte) {
		if m, err := store.Message(raw); err == nil {
			msgs = append(msgs, m)
		}
	}
	if wants != nil && !wants(ch.Newest()) {
		return msgs
	}
	add(ch.Raw)
	for _, p := range ch.Policies {
		if p != nil && (wants == nil || wants(p.Timestamp)) {
			add(p.Raw)
		}
	}
	for _, n := range ch.Nodes {
		if n.Info != nil && !nodes[n.ID] && (wants == nil || wants(n.Info.Timestamp)) {
			nodes[n.ID] = true
			add(n.Info.Raw)
		}
	}
	return msgs
}

// setFilter takes what a peer wants to hear from now on, and begins to tell what we know of that already.
func (c *core) setFilter(p *peer, m *lnwire.GossipTimestampRange) {
	if m.ChainHash != c.cfg.Chain {
		return
	}
	p.filter = m
	p.backlog = backlog{}
	if m.TimestampRange > 0 {
		p.backlog = backlog{active: true, nodes: map[ln.NodeID]bool{}}
	}
}

// proceedBacklog tells the next portion.
func (c *core) proceedBacklog(p *peer) {
	b := &p.backlog
	if !b.active {
		return
	}
	all := c.g.Sorted()
	i, _ := slices.BinarySearchFunc(all, b.next, func(ch *store.Channel, scid uint64) int {
		switch {
		case ch.SCID < scid:
			return -1
		case ch.SCID > scid:
			return 1
		}
		return 0
	})
	// Channels that are not wanted cost a look only.
	const looks = 20 * each
	var msgs []lnwire.Message
	for n := 0; i < len(all) && n < looks && len(msgs) < each; i, n = i+1, n+1 {
		msgs = c.describe(msgs, all[i], b.nodes, p.wants)
		b.next = all[i].SCID + 1
	}
	c.send(p, true, msgs...)
	if i >= len(all) {
		p.backlog = backlog{}
	}
}

// maxReply is the number of channels in one reply_channel_range: 8 bytes each, within a message.
const maxReply = 8000

// queryRange answers with the short channel ids of a range of blocks.
func (c *core) queryRange(p *peer, m *lnwire.QueryChannelRange, now time.Time) {
	if m.ChainHash != c.cfg.Chain {
		c.send(p, false, &lnwire.ReplyChannelRange{ChainHash: m.ChainHash, FirstBlockHeight: m.FirstBlockHeight, NumBlocks: m.NumBlocks})
		return
	}
	found := c.g.Range(m.FirstBlockHeight, m.NumBlocks)
	if !p.bucket.Take(c.cfg.Queries, now, min(int64(1+len(found)/100), c.cfg.Queries.Burst)) {
		return // it asks too often; it will ask again
	}
	end := uint64(m.FirstBlockHeight) + uint64(m.NumBlocks)
	first := uint64(m.FirstBlockHeight)
	for {
		n := min(len(found), c.reply)
		r := &lnwire.ReplyChannelRange{ChainHash: m.ChainHash, FirstBlockHeight: uint32(first)} //nolint:gosec // within the range asked for
		for _, ch := range found[:n] {
			r.ShortChanIDs = append(r.ShortChanIDs, lnwire.NewShortChanIDFromInt(ch.SCID))
		}
		found = found[n:]
		last := end
		if len(found) > 0 {
			// The next reply may begin with the block that this one ends in.
			last = uint64(store.Height(r.ShortChanIDs[n-1].ToUint64())) + 1
		} else {
			r.Complete = 1
		}
		r.NumBlocks = uint32(last - first) //nolint:gosec // within the range asked for
		c.send(p, false, r)
		if len(found) == 0 {
			return
		}
		first = uint64(store.Height(found[0].SCID))
		first = min(first, last)
	}
}
