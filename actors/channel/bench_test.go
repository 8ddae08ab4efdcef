package channel

import "testing"

// The two machines of a channel, with monitors in memory and messages encoded: what signatures and bookkeeping cost without disk and network.
func BenchmarkPayments(b *testing.B) {
	for _, c := range []struct {
		name   string
		flight int
	}{{"1", 1}, {"32", 32}, {"128", 128}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b, func(tm *terms) {
				tm.alice.MaxAcceptedHTLCs, tm.bob.MaxAcceptedHTLCs = 483, 483
				tm.feePerKw = 253
			})
			number := uint64(0)
			b.ResetTimer()
			for done := 0; done < b.N; done += c.flight {
				for range c.flight {
					number++
					w.a.add(number, 1_000_000)
				}
				w.run()
				for _, h := range w.b.accepted {
					w.b.decide(h.ID, "fail")
				}
				w.b.accepted = nil
				w.run()
			}
			if len(w.a.refused) > 0 {
				b.Fatal(w.a.refused[0].Why)
			}
			b.ReportMetric(float64(w.a.durable.HolderNumber+w.b.durable.HolderNumber)/float64(number), "commitments/payment")
		})
	}
}
