package graph

import (
	"bytes"
	"errors"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// item is a message that waits for its turn.
type item struct {
	from    ln.NodeID
	session uint64
	msg     lnwire.Message
}

// gossip takes in what a peer says. Conversations are answered at once, announcements wait.
func (c *core) gossip(m messages.Gossip, now time.Time) {
	p := c.peers[m.Peer]
	if p == nil || p.session != m.Session {
		return // GossipUp is before it, so this session is over; or this incarnation has not heard of it, then nothing is lost
	}
	for _, msg := range m.Msgs {
		switch msg := msg.(type) {
		case *lnwire.AnnounceSignatures1:
			c.theirSignatures(p, msg, now)
		case *lnwire.ChannelUpdate1:
			if !c.theirPolicy(p, msg, now) {
				c.wait(p, msg)
			}
		case *lnwire.ChannelAnnouncement1, *lnwire.NodeAnnouncement1:
			c.wait(p, msg)
		case *lnwire.QueryShortChanIDs:
			c.queryIDs(p, msg, now)
		case *lnwire.QueryChannelRange:
			c.queryRange(p, msg, now)
		case *lnwire.GossipTimestampRange:
			c.setFilter(p, msg)
		case *lnwire.ReplyChannelRange:
			c.replyRange(p, msg, now)
		case *lnwire.ReplyShortChanIDsEnd:
			c.replyEnd(p, now)
		}
	}
}

// wait puts a message into the queue, if there is room and the peer's share is not used up.
func (c *core) wait(p *peer, msg lnwire.Message) {
	if len(c.queue) >= c.cfg.Queue || p.waiting >= c.cfg.Share {
		c.dropped++
		return
	}
	p.waiting++
	c.queue = append(c.queue, item{p.id, p.session, msg})
}

// batchSize bounds what is verified at once: about 100 ms of signatures on one core.
const batchSize = 200

// job is a message of a batch, parsed and wanted.
type job struct {
	item    item
	channel *store.ChannelMsg
	update  *store.UpdateMsg
	node    *store.NodeMsg
	signer  ln.NodeID // of update

	// What verification brings.
	err     error
	funding store.Funding
}

// batch is a portion of the queue.
type batch struct {
	inc  uint64
	tip  uint32
	jobs []*job
}

// next makes the next batch, nil if there is nothing to verify or one is under way.
func (c *core) next(now time.Time) *batch {
	if c.busy || c.tip == 0 {
		return nil // without the chain nothing can be told true from false
	}
	for len(c.queue) > 0 {
		n := min(len(c.queue), batchSize)
		taken := c.queue[:n]
		c.queue = c.queue[n:]
		if len(c.queue) == 0 {
			c.queue = nil // give the memory back
		}
		b := &batch{inc: c.inc, tip: c.tip}
		f := fresh{channels: map[uint64]*store.ChannelMsg{}, nodes: map[ln.NodeID]bool{}, rivals: map[uint64]bool{}}
		for _, it := range taken {
			j, later := c.prepare(it, &f, now)
			if later {
				c.queue = append(c.queue, it)
				continue
			}
			if p := c.peers[it.from]; p != nil && p.session == it.session && p.waiting > 0 {
				p.waiting--
			}
			if j != nil {
				b.jobs = append(b.jobs, j)
			}
		}
		if len(b.jobs) > 0 {
			c.busy = true
			return b
		}
	}
	return nil
}

// fresh is what a batch announces: it counts as known for what follows in the batch.
type fresh struct {
	channels map[uint64]*store.ChannelMsg
	nodes    map[ln.NodeID]bool
	rivals   map[uint64]bool // channels that another announcement in the batch speaks of otherwise
}

// prepare parses a message and sees whether it is wanted. What can't be judged before the batch is verified comes later.
func (c *core) prepare(it item, f *fresh, now time.Time) (j *job, later bool) {
	j = &job{item: it}
	switch m := it.msg.(type) {
	case *lnwire.ChannelAnnouncement1:
		if !c.heeded(it, now) {
			c.dropped++
			return nil, false
		}
		p, err := store.ParseChannel(m, c.cfg.Chain)
		if err != nil || c.g.WantChannel(p) != nil || c.lies.has(lieOf(p)) || c.usurps(p) {
			return nil, false
		}
		if other := f.channels[p.SCID]; other != nil {
			rival := !bytes.Equal(other.Raw, p.Raw)
			if rival {
				f.rivals[p.SCID] = true
			}
			return nil, rival
		}
		if store.Height(p.SCID) > c.tip {
			c.tooEarly(it, p.SCID)
			return nil, false
		}
		f.channels[p.SCID] = p
		f.nodes[p.Nodes[0]], f.nodes[p.Nodes[1]] = true, true
		j.channel = p
	case *lnwire.ChannelUpdate1:
		p, err := store.ParseUpdate(m, c.cfg.Chain)
		if err != nil {
			return nil, false
		}
		switch err := c.g.WantUpdate(p, now); {
		case err == nil:
			j.signer = c.g.Channel(p.SCID).Nodes[p.Dir].ID
		case errors.Is(err, store.ErrUnknownChannel) && f.rivals[p.SCID]:
			return nil, true
		case errors.Is(err, store.ErrUnknownChannel) && f.channels[p.SCID] != nil:
			j.signer = f.channels[p.SCID].Nodes[p.Dir]
		case errors.Is(err, store.ErrUnknownChannel):
			c.tooEarly(it, p.SCID)
			return nil, false
		default:
			return nil, false
		}
		j.update = p
	case *lnwire.NodeAnnouncement1:
		p, err := store.ParseNode(m)
		if err != nil {
			return nil, false
		}
		switch err := c.g.WantNode(p, now); {
		case err == nil:
		case !errors.Is(err, store.ErrUnknownNode):
			return nil, false
		case len(f.rivals) > 0:
			return nil, true
		case !f.nodes[p.ID]:
			return nil, false
		}
		j.node = p
	default:
		return nil, false
	}
	return j, false
}

// maxEarly bounds what waits for a block that this node has not seen yet.
const maxEarly = 1000

// tooEarly keeps a message about a channel of a block that may come with the next tip: a peer's chain may be ahead of ours by a block or two.
func (c *core) tooEarly(it item, scid uint64) {
	if h := store.Height(scid); h > c.tip && h <= c.tip+2 && len(c.early) < maxEarly {
		c.early = append(c.early, it)
	}
}

// apply takes in the results of a batch.
func (c *core) apply(b *batch, now time.Time) {
	if b.inc != c.inc {
		return
	}
	c.busy = false
	var watch []wire.OutPoint
	lowest := ^uint32(0)
	for _, j := range b.jobs {
		switch {
		case j.channel != nil:
			if c.applyChannel(j, now) {
				watch = append(watch, j.funding.Outpoint)
				lowest = min(lowest, store.Height(j.channel.SCID))
			}
		case j.err != nil:
			c.dropped++
		case j.update != nil:
			if c.g.SetPolicy(j.update, now, false) == nil {
				c.accepted(key{kindUpdate, j.update.SCID, j.update.Dir, ln.NodeID{}}, j.item, j.update.Policy.Timestamp)
			}
		case j.node != nil:
			if c.g.SetNode(j.node, now) == nil {
				c.accepted(key{kindNode, 0, 0, j.node.ID}, j.item, j.node.Info.Timestamp)
			}
		}
	}
	c.watchNew(lowest, watch)
	for _, id := range c.order {
		c.proceedSync(c.peers[id], now)
	}
}

func (c *core) applyChannel(j *job, now time.Time) bool {
	switch {
	case errors.Is(j.err, ErrNoOutput) || errors.Is(j.err, errOtherScript):
		// Whoever signed this lied, or the channel left the chain with a reorganisation. A channel near the tip may be at its place again.
		c.dropped++
		if store.Height(j.channel.SCID)+Depth > c.tip {
			return false
		}
		if errors.Is(j.err, ErrNoOutput) {
			c.g.Bury(j.channel.SCID)
		} else {
			c.lies.add(lieOf(j.channel))
		}
		c.lied(j.item, now)
		return false
	case errors.Is(j.err, store.ErrSignature):
		c.lied(j.item, now)
		c.dropped++
		return false
	case j.err != nil:
		c.dropped++
		return false
	}
	if c.g.AddChannel(j.channel, j.funding, now) != nil {
		return false
	}
	c.accepted(key{kindChannel, j.channel.SCID, 0, ln.NodeID{}}, j.item, 0)
	if o := c.at(j.channel.SCID); o != nil { // our own: what we knew of it was lost
		c.publishTheirs(o)
	}
	return true
}
