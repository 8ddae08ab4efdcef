package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// TestSimulationOnChain: payments in flight both ways, then the channel ends on chain, and blocks come until all of it is resolved.
func TestSimulationOnChain(t *testing.T) { endingSuite.test(t) }

var endingSuite = suite{name: "endings", seeds: 30, from: opened, run: endOnChain, plan: drawOnChain, check: (*world).checkEnding}

// drawOnChain makes the plan of a world that ends on chain.
func drawOnChain(r *rand.Rand) plan {
	p := draw(r)
	p.errors, p.forceCloses = true, true
	p.manual = r.IntN(8) != 0
	p.archiveDepth = uint32(6 + r.IntN(6))
	if r.IntN(50) == 0 {
		p.archiveDepth = 0 // as in life
	}
	return p
}

// How a channel ends.
const (
	endByUser      = iota // of one node
	endByBoth             // at about the same time
	endByPeerError        // the peer sends an error out of the blue
	endBySplit            // the network is gone: the first HTLC that expires ends the channel, or a user some day
	endByLoss             // one node never comes back
	endByShutdown         // a cooperative close, into which a user loses patience
	endings
)

// endOnChain is the whole course.
func endOnChain(w *world, r *rand.Rand) {
	w.closing = true
	if w.delta = uint32(27 + r.IntN(3)); r.IntN(8) == 0 {
		w.delta = 0
	}
	w.holdPayments(r)
	w.traffic(r)
	id := w.nodes[0].shadow.order[0]
	w.plan.storm += 100 * time.Millisecond
	w.stormEnd = w.begin.Add(w.plan.storm)
	w.end(id, r.IntN(endings), r)
	w.until(w.calm, w.plan.storm+time.Second)
	w.resolve(id, r)
}

// holdPayments has some payments held by the user: some for good, some until a later block.
func (w *world) holdPayments(r *rand.Rand) {
	most := r.IntN(4)
	for _, n := range w.nodes {
		n.user.holds = func(h ln.Hash) bool { return int(h[30]%4) < most }
	}
}

// traffic schedules payments, fee updates and blocks for the storm.
func (w *world) traffic(r *rand.Rand) {
	within := func() time.Duration { return time.Duration(r.Int64N(int64(w.plan.storm))) }
	for range 1 + r.IntN(7) {
		from, amount, kind := r.IntN(2), amountOf(r), payGood
		if r.IntN(4) == 0 {
			kind = []int{payWrongSecret, payExpired, payTooLittle}[r.IntN(3)]
		}
		w.sim.After(within(), "pay", func() { w.newPayment(from, amount, kind).ask() })
	}
	if r.IntN(4) == 0 {
		fee := uint32(500 + r.IntN(3000))
		w.sim.After(within(), "update fee", func() { w.tellChannels(0, messages.UpdateFee{FeePerKw: fee}) })
	}
	for range r.IntN(3) {
		w.sim.After(within(), "block", func() { w.mine(1) })
	}
}

// end ends the channel at some time of the storm.
func (w *world) end(id ln.ChannelID, how int, r *rand.Rand) {
	at := func() time.Duration { return w.plan.storm/3 + time.Duration(r.Int64N(int64(w.plan.storm))) }
	first := r.IntN(2)
	w.how = fmt.Sprintf("ending %d by %s", how, w.nodes[first].name)
	switch how {
	case endByUser:
		w.sim.After(at(), "force close", func() { w.forceClose(first, id) })
	case endByBoth:
		t := at()
		w.sim.After(t, "force close", func() { w.forceClose(first, id) })
		w.sim.After(t+time.Duration(r.Int64N(int64(20*time.Millisecond))), "force close", func() { w.forceClose(1-first, id) })
	case endByPeerError:
		w.sim.After(at(), "an error out of the blue", func() { w.nodes[first].errs = true })
	case endBySplit:
		w.sim.After(at(), "split", func() {
			w.split = true
			w.net.CutAll()
		})
	case endByLoss:
		w.sim.After(at(), "loss", func() { w.lose(first) })
	case endByShutdown:
		w.sim.After(at(), "close", func() { w.askClose(first, id) })
		if r.IntN(3) > 0 {
			w.sim.After(at()+w.plan.storm/3, "force close", func() { w.forceClose(r.IntN(2), id) })
		}
	}
}

// lose takes a node away for ever.
func (w *world) lose(who int) {
	n := w.nodes[who]
	n.gone = true
	if w.sim.Alive(n.name) {
		w.sim.Crash(n.name)
	}
}

// forceClose has a user close, and again until that is durable.
func (w *world) forceClose(who int, id ln.ChannelID) {
	n := w.nodes[who]
	c := n.shadow.channels[id]
	if n.gone || c == nil || c.facts.ForceClose != nil || c.facts.Spent != nil {
		return
	}
	if w.sim.Alive(n.name) {
		n.env.Tell(messages.MonitorAddr(id), messages.ForceCloseChannel{Reason: facts.CloseByUser})
	}
	w.sim.After(300*time.Millisecond, "ask to close again", func() { w.forceClose(who, id) })
}

// round is a block, or a reorganisation, with a storm around it and a calm after it. Faults end before the next block, so that nobody is kept from
// doing what he has the time of one block for.
func (w *world) round(r *rand.Rand, storm bool) {
	calm := 150 * time.Millisecond
	if storm {
		w.stormEnd = w.sim.Now().Add(time.Duration(r.Int64N(int64(200 * time.Millisecond))))
		calm = 700 * time.Millisecond // the persister may rest for 500
	}
	if storm && r.IntN(12) == 0 {
		w.reorganise(r)
	} else {
		w.mine(1)
	}
	w.deepen()
	w.pass(w.stormEnd.Sub(w.sim.Now()))
	w.pass(calm)
}

