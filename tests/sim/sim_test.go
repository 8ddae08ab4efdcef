package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lnactor/lnactor/messages"
)

var (
	seedsFlag  = flag.Uint64("seeds", 0, "how many seeds each simulation runs; 0: a default")
	seedFlag   = flag.Int64("seed", -1, "run this seed alone and print the tail of its trace if it fails")
	firstFlag  = flag.Uint64("first", 0, "the first seed; with -budget it is drawn from the clock unless set")
	budgetFlag = flag.Duration("budget", 0, "run seeds for this long")
	floorFlag  = flag.Uint64("floor", 1000, "with -budget: go on until so many seeds ran")
	keepFlag   = flag.Bool("keep", false, "go on after a failure, and list the first line of each")
	traceFlag  = flag.String("log", "", "with -seed: write every step to this file")
	tailFlag   = flag.Int("tail", 120, "with -seed: how many steps of the trace are printed")
)

// suite is a family of worlds.
type suite struct {
	name  string
	seeds uint64 // without flags
	most  uint64 // seeds for which -seeds and -floor are cut short, if its worlds are large
	from  func() *prepared
	pick  func(r *rand.Rand) *prepared // instead of from
	run   func(w *world, r *rand.Rand)
	plan  func(r *rand.Rand) plan
	check func(w *world) // instead of finish

	courses []string // that a hundred seeds must have gone through
}

// world runs a seed and says what is wrong.
func (s *suite) world(seed uint64, trace bool) (w *world, problem string) {
	r := rand.New(rand.NewPCG(seed, 0x73756974))
	from := s.from
	if s.pick != nil {
		picked := s.pick(r)
		from = func() *prepared { return picked }
	}
	w = newWorld(seed, from(), s.plan(r))
	defer w.close()
	if trace {
		w.sim.Describe = describe
		w.traceTo(*traceFlag)
	}
	s.run(w, r)
	if s.check != nil {
		s.check(w)
	} else {
		w.finish()
	}
	return w, w.report()
}

// traceTo writes each message to a file, with channel and node ids shortened.
func (w *world) traceTo(path string) {
	if path == "" {
		return
	}
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	last := ""
	w.tracing = func() {
		for _, line := range strings.Split(w.sim.Last(8), "\n") {
			if line > last && line != "" {
				fmt.Fprintln(f, ids.ReplaceAllStringFunc(line, func(id string) string { return id[:8] }))
				last = line
			}
		}
	}
}

var ids = regexp.MustCompile("[0-9a-f]{64,66}")

func describe(msg any) string {
	switch m := msg.(type) {
	case messages.PeerMsg:
		return fmt.Sprintf("%T", m.Msg)
	case messages.PeerSend:
		out := ""
		for _, x := range m.Msgs {
			out += fmt.Sprintf("%T ", x)
		}
		return out
	case messages.UserEvents:
		out := ""
		for _, e := range m.Events {
			out += e.ID[:min(len(e.ID), 24)] + " "
		}
		return out
	case messages.MonitorUpdate:
		return fmt.Sprintf("%d %T", m.UpdateID, m.Update)
	case messages.EmitEvents:
		out := fmt.Sprintf("fence %d: ", m.Fence)
		for _, e := range m.Events {
			out += fmt.Sprintf("%d %T ", e.Seq, e.Kind)
		}
		return out
	case messages.MonitorReport:
		out := fmt.Sprintf("fence %d: ", m.Fence)
		for _, e := range m.Events {
			out += fmt.Sprintf("%d %T ", e.Seq, e.Kind)
		}
		return out
	case messages.AckMonitorEvent:
		return fmt.Sprint(m.Seqs)
	case messages.Append:
		out := fmt.Sprintf("%d records, then ", len(m.Records))
		for _, d := range m.Then {
			out += fmt.Sprintf("%T ", d.Msg)
		}
		return out
	}
	return ""
}

