package graph

import (
	"fmt"
	"math/bits"
	"slices"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
)

// Limits bound the graph. Zero fields have defaults.
type Limits struct {
	MaxChannels int           // 200,000: the network has had 80,000 at most
	MaxDead     int           // 100,000 channels remembered as not worth asking for
	Stale       time.Duration // 14 days without an update, after which a channel is pruned
	Future      time.Duration // 24 hours that a timestamp may be ahead
	Updates     Rate          // of each direction of each channel: 10 at once, then one a minute
}

func (l Limits) withDefaults() Limits {
	if l.MaxChannels <= 0 {
		l.MaxChannels = 200_000
	}
	if l.MaxDead <= 0 {
		l.MaxDead = 100_000
	}
	if l.Stale <= 0 {
		l.Stale = 14 * 24 * time.Hour
	}
	if l.Future <= 0 {
		l.Future = 24 * time.Hour
	}
	if l.Updates == (Rate{}) {
		l.Updates = Rate{Burst: 10, PerMinute: 1}
	}
	return l
}

// Graph is the channel graph. It is not for use by several goroutines at once, but for reading.
type Graph struct {
	limits    Limits
	nodes     map[ln.NodeID]*Node
	slots     []*Node // by Node.Index, nil where free
	free      []int
	channels  map[uint64]*Channel
	outpoints map[wire.OutPoint]*Channel
	sorted    []*Channel // by SCID, when inOrder
	inOrder   bool
	dead      tombs
	bytes     int
	policies  int
	announced int
}

// Node is a node with at least one channel.
type Node struct {
	ID       ln.NodeID
	Index    int        // below Graph.Slots, its own as long as the node is in the graph
	Channels []*Channel // in no order that means anything, but the same for the same history
	Info     *NodeInfo  // nil until its announcement is known
}

// NodeInfo is what a node announces of itself.
type NodeInfo struct {
	Timestamp uint32
	Alias     string // printable
	Color     [3]byte
	Addresses []string
	Raw       []byte
}

// Channel is an announced channel whose funding output was found.
type Channel struct {
	SCID        uint64
	Nodes       [2]*Node // by ascending id
	CapacitySat uint64
	Outpoint    wire.OutPoint
	Seen        uint32 // when it was added
	Unroutable  bool
	Policies    [2]*Policy // nil until known
	Raw         []byte     // the announcement
	updates     [2]Bucket
}

// Policy is what one direction of a channel asks for.
type Policy struct {
	Timestamp      uint32
	Disabled       bool
	CLTVDelta      uint16
	MinMsat        uint64
	MaxMsat        uint64
	BaseMsat       uint32
	PropMillionths uint32
	Raw            []byte
}

// FeeMsat is the fee for forwarding an amount; ok is false for one that no amount of money could pay.
func (p *Policy) FeeMsat(amount uint64) (fee uint64, ok bool) {
	return Fee(p.BaseMsat, p.PropMillionths, amount)
}

// Fee is base + amount * proportional / 1,000,000 (BOLT 7).
func Fee(baseMsat, propMillionths uint32, amount uint64) (fee uint64, ok bool) {
	const million, most = 1_000_000, 1 << 62
	hi, lo := bits.Mul64(amount, uint64(propMillionths))
	if hi >= million {
		return 0, false
	}
	fee, _ = bits.Div64(hi, lo, million)
	return fee + uint64(baseMsat), fee < most
}

// Newest is the latest timestamp of either direction, 0 without any.
func (c *Channel) Newest() uint32 {
	var t uint32
	for _, p := range c.Policies {
		if p != nil {
			t = max(t, p.Timestamp)
		}
	}
	return t
}

// New makes an empty graph.
func New(limits Limits) *Graph {
	l := limits.withDefaults()
	return &Graph{
		limits: l, nodes: map[ln.NodeID]*Node{}, channels: map[uint64]*Channel{}, outpoints: map[wire.OutPoint]*Channel{},
		dead: tombs{most: l.MaxDead}, inOrder: true,
	}
}

// Node returns a node, nil if it has no channels.
func (g *Graph) Node(id ln.NodeID) *Node { return g.nodes[id] }

// Slots is above every Node.Index.
func (g *Graph) Slots() int { return len(g.slots) }

// At returns the node with an index, nil if there is none.
func (g *Graph) At(index int) *Node { return g.slots[index] }

// Channel returns a channel, nil if it is not known.
func (g *Graph) Channel(scid uint64) *Channel { return g.channels[scid] }

// Spends returns the channel with this funding output, nil if there is none.
func (g *Graph) Spends(op wire.OutPoint) *Channel { return g.outpoints[op] }

