package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// TestSimulationOpening: the channel is opened in the storm, with reorganisations around its funding transaction and power cuts at every step.
func TestSimulationOpening(t *testing.T) {
	s := suite{name: "openings", seeds: 40, from: funded, run: openInStorm, plan: func(r *rand.Rand) plan {
		p := draw(r)
		// A channel that is durable at the fundee only is closed when its peer does not know it; checkOpenings looks at the others.
		p.errors, p.forceCloses = true, true
		return p
	}}
	s.test(t)
}

func openInStorm(w *world, r *rand.Rand) {
	within := func() time.Duration { return time.Duration(r.Int64N(int64(w.plan.storm))) }
	w.openChannel(0)
	for range 3 + r.IntN(8) {
		w.sim.After(within(), "block", func() { w.mine(1) })
	}
	if r.IntN(3) == 0 {
		depth := 1 + r.IntN(2)
		w.sim.After(within(), "reorganisation", func() {
			if err := w.chain.Reorg(depth, depth+1); err != nil {
				w.wrong("reorg: %v", err)
			}
		})
	}
	for range r.IntN(4) {
		from, amount := r.IntN(2), amountOf(r)
		w.sim.After(within(), "pay", func() { w.newPayment(from, amount, payGood).ask() })
	}
	// After the storm: an opening that was lost is asked for again, and blocks come until the channel is ready.
	ready := func() bool {
		for _, id := range w.nodes[0].shadow.order {
			if w.usable(id) {
				return true
			}
		}
		return false
	}
	w.until(w.calm, w.plan.storm+time.Second)
	for range 20 {
		if ready() || len(w.wrongs) > 0 {
			break
		}
		w.pass(3 * time.Second)
		w.mine(1)
	}
	if !ready() && len(w.wrongs) == 0 {
		w.wrong("L3: no channel gets ready")
	}
	w.mine(6) // the others as well
	w.rest()
	w.checkOpenings()
}

// checkOpenings: a channel that both sides have is not closed by either (L7), and the user has heard of it.
func (w *world) checkOpenings() {
	for i, n := range w.nodes {
		for _, id := range n.shadow.order {
			f := n.shadow.channels[id].facts
			if w.nodes[1-i].shadow.channels[id] != nil && f.ForceClose != nil {
				w.wrong("L7: %s closes %s, which both have: %+v", n.name, id, f.ForceClose)
			}
			if !n.user.knows("channel-pending/" + id.String()) {
				w.wrong("L1: %s did not hear of %s", n.name, id)
			}
			if f.Open() && !n.user.knows("channel-ready/"+id.String()) {
				w.wrong("L1: %s did not hear that %s is ready", n.name, id)
			}
		}
	}
}

// TestSimulationClosing: payments, and a cooperative close in the middle of them.
func TestSimulationClosing(t *testing.T) {
	s := suite{name: "closes", seeds: 40, from: opened, run: closeInStorm, plan: draw}
	s.test(t)
}

func closeInStorm(w *world, r *rand.Rand) {
	w.closing = true
	w.workload(r)
	id, first := w.nodes[0].shadow.order[0], r.IntN(2)
	for who := range w.nodes {
		if who != first && r.IntN(3) != 0 {
			continue // mostly one of them
		}
		w.sim.After(time.Duration(r.Int64N(int64(w.plan.storm))), "close", func() { w.askClose(who, id) })
	}
	w.rest()
	spent := func() bool {
		for _, n := range w.nodes {
			if n.shadow.channels[id].facts.Spent == nil {
				return false
			}
		}
		return true
	}
	confirm := func() {
		for range 20 {
			if w.pass(5 * time.Second); spent() || len(w.wrongs) > 0 {
				return
			}
			w.mine(1)
		}
		if len(w.wrongs) == 0 {
			w.wrong("L5: the channel does not get closed: %+v", w.nodes[0].shadow.channels[id].facts.MutualClose)
		}
	}
	confirm()
	if r.IntN(3) == 0 {
		if err := w.chain.Reorg(1, 2); err != nil {
			w.wrong("reorg: %v", err)
		}
		confirm()
	}
	w.rest()
	w.checkClosed(id)
}

// askClose asks a node to close, and again until the close is durable.
func (w *world) askClose(who int, id ln.ChannelID) {
	n := w.nodes[who]
	if c := n.shadow.channels[id]; c == nil || c.facts.HolderShutdown != nil || c.facts.Ended() {
		return
	}
	if w.sim.Alive(n.name) {
		script, err := n.wallet.NewScript()
		if err != nil {
			w.wrong("script: %v", err)
			return
		}
		probe := w.sim.Probe(fmt.Sprintf("close/%d/%v", who, w.sim.Now().UnixNano()))
		probe.Send(n.name, messages.ChannelAddr(id), messages.CloseChannel{Script: script, FeePerKw: feePerKw, ReplyTo: probe.Addr()})
	}
	w.sim.After(500*time.Millisecond, "ask to close again", func() { w.askClose(who, id) })
}

// checkClosed: both agree on the transaction, it pays out what each had, and both users have heard of it once.
func (w *world) checkClosed(id ln.ChannelID) {
	if len(w.wrongs) > 0 {
		return
	}
	a, b := w.nodes[0].shadow.channels[id].facts, w.nodes[1].shadow.channels[id].facts
	if a.Spent == nil || b.Spent == nil || a.Spent.Txid != b.Spent.Txid {
		w.wrong("L5: the close is %+v at alice and %+v at bob", a.Spent, b.Spent)
		return
	}
	tx, _, err := w.chain.Tx(a.Spent.Txid)
	if err != nil {
		w.wrong("the close is not in the chain: %v", err)
		return
	}
	// Alice funded the channel, so the fee is hers; bob gets his to the satoshi unless it is dust.
	var toBob, all int64
	for _, out := range tx.TxOut {
		all += out.Value
		if w.nodes[1].wallet.IsOurs(out.PkScript) {
			toBob += out.Value
		}
	}
	if want := int64(b.HolderMsat / 1000); toBob != want && want > 1000 {
		w.wrong("S13: the close pays bob %d of %d", toBob, want)
	}
	if fee := int64(a.Tx.Capacity) - all; fee <= 0 || fee > 20_000 {
		w.wrong("the close has a fee of %d", fee)
	}
	for _, n := range w.nodes {
		ev, ok := n.user.seen["channel-closed/"+id.String()]
		k, _ := ev.Kind.(messages.ChannelClosed)
		if !ok || k.Cause != messages.ClosedMutually {
			w.wrong("L1: %s heard of the close: %v %+v", n.name, ok, k)
		}
	}
}
