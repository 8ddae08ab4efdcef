package chainwatch

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// fakeChain is a chain.Source without consensus: the core does not look at it.
type fakeChain struct {
	best    []chainhash.Hash
	blocks  map[chainhash.Hash]*wire.MsgBlock
	heights map[chainhash.Hash]int32
	serial  uint32
	reads   int // blocks read

	down      error
	taken     []chainhash.Hash
	broadcast func(*wire.MsgTx) error
}

func newFakeChain(height int) *fakeChain {
	f := &fakeChain{blocks: make(map[chainhash.Hash]*wire.MsgBlock), heights: make(map[chainhash.Hash]int32)}
	for range height + 1 {
		f.mine()
	}
	return f
}

func (f *fakeChain) tip() blockID {
	last := len(f.best) - 1
	return blockID{height: uint32(last), hash: f.best[last]}
}

func (f *fakeChain) at(height uint32) blockID { return blockID{height: height, hash: f.best[height]} }

func (f *fakeChain) mine(txs ...*wire.MsgTx) blockID {
	f.serial++
	block := wire.NewMsgBlock(&wire.BlockHeader{Nonce: f.serial, Timestamp: time.Unix(1e9, 0)})
	if len(f.best) > 0 {
		block.Header.PrevBlock = f.best[len(f.best)-1]
	}
	block.Transactions = append([]*wire.MsgTx{wire.NewMsgTx(1)}, txs...)
	hash := block.BlockHash()
	f.best = append(f.best, hash)
	f.blocks[hash], f.heights[hash] = block, int32(len(f.best)-1)
	return f.tip()
}

func (f *fakeChain) mineEmpty(n int) {
	for range n {
		f.mine()
	}
}

func (f *fakeChain) cut(depth int) { f.best = f.best[:len(f.best)-depth] }

func (f *fakeChain) Genesis(context.Context) (chainhash.Hash, error) { return f.best[0], f.down }

func (f *fakeChain) Tip(context.Context) (chain.BlockID, error) {
	tip := f.tip()
	return chain.BlockID{Height: int32(tip.height), Hash: tip.hash}, f.down
}

func (f *fakeChain) HashAt(_ context.Context, height int32) (chainhash.Hash, error) {
	if int(height) >= len(f.best) {
		return chainhash.Hash{}, chain.ErrNotFound
	}
	return f.best[height], f.down
}

func (f *fakeChain) Header(_ context.Context, hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	block, ok := f.blocks[hash]
	if !ok {
		return wire.BlockHeader{}, 0, chain.ErrNotFound
	}
	return block.Header, f.heights[hash], f.down
}

func (f *fakeChain) Block(_ context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	block, ok := f.blocks[hash]
	if !ok {
		return nil, chain.ErrNotFound
	}
	f.reads++
	return block, f.down
}

func (f *fakeChain) Broadcast(_ context.Context, tx *wire.MsgTx) error {
	if f.down != nil {
		return f.down
	}
	f.taken = append(f.taken, tx.TxHash())
	if f.broadcast != nil {
		return f.broadcast(tx)
	}
	return nil
}

func (f *fakeChain) FeeRate(context.Context, int32) (chain.FeePerKW, error) {
	return 0, chain.ErrNoFeeEstimate
}
func (f *fakeChain) Subscribe(func()) func() { return func() {} }
func (f *fakeChain) Local() bool             { return true }

// harness runs a core against a fake chain and logs what it sends, one line each.
type harness struct {
	t    testing.TB
	f    *fakeChain
	c    *core
	log  []string
	sent []messages.Delivery

	held    []ask // yielding questions, while hold is set
	hold    bool
	retries int
	fatal   error
}

func newHarness(t testing.TB, height int) *harness {
	h := &harness{t: t, f: newFakeChain(height), c: newCore()}
	h.sync()
	return h
}

func (h *harness) restart() { h.c, h.held = newCore(), nil; h.sync() }

func (h *harness) sync() { h.run(h.c.tipChanged()) }

func (h *harness) release() {
	for len(h.held) > 0 {
		h.releaseOne()
	}
}

func (h *harness) releaseOne() {
	q := h.held[0]
	h.held = h.held[1:]
	h.run(h.c.answer(query(context.Background(), h.f, q)))
}

func (h *harness) run(e effects) {
	for queue := []effects{e}; len(queue) > 0; queue = queue[1:] {
		e := queue[0]
		for _, d := range e.send {
			h.sent = append(h.sent, d)
			h.log = append(h.log, fmt.Sprintf("%s: %s", d.To, describe(d.Msg)))
		}
		if e.fatal != nil {
			h.fatal = e.fatal
			return
		}
		if e.retry > 0 {
			h.retries = e.retry
		}
		for _, q := range e.asks {
			if h.hold && q.yield {
				h.held = append(h.held, q)
				continue
			}
			queue = append(queue, h.c.answer(query(context.Background(), h.f, q)))
		}
	}
}

func describe(msg any) string {
	switch m := msg.(type) {
	case messages.ChainBlock:
		s := fmt.Sprintf("block %d", m.Height)
		for _, x := range m.Matches {
			s += fmt.Sprintf(" tx%d@%d", x.Tx.LockTime, x.Height)
		}
		return s
	case messages.ChainDisconnected:
		return fmt.Sprintf("fork %d", m.Height)
	case messages.ChainTip:
		return fmt.Sprintf("tip %d -%d +%d", m.Height, m.Disconnected, len(m.Blocks))
	case messages.BroadcastReply:
		return fmt.Sprintf("reply %v", m.Err)
	}
	return fmt.Sprintf("%T", msg)
}

// want compares what was sent since the last call.
func (h *harness) want(lines ...string) {
	h.t.Helper()
	if fmt.Sprint(h.log) != fmt.Sprint(lines) {
		h.t.Fatalf("got\n%q\nwant\n%q", h.log, lines)
	}
	h.log = nil
}

func chanID(i int) (id ln.ChannelID) {
	binary.BigEndian.PutUint32(id[:], uint32(i+1))
	return id
}

// out is the i-th output that tests watch, spend a transaction that spends it and is shown as txN in the log.
func out(i int) wire.OutPoint {
	var op wire.OutPoint
	binary.BigEndian.PutUint32(op.Hash[:], uint32(i+1))
	return op
}

func spend(n uint32, ops ...wire.OutPoint) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.LockTime = n
	for _, op := range ops {
		tx.AddTxIn(wire.NewTxIn(&op, nil, nil))
	}
	tx.AddTxOut(wire.NewTxOut(int64(n), []byte{byte(n)}))
	return tx
}

func addr(i int) messages.Addr { return messages.Addr(fmt.Sprintf("w%d", i)) }

// register watches out(i) for channel i from a block on.
func (h *harness) register(i int, cursor blockID, more ...func(*messages.ChainRegister)) {
	r := messages.ChainRegister{
		Channel: chanID(i), Incarnation: 1, Height: cursor.height, Hash: cursor.hash,
		Outpoints: []wire.OutPoint{out(i)}, To: addr(i),
	}
	for _, m := range more {
		m(&r)
	}
	h.run(h.c.register(r))
}

func (h *harness) watch(i int, from uint32, ops ...wire.OutPoint) {
	h.run(h.c.watch(messages.ChainWatch{Channel: chanID(i), Incarnation: 1, FromHeight: from, Outpoints: ops}))
}

func (h *harness) wakeAt(i int, height uint32) {
	h.run(h.c.watch(messages.ChainWatch{Channel: chanID(i), Incarnation: 1, WakeAt: height}))
}
