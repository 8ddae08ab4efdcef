package peers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// sideNode is a node as a process of its own, with one channel.
type sideNode interface {
	start(t testing.TB, ctx context.Context)
	stop(t testing.TB)
	kill()
	process() *process
	under(wrap []string) // runs it, from its next start on
	peer() (lnactor.NodeID, string)
	address(t testing.TB, ctx context.Context) string
	coins(ctx context.Context) int64
	connect(ctx context.Context, id lnactor.NodeID, addr string) error
	openTo(ctx context.Context, id lnactor.NodeID, sat int64) error
	usable(ctx context.Context) bool
	bill(ctx context.Context, msat uint64) (bill, error)
	settle(ctx context.Context, b bill) error // pays it and waits for the outcome
	fate(ctx context.Context, b bill) (fate, error)
	got(ctx context.Context) (map[string]bool, error) // the bills that were paid to it
}

// bill is an invoice of a sideNode.
type bill struct{ bolt11, hash string }

// fate is what a payer says of a payment.
type fate int

const (
	unknown fate = iota
	pending
	sent
	failed
)

const (
	sideCapacity = 16_000_000 // sat
	sideMsat     = 1_000_000  // an output of both commitments
)

// sideLevels are how many payments are made with how many of them in flight: timed, and counted under strace.
var sideLevels = []struct{ inFlight, payments, traced int }{{1, 60, 20}, {32, 480, 96}, {128, 960, 256}}

// pair is two nodes, of which the first pays the second.
type pair struct {
	t            testing.TB
	ctx          context.Context
	chain        *btcdtest.Node
	dir          string
	payer, payee sideNode
}

// newPair starts two nodes with a channel between them.
func newPair(t testing.TB, ctx context.Context, dir string, kinds [2]string) *pair {
	t.Helper()
	s := &pair{t: t, ctx: ctx, dir: dir, chain: btcdtest.Start(t)}
	nodes := [2]sideNode{}
	for i, kind := range kinds {
		at := filepath.Join(dir, []string{"payer", "payee"}[i])
		if kind == "lnd" {
			program, err := lndProgram()
			must(t, err)
			nodes[i] = sideLnd{newLnd(t, ctx, program, at, s.chain, "--debuglevel=info")}
		} else {
			program, err := daemonProgram()
			must(t, err)
			nodes[i] = newDaemon(t, ctx, program, at, s.chain)
		}
		t.Cleanup(nodes[i].kill)
	}
	s.payer, s.payee = nodes[0], nodes[1]
	a, err := btcutil.DecodeAddress(s.payer.address(t, ctx), s.chain.Params)
	must(t, err)
	script, err := txscript.PayToAddrScript(a)
	must(t, err)
	s.chain.Fund(t, script, btcutil.SatoshiPerBitcoin/2)
	s.chain.Mine(t, 1)
	await(t, ctx, "coins", func() bool { return s.payer.coins(ctx) == btcutil.SatoshiPerBitcoin/2 })
	id, addr := s.payee.peer()
	await(t, ctx, "connection", func() bool { return s.payer.connect(ctx, id, addr) == nil })
	await(t, ctx, "channel", func() bool { return s.payer.openTo(ctx, id, sideCapacity) == nil })
	await(t, ctx, "usable channel", func() bool {
		s.chain.Mine(t, 1)
		time.Sleep(500 * time.Millisecond)
		return s.payer.usable(ctx) && s.payee.usable(ctx)
	})
	s.first()
	s.burst(1, s.bills(5))
	s.burst(16, s.bills(32)) // the first payments are slower than those after them
	return s
}

// first waits until the payer can pay.
func (s *pair) first() {
	s.t.Helper()
	b := s.bills(1)[0]
	await(s.t, s.ctx, "the first payment", func() bool {
		if !s.payer.usable(s.ctx) {
			return false
		}
		err := s.payer.settle(s.ctx, b)
		if err != nil {
			b = s.bills(1)[0]
		}
		return err == nil
	})
}

func (s *pair) bills(n int) []bill {
	s.t.Helper()
	list := make([]bill, n)
	for i := range list {
		var err error
		list[i], err = s.payee.bill(s.ctx, sideMsat)
		must(s.t, err)
	}
	return list
}

// burst pays bills, so many at a time, and returns how long it took, and each payment.
func (s *pair) burst(inFlight int, bills []bill) (took time.Duration, each []time.Duration) {
	s.t.Helper()
	each = make([]time.Duration, len(bills))
	slots := make(chan struct{}, inFlight)
	var group sync.WaitGroup
	began := time.Now()
	for i, b := range bills {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			start := time.Now()
			if err := s.payer.settle(s.ctx, b); err != nil {
				s.t.Error(err)
			}
			each[i] = time.Since(start)
		})
	}
	group.Wait()
	took = time.Since(began)
	if s.t.Failed() {
		s.t.FailNow()
	}
	return took, each
}

// sideLevel is what was measured with so many payments in flight; costs are of both nodes, by payment. NaN: not measured.
type sideLevel struct{ rate, medianMs, cpuMs, bytes, syncs float64 }

// sideResult is a column of the table.
type sideResult struct {
	kinds                     [2]string
	levels                    []sideLevel
	payerRSS, payeeRSS        float64 // megabytes at the end of the bursts
	startSeconds              float64 // from the start of the payer to its first payment
	started, sent, failed     int     // of the payments in which the payer was killed
	unknown, stuck, lost, sad int     // sad: sent, says the payer, but the payee has it not
}

