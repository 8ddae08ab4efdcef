package graph

import (
	"cmp"
	"slices"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// kinds of gossip, in the order in which they have to be sent.
type kind uint8

const (
	kindChannel kind = iota
	kindUpdate
	kindNode
)

// key names a thing that gossip is about; of each only the newest message is passed on.
type key struct {
	kind kind
	scid uint64
	dir  int
	node ln.NodeID
}

// parcel is a message that waits to be passed on.
type parcel struct {
	msg       lnwire.Message
	from      ln.NodeID // who knows it already; zero: it is our own
	timestamp uint32
}

// accepted puts a message that is new to us into the outbox.
func (c *core) accepted(k key, it item, timestamp uint32) {
	c.outbox[k] = parcel{msg: it.msg, from: it.from, timestamp: timestamp}
}

// post puts a message of our own into the outbox.
func (c *core) post(k key, msg lnwire.Message, timestamp uint32) {
	c.outbox[k] = parcel{msg: msg, timestamp: timestamp}
}

// portion bounds the messages that go to a peer in one piece.
const portion = 100

// pass gives every peer what it wants of the outbox.
func (c *core) pass() {
	keys := make([]key, 0, len(c.outbox))
	for k := range c.outbox {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.scid, b.scid), cmp.Compare(a.dir, b.dir), compareNodes(a.node, b.node))
	})
	var ready []parcel
	for _, k := range keys {
		p := c.outbox[k]
		if k.kind == kindChannel {
			// A channel is not spoken of before there is an update, whose time stands for both (BOLT 7).
			ch := c.g.Channel(k.scid)
			if ch == nil {
				delete(c.outbox, k)
				continue
			}
			if p.timestamp = ch.Newest(); p.timestamp == 0 {
				continue
			}
		} else if k.kind == kindUpdate && c.g.Channel(k.scid) == nil {
			delete(c.outbox, k)
			continue
		}
		delete(c.outbox, k)
		ready = append(ready, p)
	}
	for _, id := range c.order {
		p := c.peers[id]
		var msgs []lnwire.Message
		for _, x := range ready {
			if x.from == id || x.from != (ln.NodeID{}) && !p.wants(x.timestamp) {
				continue
			}
			msgs = append(msgs, x.msg)
		}
		for part := range slices.Chunk(msgs, portion) {
			c.send(p, true, part...)
		}
	}
}

// wants tells whether a peer asked for messages of this time. One that did not ask for any gets none but our own (BOLT 7).
func (p *peer) wants(timestamp uint32) bool {
	f := p.filter
	return f != nil && timestamp >= f.FirstTimestamp && uint64(timestamp) < uint64(f.FirstTimestamp)+uint64(f.TimestampRange)
}
