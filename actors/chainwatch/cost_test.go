package chainwatch

import (
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
)

func blockCost(t testing.TB, channels, blocks int) time.Duration {
	h := newHarness(t, 200)
	for i := range channels {
		h.register(i, h.f.tip())
	}
	for b := range blocks {
		var txs []*wire.MsgTx
		for i := range 200 {
			txs = append(txs, spend(uint32(b*1000+i), out(1_000_000+i)))
		}
		h.f.mine(append(txs, spend(1, out(b%10)))...)
	}
	h.log, h.sent = nil, nil
	start := time.Now()
	h.sync()
	took := time.Since(start)
	if len(h.sent) != blocks {
		t.Fatalf("%d messages for %d matches", len(h.sent), blocks)
	}
	return took
}

func TestBlockCostsWhatMatches(t *testing.T) {
	blockCost(t, 10, 50)
	blockCost(t, 10_000, 50)
}

func BenchmarkBlock10000Channels(b *testing.B) {
	for b.Loop() {
		few := blockCost(b, 10, 400)
		many := blockCost(b, 10_000, 400)
		b.ReportMetric(float64(many.Nanoseconds())/400, "ns/block@10000")
		b.ReportMetric(float64(few.Nanoseconds())/400, "ns/block@10")
		b.ReportMetric(float64(many)/float64(few), "ratio")
	}
}
