package route

import (
	"bytes"
	"container/heap"
	"time"

	"github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
)

// goal is what a search makes small.
type goal uint8

const (
	byCost  goal = iota // fee, risk and penalties
	byFee               // fee alone
	byDelay             // blocks
	byHops
	goals
)

// What else a route costs beside its fee, in byCost.
const (
	riskBillionths = 15              // of the amount, for each block it may be locked
	attemptMsat    = 100_000         // of one that fails
	attemptPart    = 1000            // and the amount divided by this
	infinite       = uint64(1) << 62 // above every cost
)

// Finder finds routes. It keeps its tables between searches.
type Finder struct {
	labels []label
	gen    uint32
	queue  queue
}

// label is the best way known from a node to the target.
type label struct {
	gen    uint32 // of the search that it belongs to
	done   bool
	hops   int32
	delay  uint32 // blocks between Height and the expiry of the HTLC that the node gets
	cost   uint64 // what the goal makes small
	amount uint64 // of the HTLC that the node gets
	to     int32  // next node
	scid   uint64 // channel to it
	pos    int32  // in the heap
	node   int32
}

// search is one run.
type search struct {
	*Finder
	v         *view
	q         *Request
	mem       *Memory
	now       time.Time
	goal      goal
	used      map[Edge]uint64 // by parts that are found
	desperate bool            // nothing is so unlikely that it is not tried
	self      int
	target    int
	best      *end
}

// end is a complete route: over a first hop of this node's to a node with a label.
type end struct {
	local int
	peer  int32
	cost  uint64
	hops  int32
}

// run looks for the best route for one amount, nil if there is none. What it returns may break limits: those bound the result, not the search.
func (s *search) run(amount uint64) *Route {
	if n := s.v.size(); len(s.labels) < n {
		s.labels = make([]label, n+n/4)
	}
	s.gen++
	s.queue.items, s.queue.s = s.queue.items[:0], s
	s.best = nil
	s.labels[s.target] = label{gen: s.gen, amount: amount, delay: s.q.FinalDelta, to: -1, node: int32(s.target)} //nolint:gosec // an index
	heap.Push(&s.queue, &s.labels[s.target])
	for len(s.queue.items) > 0 {
		l := heap.Pop(&s.queue).(*label)
		l.done = true
		if s.best != nil && l.cost > s.best.cost {
			break // costs only grow
		}
		s.finish(l)
		if int(l.hops)+1 < s.q.MaxHops { // one is this node's
			s.expand(l)
		}
	}
	return s.route()
}

// finish completes the route at a node that this node has channels with.
func (s *search) finish(l *label) {
	for _, i := range s.v.local[int(l.node)] {
		c := &s.q.Local[i]
		left := less(c.SendMsat, s.used[Edge{c.SCID, s.q.Self}])
		most := left
		if c.MaxMsat != 0 {
			most = min(most, c.MaxMsat)
		}
		if l.amount > most || l.amount < c.MinMsat || s.tooMuch(c.SCID, s.q.Self, l.amount) {
			continue
		}
		p, ok := s.penalty(Edge{c.SCID, s.q.Self}, l.amount)
		if !ok {
			continue
		}
		e := end{local: i, peer: l.node, cost: l.cost, hops: l.hops}
		if s.goal == byCost {
			e.cost += p
		}
		if s.best == nil || e.cost < s.best.cost || e.cost == s.best.cost && s.prefer(&e, s.best) {
			s.best = &e
		}
	}
}

// prefer breaks ties between ends by what does not depend on the history of the graph.
func (s *search) prefer(a, b *end) bool {
	if a.hops != b.hops {
		return a.hops < b.hops
	}
	return s.q.Local[a.local].SCID < s.q.Local[b.local].SCID
}

// tooMuch tells that the payment has seen the channel carry less.
func (s *search) tooMuch(scid uint64, from ln.NodeID, amount uint64) bool {
	if len(s.q.MostMsat) == 0 {
		return false
	}
	e := Edge{scid, from}
	most, known := s.q.MostMsat[e]
	return known && amount+s.used[e] > most
}

// penalty is what it costs to try a channel that may fail; false if it is not worth it.
func (s *search) penalty(e Edge, amount uint64) (uint64, bool) {
	p, ok := s.mem.penalty(e, amount, s.attempt(), s.now)
	if !ok && s.desperate {
		return 100 * s.attempt(), true
	}
	return p, ok
}

func (s *search) attempt() uint64 { return attemptMsat + s.q.AmountMsat/attemptPart }

