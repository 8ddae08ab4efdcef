package route

import (
	"math/bits"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// MemoryConfig says how failures are remembered. Zero fields have defaults.
type MemoryConfig struct {
	HalfLife time.Duration // 1 hour, in which the memory of a failure fades by half
	PriorPct int           // 60: how likely a channel carries a payment that nothing is known of
	KnownPct int           // 95: the same where it carried as much before
	MinPct   int           // 1: what is less likely is not tried
	MaxEdges int           // 50,000 channels remembered; the oldest are forgotten
	MaxNodes int           // 5,000 nodes remembered
}

func (c MemoryConfig) withDefaults() MemoryConfig {
	or := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	if c.HalfLife <= 0 {
		c.HalfLife = time.Hour
	}
	or(&c.PriorPct, 60)
	or(&c.KnownPct, 95)
	or(&c.MinPct, 1)
	or(&c.MaxEdges, 50_000)
	or(&c.MaxNodes, 5_000)
	return c
}

// Memory knows what became of earlier attempts. It is a cache: without it payments are only tried where they failed before. The nil Memory knows
// nothing.
type Memory struct {
	cfg   MemoryConfig
	edges map[uint64]*[2]outcome // by channel: a search asks for each that it meets, so the key is small
	nodes map[ln.NodeID]time.Time
	queue []uint64 // channels by first mention, for forgetting
	order []ln.NodeID
}

// outcome is the newest of each kind, of one direction.
type outcome struct {
	from     ln.NodeID // zero: none is known
	failed   uint64    // least amount that failed, 0 if none did
	failedAt time.Time
	passed   uint64 // largest amount that passed since
}

// NewMemory makes an empty memory.
func NewMemory(cfg MemoryConfig) *Memory {
	return &Memory{cfg: cfg.withDefaults(), edges: map[uint64]*[2]outcome{}, nodes: map[ln.NodeID]time.Time{}}
}

// known is what is remembered of an edge, nil if nothing is.
func (m *Memory) known(e Edge) *outcome {
	if pair := m.edges[e.SCID]; pair != nil {
		for i := range pair {
			if pair[i].from == e.From {
				return &pair[i]
			}
		}
	}
	return nil
}

func (m *Memory) edge(e Edge) *outcome {
	if o := m.known(e); o != nil {
		return o
	}
	pair := m.edges[e.SCID]
	if pair == nil {
		if len(m.queue) >= m.cfg.MaxEdges {
			delete(m.edges, m.queue[0])
			m.queue = m.queue[1:]
		}
		pair = new([2]outcome)
		m.edges[e.SCID] = pair
		m.queue = append(m.queue, e.SCID)
	}
	// A channel has two ends; a third, of a hint that lies, takes the place of the second.
	o := &pair[0]
	if o.from != (ln.NodeID{}) {
		o = &pair[1]
	}
	*o = outcome{from: e.From}
	return o
}

// Failed remembers that a channel did not carry an amount.
func (m *Memory) Failed(e Edge, amountMsat uint64, now time.Time) {
	o := m.edge(e)
	if o.failed == 0 || amountMsat < o.failed || m.faded(o.failedAt, now) > one/2 {
		o.failed = amountMsat
	}
	o.failedAt = now
	if o.passed >= amountMsat {
		o.passed = amountMsat - 1
	}
}

// Passed remembers that a channel carried an amount.
func (m *Memory) Passed(e Edge, amountMsat uint64) {
	o := m.edge(e)
	o.passed = max(o.passed, amountMsat)
	if o.failed != 0 && o.failed <= amountMsat {
		o.failed = amountMsat + 1 // with the time of its failure
	}
}

// NodeFailed remembers that a node fails whatever channel is used.
func (m *Memory) NodeFailed(id ln.NodeID, now time.Time) {
	if _, known := m.nodes[id]; !known {
		if len(m.order) >= m.cfg.MaxNodes {
			delete(m.nodes, m.order[0])
			m.order = m.order[1:]
		}
		m.order = append(m.order, id)
	}
	m.nodes[id] = now
}

// Probabilities are fractions of one.
const one = 1 << 16

// probability that an edge carries an amount. The prior is all there is to a stranger; after a failure it is 0, and comes back by half of what is
// missing with each half-life.
func (m *Memory) probability(e Edge, amount uint64, now time.Time) uint64 {
	if m == nil {
		return one
	}
	p := uint64(m.cfg.PriorPct) * one / 100 //nolint:gosec // a percentage
	if o := m.known(e); o != nil {
		switch {
		case amount <= o.passed:
			p = uint64(m.cfg.KnownPct) * one / 100 //nolint:gosec // a percentage
		case o.failed != 0 && amount >= o.failed:
			p = p * m.faded(o.failedAt, now) / one
		}
	}
	if len(m.nodes) > 0 {
		if at, ok := m.nodes[e.From]; ok {
			p = p * m.faded(at, now) / one
		}
	}
	return p
}

// faded is how much of a failure is forgotten: one - 2^-(age/half-life), linear within each half-life.
func (m *Memory) faded(at, now time.Time) uint64 {
	age := max(now.Sub(at), 0)
	halves := uint64(age / m.cfg.HalfLife)
	if halves >= 16 {
		return one
	}
	rest := uint64(age%m.cfg.HalfLife) * one / uint64(m.cfg.HalfLife) //nolint:gosec // both positive; a half-life is below 2^47 ns
	return one - (one-rest/2)>>halves
}

// penalty turns a probability into money: what an attempt that fails is worth, times how many of them are to be expected; ok is false for what is
// not worth trying.
func (m *Memory) penalty(e Edge, amount, attempt uint64, now time.Time) (cost uint64, ok bool) {
	if m == nil {
		return 0, true
	}
	p := m.probability(e, amount, now)
	if p*100 < uint64(m.cfg.MinPct)*one { //nolint:gosec // a percentage
		return 0, false
	}
	hi, lo := bits.Mul64(attempt, one-p)
	if hi >= p {
		return 0, false
	}
	cost, _ = bits.Div64(hi, lo, p)
	return cost, true
}
