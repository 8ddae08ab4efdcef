package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/peer/simnet"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// begin is the first instant of the first worlds. A world that is cloned from a prepared network begins when that one was ready.
var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	maxSteps = 2_000_000        // of one world; more is a loop
	patience = 20 * time.Minute // of virtual time in which a world without faults must come to rest
)

// world is one seed.
type world struct {
	seed  uint64
	sim   *sim.Sim
	net   *simnet.Network
	chain *regtest.Chain
	nodes []*node
	plan  plan

	byName map[string]*node
	links  [][2]int // of nodes that connect
	begin  time.Time
	gossip bool // the nodes have graphs, and speak BOLT 7

	payments []*payment
	events   map[eventOf]facts.Event // emitted, or durable
	chainSide
	wrongs      []string // what must not happen and did
	stormEnd    time.Time
	closing     bool   // a close was asked for
	claimAll    bool   // held payments are claimed
	kills       int    // node crashes
	quarantines int    // asked for
	opens       int    // requests to open a channel
	broadcast   int    // transactions
	tracing     func() // nil but for -log
	courses     tally
}

// newWorld clones a prepared world.
func newWorld(seed uint64, from *prepared, p plan) *world {
	chain, err := from.chain.Open()
	if err != nil {
		panic(err)
	}
	w := &world{
		seed: seed, sim: sim.NewAt(seed, from.at), begin: from.at, links: from.links, chain: chain, plan: p, events: map[eventOf]facts.Event{}, byName: map[string]*node{},
		courses: tally{}, gossip: from.gossip, chainSide: newChainSide(chain, from),
	}
	w.net = simnet.New(w.sim)
	for i, who := range identities[:from.size()] {
		n := &node{
			identity: who, w: w, index: i, revoked: map[ln.ChannelID]uint64{}, store: from.stores[i].Clone(), indexes: from.indexes[i],
			claims: map[chainhash.Hash]bool{}, spendable: map[wire.OutPoint]bool{}, spenders: map[chainhash.Hash]bool{}, closed: map[ln.ChannelID]bool{},
			traffic: from.trafficOf(i), lastHeld: map[ln.ChannelID]uint64{}, graph: from.graph(i),
			policies: map[ln.ChannelID][]facts.Policy{}, setting: map[ln.ChannelID]bool{}, answers: map[ln.ChannelID]int{},
		}
		if p.intercepts>>i&1 == 1 {
			n.embedder = newEmbedder(n)
		}
		n.old = from.stores[i]
		n.user = newUser(n, from.seen[i])
		w.nodes, w.byName[n.name] = append(w.nodes, n), n
	}
	for _, l := range from.links {
		a, b := w.nodes[l[0]], w.nodes[l[1]]
		a.dials = append(a.dials, b)
		if p.bothDial {
			b.dials = append(b.dials, a)
		}
	}
	w.stormEnd = w.begin.Add(p.storm)
	w.sim.Faults.Before, w.sim.Faults.After = w.before, w.faultAfter
	w.net.Fault = w.cut
	for _, n := range w.nodes {
		n.boot()
	}
	w.noteChannel()
	return w
}

// node finds a node by name.
func (w *world) node(name string) *node { return w.byName[name] }

// nodeOf finds a node by its id.
func (w *world) nodeOf(id ln.NodeID) *node {
	for _, n := range w.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// close gives the chain's memory back.
func (w *world) close() { _ = w.chain.Close() }

// guard notes what leaves a node too early, unless guards are to keep silent.
func (w *world) guard(format string, args ...any) {
	if !w.plan.blind {
		w.wrong(format, args...)
	}
}

// wrong notes what must not happen. The first one says most.
func (w *world) wrong(format string, args ...any) {
	if len(w.wrongs) < 20 {
		w.wrongs = append(w.wrongs, fmt.Sprintf("+%v step %d: ", w.sim.Now().Sub(w.begin), w.sim.Steps())+fmt.Sprintf(format, args...))
	}
}

// did counts what a world went through.
func (w *world) did(what string) { w.courses[what]++ }

func (w *world) calm() bool { return !w.sim.Now().Before(w.stormEnd) }

// step lets one thing happen and raises the dead.
func (w *world) step() bool {
	more := w.sim.Step()
	if w.tracing != nil {
		w.tracing()
	}
	for _, n := range w.nodes {
		if !n.booting && !n.gone && n.asleep == 0 && !w.sim.Alive(n.name) {
			n.booting = true
			w.kills++
			wait := time.Duration(1+n.rand().Int64N(50)) * time.Millisecond
			w.sim.After(wait, n.name+" is back", n.reboot)
			more = true
		}
	}
	return more
}

// until steps until cond holds; false when something is wrong, time is up or nothing is left to do.
func (w *world) until(cond func() bool, limit time.Duration) bool {
	end := w.sim.Now().Add(limit)
	for i := 0; w.sim.Steps() < maxSteps; i++ {
		if len(w.wrongs) > 0 {
			return false
		}
		if i%32 == 0 && cond() {
			return true
		}
		if w.sim.Now().After(end) || !w.step() {
			break
		}
	}
	return cond()
}

// pass lets time pass with all that is to be done in it.
func (w *world) pass(d time.Duration) {
	end := w.sim.Now().Add(d)
	w.until(func() bool { return w.sim.Now().After(end) }, d)
}

// rest lets the storm end and the world come to rest.
func (w *world) rest() {
	if !w.until(func() bool { return w.calm() && w.quiet() == "" }, w.plan.storm+patience) && len(w.wrongs) == 0 {
		w.wrong("no rest: %s", w.quiet())
	}
}

// quiet says what is still to be done, empty for nothing (L1, L3).
func (w *world) quiet() string {
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		if !w.sim.Alive(n.name) {
			return n.name + " is down"
		}
		if why := n.shadow.busy(); why != "" {
			return n.name + ": " + why
		}
		if left := n.user.queue.Len(); left > 0 {
			return fmt.Sprintf("%s: %d user events not handled", n.name, left)
		}
	}
	for _, p := range w.payments {
		if why := p.open(); why != "" && !p.from.gone {
			return why
		}
	}
	return ""
}

// report is what a failing test prints; empty if nothing is wrong.
func (w *world) report() string {
	for _, c := range w.sim.Crashes() {
		if c.Message == "messages.Refused" && w.plan.actorCrash > 0 {
			continue // a persister that crashed refuses who has not loaded again; they start over
		}
		if w.quarantines > 0 && c.Message == "messages.MonitorUpdate" && strings.Contains(c.Error(), "is quarantined") {
			continue // that was asked for
		}
		w.wrong("panic: %v\n%s", c, c.Stack)
	}
	if len(w.wrongs) == 0 {
		return ""
	}
	return strings.Join(w.wrongs, "\n")
}
