package lnactor_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// BenchmarkForwardActors tells what a node that forwards has no second of: the processor time of each of its actors by forwarded payment, of the kinds
// that there are several of (channels, monitors, peers) that of the busiest. An actor runs on one core at a time, so 1,000 by the largest of these is
// the rate that no number of cores can raise. What an actor hands to other cores is not in it. The meter slows the node down: the rate of such a run
// means nothing, BenchmarkForwards measures it.
func BenchmarkForwardActors(b *testing.B) {
	for _, channels := range []int{1, 10} {
		for _, inFlight := range []int{32, 128} {
			b.Run(fmt.Sprintf("channels=%d/inflight=%d", channels, inFlight), func(b *testing.B) {
				if threadTime() == 0 {
					b.Skip("the processor time of a thread is not known here")
				}
				ctx, cancel := context.WithCancel(b.Context())
				defer cancel()
				var signed signatures
				meter := &meter{}
				capacity := max(1_000_000, uint64(b.N)*paymentMsat/1000*4/uint64(channels))
				alice, bob, carol := newMiddle(b, ctx, channels, capacity, &signed, func(c *lnactor.Config) { c.Faults = meter })
				sent := newWaiter(ctx, alice)
				go drainEvents(ctx, bob)
				go drainEvents(ctx, carol)
				meter.reset()
				cpu := cpuTime()
				b.ResetTimer()
				payMany(b, ctx, alice, carol, sent, inFlight, 2)
				b.StopTimer()
				cpu = cpuTime() - cpu
				meter.report(b)
				b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "all-cpu-ms/op")
			})
		}
	}
}

// meter is told of each message before and after an actor handles it, on the actor's goroutine.
type meter struct {
	mu       sync.Mutex
	began    map[string]time.Duration
	used     map[string]time.Duration
	emits    int // that brought the manager HTLCs to decide about
	accepted int // HTLCs in them
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used, m.emits, m.accepted = map[string]time.Duration{}, 0, 0
}

func (m *meter) Before(actor string, msg any) {
	runtime.LockOSThread()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.began == nil {
		m.began = map[string]time.Duration{}
	}
	if e, ok := msg.(messages.EmitEvents); ok {
		n := 0
		for _, ev := range e.Events {
			if _, ok := ev.Kind.(facts.HTLCAccepted); ok {
				n++
			}
		}
		m.accepted += n
		m.emits += min(n, 1)
	}
	m.began[actor] = threadTime()
}

func (m *meter) After(actor string, _ any) {
	now := threadTime()
	runtime.UnlockOSThread()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used != nil {
		m.used[actor] += now - m.began[actor]
	}
}

// report gives the busiest actor of each kind that matters, in ms of processor time by payment.
func (m *meter) report(b *testing.B) {
	m.mu.Lock()
	defer m.mu.Unlock()
	busiest := map[string]time.Duration{}
	for name, used := range m.used {
		_, name, _ = strings.Cut(name, "/") // the node
		kind, _, _ := strings.Cut(name, "/")
		busiest[kind] = max(busiest[kind], used)
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 / float64(b.N) }
	for _, kind := range []string{"manager", "persister", "channel", "monitor", "peer"} {
		b.ReportMetric(ms(busiest[kind]), kind+"-ms/op")
	}
	b.ReportMetric(1000/ms(slices.Max(slices.Collect(maps.Values(busiest)))), "ceiling/s")
	b.ReportMetric(float64(m.accepted)/float64(max(m.emits, 1)), "htlcs/emit")
}
