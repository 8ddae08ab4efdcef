package graph

import (
	"math"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// syncState is how far we are with asking a peer.
type syncState struct {
	chosen bool
	failed bool // it did not answer: another one is asked for a while
	ready  bool // the last answer is complete
	stage  stage
	since  time.Time // of the last question or answer
	begun  time.Time // when it was asked what channels there are
	end    uint64    // the block up to which it said
	last   uint64    // and the last channel of it
	ids    []uint64  // unknown to us, to be asked for
	count  int       // of those that the range held
}

type stage uint8

const (
	syncIdle stage = iota
	syncRange
	syncIDs
	syncDone
)

// askFor is how many channels are asked for at once: their answer is about 200 kB.
const askFor = 250

// chooseSync keeps the number of peers that are asked.
func (c *core) chooseSync(now time.Time) {
	n := 0
	for _, id := range c.order {
		if c.peers[id].sync.chosen {
			n++
		}
	}
	for ; n < c.cfg.SyncPeers; n++ {
		p := c.candidate()
		if p == nil {
			return
		}
		p.sync.chosen, p.chosen, c.rotated = true, now, now
		c.beginSync(p, now)
	}
}

// candidate is who is asked next: whoever was chosen longest ago, so that nobody keeps the others from being asked, and a peer with a channel if none
// of those chosen has one: strangers are as many as they like.
func (c *core) candidate() *peer {
	shared := map[ln.NodeID]bool{}
	for _, o := range c.own {
		shared[o.Peer] = true
	}
	for _, p := range c.peers {
		if p.sync.chosen && shared[p.id] {
			clear(shared)
			break
		}
	}
	var best *peer
	for _, id := range c.order {
		p := c.peers[id]
		if !p.queries || p.sync.chosen || p.sync.failed {
			continue
		}
		if best == nil || shared[id] && !shared[best.id] || shared[id] == shared[best.id] && p.chosen.Before(best.chosen) {
			best = p
		}
	}
	return best
}

// rotate has one of the peers that are asked give way to another one, however well it seems to answer: what a peer keeps from us, others tell.
func (c *core) rotate(now time.Time) {
	if now.Sub(c.rotated) < c.cfg.Times.Resync {
		return
	}
	c.rotated = now
	var chosen []*peer
	for _, id := range c.order {
		if p := c.peers[id]; p.sync.chosen {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) < c.cfg.SyncPeers {
		return
	}
	slices.SortStableFunc(chosen, func(a, b *peer) int { return a.chosen.Compare(b.chosen) })
	for _, p := range chosen {
		p.sync.chosen = false
		if next := c.candidate(); next == nil || next == p { // the only one with a channel
			p.sync.chosen = true
			continue
		}
		p.sync = syncState{}
		c.send(p, false, &lnwire.GossipTimestampRange{ChainHash: c.cfg.Chain, FirstTimestamp: math.MaxUint32})
		c.chooseSync(now)
		return
	}
}

// beginSync asks for what is new from now on, and for what there is.
func (c *core) beginSync(p *peer, now time.Time) {
	p.sync = syncState{chosen: true, stage: syncRange, since: now, begun: now}
	c.send(p, false,
		&lnwire.GossipTimestampRange{ChainHash: c.cfg.Chain, FirstTimestamp: c.since(now), TimestampRange: math.MaxUint32},
		&lnwire.QueryChannelRange{ChainHash: c.cfg.Chain, NumBlocks: math.MaxUint32},
	)
}

// overlap is how far gossip is asked for again, since it takes time through the network.
const overlap = time.Hour

// since is the time from which on updates are asked for: that of the newest one known, an hour back. Channels that are unknown are asked for by id.
func (c *core) since(now time.Time) uint32 {
	newest := now
	if all := c.g.Sorted(); len(all) > 0 {
		var t uint32
		for _, ch := range all {
			t = max(t, ch.Newest())
		}
		if at := time.Unix(int64(t), 0); at.Before(newest) {
			newest = at
		}
	}
	return uint32(max(newest.Add(-overlap).Unix(), 0)) //nolint:gosec // until 2106
}

// replyRange collects the channels that we do not know.
func (c *core) replyRange(p *peer, m *lnwire.ReplyChannelRange, now time.Time) {
	s := &p.sync
	if s.stage != syncRange || m.ChainHash != c.cfg.Chain {
		return
	}
	end := uint64(m.FirstBlockHeight) + uint64(m.NumBlocks)
	last := s.last
	if n := len(m.ShortChanIDs); n > 0 {
		last = max(last, m.ShortChanIDs[n-1].ToUint64())
	}
	if end > s.end || last > s.last { // else it says nothing, and is no answer
		s.since, s.end, s.last = now, max(end, s.end), last
	}
	for _, id := range m.ShortChanIDs {
		if s.count++; s.count > 2*c.maxChannels() {
			c.endSync(p) // there can't be so many
			return
		}
		if scid := id.ToUint64(); c.g.Wants(scid) {
			s.ids = append(s.ids, scid)
		}
	}
	// The last reply ends where our query did; what else says "complete" means other things in other implementations.
	if end >= math.MaxUint32 {
		slices.Sort(s.ids)
		s.ids = slices.Compact(s.ids)
		s.stage = syncIDs
		c.askNext(p, now)
	}
}

func (c *core) maxChannels() int { return c.g.Room() + c.g.Stats().Channels }

// askNext asks for the next channels.
func (c *core) askNext(p *peer, now time.Time) {
	s := &p.sync
	// Another peer may have told of them meanwhile.
	s.ids = slices.DeleteFunc(s.ids, func(scid uint64) bool { return !c.g.Wants(scid) })
	if len(s.ids) == 0 {
		c.endSync(p)
		return
	}
	n := min(len(s.ids), askFor)
	q := &lnwire.QueryShortChanIDs{ChainHash: c.cfg.Chain, EncodingType: lnwire.EncodingSortedPlain}
	for _, scid := range s.ids[:n] {
		q.ShortChanIDs = append(q.ShortChanIDs, lnwire.NewShortChanIDFromInt(scid))
	}
	s.ids = s.ids[n:]
	s.since, s.ready = now, false
	c.send(p, false, q)
}

// replyEnd is the end of an answer to askNext.
func (c *core) replyEnd(p *peer, now time.Time) {
	if s := &p.sync; s.stage == syncIDs {
		s.ready, s.since = true, now
		c.proceedSync(p, now)
	}
}

func (c *core) endSync(p *peer) {
	p.sync.stage, p.sync.ids = syncDone, nil
}

// proceedSync asks on when there is room for the answer, gives up on a peer that does not answer, and asks again after a while.
func (c *core) proceedSync(p *peer, now time.Time) {
	s := &p.sync
	age := now.Sub(s.since)
	switch {
	case s.failed && age >= c.cfg.Times.Resync:
		s.failed = false
		c.chooseSync(now)
	case !s.chosen:
	case s.stage == syncDone && age >= c.cfg.Times.Resync:
		c.beginSync(p, now)
	case s.stage == syncIDs && s.ready:
		if p.waiting < c.cfg.Share/4 {
			c.askNext(p, now)
		}
	case (s.stage == syncRange || s.stage == syncIDs) && age >= c.cfg.Times.Query, s.stage == syncRange && now.Sub(s.begun) >= c.cfg.Times.Range:
		*s = syncState{failed: true, since: now}
		c.chooseSync(now)
	}
}