// Stats counts what is in the graph.
type Stats struct {
	Nodes, Announced int // with channels; those of which an announcement is known
	Channels         int
	Policies         int // directions with a known policy
	Bytes            int // about what the graph takes in memory
}

// Stats counts what is in the graph, without looking at all of it.
func (g *Graph) Stats() Stats {
	// What a channel or a node takes beside its messages: structs, map entries, slices. TestSize measures it.
	const perChannel, perNode = 480, 400
	return Stats{
		Nodes: len(g.nodes), Announced: g.announced, Channels: len(g.channels), Policies: g.policies,
		Bytes: g.bytes + perChannel*len(g.channels) + perNode*len(g.nodes) + 64*len(g.dead.all),
	}
}

// WantChannel tells whether a channel_announcement is worth its verification.
func (g *Graph) WantChannel(m *ChannelMsg) error {
	switch {
	case g.channels[m.SCID] != nil:
		return ErrKnown
	case g.dead.has(m.SCID):
		return ErrDead
	case len(g.channels) >= g.limits.MaxChannels:
		return ErrFull
	}
	return nil
}

// Wants tells whether a channel is worth asking for.
func (g *Graph) Wants(scid uint64) bool {
	return g.channels[scid] == nil && !g.dead.has(scid) && g.Room() > 0
}

// Room is how many channels more fit.
func (g *Graph) Room() int { return max(g.limits.MaxChannels-len(g.channels), 0) }

// Funding is what the chain says of a channel.
type Funding struct {
	Outpoint    wire.OutPoint
	CapacitySat uint64
}

// AddChannel takes in a channel whose signatures and funding output were checked.
func (g *Graph) AddChannel(m *ChannelMsg, f Funding, now time.Time) error {
	if err := g.WantChannel(m); err != nil {
		return err
	}
	if other := g.outpoints[f.Outpoint]; other != nil {
		return fmt.Errorf("%w: its funding output belongs to another channel", ErrMalformed)
	}
	c := &Channel{
		SCID: m.SCID, CapacitySat: f.CapacitySat, Outpoint: f.Outpoint, Seen: stamp(now), Unroutable: m.Unroutable, Raw: m.Raw,
		Nodes: [2]*Node{g.node(m.Nodes[0]), g.node(m.Nodes[1])},
	}
	for _, n := range c.Nodes {
		n.Channels = append(n.Channels, c)
	}
	if g.inOrder = g.inOrder && (len(g.sorted) == 0 || g.sorted[len(g.sorted)-1].SCID < c.SCID); g.inOrder {
		g.sorted = append(g.sorted, c)
	}
	g.channels[c.SCID], g.outpoints[c.Outpoint] = c, c
	g.bytes += len(c.Raw)
	return nil
}

func (g *Graph) node(id ln.NodeID) *Node {
	if n := g.nodes[id]; n != nil {
		return n
	}
	n := &Node{ID: id}
	if k := len(g.free); k > 0 {
		n.Index, g.free = g.free[k-1], g.free[:k-1]
		g.slots[n.Index] = n
	} else {
		n.Index = len(g.slots)
		g.slots = append(g.slots, n)
	}
	g.nodes[id] = n
	return n
}

// WantUpdate tells whether a channel_update is worth its verification.
func (g *Graph) WantUpdate(m *UpdateMsg, now time.Time) error {
	c := g.channels[m.SCID]
	switch {
	case c == nil:
		return ErrUnknownChannel
	case m.Policy.MaxMsat/1000 > c.CapacitySat:
		return fmt.Errorf("%w: htlc_maximum_msat above the channel's capacity", ErrMalformed)
	case c.Policies[m.Dir] != nil && m.Policy.Timestamp <= c.Policies[m.Dir].Timestamp:
		return ErrStale
	}
	return g.fresh(m.Policy.Timestamp, now)
}

func (g *Graph) fresh(timestamp uint32, now time.Time) error {
	switch t := time.Unix(int64(timestamp), 0); {
	case t.After(now.Add(g.limits.Future)):
		return ErrFuture
	case t.Before(now.Add(-g.limits.Stale)):
		return ErrStale
	}
	return nil
}

// SetPolicy takes in an update whose signature was checked. ErrRate if the channel changes too often; Own updates are never too many.
func (g *Graph) SetPolicy(m *UpdateMsg, now time.Time, own bool) error {
	if err := g.WantUpdate(m, now); err != nil {
		return err
	}
	c := g.channels[m.SCID]
	if !own && !c.updates[m.Dir].Take(g.limits.Updates, now, 1) {
		return ErrRate
	}
	if old := c.Policies[m.Dir]; old != nil {
		g.bytes -= len(old.Raw)
	} else {
		g.policies++
	}
	p := m.Policy
	c.Policies[m.Dir] = &p
	g.bytes += len(p.Raw)
	return nil
}

