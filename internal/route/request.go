package route

import (
	"errors"
	"fmt"

	"github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
)

// MaxHops is the most that fits an onion (BOLT 4).
const MaxHops = 20

// Request is a payment that needs routes. Self, Target, AmountMsat and Height are required.
type Request struct {
	Self       ln.NodeID
	Target     ln.NodeID
	AmountMsat uint64
	Height     uint32 // of the chain
	FinalDelta uint32 // min_final_cltv_expiry of the payee, with whatever is added to it

	MaxFeeMsat uint64 // of all parts together
	MaxDelay   uint32 // blocks between Height and the first hop's expiry; 0: 2016
	MaxHops    int    // 0: MaxHops
	MaxParts   int    // 0 and 1: a single one
	MinPart    uint64 // a part is not split below; 0: 10,000 sat

	Local []Local  // channels of this node that can be used now, public and private
	Hints [][]Hint // of the invoice; each leads to the target
	Avoid []uint64 // short channel ids, of channels or of hints, that are not to be used

	// LessMsat is the money that live parts of the same payment have taken from channels that are not Local, by channel and direction.
	LessMsat map[Edge]uint64

	// MostMsat is the most that a channel carries in one direction, as attempts of the same payment have shown; 0: it is not to be used. Local ones
	// are meant too.
	MostMsat map[Edge]uint64
}

// Local is a channel of this node as a first hop.
type Local struct {
	Channel  ln.ChannelID
	SCID     uint64 // what Hops name it by: anything that tells it from the others
	Peer     ln.NodeID
	SendMsat uint64 // what can be sent now
	MinMsat  uint64 // of one HTLC
	MaxMsat  uint64 // of one HTLC; 0: SendMsat
}

// Hint is a hop of a route hint (BOLT 11): a channel of Node, from it to the node of the next hint, or to the target.
type Hint struct {
	Node           ln.NodeID
	SCID           uint64
	BaseMsat       uint32
	PropMillionths uint32
	CLTVDelta      uint16
}

// Edge is one direction of a channel: From sends.
type Edge struct {
	SCID uint64
	From ln.NodeID
}

// Hop is one HTLC of a route.
type Hop struct {
	SCID       uint64
	From, To   ln.NodeID
	AmountMsat uint64
	Expiry     uint32
}

// Route is the way of one part. Hops[0] is over a Local.
type Route struct {
	Channel ln.ChannelID // of the first hop
	Hops    []Hop
	FeeMsat uint64
}

// AmountMsat is what arrives.
func (r *Route) AmountMsat() uint64 { return r.Hops[len(r.Hops)-1].AmountMsat }

// TotalMsat is what leaves.
func (r *Route) TotalMsat() uint64 { return r.Hops[0].AmountMsat }

// Errors of Find.
var (
	ErrRequest = errors.New("route: request makes no sense")
	ErrSelf    = errors.New("route: the payee is this node")
	ErrNoPath  = errors.New("route: no path to the payee")
	ErrBalance = errors.New("route: not enough can be sent over this node's channels now")
)

// LimitError says that there are paths, but none within a limit of the request.
type LimitError struct {
	FeeMsat uint64 // of the best that was found
	Delay   uint32
	Hops    int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("route: every path found breaks a limit; the last one costs %d msat, %d blocks and %d hops", e.FeeMsat, e.Delay, e.Hops)
}

const maxMoney = 21_000_000 * 100_000_000 * 1000

func (r *Request) withDefaults() (Request, error) {
	q := *r
	switch {
	case q.Self == q.Target:
		return q, ErrSelf
	case q.AmountMsat == 0 || q.AmountMsat > maxMoney:
		return q, fmt.Errorf("%w: an amount of %d msat", ErrRequest, q.AmountMsat)
	}
	if q.MaxDelay == 0 {
		q.MaxDelay = 2016
	}
	if q.MaxHops <= 0 || q.MaxHops > MaxHops {
		q.MaxHops = MaxHops
	}
	if q.MinPart == 0 {
		q.MinPart = 10_000_000
	}
	q.MaxParts = max(q.MaxParts, 1)
	if q.FinalDelta > q.MaxDelay {
		return q, &LimitError{Delay: q.FinalDelta}
	}
	return q, nil
}

// view is the graph with what the request adds to it.
type view struct {
	g     *graph.Graph
	extra map[ln.NodeID]int // nodes that the graph does not have, by index
	ids   []ln.NodeID       // of them
	hints map[int][]hintEdge
	local map[int][]int // first hops by the index of the peer: indexes of Request.Local
	avoid map[uint64]bool
}

// hintEdge is a channel that leads to a node by a hint.
type hintEdge struct {
	from int
	hint *Hint
}

func newView(g *graph.Graph, q *Request) *view {
	v := &view{g: g, extra: map[ln.NodeID]int{}, hints: map[int][]hintEdge{}, local: map[int][]int{}, avoid: map[uint64]bool{}}
	for _, scid := range q.Avoid {
		v.avoid[scid] = true
	}
	for _, path := range q.Hints {
		to := v.index(q.Target)
		for i := len(path) - 1; i >= 0; i-- {
			from := v.index(path[i].Node)
			if !v.avoid[path[i].SCID] {
				v.hints[to] = append(v.hints[to], hintEdge{from, &path[i]})
			}
			to = from
		}
	}
	for i := range q.Local {
		if l := &q.Local[i]; !v.avoid[l.SCID] {
			peer := v.index(l.Peer)
			v.local[peer] = append(v.local[peer], i)
		}
	}
	v.index(q.Self)
	v.index(q.Target)
	return v
}

// index numbers the nodes of the graph and those of the request.
func (v *view) index(id ln.NodeID) int {
	if n := v.g.Node(id); n != nil {
		return n.Index
	}
	i, ok := v.extra[id]
	if !ok {
		i = v.g.Slots() + len(v.ids)
		v.extra[id] = i
		v.ids = append(v.ids, id)
	}
	return i
}

func (v *view) id(index int) ln.NodeID {
	if index < v.g.Slots() {
		return v.g.At(index).ID
	}
	return v.ids[index-v.g.Slots()]
}

func (v *view) size() int { return v.g.Slots() + len(v.ids) }
