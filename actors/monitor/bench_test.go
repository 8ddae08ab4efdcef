package monitor

import (
	"runtime"
	"testing"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// backlog is a channel with n events that nobody acknowledged, as it is on disk.
func backlog(b *testing.B, n uint64) *harness {
	h := ready(b, true)
	for i := range n {
		h.update(facts.CounterpartyCommitment{Adds: []facts.HTLC{outbound(i, 1000, 300)}})
		h.update(h.revocation())
		h.update(h.holderCommitment(nil))
		h.update(facts.PreimageLearned{HTLCID: i, Preimage: preimage(i)})
		h.update(h.holderCommitment(nil, facts.Removal{HTLCID: i, Resolution: fulfilled(i)}))
		h.update(facts.CounterpartyCommitment{})
		h.update(h.revocation())
	}
	h.takeSnapshot()
	return h
}

// BenchmarkRestore is the start of one channel with 100 unacknowledged events, up to its report.
func BenchmarkRestore(b *testing.B) {
	h := backlog(b, 100)
	b.SetBytes(int64(len(h.snapshot)))
	b.ReportAllocs()
	for b.Loop() {
		s := NewSession(must(Restore(holderKeys, must(record.ReadSnapshot(h.snapshot)), nil)), 1)
		must(s.Start())
		must(s.Handle(messages.Fence{ManagerIncarnation: 1, Fence: 1}))
	}
}

// BenchmarkIdle reports the memory of a restored channel without HTLCs and events.
func BenchmarkIdle(b *testing.B) {
	h := ready(b, true)
	h.do(messages.AckMonitorEvent{Seqs: []uint64{1, 2}})
	h.takeSnapshot()
	const n = 1000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		idle := make([]*Session, n)
		for i := range idle {
			idle[i] = NewSession(must(Restore(holderKeys, must(record.ReadSnapshot(h.snapshot)), nil)), 1)
			must(idle[i].Start())
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "B/channel")
		runtime.KeepAlive(idle)
	}
}

// BenchmarkPayment is what the payer's monitor does and writes for one payment that goes through, signatures apart.
func BenchmarkPayment(b *testing.B) {
	h := ready(b, true)
	f := h.s.m.facts
	var written int
	step := func(u facts.Update) {
		o := must(h.s.Handle(h.next(u)))
		written += len(o.Record.Write())
		for _, r := range o.Rows {
			written += len(record.WriteRow(r).Value)
		}
	}
	secrets := make([]facts.Revocation, 0, 2*b.N+2)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		b.StopTimer()
		secrets = secrets[:0]
		n := f.CounterpartyNumber
		for k := range uint64(2) {
			secrets = append(secrets, facts.Revocation{Secret: must(peerKeys.ReleaseSecret(7, n+k)), NextPoint: h.peerPoint(n + k + 2)})
		}
		b.StartTimer()
		id := uint64(i)
		add := outbound(id, 1000, 300)
		add.Onion = make([]byte, 1366)
		step(facts.CounterpartyCommitment{Adds: []facts.HTLC{add}})
		step(secrets[0])
		step(facts.HolderCommitment{})
		step(facts.PreimageLearned{HTLCID: id, Preimage: preimage(id)})
		step(facts.HolderCommitment{Removes: []facts.Removal{{HTLCID: id, Resolution: fulfilled(id)}}})
		step(facts.CounterpartyCommitment{})
		step(secrets[1])
		must(h.s.Handle(messages.AckMonitorEvent{Seqs: []uint64{h.s.m.events.last}}))
	}
	b.ReportMetric(float64(written)/float64(b.N), "written-B/op")
}
