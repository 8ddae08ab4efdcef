package sim

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// loaded is the prepared channel with four HTLCs each way that their payees hold, one of them dust; and with commitments on both sides, revoked by
// now, that have them too.
var loaded = sync.OnceValue(func() *prepared {
	w := newWorld(0, opened(), plan{snapshotEvery: 32, manual: true})
	defer w.close()
	w.delta = 36
	for _, n := range w.nodes {
		n.user.holds = func(ln.Hash) bool { return true }
	}
	w.pass(time.Second)
	for _, amount := range []uint64{20_000_000, 30_000_000, 40_000_000, 200_000} {
		for from := range w.nodes {
			w.newPayment(from, amount+uint64(from)*50_000, payGood).ask()
		}
	}
	in := func() bool {
		for _, n := range w.nodes {
			f := n.shadow.channels[opened().channel].facts
			if len(f.Inbound) != 4 || len(f.Outbound) != 4 || f.Unrevoked {
				return false
			}
			for _, h := range f.Inbound {
				if !h.Decidable() {
					return false
				}
			}
		}
		return true
	}
	number := func() uint64 { return w.nodes[0].shadow.channels[opened().channel].facts.CounterpartyNumber }
	if !w.until(in, patience) {
		panic("the HTLCs do not get in: " + w.report())
	}
	before := number()
	w.tellChannels(0, messages.UpdateFee{FeePerKw: feePerKw + 100})
	if !w.until(func() bool { return number() > before && in() }, patience) {
		panic("the fee does not change: " + w.report())
	}
	w.pass(time.Second)
	if r := w.report(); r != "" {
		panic(r)
	}
	return w.freeze(opened().channel)
})

// adopt takes over the payments that a prepared world has under way.
func (w *world) adopt(from *prepared) {
	for _, x := range from.payments {
		p := x
		p.w, p.from, p.to = w, w.nodes[x.from.index], w.nodes[x.to.index]
		w.payments = append(w.payments, &p)
	}
}

// ends is a channel's end under a sweep, with four HTLCs each way.
type ends struct {
	name  string
	begin func(w *world)
	block func(w *world, n int) // before block n
	check func(w *world)
}

var courses = []ends{
	{"force-close", func(w *world) { w.forceClose(0, opened().channel) }, claimTwo, func(w *world) { w.checkTwo(w.nodes[0], w.nodes[1]) }},
	{"closed by the peer", func(w *world) { w.forceClose(1, opened().channel) }, claimTwo, func(w *world) { w.checkTwo(w.nodes[0], w.nodes[1]) }},
	{"justice", steal, stealMore, (*world).checkJustice},
}

// play runs the course. Crashes begin after from.
func (s ends) play(p plan, from func(*world)) (*world, string) {
	p.snapshotEvery, p.archiveDepth, p.manual, p.forceCloses, p.errors = 3, 6, true, true, true
	w := newWorld(1, loaded(), p)
	defer w.close()
	w.closing = true
	w.adopt(loaded())
	w.pass(60 * time.Millisecond)
	w.noteNumber(opened().channel)
	from(w)
	s.begin(w)
	w.pass(200 * time.Millisecond)
	expiry := int32(w.nodes[0].lastExpiry())
	for n := 0; n < 80 && len(w.wrongs) == 0 && !(w.archived() && w.quiet() == ""); n++ {
		s.block(w, n)
		blocks := 1
		if n > 12 && w.chain.Height()+4 < expiry {
			blocks = 4 // nothing is to be done before the expiry
		}
		w.mine(blocks)
		w.deepen()
		w.pass(400 * time.Millisecond)
	}
	if !w.archived() && len(w.wrongs) == 0 {
		w.wrong("L5: not archived: %s", w.whatIsLeft())
	}
	if w.checkEnding(); len(w.wrongs) == 0 {
		s.check(w)
	}
	return w, w.report()
}

func (n *node) lastExpiry() (last uint32) {
	for _, id := range n.shadow.order {
		for _, m := range []map[uint64]*facts.HTLC{n.shadow.channels[id].facts.Outbound, n.shadow.channels[id].facts.Inbound} {
			for _, h := range m {
				last = max(last, h.CLTVExpiry)
			}
		}
	}
	return last
}

// claimTwo has each user claim one HTLC right after the commitment confirmed, and another one later. The third times out, the fourth is dust.
func claimTwo(w *world, n int) {
	for _, x := range w.nodes {
		for _, id := range x.shadow.order {
			for i, h := range facts.Sorted(x.shadow.channels[id].facts.Inbound) {
				if n == 1 && i == 0 || n == 3 && i == 1 {
					x.user.claim(h.Hash)
				}
			}
		}
	}
}

// claim claims a held payment, and says it again until that is durable.
func (u *user) claim(hash ln.Hash) {
	w := u.n.w
	if w.sim.Alive(u.n.name) {
		if !u.undecided(hash) {
			return
		}
		u.n.env.Tell(messages.ManagerAddr, messages.ClaimHeld{Hash: hash, Claim: true})
	}
	w.sim.After(100*time.Millisecond, "claim again", func() { u.claim(hash) })
}

