package chainwatch

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// state is where a watcher stands.
type state uint8

const (
	// unverified: its cursor was not compared with the chain yet.
	unverified state = iota
	// lagging: it waits for a pass over past blocks or is in one.
	lagging
	// live: it has been told of everything up to the tip.
	live
	// dead: replaced or unregistered; lists may still hold it.
	dead
)

// watcherKey is whose registration it is: a channel's, or the graph's.
type watcherKey struct {
	channel ln.ChannelID
	graph   bool
}

// watcher is one registration.
type watcher struct {
	channel     ln.ChannelID
	incarnation uint64
	to          messages.Addr
	state       state

	items     []*item
	outpoints map[wire.OutPoint]*item
	scripts   map[string]*item
	backs     []*item // those with back set

	// toldID is the block that the watcher takes as its cursor: registered with, or told last.
	toldID blockID

	// seen is how far the items that are not back have been looked for, while not live.
	seen uint32

	// greet: the end of catching up is still to be told.
	greet  bool
	inPass bool

	// wakeAt is the height it wants to be woken at, 0 for never; woken the last one that was served. gen makes older entries of the
	// queues stale.
	wakeAt, woken uint32
	gen           uint64

	// after is the wish to go back to when a reorganisation has made an earlier one be served again.
	after uint32
}

// register starts or replaces a registration. One of an older incarnation is dropped.
func (c *core) register(r messages.ChainRegister) effects {
	told := blockID{height: r.Height, hash: r.Hash}
	if old, ok := c.watchers[watcherKey{r.Channel, r.Graph}]; ok {
		if r.Incarnation < old.incarnation {
			return c.done()
		}
		if r.Incarnation == old.incarnation && old.state != unverified && old.toldID.height > told.height {
			// Blocks that it was told since it wrote this are in its mailbox. It will rest on them, so their end is told like that of its cursor.
			told = old.toldID
		}
		c.drop(old)
	}
	w := &watcher{
		channel: r.Channel, incarnation: r.Incarnation, to: r.To,
		outpoints: make(map[wire.OutPoint]*item, len(r.Outpoints)),
		toldID:    told,
		seen:      r.Height,
		greet:     true,
	}
	if r.WakeAt > r.Height {
		w.wakeAt = r.WakeAt
	}
	c.watchers[watcherKey{r.Channel, r.Graph}] = w
	// The cursor's own block is looked at again: the watcher may have added outputs of that block, spent in it.
	c.addItems(w, r.Outpoints, r.Scripts, r.Height)
	c.verify(w)
	return c.done()
}

// watch adds to a registration.
func (c *core) watch(m messages.ChainWatch) effects {
	w, ok := c.watchers[watcherKey{m.Channel, m.Graph}]
	if !ok || w.incarnation != m.Incarnation {
		return c.done()
	}
	switch {
	case w.state == live:
		w.seen = c.tip().height
	case w.inPass:
		// What the running pass has been through is settled for the older items.
		w.seen = max(w.seen, c.scan.next-1)
		for _, it := range w.backs {
			it.seen = max(it.seen, int64(c.scan.next)-1)
		}
	}
	added := c.addItems(w, m.Outpoints, m.Scripts, m.FromHeight)
	if m.WakeAt != 0 {
		w.gen++ // what queues hold of it is stale
		w.wakeAt, w.after = m.WakeAt, 0
		if m.WakeAt <= w.toldID.height {
			w.wakeAt = 0 // it knows that height
		}
	}

	switch w.state {
	case live:
		if added && c.firstUnseen(w) <= c.tip().height {
			c.enqueue(w)
			break
		}
		c.settle(w)
	case lagging:
		switch {
		case !w.inPass: // the next pass starts low enough
		case c.firstUnseen(w) < c.scan.next: // too late for the running pass
			w.inPass = false
			c.enqueue(w)
		case m.WakeAt != 0:
			c.pushWake(w)
		}
	}
	return c.done()
}

// unregister ends a registration.
func (c *core) unregister(m messages.ChainUnregister) effects {
	if w, ok := c.watchers[watcherKey{channel: m.Channel}]; ok && m.Incarnation >= w.incarnation {
		c.drop(w)
		delete(c.watchers, watcherKey{channel: m.Channel})
	}
	return c.done()
}

func (c *core) drop(w *watcher) {
	w.state = dead
	for _, it := range w.items {
		c.index.remove(it)
	}
	w.items, w.backs = nil, nil
}

// addItems watches outpoints and scripts from a height on. A repeat looks back again only if it asks for blocks below the first one's.
func (c *core) addItems(w *watcher, outpoints []wire.OutPoint, scripts [][]byte, from uint32) (added bool) {
	add := func(it *item, known bool) {
		if known && from >= it.from {
			return
		}
		if !known {
			it.w = w
			w.items = append(w.items, it)
			c.index.add(it)
		}
		if !it.back {
			it.back = true
			w.backs = append(w.backs, it)
		}
		it.from, it.seen = from, int64(from)-1
		added = true
	}
	for _, op := range outpoints {
		it, known := w.outpoints[op]
		if !known {
			it = &item{outpoint: op}
			w.outpoints[op] = it
		}
		add(it, known)
	}
	for _, script := range scripts {
		if len(script) == 0 {
			continue
		}
		it, known := w.scripts[string(script)]
		if !known {
			if w.scripts == nil {
				w.scripts = make(map[string]*item, len(scripts))
			}
			it = &item{script: string(script), isScript: true}
			w.scripts[it.script] = it
		}
		add(it, known)
	}
	return added
}

// firstUnseen is the lowest block that has not been looked at for all of the watcher's items.
func (c *core) firstUnseen(w *watcher) uint32 {
	first := int64(w.seen) + 1
	for _, it := range w.backs {
		first = min(first, it.seen+1)
	}
	return uint32(first)
}

// settle makes a watcher live: everything up to the tip has been looked at for it.
func (c *core) settle(w *watcher) {
	for _, it := range w.backs {
		it.back = false
	}
	w.state, w.backs, w.inPass = live, nil, false
	tip := c.tip()
	w.seen = tip.height
	due := w.wakeAt != 0 && w.wakeAt <= tip.height
	if w.greet || due {
		w.greet = false
		c.tell(w, tip, nil)
	}
	c.pushWake(w)
}

// tell sends a block, or a late match under the height told last.
func (c *core) tell(w *watcher, id blockID, matches []messages.ChainMatch) {
	if id.height > w.toldID.height || (id.height == w.toldID.height && w.toldID.hash == chainhash.Hash{}) {
		c.setTold(w, id)
	}
	c.served(w)
	c.send(w.to, messages.ChainBlock{
		Incarnation: w.incarnation,
		Height:      w.toldID.height,
		Hash:        w.toldID.hash,
		Matches:     matches,
		Tip:         c.tip().height,
	})
}

func (c *core) setTold(w *watcher, id blockID) {
	w.toldID = id
	if id.height >= c.base {
		c.told[id.height] = append(c.told[id.height], w)
	}
}

func disconnected(w *watcher, fork blockID) messages.ChainDisconnected {
	return messages.ChainDisconnected{Incarnation: w.incarnation, Height: fork.height, Hash: fork.hash}
}