// WantNode tells whether a node_announcement is worth its verification.
func (g *Graph) WantNode(m *NodeMsg, now time.Time) error {
	n := g.nodes[m.ID]
	switch {
	case n == nil:
		return ErrUnknownNode
	case n.Info != nil && m.Info.Timestamp <= n.Info.Timestamp:
		return ErrStale
	case time.Unix(int64(m.Info.Timestamp), 0).After(now.Add(g.limits.Future)):
		return ErrFuture
	}
	return nil
}

// SetNode takes in an announcement whose signature was checked.
func (g *Graph) SetNode(m *NodeMsg, now time.Time) error {
	if err := g.WantNode(m, now); err != nil {
		return err
	}
	n := g.nodes[m.ID]
	if n.Info != nil {
		g.bytes -= len(n.Info.Raw)
	} else {
		g.announced++
	}
	info := m.Info
	n.Info = &info
	g.bytes += len(info.Raw)
	return nil
}

// Bury remembers that a channel is not worth asking for, and takes it out.
func (g *Graph) Bury(scid uint64) {
	g.Remove(scid)
	g.dead.add(scid)
}

// Exhume forgets that a channel is not worth asking for: it is known by other ways to be alive.
func (g *Graph) Exhume(scid uint64) { delete(g.dead.all, scid) }

// Remove takes a channel out, and nodes that have no other. It may be announced again.
func (g *Graph) Remove(scid uint64) {
	c := g.channels[scid]
	if c == nil {
		return
	}
	delete(g.channels, scid)
	delete(g.outpoints, c.Outpoint)
	g.inOrder = false
	g.bytes -= len(c.Raw)
	for i, n := range c.Nodes {
		if p := c.Policies[i]; p != nil {
			g.bytes -= len(p.Raw)
			g.policies--
		}
		n.Channels = slices.DeleteFunc(n.Channels, func(x *Channel) bool { return x == c })
		if len(n.Channels) > 0 {
			continue
		}
		if n.Info != nil {
			g.bytes -= len(n.Info.Raw)
			g.announced--
		}
		delete(g.nodes, n.ID)
		g.slots[n.Index] = nil
		g.free = append(g.free, n.Index)
	}
}

// Prune takes out the channels that neither side has spoken of for too long, and returns them. One that comes back with a new update is welcome: both
// are announced together.
func (g *Graph) Prune(now time.Time) []uint64 {
	var gone []uint64
	limit := stamp(now.Add(-g.limits.Stale))
	for _, c := range g.Sorted() {
		if max(c.Seen, c.Newest()) < limit {
			gone = append(gone, c.SCID)
		}
	}
	for _, scid := range gone {
		g.Remove(scid)
	}
	return gone
}

// Sorted returns all channels by short channel id. The slice is valid, and not to be changed, until the graph changes.
func (g *Graph) Sorted() []*Channel {
	if !g.inOrder {
		g.sorted = g.sorted[:0]
		for _, c := range g.channels {
			g.sorted = append(g.sorted, c)
		}
		slices.SortFunc(g.sorted, func(a, b *Channel) int { return compare(a.SCID, b.SCID) })
		g.inOrder = true
	}
	return g.sorted
}

// Range returns the channels of count blocks from first on, by short channel id. As Sorted.
func (g *Graph) Range(first, count uint32) []*Channel {
	all := g.Sorted()
	end := uint64(first) + uint64(count) // at most 2^33: no overflow
	find := func(height uint64) int {
		if height > 1<<24-1 {
			return len(all)
		}
		i, _ := slices.BinarySearchFunc(all, height<<40, func(c *Channel, scid uint64) int { return compare(c.SCID, scid) })
		return i
	}
	return all[find(uint64(first)):find(end)]
}

// SortedNodes returns all nodes by id.
func (g *Graph) SortedNodes() []*Node {
	out := make([]*Node, 0, len(g.nodes))
	for _, n := range g.nodes {
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b *Node) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return out
}

// stamp is a time as gossip has it.
func stamp(t time.Time) uint32 { return uint32(min(max(t.Unix(), 0), 1<<32-1)) } //nolint:gosec // bounded

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// tombs is a bounded set that forgets the oldest.
type tombs struct {
	most int
	all  map[uint64]bool
	ring []uint64
	next int
}

func (t *tombs) has(scid uint64) bool { return t.all[scid] }

func (t *tombs) add(scid uint64) {
	if t.all[scid] {
		return
	}
	if t.all == nil {
		t.all = map[uint64]bool{}
	}
	if len(t.ring) < t.most {
		t.ring = append(t.ring, scid)
	} else {
		delete(t.all, t.ring[t.next])
		t.ring[t.next] = scid
		t.next = (t.next + 1) % t.most
	}
	t.all[scid] = true
}