// checkTwo: of each node's payments two were sent.
func (w *world) checkTwo(nodes ...*node) {
	for _, n := range nodes {
		sent := 0
		for _, p := range w.payments {
			if _, ok := p.outcome().(messages.PaymentSent); ok && p.from == n {
				sent++
			}
		}
		if sent != 2 {
			w.wrong("L2: of %s's four payments %d were sent, not 2", n.name, sent)
		}
	}
}

// steal has somebody with bob's keys broadcast the commitment with all HTLCs that bob revoked.
func steal(w *world) {
	w.lose(1)
	w.thief = &thief{w: w, done: map[wire.OutPoint]bool{}, open: map[wire.OutPoint]int{}}
	for _, h := range w.held[1] {
		if w.stale(h) && len(h.tx.HTLCs) == 6 {
			w.thief.close = h
		}
	}
	if w.thief.close == nil {
		panic("no revoked commitment has all HTLCs")
	}
	w.mineTxs(w.thief.close.signed())
}

// stealMore takes two HTLCs with their preimages: one as soon as it can be, one in the block in which alice would take it.
func stealMore(w *world, n int) {
	h := w.thief.close
	for i := range h.tx.HTLCs {
		x := &h.tx.HTLCs[i]
		preimage := w.preimageFor(1, x.Hash)
		if x.Offered || preimage == nil || n > 1 {
			continue
		}
		if _, err := w.chain.TxOut(wire.OutPoint{Hash: h.tx.Txid, Index: x.OutputIndex}); err != nil {
			continue
		}
		w.mineTxs(w.thief.stage(h, i, preimage, nil))
		return
	}
}

func (w *world) mineTxs(txs ...*wire.MsgTx) {
	if _, err := w.chain.MineTxs(txs...); err != nil {
		w.wrong("mine: %v", err)
	}
	w.deepen()
}

// checkJustice: all of the commitment is alice's, and what the thief showed the preimage of is paid.
func (w *world) checkJustice() {
	l := w.ledger(w.funding)
	if due := w.due(w.thief.close); l.taken[0] < due || l.others != 0 {
		w.wrong("alice took %d of %d, the thief %d", l.taken[0], due, l.others)
	}
	sent := 0
	for _, p := range w.payments {
		if _, ok := p.outcome().(messages.PaymentSent); ok {
			sent++
		}
	}
	if sent == 0 || sent > 2 {
		w.wrong("L2: %d payments are sent", sent)
	}
}

// TestSweepEndingAppends crashes alice at each of her commits while her channel ends on chain with four HTLCs each way.
func TestSweepEndingAppends(t *testing.T) {
	for _, s := range courses {
		for i, f := range commitFaults {
			t.Run(s.name+"/"+f.name, func(t *testing.T) {
				stride, first := 20, 4*i // others in each
				if *fullFlag {
					stride, first = 1, 0
				}
				sweep(t, stride, func(k int) (bool, string) { return s.crashAtCommit(first+k, f) })
			})
		}
	}
}

func (s ends) crashAtCommit(k int, f commitFault) (hit bool, problem string) {
	armed, count := false, 0
	p := plan{before: func(sim.Point) sim.Fault { return sim.Fault{} }, onDisk: f.state}
	p.onCommit = func(n *node) memstore.Fault {
		if !armed || hit || n.index != 0 {
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

// TestSweepEndingMessages crashes one of alice's actors, or all of her, before and after messages of the same.
func TestSweepEndingMessages(t *testing.T) {
	stride := 400
	if *fullFlag {
		stride = 25
	}
	for _, s := range courses {
		for i, kind := range []sim.FaultKind{sim.CrashActor, sim.CrashNode} {
			for j, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v after=%v", s.name, kind, after), func(t *testing.T) {
					first := 37 * (2*i + j)
					if *fullFlag {
						first = 6 * (2*i + j)
					}
					sweep(t, stride, func(k int) (bool, string) { return s.crashAtMessage(uint64(first+k), kind, after) })
				})
			}
		}
	}
}

func (s ends) crashAtMessage(k uint64, kind sim.FaultKind, after bool) (hit bool, problem string) {
	armed, count := false, uint64(0)
	fault := func(pt sim.Point) sim.Fault {
		if !armed || hit || pt.Node != identities[0].name {
			return sim.Fault{}
		}
		if count++; count <= k {
			return sim.Fault{}
		}
		hit = true
		return sim.Fault{Kind: kind}
	}
	none := func(sim.Point) sim.Fault { return sim.Fault{} }
	p := plan{before: fault, afterwards: none}
	if after {
		p.before, p.afterwards = none, fault
	}
	if kind == sim.CrashActor {
		p.actorCrash = 1 // what it brings about is no bug
	}
	_, problem = s.play(p, func(*world) { armed = true })
	return hit, problem
}

// TestEndings runs the courses of the sweeps without a crash.
func TestEndings(t *testing.T) {
	for _, s := range courses {
		w, problem := s.play(plan{before: func(sim.Point) sim.Fault { return sim.Fault{} }}, func(*world) {})
		if problem != "" {
			t.Errorf("%s: %s", s.name, problem)
		}
		t.Logf("%s: %d steps, %d points", s.name, w.sim.Steps(), w.sim.Points())
	}
}
