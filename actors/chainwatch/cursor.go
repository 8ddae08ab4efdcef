package chainwatch

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
)

// cursorQueue holds the watchers whose cursor cannot be compared with the chain without asking the source. Watchers with the same cursor share
// the question.
type cursorQueue struct {
	order   []blockID
	waiters map[blockID][]*watcher

	// unready came before the chain was known; ahead have a cursor above the tip.
	unready []*watcher
	ahead   map[uint32][]*watcher

	// fork is the height found for the first of order, when only its hash is missing.
	fork *uint32
}

func newCursorQueue() cursorQueue {
	return cursorQueue{waiters: make(map[blockID][]*watcher), ahead: make(map[uint32][]*watcher)}
}

// verify compares a watcher's cursor with the chain.
func (c *core) verify(w *watcher) {
	q := &c.cursors
	id := w.toldID
	switch {
	case !c.ready:
		q.unready = append(q.unready, w)
	case id.hash == zeroHash && id.height > c.tip().height:
		q.ahead[id.height] = append(q.ahead[id.height], w)
	case id.hash == zeroHash:
		id.hash, _ = c.hashAt(id.height)
		c.setTold(w, id)
		c.verified(w)
	case c.has(id):
		c.setTold(w, id)
		c.verified(w)
	default:
		if len(q.waiters[id]) == 0 {
			q.order = append(q.order, id)
		}
		q.waiters[id] = append(q.waiters[id], w)
	}
}

func (c *core) verified(w *watcher) {
	if w.state == unverified {
		c.enqueue(w)
	}
}

func (c *core) verifyWaiting() {
	unready := c.cursors.unready
	c.cursors.unready = nil
	for _, w := range unready {
		if w.state == unverified {
			c.verify(w)
		}
	}
}

// verifyAhead looks again at the cursors of a height that the chain has just reached.
func (c *core) verifyAhead(height uint32) {
	ahead := c.cursors.ahead[height]
	delete(c.cursors.ahead, height)
	for _, w := range ahead {
		if w.state == unverified {
			c.verify(w)
		}
	}
}

// resolveNext asks about the first cursor in the queue. False: none waits.
func (c *core) resolveNext() bool {
	q := &c.cursors
	for len(q.order) > 0 {
		id := q.order[0]
		switch {
		case q.fork != nil:
			height := *q.fork
			c.open(wantForkHash, ask{hashAt: &height})
			return true
		case c.has(id):
			c.resolved(id) // known by now
		case id.height < c.base && c.below[id.height] == zeroHash:
			c.open(wantCursorHash, ask{hashAt: &id.height})
			return true
		default:
			c.open(wantCursorHeaders, ask{headers: &askHeaders{hash: id.hash, count: forgottenDepth + 1}})
			return true
		}
	}
	return false
}

func (c *core) gotCursorHash(a answer) error {
	if a.err != nil {
		return unexpected("hash of a cursor", a.err)
	}
	c.below[c.cursors.order[0].height] = a.hash
	return nil
}

// gotCursorHeaders looks for the fork between an abandoned branch and the chain.
func (c *core) gotCursorHeaders(a answer) {
	q := &c.cursors
	id, tip := q.order[0], c.tip()
	if a.err != nil && id.height > tip.height {
		// The source may be behind the watcher: wait until it has caught up.
		q.ahead[id.height] = append(q.ahead[id.height], q.waiters[id]...)
		c.forget(id)
		return
	}
	for _, ancestor := range a.headers {
		if c.has(ancestor) {
			c.resolved(ancestor)
			return
		}
	}
	fork := min(id.height, tip.height)
	fork -= min(fork, forgottenDepth)
	if hash, ok := c.hashAt(fork); ok {
		c.resolved(blockID{height: fork, hash: hash})
		return
	}
	q.fork = &fork
}

func (c *core) gotForkHash(a answer) error {
	if a.err != nil {
		return unexpected("hash of a fork", a.err)
	}
	c.resolved(blockID{height: *c.cursors.fork, hash: a.hash})
	return nil
}

// resolved lets the watchers of the first cursor in the queue go on from a block of the chain.
func (c *core) resolved(fork blockID) {
	id := c.cursors.order[0]
	waiters := c.cursors.waiters[id]
	c.forget(id)
	for _, w := range waiters {
		if w.state != unverified {
			continue
		}
		c.setTold(w, fork)
		if fork.height < id.height {
			c.send(w.to, disconnected(w, fork))
			w.seen = min(w.seen, fork.height)
			for _, it := range w.backs {
				it.seen = min(it.seen, int64(fork.height))
			}
		}
		c.verified(w)
	}
}

func (c *core) forget(id blockID) {
	q := &c.cursors
	q.order, q.fork = q.order[1:], nil
	delete(q.waiters, id)
}

var zeroHash chainhash.Hash
