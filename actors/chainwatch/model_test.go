package chainwatch

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

var (
	modelSeeds = flag.Int("model.seeds", 300, "seeds of TestModel")
	modelSeed  = flag.Uint64("model.seed", 0, "run only this seed of TestModel")
)

// A modelWatcher does what a monitor does with the contract of doc.go: it follows spends, watches the outputs of what spent, keeps a cursor
// (rule 20) and survives its own restarts and those of the chain watcher.
type modelWatcher struct {
	i           int
	incarnation uint64
	root        wire.OutPoint

	// Durable: the cursor and where each followed transaction confirmed.
	height uint32
	hash   chainhash.Hash
	found  map[chainhash.Hash]confirmed

	inbox []any
}

type confirmed struct {
	tx     *wire.MsgTx
	height uint32
}

type model struct {
	t     *testing.T
	rng   *rand.Rand
	f     *fakeChain
	c     *core
	asks  []ask
	ws    []*modelWatcher
	byTo  map[messages.Addr]*modelWatcher
	coins []wire.OutPoint // outputs that a new transaction may spend, spent or not
	n     uint32
}

func compareHash(a, b chainhash.Hash) int { return slices.Compare(a[:], b[:]) }

// register comes back as doc.go says: the cursor, then each output from the block that created it.
func (m *model) register(w *modelWatcher) {
	w.incarnation++
	m.run(m.c.register(messages.ChainRegister{
		Channel: m.id(w), Incarnation: w.incarnation, Height: w.height, Hash: w.hash,
		Outpoints: []wire.OutPoint{w.root}, To: addr(w.i),
	}))
	for _, txid := range slices.SortedFunc(maps.Keys(w.found), compareHash) {
		m.watchOutputs(w, w.found[txid])
	}
}

func (m *model) watchOutputs(w *modelWatcher, x confirmed) {
	var ops []wire.OutPoint
	for i := range x.tx.TxOut {
		ops = append(ops, wire.OutPoint{Hash: x.tx.TxHash(), Index: uint32(i)})
	}
	m.run(m.c.watch(messages.ChainWatch{Channel: m.id(w), Incarnation: w.incarnation, FromHeight: x.height, Outpoints: ops}))
}

func (m *model) id(w *modelWatcher) ln.ChannelID { return chanID(w.i) }

func (m *model) run(e effects) {
	for _, d := range e.send {
		if w := m.byTo[d.To]; w != nil {
			w.inbox = append(w.inbox, d.Msg)
		}
	}
	if e.fatal != nil || e.retry > 0 {
		m.t.Fatalf("fatal %v retry %d", e.fatal, e.retry)
	}
	m.asks = append(m.asks, e.asks...)
}

func (m *model) answerOne() bool {
	if len(m.asks) == 0 {
		return false
	}
	q := m.asks[0]
	m.asks = m.asks[1:]
	m.run(m.c.answer(query(context.Background(), m.f, q)))
	return true
}

// handleOne lets a watcher handle its oldest message.
func (m *model) handleOne(w *modelWatcher) bool {
	if len(w.inbox) == 0 {
		return false
	}
	msg := w.inbox[0]
	w.inbox = w.inbox[1:]
	switch msg := msg.(type) {
	case messages.ChainDisconnected:
		if msg.Incarnation != w.incarnation {
			return true
		}
		w.height, w.hash = msg.Height, msg.Hash
		maps.DeleteFunc(w.found, func(_ chainhash.Hash, x confirmed) bool { return x.height > msg.Height })
	case messages.ChainBlock:
		if msg.Incarnation != w.incarnation {
			return true
		}
		if msg.Height < w.height {
			m.t.Fatalf("watcher %d at %d told of %d", w.i, w.height, msg.Height)
		}
		w.height, w.hash = msg.Height, msg.Hash
		for _, x := range msg.Matches {
			txid := x.Tx.TxHash()
			if old, ok := w.found[txid]; ok && old.height != x.Height {
				m.t.Fatalf("watcher %d: tx%d confirmed at %d and %d", w.i, x.Tx.LockTime, old.height, x.Height)
			}
			w.found[txid] = confirmed{tx: x.Tx, height: x.Height}
			m.watchOutputs(w, w.found[txid])
		}
	}
	return true
}

