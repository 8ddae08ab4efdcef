package chainwatch

import (
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// best is the best chain as far as it was processed: every live watcher has been told of everything up to the tip.
type best struct {
	ready bool

	// hashes are those of the blocks from base to the tip; below holds single ones further down, as they were asked for.
	base   uint32
	hashes []chainhash.Hash
	below  map[uint32]chainhash.Hash

	// dirty: the source may have a better tip than ours.
	dirty bool

	// target is the tip that we walk to, fetched the headers from there back as far as known, path what is still to be connected, ascending.
	target  blockID
	fetched []blockID
	path    []blockID
}

func (b *best) tip() blockID {
	last := len(b.hashes) - 1
	return blockID{height: b.base + uint32(last), hash: b.hashes[last]}
}

// hashAt is the best chain's hash at a height, if it is known without asking.
func (b *best) hashAt(height uint32) (chainhash.Hash, bool) {
	if height < b.base {
		hash, ok := b.below[height]
		return hash, ok
	}
	if i := height - b.base; i < uint32(len(b.hashes)) {
		return b.hashes[i], true
	}
	return chainhash.Hash{}, false
}

func (b *best) has(id blockID) bool {
	hash, ok := b.hashAt(id.height)
	return ok && hash == id.hash
}

// follow asks for what leads to the source's tip. False: we are there.
func (c *core) follow() bool {
	switch {
	case len(c.path) > 0:
		c.open(wantPathBlock, ask{block: &c.path[0].hash})
	case len(c.fetched) > 0:
		last := c.fetched[len(c.fetched)-1]
		c.open(wantPath, ask{headers: &askHeaders{hash: last.hash, count: 2 * len(c.fetched)}})
	case c.dirty:
		c.dirty = false
		c.open(wantTip, ask{tip: true})
	default:
		return false
	}
	return true
}

func (c *core) gotTip(a answer) error {
	if a.err != nil {
		return unexpected("tip", a.err)
	}
	c.target = a.tip
	switch {
	case !c.ready:
		c.open(wantWindow, ask{headers: &askHeaders{hash: a.tip.hash, count: window}})
	case a.tip.height < c.base:
		return errDeepReorg
	case c.tip() == a.tip:
		c.flushSubscribers()
		c.castsDue()
	case c.has(a.tip):
		// The best chain became shorter: a block was invalidated by hand, or the source starts again.
		c.disconnect(a.tip.height)
		c.flushSubscribers()
		c.castsDue()
	default:
		count := 2
		if tip := c.tip(); a.tip.height > tip.height {
			count = int(min(a.tip.height-tip.height+1, 2000))
		}
		c.open(wantPath, ask{headers: &askHeaders{hash: a.tip.hash, count: count}})
	}
	return nil
}

func (c *core) gotWindow(a answer) error {
	if a.err != nil || len(a.headers) == 0 {
		c.dirty = true
		return unexpected("headers", errBrokenPath)
	}
	last := a.headers[len(a.headers)-1]
	c.base = last.height
	for _, id := range slices.Backward(a.headers) {
		c.hashes = append(c.hashes, id.hash)
	}
	c.ready = true
	c.flushSubscribers()
	c.castsDue()
	c.verifyWaiting()
	return nil
}

// gotPath takes headers from the target back and looks for the first that is ours: the fork.
func (c *core) gotPath(a answer) error {
	if a.err != nil || len(a.headers) == 0 {
		c.dirty = true
		return unexpected("headers", errBrokenPath)
	}
	from := len(c.fetched)
	if from > 0 {
		from--
		c.fetched = c.fetched[:from] // asked for again as the first of this answer
	}
	c.fetched = append(c.fetched, a.headers...)
	for i := from; i < len(c.fetched); i++ {
		id := c.fetched[i]
		if id.height < c.base {
			return errDeepReorg
		}
		if !c.has(id) {
			continue
		}
		c.path = slices.Clone(c.fetched[:i])
		slices.Reverse(c.path)
		c.fetched = nil
		if id.height < c.tip().height {
			c.disconnect(id.height)
		}
		return nil
	}
	if c.fetched[len(c.fetched)-1].height == 0 {
		return errDeepReorg
	}
	return nil
}

func (c *core) gotPathBlock(a answer) error {
	if a.err != nil {
		c.dirty = true
		return unexpected("block", a.err)
	}
	if a.block.Header.PrevBlock != c.tip().hash {
		c.dirty = true
		return unexpected("block", errBrokenPath)
	}
	id := c.path[0]
	c.path = c.path[1:]
	c.connect(id, a.block)
	if len(c.path) == 0 {
		c.path = nil
		// Rebroadcasts wait for the tip: on the way there the source would judge them by a chain that we do not know yet.
		c.castsDue()
	}
	return nil
}

// connect moves the tip by one block and tells the live watchers that it concerns.
func (c *core) connect(id blockID, block *wire.MsgBlock) {
	c.hashes = append(c.hashes, id.hash)
	if len(c.hashes) > 2*window {
		cut := len(c.hashes) - window
		for h := c.base; h < c.base+uint32(cut); h++ {
			delete(c.told, h)
		}
		c.hashes = slices.Clone(c.hashes[cut:])
		c.base += uint32(cut)
	}

	for _, m := range c.index.match(block, id.height, func(w *watcher, _ *item) bool { return w.state == live }) {
		c.tell(m.w, id, m.matches)
	}
	c.wakeUp(&c.wakes, id)
	c.castsConnected(id, block)
	c.tellSubscribers(id, block)

	// Cursors ahead of the chain may be in it now.
	c.verifyAhead(id.height)
}

// disconnect takes the tip back to a block of our chain and tells the watchers that were told of something above it.
func (c *core) disconnect(height uint32) {
	old := c.tip().height
	c.hashes = c.hashes[:height-c.base+1]
	fork := c.tip()

	var told []*watcher
	for h := height + 1; h <= old; h++ {
		for _, w := range c.told[h] {
			if w.state != dead && w.toldID.height > height {
				told = append(told, w)
				c.setTold(w, fork)
			}
		}
		delete(c.told, h)
	}
	for _, w := range told {
		c.send(w.to, disconnected(w, fork))
		c.wakeAgain(w, height)
	}
	c.rewindScan(height)
	c.castsDisconnected(height)
	c.disconnectSubscribers(old - height)
}
