package demo

import (
	"fmt"
	"slices"
)

// Topology says which nodes have channels with each other.
type Topology string

// Topologies. A pair has two nodes, the others three and more.
const (
	Pair    Topology = "pair"
	Line    Topology = "line"    // each with the next: a payment from end to end is forwarded by all between
	Diamond Topology = "diamond" // the first and the last over each of those between: large payments go in parts
	Star    Topology = "star"    // all with the first
)

// Topologies are what Options.Topology may be.
var Topologies = []Topology{Pair, Line, Diamond, Star}

// people are the nodes' names, the order is theirs.
var people = []string{"alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"}

// MaxNodes is how many nodes a run may have.
var MaxNodes = len(people)

// DefaultNodes is how many nodes a topology has unless Options say so.
func (t Topology) DefaultNodes() int {
	return map[Topology]int{Pair: 2, Line: 3, Diamond: 4, Star: 4}[t]
}

// withDefaults fills in what is not said, and refuses what makes no sense.
func (o Options) withDefaults() (Options, error) {
	if o.Topology == "" {
		o.Topology = Pair
	}
	if !slices.Contains(Topologies, o.Topology) {
		return o, fmt.Errorf("%w: --topology is %q; it must be pair, line, diamond or star", ErrOptions, o.Topology)
	}
	if o.Nodes == 0 {
		o.Nodes = o.Topology.DefaultNodes()
	}
	least := map[Topology]int{Pair: 2, Line: 3, Diamond: 4, Star: 3}[o.Topology]
	most := MaxNodes
	if o.Topology == Pair {
		most = 2
	}
	switch {
	case o.Nodes < least || o.Nodes > most:
		return o, fmt.Errorf("%w: --nodes is %d; it must be from %d to %d for a %s", ErrOptions, o.Nodes, least, most, o.Topology)
	case o.Payments < o.last():
		return o, fmt.Errorf("%w: --payments is %d; it must be from %d for a %s, one each way over every channel", ErrOptions, o.Payments, o.last(), o.Topology)
	case o.Topology != Pair && o.Close != CloseNot:
		return o, fmt.Errorf("%w: --close is for a pair, not for a %s", ErrOptions, o.Topology)
	}
	return o, nil
}

// Check says whether Options make sense: what it returns wraps ErrOptions.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// last is how many payments are made at the end to show that all channels work: each way.
func (o Options) last() int { return 2 * len(o.links()) }

// link is a channel to be: the first node pays for it.
type link struct{ from, to int }

func (o Options) links() []link {
	var out []link
	switch o.Topology {
	case Line:
		for i := 1; i < o.Nodes; i++ {
			out = append(out, link{i - 1, i})
		}
	case Diamond:
		for i := 1; i < o.Nodes-1; i++ {
			out = append(out, link{0, i}, link{i, o.Nodes - 1})
		}
	case Star:
		for i := 1; i < o.Nodes; i++ {
			out = append(out, link{0, i})
		}
	case Pair:
		out = []link{{0, 1}}
	}
	return out
}
