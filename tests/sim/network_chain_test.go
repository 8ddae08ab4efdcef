package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// TestSimulationNetworkOnChain: payments across a network, and one or two of its channels end on chain in the middle of them, on either side of those
// who forward. Blocks come until all of that is resolved; the other channels stay open.
func TestSimulationNetworkOnChain(t *testing.T) { networkEndings.test(t) }

var networkEndings = suite{
	name: "network endings", seeds: 12, most: 600, pick: pickSmallNetwork, run: endInNetwork, plan: drawNetworkOnChain,
	check: (*world).finishNetworkEnding,
}

func pickSmallNetwork(r *rand.Rand) *prepared {
	switch k := r.IntN(20); {
	case k < 9:
		return lineNet.get()
	case k < 13:
		return thickNet.get()
	case k < 15:
		return hiddenNet.get()
	case k < 19:
		return diamondNet.get()
	default:
		return starNet.get()
	}
}

func drawNetworkOnChain(r *rand.Rand) plan {
	p := drawNetwork(r)
	p.errors, p.forceCloses = true, true
	p.manual = r.IntN(5) != 0
	p.archiveDepth = uint32(6 + r.IntN(6))
	return p
}

// endInNetwork is the whole course.
func endInNetwork(w *world, r *rand.Rand) {
	w.closing = true
	w.delta = uint32(27 + r.IntN(3))
	w.holdPayments(r)
	within := func() time.Duration { return time.Duration(r.Int64N(int64(w.plan.storm))) }
	for range 5 + r.IntN(8) {
		w.sim.After(within(), "pay", func() { w.drawPayment(r) })
	}
	w.plan.storm += 100 * time.Millisecond
	w.stormEnd = w.begin.Add(w.plan.storm)
	for range 1 + r.IntN(2) {
		n := w.nodes[r.IntN(len(w.nodes))]
		w.endEdge(n, n.shadow.order[r.IntN(len(n.shadow.order))], r)
	}
	w.until(w.calm, w.plan.storm+time.Second)
	w.resolveNetwork(r)
}

// endEdge ends one channel of a node at some time of the storm.
func (w *world) endEdge(n *node, id ln.ChannelID, r *rand.Rand) {
	if w.chainEnds[id] {
		return
	}
	w.chainEnds[id] = true
	at := func() time.Duration { return w.plan.storm/3 + time.Duration(r.Int64N(int64(w.plan.storm))) }
	far := w.nodeOf(n.shadow.channels[id].facts.Peer)
	how := r.IntN(5)
	w.how += fmt.Sprintf("[%s of %s and %s ends by %d] ", id.String()[:8], n.name, far.name, how)
	switch how {
	case 0, 1:
		w.sim.After(at(), "force close", func() { w.forceClose(n.index, id) })
	case 2:
		t := at()
		w.sim.After(t, "force close", func() { w.forceClose(n.index, id) })
		w.sim.After(t+time.Duration(r.Int64N(int64(20*time.Millisecond))), "force close", func() { w.forceClose(far.index, id) })
	case 3:
		w.sim.After(at(), "an error out of the blue", func() { n.errs, n.errsAbout = true, id })
	case 4:
		w.sim.After(at(), "close", func() { w.askClose(n.index, id) })
		if r.IntN(3) > 0 {
			w.sim.After(at()+w.plan.storm/3, "force close", func() { w.forceClose(far.index, id) })
		}
	}
}

// ended tells whether nobody has anything left of the channels that were to end.
func (w *world) ended() bool {
	for _, n := range w.nodes {
		for id := range w.chainEnds {
			if n.shadow.channels[id] != nil && !n.gone {
				return false
			}
		}
	}
	return true
}

// resolveNetwork mines until nothing is left of the channels that were to end (L5).
func (w *world) resolveNetwork(r *rand.Rand) {
	storms := r.IntN(3) > 0 // else the sky is clear from here on
	first := w.chain.Height()
	decideAt, closeBy := first+int32(r.IntN(8)), first+int32(r.IntN(20))
	for w.chain.Height() < first+300 && len(w.wrongs) == 0 && !(w.ended() && w.quiet() == "") {
		w.maySleep(r, storms)
		w.round(r, storms)
		if w.chain.Height() >= decideAt {
			decideAt = 1 << 30
			w.decideHeld(r)
		}
		if w.chain.Height() >= closeBy {
			closeBy = 1 << 30
			w.closeRest()
		}
		if n := w.wait(); n > 0 {
			w.mine(n)
			w.deepen()
			w.pass(100 * time.Millisecond)
		}
	}
	if !w.ended() && len(w.wrongs) == 0 {
		w.wrong("L5: not archived after %d blocks (%s): %s", w.chain.Height()-first, w.how, w.whatIsLeft())
	}
	w.stormEnd = w.sim.Now()
}

// closeRest ends the channels that were to end and did not.
func (w *world) closeRest() {
	for _, id := range w.sortedEnds() {
		for _, n := range w.nodes {
			if c := n.shadow.channels[id]; c != nil && !c.facts.WasSpent {
				w.forceClose(n.index, id)
				break
			}
		}
	}
}

func (w *world) sortedEnds() (ids []ln.ChannelID) {
	for id := range w.chainEnds {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b ln.ChannelID) int { return slices.Compare(a[:], b[:]) })
	return ids
}

// wait is how many blocks may come at once, because nothing but time is waited for.
func (w *world) wait() int {
	if len(w.chain.Mempool()) > 0 {
		return 0
	}
	next := int32(10)
	for _, n := range w.nodes {
		if n.asleep > 0 || !w.sim.Alive(n.name) && !n.gone {
			return 0
		}
		for _, id := range n.shadow.order {
			c := n.shadow.channels[id]
			f := c.facts
			if !w.chainEnds[id] {
				continue
			}
			if f.Spent == nil {
				return 0
			}
			for _, m := range []map[uint64]*facts.HTLC{f.Outbound, f.Inbound} {
				for _, h := range m {
					if h.Fate == facts.FateOpen {
						next = min(next, int32(h.CLTVExpiry)-w.chain.Height()-3)
					}
				}
			}
		}
	}
	if next < 10 {
		return int(max(next, 0))
	}
	return 3
}

// finishNetworkEnding lets the rest come to rest and checks everything.
func (w *world) finishNetworkEnding() {
	if w.rest(); len(w.wrongs) > 0 {
		return
	}
	w.checkNetwork()
	for _, n := range w.nodes {
		for id := range w.chainEnds {
			w.checkEnded(n, id)
		}
	}
	if len(w.wrongs) == 0 {
		w.checkUsableNetwork()
	}
	if len(w.wrongs) == 0 {
		w.checkSilentNetwork()
	}
}

// checkEnded: of a channel that a node had, a row says what became of it, and the user knows (S17, L5).
func (w *world) checkEnded(n *node, id ln.ChannelID) {
	if n.gone || !n.closed[id] {
		return
	}
	if _, ok, err := n.store.Get(messages.BucketClosed, id[:]); err != nil || !ok {
		w.wrong("L5: %s keeps no row of the closed channel: %v", n.name, err)
	}
	if rows, err := n.store.Range(messages.BucketRevoked, id[:], nil, 10); err != nil || len(rows) > 0 {
		w.wrong("L5: %s keeps %d rows of revoked commitments: %v", n.name, len(rows), err)
	}
	for _, what := range []string{"channel-closed/", "channel-resolved/"} {
		if !n.user.knows(what+id.String()) && !n.lossy {
			w.wrong("L1: %s did not hear %s%s", n.name, what, id)
		}
	}
}