func (s *pair) measure(kinds [2]string) (r sideResult) {
	r.kinds = kinds
	for _, level := range sideLevels {
		bills := s.bills(level.payments)
		s.rest()
		before := s.used()
		took, each := s.burst(level.inFlight, bills)
		after := s.used()
		slices.Sort(each)
		n := float64(level.payments)
		l := sideLevel{rate: n / took.Seconds(), medianMs: float64(each[len(each)/2].Microseconds()) / 1000, cpuMs: none, bytes: none, syncs: none}
		if before.ok && after.ok {
			l.cpuMs = float64((after.cpu - before.cpu).Microseconds()) / 1000 / n
			l.bytes = float64(after.bytes-before.bytes) / n
		}
		r.levels = append(r.levels, l)
	}
	payer, _ := resident(s.payer.process().pid())
	payee, _ := resident(s.payee.process().pid())
	r.payerRSS, r.payeeRSS = float64(payer)/1e6, float64(payee)/1e6

	s.payer.stop(s.t)
	began := time.Now()
	s.payer.start(s.t, s.ctx)
	s.first()
	r.startSeconds = time.Since(began).Seconds()

	s.killed(&r)
	s.traced(&r)
	return r
}

// rest lets what is left of the work before end: a second without payments.
func (s *pair) rest() { time.Sleep(time.Second) }

// used is the usage of both.
func (s *pair) used() usage {
	a, b := used(s.payer.process().pid()), used(s.payee.process().pid())
	return usage{cpu: a.cpu + b.cpu, bytes: a.bytes + b.bytes, ok: a.ok && b.ok}
}

// killed kills the payer in a burst, starts it again, and compares what both say in the end.
func (s *pair) killed(r *sideResult) {
	s.t.Helper()
	const all, inFlight, before = 300, 32, 100
	bills := s.bills(all)
	var done, begun atomic.Int64
	dead := make(chan struct{})
	slots := make(chan struct{}, inFlight)
	var group sync.WaitGroup
	for _, b := range bills {
		select {
		case <-dead:
		case slots <- struct{}{}:
			begun.Add(1)
			group.Go(func() {
				defer func() { <-slots }()
				if s.payer.settle(s.ctx, b) == nil && done.Add(1) == before {
					s.payer.kill()
					close(dead)
				}
			})
		}
	}
	group.Wait()
	s.payer.start(s.t, s.ctx)
	tried := bills[:begun.Load()]
	fates := make([]fate, len(tried))
	settled := func() bool {
		for i, b := range tried {
			if fates[i] == sent || fates[i] == failed {
				continue
			}
			f, err := s.payer.fate(s.ctx, b)
			if err != nil {
				return false
			}
			fates[i] = f
		}
		return !slices.Contains(fates, pending)
	}
	for deadline := time.Now().Add(time.Minute); !settled() && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
	}
	s.first()
	got, err := s.payee.got(s.ctx)
	must(s.t, err)
	r.started = len(tried)
	for i, b := range tried {
		switch fates[i] {
		case sent:
			r.sent++
			if !got[b.hash] {
				r.sad++
			}
		case failed:
			r.failed++
		case pending:
			r.stuck++
		case unknown:
			r.unknown++
		}
		if got[b.hash] && (fates[i] == failed || fates[i] == unknown) {
			r.lost++
		}
	}
}

// syncCalls are the system calls with which programs make files durable.
const syncCalls = "trace=fsync,fdatasync,sync_file_range,msync,sync,syncfs"

// traced counts the syncs of both under strace, which slows them down: nothing else is measured then.
func (s *pair) traced(r *sideResult) {
	s.t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		return
	}
	out := [2]string{filepath.Join(s.dir, "payer.syncs"), filepath.Join(s.dir, "payee.syncs")}
	for i, n := range []sideNode{s.payer, s.payee} {
		n.stop(s.t)
		n.under([]string{strace, "-f", "--seccomp-bpf", "-qq", "-e", "signal=none", "-e", syncCalls, "-o", out[i]})
	}
	s.payee.start(s.t, s.ctx)
	s.payer.start(s.t, s.ctx)
	s.first()
	for i, level := range sideLevels {
		bills := s.bills(level.traced)
		s.rest()
		before := lines(out[0]) + lines(out[1])
		s.burst(level.inFlight, bills)
		r.levels[i].syncs = float64(lines(out[0])+lines(out[1])-before) / float64(level.traced)
	}
}

// lines counts the calls in an output of strace; one that another thread interrupted is written in two lines.
func lines(path string) (n int) {
	text, _ := os.ReadFile(path)
	for _, line := range splitLines(text) {
		if !resumed.Match(line) {
			n++
		}
	}
	return n
}

// sidePairs are who pays whom.
var sidePairs = [][2]string{{"lnd", "lnd"}, {"lnactor", "lnactor"}, {"lnactor", "lnd"}, {"lnd", "lnactor"}}

// BenchmarkSideBySide measures lnd and lnactor in one run, each as the programs that users run, on one machine and disk, and prints a table:
//
//	go test -run - -bench SideBySide -benchtime 1x -timeout 30m .
func BenchmarkSideBySide(b *testing.B) {
	for range b.N {
		var results []sideResult
		for _, kinds := range sidePairs {
			dir, err := os.MkdirTemp("", "lnactor-side-")
			must(b, err)
			ok := b.Run(fmt.Sprintf("%s-%s", kinds[0], kinds[1]), func(b *testing.B) {
				b.Cleanup(func() {
					if b.Failed() {
						b.Logf("both nodes' directories and output: %s", dir)
						return
					}
					_ = os.RemoveAll(dir)
				})
				ctx, cancel := context.WithTimeout(b.Context(), 15*time.Minute)
				b.Cleanup(cancel)
				r := newPair(b, ctx, dir, kinds).measure(kinds)
				printSides(os.Stderr, []sideResult{r}) // in case that a later one fails
				results = append(results, r)
			})
			if !ok {
				return
			}
		}
		printSides(os.Stdout, results)
	}
}
