package lnactor_test

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// BenchmarkForwards measures payments that one node in the middle forwards, on bbolt with every sync on, over TCP on loopback: from the call of Pay to
// PaymentSent. The baseline is payments to the node in the middle itself, over the same channels, in the same run. Syncs and bytes are those of the
// middle, signatures and CPU time those of all nodes.
func BenchmarkForwards(b *testing.B) {
	for _, channels := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			for _, inFlight := range []int{1, 32, 128} {
				b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) { benchmarkForwards(b, channels, inFlight) })
			}
		})
	}
}

func benchmarkForwards(b *testing.B, channels, inFlight int) {
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	var signed signatures
	capacity := max(1_000_000, uint64(b.N)*paymentMsat/1000*4/uint64(channels))
	alice, bob, carol := newMiddle(b, ctx, channels, capacity, &signed)
	sent := newWaiter(ctx, alice)
	go drainEvents(ctx, bob)
	go drainEvents(ctx, carol)
	direct := payMany(b, ctx, alice, bob, sent, inFlight, 1)
	before, signedBefore, commitmentsBefore, cpu := bob.StoreStats(), signed.made.Load(), signed.commitments.Load(), cpuTime()
	b.ResetTimer()
	forwarded := payMany(b, ctx, alice, carol, sent, inFlight, 2)
	b.StopTimer()
	cpu = cpuTime() - cpu
	after, n := bob.StoreStats(), float64(b.N)
	b.ReportMetric(forwarded.rate, "payments/s")
	b.ReportMetric(forwarded.rate/direct.rate, "ratio")
	b.ReportMetric(forwarded.median, "median-ms")
	b.ReportMetric(forwarded.median/direct.median, "median-ratio")
	b.ReportMetric(float64(after.Syncs-before.Syncs)/n, "syncs/op")
	b.ReportMetric(float64(after.BytesWritten-before.BytesWritten)/n, "bytes/op")
	b.ReportMetric(float64(signed.made.Load()-signedBefore)/n, "sigs/op")
	b.ReportMetric(float64(signed.commitments.Load()-commitmentsBefore)/n, "commitments/op")
	b.ReportMetric(float64(cpu.Microseconds())/1000/n, "cpu-ms/op")
}

// pace is how fast payments went.
type pace struct{ rate, median float64 } // a second; milliseconds

// payMany pays b.N invoices, so many at a time. The tag makes payment ids differ from those of other calls.
func payMany(b *testing.B, ctx context.Context, from, to *lnactor.Node, sent *waiter, inFlight int, tag byte) pace {
	b.Helper()
	invoices := make([]string, b.N)
	for i := range invoices {
		inv, err := to.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: paymentMsat})
		if err != nil {
			b.Fatal(err)
		}
		invoices[i] = inv.Bolt11
	}
	latency := make([]time.Duration, b.N)
	var group sync.WaitGroup
	slots := make(chan struct{}, inFlight)
	start := time.Now()
	for i, bolt11 := range invoices {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			began := time.Now()
			id := lnactor.PaymentID{byte(i), byte(i >> 8), byte(i >> 16), tag}
			done := sent.expect(id)
			if _, err := from.Pay(ctx, bolt11, lnactor.WithPaymentID(id)); err != nil {
				b.Error(err)
				return
			}
			if ev := <-done; ev.ID != "payment-sent/"+id.String() {
				b.Errorf("%+v", ev)
			}
			latency[i] = time.Since(began)
		})
	}
	group.Wait()
	took := time.Since(start)
	sort.Slice(latency, func(i, j int) bool { return latency[i] < latency[j] })
	return pace{rate: float64(b.N) / took.Seconds(), median: float64(latency[b.N/2].Microseconds()) / 1000}
}

// newMiddle is three nodes in a line, with so many public channels between each two, all the money of each on its left side. What is given changes the
// configuration of the node in the middle.
func newMiddle(
	b *testing.B, ctx context.Context, channels int, capacitySat uint64, signed *signatures, middle ...func(*lnactor.Config),
) (alice, bob, carol *lnactor.Node) {
	b.Helper()
	chain, err := regtest.New("")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = chain.Close() })
	open := func(name string, change ...func(*lnactor.Config)) *lnactor.Node {
		cfg := lnactor.Config{
			Name: name, Dir: b.TempDir(), Chain: chain.Source(), Params: chain.Params(), Listen: "127.0.0.1:0", MinDepth: 1,
		}
		cfg.WrapSigner(signed.count)
		for _, f := range change {
			f(&cfg)
		}
		n, err := lnactor.Open(ctx, cfg)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = n.Close() })
		return n
	}
	alice, bob, carol = open("alice"), open("bob", middle...), open("carol")
	for _, ends := range [][2]*lnactor.Node{{alice, bob}, {bob, carol}} {
		if err := ends[0].Connect(ctx, ends[1].ID(), ends[1].ListenAddress()); err != nil {
			b.Fatal(err)
		}
		for range channels {
			fund(b, ctx, chain, ends[0], int64(capacitySat)+100_000)
			if _, err := ends[0].OpenChannel(ctx, lnactor.OpenParams{Peer: ends[1].ID(), CapacitySat: capacitySat, Announce: true}); err != nil {
				b.Fatal(err)
			}
			if _, err := chain.Mine(1); err != nil {
				b.Fatal(err)
			}
		}
	}
	if _, err := chain.Mine(6); err != nil {
		b.Fatal(err)
	}
	for _, n := range []*lnactor.Node{alice, bob, carol} {
		for {
			g, err := n.Graph(ctx)
			if err != nil {
				b.Fatal(err)
			}
			if g.Channels == 2*channels && g.Policies == 4*channels {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	return alice, bob, carol
}
