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

// begin is the first instant of every world.
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
	nodes [2]*node
	plan  plan

	payments []*payment
	events   map[eventOf]facts.Event // emitted, or durable
	htlcs    [2]htlcs                // of payments, durable
	chainSide
	wrongs    []string // what must not happen and did
	stormEnd  time.Time
	closing   bool   // a close was asked for
	claimAll  bool   // held payments are claimed
	kills     int    // node crashes
	broadcast int    // transactions
	tracing   func() // nil but for -log
}

// newWorld clones a prepared world.
func newWorld(seed uint64, from *prepared, p plan) *world {
	chain, err := from.chain.Open()
	if err != nil {
		panic(err)
	}
	w := &world{
		seed: seed, sim: sim.New(seed), chain: chain, plan: p, events: map[eventOf]facts.Event{}, htlcs: [2]htlcs{{}, {}},
		chainSide: newChainSide(chain, from),
	}
	w.net = simnet.New(w.sim)
	for i, who := range identities {
		n := &node{
			identity: who, w: w, index: i, revoked: map[ln.ChannelID]uint64{}, store: from.stores[i].Clone(), indexes: from.indexes[i],
			claims: map[chainhash.Hash]bool{}, spendable: map[wire.OutPoint]bool{}, spenders: map[chainhash.Hash]bool{}, closed: map[ln.ChannelID]bool{},
		}
		n.old = from.stores[i]
		n.user = newUser(n, from.seen[i])
		w.nodes[i] = n
	}
	w.nodes[0].far, w.nodes[1].far = w.nodes[1], w.nodes[0]
	w.stormEnd = begin.Add(p.storm)
	w.sim.Faults.Before, w.sim.Faults.After = w.before, w.faultAfter
	w.net.Fault = w.cut
	for _, n := range w.nodes {
		n.boot()
	}
	w.noteChannel()
	return w
}

// node finds a node by name.
func (w *world) node(name string) *node {
	if w.nodes[0].name == name {
		return w.nodes[0]
	}
	return w.nodes[1]
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
		w.wrongs = append(w.wrongs, fmt.Sprintf("+%v step %d: ", w.sim.Now().Sub(begin), w.sim.Steps())+fmt.Sprintf(format, args...))
	}
}

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
		w.wrong("panic: %v\n%s", c, c.Stack)
	}
	if len(w.wrongs) == 0 {
		return ""
	}
	return strings.Join(w.wrongs, "\n")
}
