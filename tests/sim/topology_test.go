package sim

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// edge is a channel of a topology; the first node opens it.
type edge struct {
	from, to int
	terms
}

// topology is a network of channels.
type topology struct {
	name  string
	nodes int
	edges []edge
}

// public is a channel that everybody learns of, private one that only its two nodes and whoever reads an invoice know.
func public(from, to int, capacitySat uint64) edge  { return between(from, to, capacitySat, true) }
func private(from, to int, capacitySat uint64) edge { return between(from, to, capacitySat, false) }

func between(from, to int, capacitySat uint64, announce bool) edge {
	return edge{from, to, terms{capacitySat: capacitySat, pushMsat: capacitySat * 1000 / 2, announce: announce}}
}

var (
	line = topology{"line", 3, []edge{public(0, 1, 1_000_000), public(1, 2, 1_000_000)}}

	// Two channels between two of them: a forward may take either.
	thick = topology{"thick line", 3, []edge{public(0, 1, 1_000_000), public(1, 0, 600_000), public(1, 2, 1_000_000), public(2, 1, 500_000)}}

	// The last hop is in no graph: the payer knows it from the invoice.
	hidden = topology{"line with a private end", 3, []edge{public(0, 1, 1_000_000), private(1, 2, 1_000_000)}}

	diamond = topology{"diamond", 4, []edge{public(0, 1, 800_000), public(0, 2, 700_000), public(1, 3, 700_000), public(2, 3, 800_000)}}

	star = topology{"star", 5, []edge{public(0, 1, 800_000), public(0, 2, 700_000), private(0, 3, 800_000), public(4, 0, 900_000)}}
)

// random is a connected network of up to six nodes, with several channels between some of them.
func random(seed uint64) topology {
	r := rand.New(rand.NewPCG(seed, 0x746f706f))
	t := topology{name: fmt.Sprintf("random %d", seed), nodes: 4 + r.IntN(3)}
	add := func(a, b int) {
		t.edges = append(t.edges, between(a, b, 300_000+100_000*r.Uint64N(8), r.IntN(6) > 0))
	}
	for n := 1; n < t.nodes; n++ {
		t.edges = append(t.edges, public(n, r.IntN(n), 400_000+100_000*r.Uint64N(6)))
	}
	for range 1 + r.IntN(t.nodes-1) {
		a := r.IntN(t.nodes)
		if b := r.IntN(t.nodes); a != b {
			add(a, b)
		}
	}
	return t
}

// prepare makes the network: channels are opened, six blocks deep, and all nodes have learned the public ones by gossip.
func (t topology) prepare() *prepared {
	seen := map[[2]int]bool{}
	var links [][2]int
	for _, e := range t.edges {
		if l := [2]int{e.from, e.to}; !seen[l] && !seen[[2]int{e.to, e.from}] {
			seen[l] = true
			links = append(links, l)
		}
	}
	from := fund(t.nodes, links)
	from.gossip = true
	w := newWorld(0, from, plan{snapshotEvery: 32})
	defer w.close()
	fail := func(what string) {
		panic(fmt.Sprintf("%s: %s: %s\n%s\n%s", t.name, what, w.quiet(), w.report(), w.sim))
	}
	var ids []ln.ChannelID
	for _, e := range t.edges { // one by one: wallets have few coins
		o := w.openTo(e.from, e.to, e.terms)
		if !w.until(func() bool { return o.done }, time.Minute) || o.err != nil {
			fail(fmt.Sprintf("open %v: %v", e, o.err))
		}
		ids = append(ids, o.id)
		w.mine(1)
		w.pass(200 * time.Millisecond)
	}
	w.mine(6)
	ready := func() bool {
		for _, id := range ids {
			if !w.usable(id) {
				return false
			}
		}
		return w.quiet() == ""
	}
	if !w.until(ready, patience) {
		fail("the channels do not get ready")
	}
	w.pass(2 * time.Minute) // the graphs are told, and saved
	if r := w.report(); r != "" {
		panic(r + "\n" + w.sim.String())
	}
	if w.checkGraphs(t); len(w.wrongs) > 0 {
		panic(w.report())
	}
	p := w.freeze(ln.ChannelID{})
	p.at = w.sim.Now()
	return p
}

// network is a topology that is prepared when it is asked for first.
type network struct {
	topology
	get func() *prepared
}

func newNetwork(t topology) *network {
	return &network{t, sync.OnceValue(t.prepare)}
}

var (
	lineNet    = newNetwork(line)
	thickNet   = newNetwork(thick)
	hiddenNet  = newNetwork(hidden)
	diamondNet = newNetwork(diamond)
	starNet    = newNetwork(star)
	randomNets = []*network{newNetwork(random(1)), newNetwork(random(2)), newNetwork(random(3))}
)
