package chainwatch

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/messages"
)

// fullTxs is about what a full block holds.
const fullTxs = 4000

// rawChain gives blocks as a node's RPC does: each has to be parsed.
type rawChain struct {
	*fakeChain
	raw map[chainhash.Hash][]byte
}

func (r *rawChain) Block(_ context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	return r.parse(hash)
}

func (r *rawChain) parse(hash chainhash.Hash) (*wire.MsgBlock, error) {
	b := new(wire.MsgBlock)
	return b, b.Deserialize(bytes.NewReader(r.raw[hash]))
}

// mineFull mines a block of transactions of usual size, the first of which spend watched outputs.
func (r *rawChain) mineFull(tb testing.TB, serial, spent int) {
	tb.Helper()
	witness := wire.TxWitness{make([]byte, 71), make([]byte, 33)}
	script := make([]byte, 22)
	txs := make([]*wire.MsgTx, fullTxs)
	for i := range txs {
		tx := wire.NewMsgTx(2)
		from := out(10_000_000 + serial*fullTxs + i)
		if i < spent {
			from = out(i)
		}
		tx.AddTxIn(wire.NewTxIn(&from, nil, witness))
		tx.AddTxOut(wire.NewTxOut(int64(serial), script))
		tx.AddTxOut(wire.NewTxOut(int64(i), script))
		txs[i] = tx
	}
	id := r.mine(txs...)
	r.store(tb, id.hash)
	r.blocks[id.hash] = &wire.MsgBlock{Header: r.blocks[id.hash].Header} // the rest is in raw
}

func (r *rawChain) store(tb testing.TB, hash chainhash.Hash) {
	tb.Helper()
	r.blocks[hash].Transactions[0] = spend(0, wire.OutPoint{Index: wire.MaxPrevOutIndex}) // a coinbase has an input
	var b bytes.Buffer
	if err := r.blocks[hash].Serialize(&b); err != nil {
		tb.Fatal(err)
	}
	r.raw[hash] = b.Bytes()
}

func newRawChain(tb testing.TB, blocks, spent int) *rawChain {
	tb.Helper()
	r := &rawChain{fakeChain: newFakeChain(200), raw: map[chainhash.Hash][]byte{}}
	for hash := range r.blocks {
		r.store(tb, hash)
	}
	for i := range blocks {
		r.mineFull(tb, i, spent)
	}
	return r
}

// parseAll is the baseline: the cost of the blocks themselves.
func (r *rawChain) parseAll(tb testing.TB, from int) time.Duration {
	tb.Helper()
	start := time.Now()
	for _, hash := range r.best[from:] {
		if _, err := r.parse(hash); err != nil {
			tb.Fatal(err)
		}
	}
	return time.Since(start)
}

// watchers is a core with the first outputs watched, one channel each.
type watchers struct {
	c    *core
	r    *rawChain
	told int
}

func (r *rawChain) watchers(n int, cursor blockID) *watchers {
	w := &watchers{c: newCore(), r: r}
	w.drive(w.c.tipChanged())
	var all effects // an actor reads past blocks only when its mailbox is empty: all have registered by then
	for i := range n {
		e := w.c.register(messages.ChainRegister{
			Channel: chanID(i), Incarnation: 1, Height: cursor.height, Hash: cursor.hash, Outpoints: []wire.OutPoint{out(i)}, To: addr(i),
		})
		all.send, all.asks = append(all.send, e.send...), append(all.asks, e.asks...)
	}
	w.drive(all)
	return w
}

func (w *watchers) drive(e effects) {
	for queue := []effects{e}; len(queue) > 0; queue = queue[1:] {
		w.told += len(queue[0].send)
		for _, q := range queue[0].asks {
			queue = append(queue, w.c.answer(query(context.Background(), w.r, q)))
		}
	}
}

const watched = 10_000

// BenchmarkFullBlock is the cost of a full block with 10,000 channels watched and some of them closed by it, as a ratio to parsing the block.
func BenchmarkFullBlock(b *testing.B) {
	for _, spent := range []int{0, 10, 1000} {
		b.Run(fmt.Sprintf("spent=%d", spent), func(b *testing.B) {
			const blocks = 8
			r := newRawChain(b, blocks, spent)
			all := r.best
			var parse, watch time.Duration
			for b.Loop() {
				parse += r.parseAll(b, len(all)-blocks)
				r.best = all[:len(all)-blocks]
				w := r.watchers(watched, r.tip())
				w.told = 0
				start := time.Now()
				for n := range blocks {
					r.best = all[:len(all)-blocks+n+1]
					w.drive(w.c.tipChanged())
				}
				watch += time.Since(start)
				if w.told != blocks*spent {
					b.Fatalf("%d messages for %d matches", w.told, blocks*spent)
				}
			}
			report(b, parse, watch, blocks)
		})
	}
}

// BenchmarkCatchUp is a restart with 10,000 channels that are 1,000 full blocks behind, as a ratio to parsing those blocks.
func BenchmarkCatchUp(b *testing.B) {
	const blocks = 1000 // about 800 MB
	r := newRawChain(b, 1, 10)
	first := r.best[len(r.best)-1]
	for range blocks - 1 { // the same block again and again: only its header differs
		id := r.mine()
		var header bytes.Buffer
		if err := r.blocks[id.hash].Header.Serialize(&header); err != nil {
			b.Fatal(err)
		}
		r.raw[id.hash] = append(header.Bytes(), r.raw[first][header.Len():]...)
	}
	var parse, watch time.Duration
	for b.Loop() {
		parse += r.parseAll(b, len(r.best)-blocks)
		start := time.Now()
		w := r.watchers(watched, r.at(uint32(len(r.best)-blocks-1)))
		watch += time.Since(start)
		if w.told < watched {
			b.Fatalf("%d messages, each watcher should hear of the tip", w.told)
		}
	}
	report(b, parse, watch, blocks)
}

func report(b *testing.B, parse, watch time.Duration, blocks int) {
	b.Helper()
	n := float64(b.N * blocks)
	b.ReportMetric(float64(parse.Microseconds())/n, "µs-parse/block")
	b.ReportMetric(float64(watch.Microseconds())/n, "µs-in-all/block")
	b.ReportMetric(float64(watch)/float64(parse), "ratio")
	b.ReportMetric(0, "ns/op")
}