// test runs the suite as the flags say.
func (s *suite) test(t *testing.T) {
	t.Helper()
	if *seedFlag >= 0 {
		w, problem := s.world(uint64(*seedFlag), true)
		if problem != "" {
			t.Fatalf("%s\n%s", problem, w.sim.Last(*tailFlag))
		}
		t.Logf("seed %d: %d steps, %v, %d node crashes, trace %016x", *seedFlag, w.sim.Steps(), w.sim.Now().Sub(w.begin), w.kills, w.sim.TraceHash())
		return
	}
	if s.from != nil {
		s.from()
	}
	first, count := *firstFlag, *seedsFlag
	if count == 0 {
		count = s.seeds
	}
	floor := *floorFlag
	if s.most > 0 {
		count, floor = min(count, s.most), min(floor, s.most)
	}
	began := time.Now()
	var deadline time.Time
	if *budgetFlag > 0 {
		deadline, count = began.Add(*budgetFlag), 1<<62
		if first == 0 {
			first = uint64(began.Unix()) << 20
		}
	}
	var next, ran, steps, kills, forwards atomic.Uint64
	var failed atomic.Bool
	var once sync.Once
	var mu sync.Mutex
	done := tally{}
	next.Store(first)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !failed.Load() && (deadline.IsZero() || ran.Load() < floor || time.Now().Before(deadline)) {
				seed := next.Add(1) - 1
				if seed >= first+count {
					return
				}
				w, problem := s.world(seed, false)
				ran.Add(1)
				steps.Add(w.sim.Steps())
				kills.Add(uint64(w.kills))
				mu.Lock()
				for what, times := range w.courses {
					done[what] += times
				}
				mu.Unlock()
				for _, n := range w.nodes {
					forwards.Add(uint64(len(n.forwards)))
				}
				if problem != "" && *keepFlag {
					line, _, _ := strings.Cut(problem, "\n")
					t.Errorf("seed %d: %.300s", seed, line)
				} else if problem != "" {
					failed.Store(true)
					once.Do(func() {
						t.Errorf("seed %d: %s\nagain with: go test ./tests/sim -run '^%s$' -seed %d", seed, problem, t.Name(), seed)
					})
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	t.Logf("%s: %d seeds from %d in %v (%.0f a second), %d steps and %.1f node crashes each", s.name, ran.Load(), first, took.Round(time.Millisecond),
		float64(ran.Load())/took.Seconds(), steps.Load()/max(ran.Load(), 1), float64(kills.Load())/float64(max(ran.Load(), 1)))
	if forwards.Load() > 0 {
		t.Logf("%.1f forwards each", float64(forwards.Load())/float64(max(ran.Load(), 1)))
	}
	if len(done) > 0 {
		t.Logf("%s: %v", s.name, done)
	}
	for _, what := range s.courses {
		if done[what] == 0 && ran.Load() >= 100 && !failed.Load() {
			t.Errorf("no seed was %q", what)
		}
	}
}

// TestSimulation: payments both ways over a prepared channel.
func TestSimulation(t *testing.T) {
	s := suite{name: "payments", seeds: 120, from: opened, plan: draw, run: func(w *world, r *rand.Rand) { w.workload(r) }}
	s.test(t)
}

// workload schedules payments, fee updates and blocks during the storm.
func (w *world) workload(r *rand.Rand) {
	within := func() time.Duration { return time.Duration(r.Int64N(int64(w.plan.storm * 3 / 4))) }
	for range 2 + r.IntN(6) {
		from, amount, kind := r.IntN(2), amountOf(r), kindOf(r)
		if kind == paySameID && w.plan.loseRecords != nil {
			kind = payGood // nobody remembers an id that was in no commitment
		}
		w.sim.After(within(), "pay", func() { w.newPayment(from, amount, kind).ask() })
	}
	if r.IntN(3) == 0 {
		fee := uint32(500 + r.IntN(3000))
		w.sim.After(within(), "update fee", func() { w.tellChannels(0, messages.UpdateFee{FeePerKw: fee}) })
	}
	for range r.IntN(4) {
		w.sim.After(within(), "block", func() { w.mine(1) })
	}
	if r.IntN(4) == 0 {
		depth := 1 + r.IntN(2)
		w.sim.After(within(), "reorganisation", func() {
			if err := w.chain.Reorg(depth, depth+1); err != nil {
				w.wrong("reorg: %v", err)
			}
		})
	}
}

func amountOf(r *rand.Rand) uint64 {
	switch r.IntN(6) {
	case 0:
		return 1 + r.Uint64N(354_000) // dust
	case 1:
		return 300_000_000 + r.Uint64N(400_000_000) // perhaps more than there is
	case 2:
		return 10_000_000 + r.Uint64N(100_000_000)
	}
	return 1_000_000 + r.Uint64N(10_000_000)
}

func kindOf(r *rand.Rand) int {
	if r.IntN(2) == 0 {
		return payGood
	}
	return r.IntN(payKinds)
}

// tellChannels sends a message to all channels of a node.
func (w *world) tellChannels(node int, msg any) {
	n := w.nodes[node]
	if !w.sim.Alive(n.name) {
		return
	}
	for _, id := range n.shadow.order {
		n.env.Tell(messages.ChannelAddr(id), msg)
	}
}

// TestSameSeedSameTrace: a failing seed can be replayed.
func TestSameSeedSameTrace(t *testing.T) {
	s := suite{from: opened, plan: draw, run: func(w *world, r *rand.Rand) { w.workload(r) }}
	for seed := range uint64(8) {
		a, _ := s.world(seed, false)
		b, _ := s.world(seed, false)
		if a.sim.TraceHash() != b.sim.TraceHash() || a.sim.Steps() != b.sim.Steps() {
			t.Fatalf("seed %d: two runs differ: %d steps and %d", seed, a.sim.Steps(), b.sim.Steps())
		}
	}
}