// maySleep sends a node to sleep for some blocks, or wakes it.
func (w *world) maySleep(r *rand.Rand, storm bool) {
	for _, n := range w.nodes {
		switch {
		case n.asleep > 0:
			n.asleep-- // the world raises it when it is 0
		case storm && !n.gone && !n.slept && r.IntN(60) == 0:
			n.asleep, n.slept = 1+r.IntN(5), true
			if w.sim.Alive(n.name) {
				w.sim.Crash(n.name)
			}
		}
	}
}

// reorganise replaces up to five blocks. What they held comes back to the mempool, or is forgotten by it.
func (w *world) reorganise(r *rand.Rand) {
	depth := 1 + r.IntN(5)
	var opts []regtest.ReorgOption
	if r.IntN(4) == 0 {
		opts = append(opts, regtest.DropAllTxs())
	}
	if err := w.chain.Reorg(depth, depth+1, opts...); err != nil {
		w.wrong("reorg: %v", err)
	}
}

// archived tells whether a node has nothing left of its channels.
func (w *world) archived() bool {
	for _, n := range w.nodes {
		if !n.gone && len(n.shadow.order) > 0 {
			return false
		}
	}
	return true
}

// resolve mines until nothing is left of the channel (L5).
func (w *world) resolve(id ln.ChannelID, r *rand.Rand) {
	storms := r.IntN(3) > 0 // else the sky is clear from here on
	decideAt := w.chain.Height() + int32(r.IntN(8))
	closeBy := w.chain.Height() + int32(r.IntN(40))
	first := w.chain.Height()
	more := func() bool {
		last := first + 110
		if w.plan.archiveDepth == 0 || w.nodes[0].gone || w.nodes[1].gone {
			last += 120 // for the archive, or for somebody to take what nobody takes
		}
		return w.chain.Height() < last
	}
	for more() && len(w.wrongs) == 0 && !(w.archived() && w.quiet() == "") {
		w.maySleep(r, storms)
		w.round(r, storms)
		if w.chain.Height() >= decideAt {
			decideAt = 1 << 30
			w.decideHeld(r)
		}
		if w.chain.Height() >= closeBy {
			closeBy = 1 << 30
			w.closeIfOpen(id, r)
		}
		if w.onlyDepth() {
			w.mine(5) // nothing happens in between
			w.deepen()
		}
	}
	if !w.archived() && len(w.wrongs) == 0 {
		w.wrong("L5: not archived after %d blocks (%s): %s", w.chain.Height()-w.startHeight, w.how, w.whatIsLeft())
	}
	w.stormEnd = w.sim.Now()
}

// decideHeld lets the users decide about some of what they hold.
func (w *world) decideHeld(r *rand.Rand) {
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		for _, id := range n.shadow.order {
			for _, h := range facts.Sorted(n.shadow.channels[id].facts.Inbound) {
				if h.Resolution == nil && r.IntN(3) > 0 {
					n.user.decide(h.Hash)
				}
			}
		}
	}
}

// closeIfOpen ends a channel that nothing else ends.
func (w *world) closeIfOpen(id ln.ChannelID, r *rand.Rand) {
	who := r.IntN(2)
	if w.nodes[who].gone {
		who = 1 - who
	}
	if c := w.nodes[who].shadow.channels[id]; c != nil && !c.facts.WasSpent {
		w.forceClose(who, id)
	}
}

// mayClaim tells whether there is an HTLC that the node will or may take.
func (c *shadowChannel) mayClaim() bool {
	for _, h := range c.facts.Outbound {
		if h.Fate == facts.FateOpen {
			return true
		}
	}
	for _, h := range c.facts.Inbound {
		if h.Fate == facts.FateOpen && (h.Preimage != nil || h.Resolution == nil) {
			return true
		}
	}
	return false
}

// onlyDepth tells whether all that is left is to wait for the archive.
func (w *world) onlyDepth() bool {
	if len(w.chain.Mempool()) > 0 || w.quiet() != "" || w.nodes[0].asleep+w.nodes[1].asleep > 0 {
		return false
	}
	for _, n := range w.nodes {
		for _, id := range n.shadow.order {
			c := n.shadow.channels[id]
			switch {
			case n.gone:
			case c.facts.Spent == nil, len(c.facts.OnChain.Claims) > 0, len(c.facts.OnChain.Spendable) == 0:
				return false
			case c.live() > 0 && (!w.nodes[1-n.index].gone || c.mayClaim()):
				return false
			}
		}
	}
	return true
}

func (w *world) whatIsLeft() (out string) {
	for _, n := range w.nodes {
		for _, id := range n.shadow.order {
			if n.gone {
				continue
			}
			c := n.shadow.channels[id]
			f := c.facts
			out += fmt.Sprintf("%s: height %d of %d, spent %+v, force close %+v, mutual %v, %d HTLCs live, %d claims, %d unacked %s; ",
				n.name, f.Height, w.chain.Height(), f.Spent, f.ForceClose, f.MutualClose != nil, c.live(), len(f.OnChain.Claims), len(c.unacked), n.shadow.busy())
		}
	}
	return out
}