// expand goes over the channels that lead to a node.
func (s *search) expand(l *label) {
	for _, h := range s.v.hints[int(l.node)] {
		hint := h.hint
		s.relax(l, h.from, hint.SCID, hint.BaseMsat, hint.PropMillionths, uint32(hint.CLTVDelta))
	}
	if int(l.node) >= s.v.g.Slots() {
		return
	}
	for _, c := range s.v.g.At(int(l.node)).Channels {
		dir := 0
		if c.Nodes[0].Index == int(l.node) {
			dir = 1
		}
		from := c.Nodes[dir]
		p := c.Policies[dir]
		if p == nil || p.Disabled || c.Unroutable || l.amount < p.MinMsat || l.amount > p.MaxMsat || s.v.avoid[c.SCID] {
			continue
		}
		if len(s.used) > 0 || len(s.q.LessMsat) > 0 {
			e := Edge{c.SCID, from.ID}
			if l.amount > less(c.CapacitySat*1000, s.used[e]+s.q.LessMsat[e]) {
				continue
			}
		} else if l.amount > c.CapacitySat*1000 {
			continue
		}
		s.relax(l, from.Index, c.SCID, p.BaseMsat, p.PropMillionths, uint32(p.CLTVDelta))
	}
}

// relax sees whether a node is better off with this channel.
func (s *search) relax(l *label, from int, scid uint64, base, prop, delta uint32) {
	if from == s.self || from == s.target {
		return // a payer's own channels are first hops only, and what reaches the payee stays there
	}
	old := &s.labels[from]
	if old.gen == s.gen && old.done {
		return
	}
	if s.tooMuch(scid, s.v.id(from), l.amount) {
		return
	}
	fee, ok := graph.Fee(base, prop, l.amount)
	if !ok || l.amount+fee > maxMoney {
		return
	}
	n := label{
		gen: s.gen, hops: l.hops + 1, delay: l.delay + delta, amount: l.amount + fee, to: l.node, scid: scid, node: int32(from), //nolint:gosec // an index
	}
	p, ok := s.penalty(Edge{scid, s.v.id(from)}, l.amount)
	if !ok {
		return // it failed a moment ago, so no goal is reached that way
	}
	switch s.goal {
	case byFee:
		n.cost = l.cost + fee
	case byDelay:
		n.cost = l.cost + uint64(delta)
	case byHops:
		n.cost = l.cost + 1
	case byCost, goals:
		n.cost = l.cost + fee + l.amount/1000*uint64(delta)*riskBillionths/1_000_000 + p
	}
	if n.cost >= infinite {
		return
	}
	if old.gen != s.gen {
		*old = n
		heap.Push(&s.queue, old)
		return
	}
	if s.better(&n, old) {
		n.pos = old.pos
		*old = n
		heap.Fix(&s.queue, int(old.pos))
	}
}

// better compares two ways from the same node.
func (s *search) better(a, b *label) bool {
	switch {
	case a.cost != b.cost:
		return a.cost < b.cost
	case a.hops != b.hops:
		return a.hops < b.hops
	case a.amount != b.amount:
		return a.amount < b.amount
	case a.delay != b.delay:
		return a.delay < b.delay
	case a.scid != b.scid:
		return a.scid < b.scid
	}
	x, y := s.v.id(int(a.to)), s.v.id(int(b.to))
	return bytes.Compare(x[:], y[:]) < 0
}

// route writes the best way down, from this node on.
func (s *search) route() *Route {
	if s.best == nil {
		return nil
	}
	first := &s.q.Local[s.best.local]
	r := &Route{Channel: first.Channel, Hops: make([]Hop, 0, s.best.hops+1)}
	l := &s.labels[s.best.peer]
	from, scid := s.q.Self, first.SCID
	for {
		to := s.v.id(int(l.node))
		r.Hops = append(r.Hops, Hop{SCID: scid, From: from, To: to, AmountMsat: l.amount, Expiry: s.q.Height + l.delay})
		if l.to < 0 {
			break
		}
		from, scid = to, l.scid
		l = &s.labels[l.to]
	}
	r.FeeMsat = r.TotalMsat() - r.AmountMsat()
	return r
}

func less(a, b uint64) uint64 {
	if b >= a {
		return 0
	}
	return a - b
}

// queue is a heap of labels, the cheapest first. Equal ones are told apart by node id, so that the order does not depend on indexes.
type queue struct {
	items []*label
	s     *search
}

func (q *queue) Len() int { return len(q.items) }

func (q *queue) Less(i, j int) bool {
	a, b := q.items[i], q.items[j]
	if a.cost != b.cost {
		return a.cost < b.cost
	}
	if a.hops != b.hops {
		return a.hops < b.hops
	}
	x, y := q.s.v.id(int(a.node)), q.s.v.id(int(b.node))
	return bytes.Compare(x[:], y[:]) < 0
}

func (q *queue) Swap(i, j int) {
	q.items[i], q.items[j] = q.items[j], q.items[i]
	q.items[i].pos, q.items[j].pos = int32(i), int32(j) //nolint:gosec // an index
}

func (q *queue) Push(x any) {
	l := x.(*label)
	l.pos = int32(len(q.items)) //nolint:gosec // an index
	q.items = append(q.items, l)
}

func (q *queue) Pop() any {
	last := len(q.items) - 1
	l := q.items[last]
	q.items = q.items[:last]
	return l
}
