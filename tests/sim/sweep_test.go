package sim

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

var fullFlag = flag.Bool("full", false, "sweep every message; otherwise every few")

// script is one payment under a sweep: alice pays bob over the prepared channel, and it succeeds or fails.
type script struct {
	name string
	kind int
}

var scripts = []script{{"success", payGood}, {"failure", payWrongSecret}}

// play runs the payment with a plan. From is when the payment begins: the nodes are connected. At the end everything is checked.
func (s script) play(p plan, from func(w *world)) (w *world, problem string) {
	p.snapshotEvery = 3 // often, so that crashes meet snapshots too
	w = newWorld(1, opened(), p)
	defer w.close()
	w.pass(60 * time.Millisecond)
	from(w)
	w.newPayment(0, 5_000_000, s.kind).ask()
	w.rest()
	if len(w.wrongs) == 0 {
		w.checkPayments()
		w.checkBalances()
		w.checkOutcome(s.kind == payGood)
	}
	return w, w.report()
}

// checkOutcome: the payment went through, or failed. A payment that was in no commitment when its node died may fail although nothing was wrong
// with it.
func (w *world) checkOutcome(good bool) {
	p := w.payments[0]
	_, committed := w.nodes[0].parts[p.msg.PaymentID]
	switch p.outcome().(type) {
	case messages.PaymentSent:
		if !good {
			w.wrong("L1: a payment that is wrong was sent")
		}
	case messages.PaymentFailed:
		if good && committed {
			w.wrong("L1: a good payment failed: %+v", p.outcome())
		}
	default:
		if p.refused == nil {
			w.wrong("L1: no outcome")
		}
	}
}

// sweep is sweepOf on the prepared channel.
func sweep(t *testing.T, stride int, f func(k int) (hit bool, problem string)) {
	t.Helper()
	sweepOf(t, opened, stride, f)
}

// sweepOf runs f for k = 0, 1, 2, ... until it says that k was not reached any more. Several run at once.
func sweepOf(t *testing.T, from func() *prepared, stride int, f func(k int) (hit bool, problem string)) {
	t.Helper()
	from()
	var next, ran atomic.Int64
	var over atomic.Bool
	var wg sync.WaitGroup
	began := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !over.Load() {
				k := int(next.Add(1)-1) * stride
				hit, problem := f(k)
				if problem != "" {
					t.Errorf("k = %d: %.3000s", k, problem)
					over.Store(true)
				}
				if !hit {
					over.Store(true)
				} else {
					ran.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d crashes in %v", ran.Load(), time.Since(began).Round(time.Millisecond))
	if ran.Load() == 0 && !t.Failed() {
		t.Error("nothing was hit")
	}
}

// TestSweepMessages crashes an actor, or its whole node, before and after each message of a payment.
func TestSweepMessages(t *testing.T) {
	stride := 3
	if *fullFlag {
		stride = 1
	}
	for _, s := range scripts {
		for _, kind := range []sim.FaultKind{sim.CrashActor, sim.CrashNode} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%v after=%v", s.name, kind, after), func(t *testing.T) {
					sweep(t, stride, func(k int) (bool, string) { return s.crashAtMessage(uint64(k), kind, after) })
				})
			}
		}
	}
}

func (s script) crashAtMessage(k uint64, kind sim.FaultKind, after bool) (hit bool, problem string) {
	first := ^uint64(0)
	fault := func(pt sim.Point) sim.Fault {
		if hit || first == ^uint64(0) || pt.Number < first+k {
			return sim.Fault{}
		}
		hit = true
		return sim.Fault{Kind: kind}
	}
	p := plan{before: func(sim.Point) sim.Fault { return sim.Fault{} }, afterwards: func(sim.Point) sim.Fault { return sim.Fault{} }}
	if after {
		p.afterwards = fault
	} else {
		p.before = fault
	}
	if kind == sim.CrashActor {
		p.actorCrash = 1 // what it brings about is no bug
	}
	_, problem = s.play(p, func(w *world) { first = w.sim.Points() })
	return hit, problem
}

// commitFault is what happens to a commit, and what is on disk after it.
type commitFault struct {
	name  string
	state func(n int) int
	fault memstore.Fault
}

var commitFaults = []commitFault{
	{"lost", func(int) int { return 0 }, memstore.None},
	{"kept", func(n int) int { return n - 1 }, memstore.None},
	{"fails, lost", func(int) int { return 0 }, memstore.FailEither},
	{"fails, kept", func(n int) int { return n - 1 }, memstore.FailEither},
	{"panics", func(n int) int { return n - 1 }, memstore.PanicEither},
}

// TestSweepAppends crashes a node at each of its commits: the batch is lost, or it is on disk, or the commit fails and nobody knows.
func TestSweepAppends(t *testing.T) {
	for _, s := range scripts {
		for _, f := range commitFaults {
			for node := range 2 {
				t.Run(fmt.Sprintf("%s/%s/%s", s.name, identities[node].name, f.name), func(t *testing.T) {
					sweep(t, 1, func(k int) (bool, string) { return s.crashAtCommit(k, node, f.state, f.fault) })
				})
			}
		}
	}
}

func (s script) crashAtCommit(k, which int, state func(int) int, f memstore.Fault) (hit bool, problem string) {
	armed, count := false, 0
	p := plan{before: func(sim.Point) sim.Fault { return sim.Fault{} }, onDisk: state}
	p.onCommit = func(n *node) memstore.Fault {
		if !armed || hit || n.index != which {
			return memstore.None
		}
		if count++; count <= k {
			return memstore.None
		}
		hit = true
		if f == memstore.None {
			n.w.sim.Crash(n.name)
		}
		return f
	}
	_, problem = s.play(p, func(*world) { armed = true })
	return hit, problem
}

// TestSweepSlowWrites is scenario 18: each message of the persister slow, in turn, at every step of a payment, with and without a disconnect.
func TestSweepSlowWrites(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprintf("disconnect=%v", cut), func(t *testing.T) {
			stride := 3
			if *fullFlag {
				stride = 1
			}
			sweep(t, stride, func(k int) (bool, string) { return slowWrite(k, cut) })
		})
	}
}

func slowWrite(k int, cut bool) (hit bool, problem string) {
	armed, count := false, 0
	var slow *world
	p := plan{before: func(pt sim.Point) sim.Fault {
		if !armed || hit || pt.Kind != "persister" {
			return sim.Fault{}
		}
		if count++; count <= k {
			return sim.Fault{}
		}
		hit = true
		if cut {
			slow.sim.After(100*time.Millisecond, "disconnect", slow.net.CutAll)
		}
		return sim.Fault{Kind: sim.Delay, Delay: 3 * time.Second}
	}}
	_, problem = scripts[0].play(p, func(w *world) { armed, slow = true, w })
	return hit, problem
}
