package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// TestSimulationNetwork: payments of all kinds, in all directions at once, over networks of three to six nodes.
func TestSimulationNetwork(t *testing.T) { networkSuite.test(t) }

var networkSuite = suite{
	name: "networks", seeds: 24, pick: pickNetwork, run: acrossNetwork, plan: drawCourses, check: (*world).finishNetwork, courses: networkCourses,
}

// pickNetwork chooses a network: mostly a small one, for speed.
func pickNetwork(r *rand.Rand) *prepared {
	switch k := r.IntN(20); {
	case k < 6:
		return lineNet.get()
	case k < 10:
		return thickNet.get()
	case k < 12:
		return hiddenNet.get()
	case k < 16:
		return diamondNet.get()
	case k < 18:
		return starNet.get()
	default:
		return randomNets[r.IntN(len(randomNets))].get()
	}
}

// drawNetwork makes the plan of a network. The rates count for each node's messages, and there are more nodes.
func drawNetwork(r *rand.Rand) plan {
	p := draw(r)
	p.actorCrash, p.nodeCrash, p.cut = p.actorCrash/2, p.nodeCrash/2, p.cut/3
	return p
}

// acrossNetwork is the workload of a storm.
func acrossNetwork(w *world, r *rand.Rand) {
	within := func() time.Duration { return time.Duration(r.Int64N(int64(w.plan.storm * 3 / 4))) }
	for range 4 + r.IntN(9) {
		w.sim.After(within(), "pay", func() { w.drawPayment(r) })
	}
	if r.IntN(6) == 0 {
		n := w.nodes[r.IntN(len(w.nodes))]
		id := n.shadow.order[r.IntN(len(n.shadow.order))]
		w.sim.After(within(), "quarantine", func() { w.quarantine(n, id) })
	}
	if r.IntN(3) == 0 {
		who, fee := r.IntN(len(w.nodes)), uint32(500+r.IntN(3000))
		w.sim.After(within(), "update fee", func() { w.tellChannels(who, messages.UpdateFee{FeePerKw: fee}) })
	}
	w.choices(r)
	for range r.IntN(4) {
		w.sim.After(within(), "block", func() { w.mine(1) })
	}
	if r.IntN(4) == 0 {
		depth := 1 + r.IntN(5)
		w.sim.After(within(), "reorganisation", func() {
			if err := w.chain.Reorg(depth, depth+1); err != nil {
				w.wrong("reorg: %v", err)
			}
		})
	}
}

// quarantine has a channel of a node quarantined by a gap in its updates (S11). What its monitor holds is unknown until the node restarts, which it does
// when the storm is over.
func (w *world) quarantine(n *node, id ln.ChannelID) {
	c := n.shadow.channels[id]
	if c == nil || !w.sim.Alive(n.name) {
		return
	}
	w.quarantines++
	n.env.Tell(messages.MonitorAddr(id), messages.MonitorUpdate{
		Channel: id, Incarnation: n.loads[id], UpdateID: c.updateID + 7, Update: facts.HolderShutdown{Script: []byte{0x51}},
	})
	w.sim.After(w.stormEnd.Sub(w.sim.Now())+300*time.Millisecond, "restart to leave quarantine", func() {
		if w.sim.Alive(n.name) {
			w.sim.Crash(n.name)
		}
	})
}

// TestSameSeedSameNetwork: a failing seed can be replayed.
func TestSameSeedSameNetwork(t *testing.T) {
	for seed := range uint64(4) {
		a, _ := networkSuite.world(seed, false)
		b, _ := networkSuite.world(seed, false)
		if a.sim.TraceHash() != b.sim.TraceHash() || a.sim.Steps() != b.sim.Steps() {
			t.Fatalf("seed %d: two runs differ: %d steps and %d", seed, a.sim.Steps(), b.sim.Steps())
		}
	}
}

// TestTopologies prepares all networks.
func TestTopologies(t *testing.T) {
	for _, n := range append([]*network{lineNet, thickNet, hiddenNet, diamondNet, starNet}, randomNets...) {
		n.get()
	}
}