// mine makes a block whose transactions spend what is unspent, also outputs of the same block.
func (m *model) mine() {
	spent, exists := make(map[wire.OutPoint]bool), make(map[chainhash.Hash]bool)
	for _, hash := range m.f.best {
		for _, tx := range m.f.blocks[hash].Transactions[1:] {
			exists[tx.TxHash()] = true
			for _, in := range tx.TxIn {
				spent[in.PreviousOutPoint] = true
			}
		}
	}
	var txs []*wire.MsgTx
	for range m.rng.IntN(6) {
		op := m.coins[m.rng.IntN(len(m.coins))]
		root := binary.BigEndian.Uint32(op.Hash[4:8]) == 0
		if spent[op] || (!root && !exists[op.Hash]) {
			continue
		}
		m.n++
		tx := spend(m.n, op)
		tx.AddTxOut(wire.NewTxOut(1, nil))
		spent[op], exists[tx.TxHash()] = true, true
		m.coins = append(m.coins, wire.OutPoint{Hash: tx.TxHash()}, wire.OutPoint{Hash: tx.TxHash(), Index: 1})
		txs = append(txs, tx)
	}
	m.f.mine(txs...)
}

// truth is what a watcher should have found: everything that descends from its root in the best chain.
func (m *model) truth(w *modelWatcher) map[chainhash.Hash]uint32 {
	follow := map[wire.OutPoint]bool{w.root: true}
	found := make(map[chainhash.Hash]uint32)
	for height, hash := range m.f.best {
		for _, tx := range m.f.blocks[hash].Transactions[1:] {
			if follow[tx.TxIn[0].PreviousOutPoint] {
				txid := tx.TxHash()
				found[txid] = uint32(height)
				follow[wire.OutPoint{Hash: txid}], follow[wire.OutPoint{Hash: txid, Index: 1}] = true, true
			}
		}
	}
	return found
}

func (m *model) restart() {
	m.c, m.asks = newCore(), nil
	m.run(m.c.tipChanged())
	for _, w := range m.ws {
		w.inbox = nil
		m.register(w)
	}
}

// TestModel runs watchers against random chains, reorganisations, delays, crashes of watchers and of the chain watcher. At rest each watcher
// knows exactly what the best chain holds for it.
func TestModel(t *testing.T) {
	first, last := uint64(1), uint64(*modelSeeds)
	if *modelSeed != 0 {
		first, last = *modelSeed, *modelSeed
	}
	for seed := first; seed <= last; seed++ {
		runModel(t, seed)
		if t.Failed() {
			t.Fatalf("go test ./actors/chainwatch -run TestModel -model.seed %d", seed)
		}
	}
}

func runModel(t *testing.T, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	m := &model{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), f: newFakeChain(20), c: newCore(),
		byTo: make(map[messages.Addr]*modelWatcher),
	}
	for i := range 4 {
		start := m.f.at(uint32(20 - m.rng.IntN(3)))
		w := &modelWatcher{i: i, root: out(i), height: start.height, hash: start.hash, found: make(map[chainhash.Hash]confirmed)}
		m.ws = append(m.ws, w)
		m.byTo[addr(i)] = w
		m.coins = append(m.coins, w.root, w.root)
	}
	m.restart()
	for range 300 {
		w := m.ws[m.rng.IntN(len(m.ws))]
		switch n := m.rng.IntN(100); {
		case n < 12:
			m.mine()
			m.run(m.c.tipChanged())
		case n < 15:
			depth := 1 + m.rng.IntN(4)
			m.f.cut(depth)
			for range depth + 1 {
				m.mine()
			}
			m.run(m.c.tipChanged())
		case n < 17:
			m.restart()
		case n < 20: // the watcher crashes; its mailbox lives on
			m.register(w)
		case n < 60:
			m.answerOne()
		default:
			m.handleOne(w)
		}
	}
	for again := true; again; {
		again = m.answerOne()
		for _, w := range m.ws {
			again = m.handleOne(w) || again
		}
	}
	for _, w := range m.ws {
		got := make(map[chainhash.Hash]uint32)
		for txid, x := range w.found {
			got[txid] = x.height
		}
		if want := m.truth(w); !maps.Equal(got, want) {
			t.Errorf("watcher %d found %d transactions, the chain holds %d: %s", w.i, len(got), len(want), fmt.Sprint(got, want))
		}
	}
}
