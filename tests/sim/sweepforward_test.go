package sim

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// relay is one payment from alice over bob to carol under a sweep.
type relay struct {
	name  string
	from  func() *prepared
	chain bool // a channel ends on chain

	begin func(w *world)        // after the crashes were armed
	block func(w *world, n int) // after block n
	sent  bool                  // what becomes of it, if it was in a commitment
}

var relays = []relay{
	{name: "success", from: lineNet.get, begin: func(w *world) { w.relayed(payGood) }, sent: true},
	{name: "failure", from: lineNet.get, begin: func(w *world) { w.relayed(payWrongSecret) }},
	{name: "downstream claims on chain", from: inFlight, chain: true, sent: true, begin: func(w *world) { w.endRelay(1) }, block: claimAt(1)},
	{name: "downstream times out", from: inFlight, chain: true, begin: func(w *world) { w.endRelay(1) }},
	{name: "downstream closes, off-chain claim lost", from: inFlight, chain: true, sent: true, begin: func(w *world) {
		w.nodes[2].user.claim(w.payments[0].msg.Hash)
		w.sim.After(20*time.Millisecond, "close", func() { w.endRelay(1) })
	}},
	{name: "upstream closes", from: inFlight, chain: true, sent: true, begin: func(w *world) { w.endRelay(0) }, block: claimAt(2)},
}

func (w *world) relayed(kind int) { w.netPayment(0, 2, 5_000_000, kind).ask() }

// endRelay has bob close the channel with alice (0) or with carol (1).
func (w *world) endRelay(which int) {
	id := w.relayChannel(which)
	w.chainEnds[id] = true
	w.forceClose(1, id)
}

func (w *world) relayChannel(which int) ln.ChannelID {
	for _, id := range w.nodes[2*which].shadow.order {
		return id // of alice, or of carol: they have one
	}
	panic("the channel is gone")
}

// claimAt has carol's user claim after block n.
func claimAt(n int) func(*world, int) {
	return func(w *world, at int) {
		if at == n {
			w.nodes[2].user.claim(w.payments[0].msg.Hash)
		}
	}
}

// inFlight is the line with a payment from alice to carol that carol holds.
var inFlight = sync.OnceValue(func() *prepared {
	w := newWorld(0, lineNet.get(), plan{snapshotEvery: 32, manual: true})
	defer w.close()
	w.delta = 36
	for _, n := range w.nodes {
		n.user.holds = func(ln.Hash) bool { return true }
	}
	w.pass(time.Second)
	w.relayed(payGood)
	in := func() bool {
		for _, n := range w.nodes {
			for _, id := range n.shadow.order {
				f := n.shadow.channels[id].facts
				if len(f.Inbound)+len(f.Outbound) != 1 || f.Unrevoked {
					return false
				}
				for _, h := range f.Inbound {
					if !h.Decidable() {
						return false
					}
				}
			}
		}
		return true
	}
	if !w.until(in, time.Minute) {
		panic("the HTLC does not get through: " + w.report())
	}
	w.pass(time.Second)
	if r := w.report(); r != "" {
		panic(r)
	}
	p := w.freeze(ln.ChannelID{})
	p.at = w.sim.Now()
	return p
})

// play runs the payment with a plan; crashes begin after from. At the end everything is checked.
func (s relay) play(p plan, from func(w *world)) (w *world, problem string) {
	p.snapshotEvery = 3 // often, so that crashes meet snapshots too
	if s.chain {
		p.archiveDepth, p.manual, p.forceCloses, p.errors = 6, true, true, true
	}
	w = newWorld(1, s.from(), p)
	defer w.close()
	for _, n := range w.nodes {
		n.user.holds = func(ln.Hash) bool { return true }
	}
	w.adopt(s.from())
	w.pass(60 * time.Millisecond)
	from(w)
	s.begin(w)
	if s.chain {
		s.blocks(w)
	}
	if w.rest(); len(w.wrongs) == 0 {
		w.checkNetwork()
		s.check(w)
	}
	return w, w.report()
}

// blocks mines until nothing is left of the channel that ends.
func (s relay) blocks(w *world) {
	w.pass(200 * time.Millisecond)
	for n := 0; n < 120 && len(w.wrongs) == 0 && !(w.ended() && w.quiet() == "" && n > 2); n++ {
		if s.block != nil {
			s.block(w, n)
		}
		blocks := 1
		if n > 4 {
			blocks = max(1, min(w.wait(), 4))
		}
		w.mine(blocks)
		w.deepen()
		w.pass(400 * time.Millisecond)
	}
	if !w.ended() && len(w.wrongs) == 0 {
		w.wrong("L5: not archived: %s", w.whatIsLeft())
	}
}

