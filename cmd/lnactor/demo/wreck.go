package demo

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// What is crashed while a channel is being closed: whatever has a part in it.
var closingKinds = []string{"monitor", "manager", "funds", "chainwatch", "persister", WholeNode}

// closingShare of all crashes come while the channel is being closed.
const closingShare = 3

// split says how many crashes come before the close and how many in it.
func (o *Options) split() (before, during int) {
	if o.Close == CloseNot {
		return o.Crashes, 0
	}
	during = (o.Crashes + closingShare - 1) / closingShare
	return o.Crashes - during, during
}

// planClosing draws the crashes of a close. Each kind on each node has its turn before any comes again.
func planClosing(rng *rand.Rand, crashes, first, nodes int) []*bomb {
	var bag []int
	bombs := make([]*bomb, crashes)
	for i := range bombs {
		if len(bag) == 0 {
			bag = rng.Perm(nodes * len(closingKinds))
		}
		b := &bomb{n: first + i, node: bag[0] % nodes, kind: closingKinds[bag[0]/nodes], handled: rng.IntN(2) == 0, struck: make(chan struct{})}
		bag = bag[1:]
		b.trigger = b.kind
		if b.kind == WholeNode {
			busy := []string{"persister", "manager", "monitor", "chainwatch", "funds"}
			b.trigger = busy[rng.IntN(len(busy))]
		}
		if skip := rng.Int64N(3); !b.shy() {
			b.skip.Store(skip)
		}
		bombs[i] = b
	}
	return bombs
}

// shy bombs wait for actors that have nothing to do while nothing happens to the channel.
func (b *bomb) shy() bool { return b.trigger == "monitor" || b.trigger == "persister" }

// bombs of this close; the cheater's node is down.
func (c *course) bombs() []*bomb {
	before, during := c.opts.split()
	nodes := len(c.sides)
	if c.opts.Close == CloseRevoked {
		nodes = 1
	}
	return planClosing(c.rng, during, before+1, nodes)
}

// spans are over how many blocks the crashes are spread.
var spans = map[CloseKind]int{CloseCooperative: 70, CloseForce: 200, CloseRevoked: 70}

// ahead is how many crashes may come earlier than planned, because there are transactions on their way.
const ahead = 3

// wreckers set the bombs of a close, at most one on each node at a time, and bring crashed nodes back.
type wreckers struct {
	*run
	bombs []*bomb
	set   int

	mu    sync.Mutex
	armed map[int]*bomb // by node
	down  int           // nodes that are being brought back
	hits  int
	last  time.Time // crash
	crews sync.WaitGroup
	stop  chan struct{}
}

func newWreckers(r *run, bombs []*bomb) *wreckers {
	return &wreckers{run: r, bombs: bombs, armed: map[int]*bomb{}, stop: make(chan struct{})}
}

// arm sets the next bomb if it is due in this block.
func (w *wreckers) arm(ctx context.Context, block int, live []*side, busy bool, archived func(node string) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.set == len(w.bombs) {
		return
	}
	span := spans[w.opts.Close]
	due := w.set * span / len(w.bombs)
	if block < due && (!busy || w.set > block*len(w.bombs)/span+ahead) {
		return
	}
	if !busy {
		w.prefer(func(b *bomb) bool { return !b.shy() })
	}
	b := w.bombs[w.set]
	if b.shy() && !busy && block < span {
		return
	}
	if w.armed[b.node] != nil {
		w.armed[b.node].skip.Store(0)
		return
	}
	side := live[b.node]
	if b.trigger == "monitor" && archived(side.name) {
		b.kind, b.trigger = "manager", "manager" // there is none any more
	}
	w.set++
	w.armed[b.node] = b
	side.fuse.bomb.Store(b)
	w.crews.Go(func() { w.attend(ctx, side, b) })
}

// prefer puts the first bomb of a sort next, if there is one.
func (w *wreckers) prefer(sort func(*bomb) bool) {
	rest := w.bombs[w.set:]
	if i := slices.IndexFunc(rest, sort); i > 0 {
		rest[0], rest[i] = rest[i], rest[0]
	}
}

// attend waits for a crash and cleans up after it.
func (w *wreckers) attend(ctx context.Context, s *side, b *bomb) {
	select {
	case <-b.struck:
	case <-w.stop:
		if s.fuse.bomb.CompareAndSwap(b, nil) {
			return
		}
		<-b.struck // in this moment
	}
	w.mu.Lock()
	w.hits++
	w.down++
	w.mu.Unlock()
	if b.kind == WholeNode {
		if err := s.crash(ctx); err != nil {
			w.fail(err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down--
	w.last = time.Now()
	delete(w.armed, b.node)
}

// calm tells whether every crash that happened was attended to.
func (w *wreckers) calm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.armed {
		select {
		case <-b.struck:
			return false
		default:
		}
	}
	return w.down == 0
}

// breath is how long nodes must be silent.
func (w *wreckers) breath() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.last) < 5*crashBreath {
		return crashBreath
	}
	return breath
}

func (w *wreckers) struck() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits
}

// end takes away the bombs that did not go off.
func (w *wreckers) end() {
	close(w.stop)
	w.crews.Wait()
}
