package chainwatch

// pass is one walk over past blocks, shared by all watchers that lag. Those that come too late for it wait for the next; since registrations
// after a restart queue up while the first block is read, two passes serve thousands of watchers with different cursors (scenario 30).
type pass struct {
	active  bool
	next    uint32
	members []*watcher
	waiting []*watcher
	wakes   wakeQueue
}

// enqueue lets a watcher join the running pass, or wait for the next.
func (c *core) enqueue(w *watcher) {
	w.state = lagging
	w.gen++ // it leaves the queue of the live
	if c.scan.active && c.firstUnseen(w) >= c.scan.next {
		c.join(w)
		return
	}
	c.scan.waiting = append(c.scan.waiting, w)
}

func (c *core) join(w *watcher) {
	w.inPass = true
	c.scan.members = append(c.scan.members, w)
	if w.wakeAt != 0 {
		c.scan.wakes.push(w, max(w.wakeAt, w.toldID.height+1))
	}
}

// scanNext asks for the next block of the pass. False: nobody lags.
func (c *core) scanNext() bool {
	if !c.ready {
		return false
	}
	s := &c.scan
	for {
		if !s.active && !c.startPass() {
			return false
		}
		if s.next <= c.tip().height {
			break
		}
		c.endPass()
	}
	if hash, ok := c.hashAt(s.next); ok {
		c.open(wantScanBlock, ask{block: &hash, yield: true})
	} else {
		height := s.next
		c.open(wantScanHash, ask{hashAt: &height, yield: true})
	}
	return true
}

func (c *core) startPass() bool {
	s := &c.scan
	waiting := s.waiting
	s.waiting, s.members, s.wakes = nil, nil, wakeQueue{}
	for _, w := range waiting {
		if w.state != lagging || w.inPass {
			continue
		}
		if first := c.firstUnseen(w); len(s.members) == 0 || first < s.next {
			s.next = first
		}
		c.join(w)
	}
	s.active = len(s.members) > 0
	return s.active
}

func (c *core) endPass() {
	s := &c.scan
	members := s.members
	s.active, s.members, s.wakes = false, nil, wakeQueue{}
	clear(c.below)
	for _, w := range members {
		if w.state == lagging && w.inPass {
			c.settle(w)
		}
	}
}

func (c *core) gotScanHash(a answer) error {
	if a.err != nil {
		return unexpected("hash of a past block", a.err)
	}
	c.below[c.scan.next] = a.hash
	return nil
}

func (c *core) gotScanBlock(a answer) error {
	if a.err != nil {
		return unexpected("past block", a.err)
	}
	s := &c.scan
	hash, _ := c.hashAt(s.next)
	id := blockID{height: s.next, hash: hash}
	fresh := func(w *watcher, it *item) bool {
		if w.state != lagging || !w.inPass {
			return false
		}
		if it.back {
			return int64(id.height) > it.seen
		}
		return id.height > w.seen
	}
	for _, m := range c.index.match(a.block, id.height, fresh) {
		c.tell(m.w, id, m.matches)
	}
	c.wakeUp(&s.wakes, id)
	s.next++
	return nil
}

// rewindScan takes back what lagging watchers have seen above a fork.
func (c *core) rewindScan(fork uint32) {
	rewind := func(w *watcher) {
		w.seen = min(w.seen, fork)
		for _, it := range w.backs {
			it.seen = min(it.seen, int64(fork))
		}
	}
	for _, w := range c.scan.members {
		rewind(w)
	}
	for _, w := range c.scan.waiting {
		rewind(w)
	}
	if c.scan.active {
		c.scan.next = min(c.scan.next, fork+1)
	}
}