// check: the payment went through, or failed. One that was in no commitment when its node died may fail although nothing was wrong with it.
func (s relay) check(w *world) {
	p := w.payments[0]
	_, committed := p.from.parts[p.msg.PaymentID]
	switch k := p.outcome().(type) {
	case messages.PaymentSent:
		if !s.sent {
			w.wrong("L1: a payment that can't be was sent")
		}
	case messages.PaymentFailed:
		if s.sent && committed && len(w.nodes[1].forwards) > 0 {
			w.wrong("L1: a good payment failed: %+v", k)
		}
	default:
		if p.refused == nil {
			w.wrong("L1: no outcome")
		}
	}
	if f := w.nodes[1].forwards; s.chain && len(f) != 1 {
		w.wrong("S14: %d forwards", len(f))
	}
}

// TestSweepForwardAppends crashes each node at each of its commits while bob forwards: the batch is lost, or on disk, or the commit fails.
func TestSweepForwardAppends(t *testing.T) {
	for _, s := range relays {
		for i, f := range commitFaults {
			for node, who := range identities[:3] {
				t.Run(fmt.Sprintf("%s/%s/%s", s.name, who.name, f.name), func(t *testing.T) {
					stride, first := 4, i%4
					if s.chain {
						stride, first = 14, i // others in each
					}
					if *fullFlag {
						stride, first = 1, 0
					}
					sweepOf(t, s.from, stride, func(k int) (bool, string) { return s.crashAtCommit(first+k, node, f) })
				})
			}
		}
	}
}

func (s relay) crashAtCommit(k, which int, f commitFault) (hit bool, problem string) {
	armed, count := false, 0
	p := plan{before: func(sim.Point) sim.Fault { return sim.Fault{} }, onDisk: f.state}
	p.onCommit = func(n *node) memstore.Fault {
		if !armed || hit || n.index != which {
			return memstore.None
		}
		if count++; count <= k {
			return memstore.None
		}
		hit = true
		if f.fault == memstore.None {
			n.w.sim.Crash(n.name)
		}
		return f.fault
	}
	_, problem = s.play(p, func(*world) { armed = true })
	return hit, problem
}

// TestSweepForwardMessages crashes one actor, or a whole node, before and after messages while bob forwards: of bob, and of either side.
func TestSweepForwardMessages(t *testing.T) {
	for _, s := range relays {
		stride := 20
		if s.chain {
			stride = 400
		}
		if *fullFlag {
			stride = 1
		}
		for _, kind := range []sim.FaultKind{sim.CrashActor, sim.CrashNode} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v after=%v", s.name, kind, after), func(t *testing.T) {
					sweepOf(t, s.from, stride, func(k int) (bool, string) { return s.crashAtMessage(uint64(k), kind, after) })
				})
			}
		}
	}
}

func (s relay) crashAtMessage(k uint64, kind sim.FaultKind, after bool) (hit bool, problem string) {
	first := ^uint64(0)
	none := func(sim.Point) sim.Fault { return sim.Fault{} }
	fault := func(pt sim.Point) sim.Fault {
		if hit || first == ^uint64(0) || pt.Number < first+k {
			return sim.Fault{}
		}
		hit = true
		return sim.Fault{Kind: kind}
	}
	p := plan{before: fault, afterwards: none}
	if after {
		p.before, p.afterwards = none, fault
	}
	if kind == sim.CrashActor {
		p.actorCrash = 1 // what it brings about is no bug
	}
	_, problem = s.play(p, func(w *world) { first = w.sim.Points() })
	return hit, problem
}

// TestForwards runs the courses of the sweeps without a crash.
func TestForwards(t *testing.T) {
	for _, s := range relays {
		w, problem := s.play(plan{before: func(sim.Point) sim.Fault { return sim.Fault{} }}, func(*world) {})
		if problem != "" {
			t.Errorf("%s: %s", s.name, problem)
		}
		t.Logf("%s: %d steps, %d points, height %d", s.name, w.sim.Steps(), w.sim.Points(), w.chain.Height())
	}
}
