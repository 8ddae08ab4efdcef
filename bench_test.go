package lnactor_test

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/commitment"
)

// paymentMsat is well above every dust limit: each payment is an output of both commitments and costs its signatures.
const paymentMsat = 1_000_000

// BenchmarkPayments measures payments over one channel between two nodes on bbolt with every sync on, over TCP on loopback: from the call of Pay
// to PaymentSent. The rate at 1 in flight is the baseline of the others in the same run. Signatures and CPU time are those of both nodes together.
func BenchmarkPayments(b *testing.B) {
	base := 0.0
	for _, inFlight := range []int{1, 32, 128} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var signed signatures
			capacity := max(1_000_000, uint64(b.N)*paymentMsat/1000*2)
			p := newPairOf(b, ctx, capacity, func(c *lnactor.Config) { c.WrapSigner(signed.count) }, b.TempDir(), b.TempDir())
			sent := newWaiter(ctx, p.alice)
			go drainEvents(ctx, p.bob)
			invoices := make([]string, b.N)
			for i := range invoices {
				inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: paymentMsat})
				if err != nil {
					b.Fatal(err)
				}
				invoices[i] = inv.Bolt11
			}
			before, signedBefore, commitmentsBefore := p.alice.StoreStats(), signed.made.Load(), signed.commitments.Load()
			latency := make([]time.Duration, b.N)
			var group sync.WaitGroup
			slots := make(chan struct{}, inFlight)
			b.ResetTimer()
			start, cpu := time.Now(), cpuTime()
			for i, bolt11 := range invoices {
				slots <- struct{}{}
				group.Go(func() {
					defer func() { <-slots }()
					began := time.Now()
					id := lnactor.PaymentID{byte(i), byte(i >> 8), byte(i >> 16), 1}
					done := sent.expect(id)
					if _, err := p.alice.Pay(ctx, bolt11, lnactor.WithPaymentID(id)); err != nil {
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
			cpu = cpuTime() - cpu
			b.StopTimer()
			sort.Slice(latency, func(i, j int) bool { return latency[i] < latency[j] })
			rate := float64(b.N) / took.Seconds()
			if inFlight == 1 {
				base = rate
			}
			after := p.alice.StoreStats()
			b.ReportMetric(rate, "payments/s")
			b.ReportMetric(float64(latency[b.N/2].Microseconds())/1000, "median-ms")
			b.ReportMetric(float64(after.Syncs-before.Syncs)/float64(b.N), "payer-syncs/op")
			b.ReportMetric(float64(after.BytesWritten-before.BytesWritten)/float64(b.N), "payer-bytes/op")
			b.ReportMetric(float64(signed.made.Load()-signedBefore)/float64(b.N), "sigs/op")
			b.ReportMetric(float64(signed.commitments.Load()-commitmentsBefore)/float64(b.N), "commitments/op")
			b.ReportMetric(float64(cpu.Microseconds())/1000/float64(b.N), "cpu-ms/op")
			if base > 0 {
				b.ReportMetric(rate/base, "x-of-1")
			}
		})
	}
}

// signatures counts those for commitments and their HTLCs. Each is made by one node and verified by the other.
type signatures struct{ made, commitments atomic.Int64 }

func (s *signatures) count(inner chankeys.Signer) chankeys.Signer { return countingSigner{inner, s} }

type countingSigner struct {
	chankeys.Signer
	counts *signatures
}

func (s countingSigner) SignCounterparty(index uint32, st *commitment.Static, tx *commitment.Tx) (lnwire.Sig, []lnwire.Sig, error) {
	sig, htlcs, err := s.Signer.SignCounterparty(index, st, tx)
	s.counts.made.Add(int64(1 + len(htlcs)))
	s.counts.commitments.Add(1)
	return sig, htlcs, err
}

func drainEvents(ctx context.Context, n *lnactor.Node) {
	for _, err := range n.Events(ctx) {
		if err != nil {
			return
		}
	}
}

// waiter hands outcomes to whoever made the payment.
type waiter struct {
	mu   sync.Mutex
	want map[lnactor.PaymentID]chan lnactor.Event
}

func newWaiter(ctx context.Context, n *lnactor.Node) *waiter {
	w := &waiter{want: map[lnactor.PaymentID]chan lnactor.Event{}}
	go func() {
		for ev, err := range n.Events(ctx) {
			if err != nil {
				return
			}
			switch k := ev.Kind.(type) {
			case lnactor.PaymentSent:
				w.give(k.PaymentID, ev)
			case lnactor.PaymentFailed:
				w.give(k.PaymentID, ev)
			}
		}
	}()
	return w
}

func (w *waiter) expect(id lnactor.PaymentID) <-chan lnactor.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan lnactor.Event, 1)
	w.want[id] = c
	return c
}

func (w *waiter) give(id lnactor.PaymentID, ev lnactor.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.want[id]; c != nil {
		delete(w.want, id)
		c <- ev
	}
}
