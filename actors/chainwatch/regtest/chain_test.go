package regtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

func newTest(t testing.TB) *Chain {
	t.Helper()
	c, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// spend makes a transaction of an anyone-can-spend output to the same script.
func spend(op wire.OutPoint, value btcutil.Amount, mutate ...func(*wire.MsgTx)) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	script, witness := FaucetScript()
	tx.AddTxIn(wire.NewTxIn(&op, nil, witness))
	tx.AddTxOut(wire.NewTxOut(int64(value), script))
	for _, m := range mutate {
		m(tx)
	}
	return tx
}

func rbf(tx *wire.MsgTx) { tx.TxIn[0].Sequence = wire.MaxTxInSequenceNum - 2 }

func wantCode(t *testing.T, err error, code chain.BroadcastCode) *chain.BroadcastError {
	t.Helper()
	var be *chain.BroadcastError
	if !errors.As(err, &be) || be.Code != code {
		t.Fatalf("got %v, want %v", err, code)
	}
	return be
}

func TestPreparedChain(t *testing.T) {
	c := newTest(t)
	if hash, height := c.Tip(); height != PreparedHeight || hash != must[chainhash.Hash](t)(c.BlockHash(PreparedHeight)) {
		t.Fatalf("tip %v %d", hash, height)
	}
	// Segwit is active: the faucet's witness output is checked by the miner's
	// consensus code, a wrong witness is refused.
	script, _ := FaucetScript()
	op := must[wire.OutPoint](t)(c.Fund(script, 1e8))
	bad := spend(op, 1e8-1000)
	bad.TxIn[0].Witness = wire.TxWitness{{txscript.OP_FALSE}}
	wantCode(t, c.Broadcast(bad), chain.BroadcastRejected)
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	if _, err := c.MineTxs(bad); err == nil {
		t.Fatal("block with a bad witness connected")
	}
	if c.Height() != PreparedHeight+1 {
		t.Fatal("refused block moved the tip")
	}
	utxo := must[UTXO](t)(c.TxOut(op))
	if utxo.TxOut.Value != 1e8 || utxo.Height != PreparedHeight+1 || utxo.Coinbase {
		t.Fatalf("utxo %+v", utxo)
	}
}

func TestFundManyBeforeMining(t *testing.T) {
	c := newTest(t)
	script, _ := FaucetScript()
	p2wkh := append([]byte{0, 20}, make([]byte, 20)...)
	for i := range 60 {
		if _, err := c.Fund(p2wkh, 1e6); err != nil {
			t.Fatalf("fund %d: %v", i, err)
		}
	}
	big := must[wire.OutPoint](t)(c.Fund(script, 120e8))
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	if got := c.Confirmations(big.Hash); got != 1 {
		t.Fatalf("confirmations %d", got)
	}
	if len(c.Mempool()) != 0 {
		t.Fatal("mempool not mined")
	}
	if _, err := c.Fund(script, 1e6*1e8); !errors.Is(err, ErrFaucetEmpty) {
		t.Fatalf("got %v", err)
	}
}

func TestBroadcastErrors(t *testing.T) {
	c := newTest(t)
	script, _ := FaucetScript()
	op := must[wire.OutPoint](t)(c.Fund(script, 1e8))
	must[[]*wire.MsgBlock](t)(c.Mine(1))

	wantCode(t, c.Broadcast(nil), chain.BroadcastRejected)
	wantCode(t, c.Broadcast(wire.NewMsgTx(2)), chain.BroadcastRejected)

	tx := spend(op, 1e8-1000, rbf)
	child := spend(wire.OutPoint{Hash: tx.TxHash()}, 1e8-2000)
	be := wantCode(t, c.Broadcast(child), chain.BroadcastMissingInputs)
	if len(be.Missing) != 1 || be.Missing[0] != child.TxIn[0].PreviousOutPoint {
		t.Fatalf("missing %v", be.Missing)
	}
	if err := c.Broadcast(tx); err != nil {
		t.Fatal(err)
	}
	err := c.Broadcast(tx)
	wantCode(t, err, chain.BroadcastInMempool)
	if !chain.IsKnown(err) {
		t.Fatal("in mempool is not known")
	}

	// Replacement: too cheap, then enough.
	wantCode(t, c.Broadcast(spend(op, 1e8-1001, rbf)), chain.BroadcastFeeTooLow)
	wantCode(t, c.Broadcast(spend(op, 1e8-20, rbf)), chain.BroadcastFeeTooLow)
	better := spend(op, 1e8-5000)
	if err := c.Broadcast(better); err != nil {
		t.Fatal(err)
	}
	if c.InMempool(tx.TxHash()) || !c.InMempool(better.TxHash()) {
		t.Fatal("not replaced")
	}
	// better does not signal: final.
	be = wantCode(t, c.Broadcast(spend(op, 1e8-50000)), chain.BroadcastConflict)
	if be.Spender != better.TxHash() {
		t.Fatalf("spender %v", be.Spender)
	}
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	err = c.Broadcast(better)
	wantCode(t, err, chain.BroadcastConfirmed)
	if !chain.IsKnown(err) {
		t.Fatal("confirmed is not known")
	}
	be = wantCode(t, c.Broadcast(tx), chain.BroadcastConflict)
	if be.Spender != better.TxHash() {
		t.Fatalf("spender %v", be.Spender)
	}

	// Locks: absolute, relative, coinbase maturity.
	next := wire.OutPoint{Hash: better.TxHash()}
	late := spend(next, 1e8-9000, rbf, func(tx *wire.MsgTx) { tx.LockTime = uint32(c.Height() + 2) })
	wantCode(t, c.Broadcast(late), chain.BroadcastNotFinal)
	csv := spend(next, 1e8-9000, func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = 3 })
	wantCode(t, c.Broadcast(csv), chain.BroadcastNotFinal)
	tip := must[*wire.MsgBlock](t)(c.Block(c.Height()))
	young := wire.OutPoint{Hash: tip.Transactions[0].TxHash()}
	wantCode(t, c.Broadcast(spend(young, 1e8)), chain.BroadcastNotFinal)
	must[[]*wire.MsgBlock](t)(c.Mine(2))
	if err := c.Broadcast(csv); err != nil {
		t.Fatal(err)
	}
}

func TestReorgReturnsTransactions(t *testing.T) {
	for depth := 1; depth <= 5; depth++ {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			c := newTest(t)
			script, _ := FaucetScript()
			var ops []wire.OutPoint
			for range depth {
				ops = append(ops, must[wire.OutPoint](t)(c.Fund(script, 1e8)))
				must[[]*wire.MsgBlock](t)(c.Mine(1))
			}
			waiting := must[wire.OutPoint](t)(c.Fund(script, 1e8))
			oldTip, height := c.Tip()
			calls := 0
			c.Subscribe(func() { calls++ })
			if err := c.Reorg(depth, depth+1, DropTxs(ops[0].Hash)); err != nil {
				t.Fatal(err)
			}
			if calls != 1 || c.Height() != height+1 {
				t.Fatalf("calls %d height %d", calls, c.Height())
			}
			if _, at, err := c.Header(oldTip); err != nil || at != height {
				t.Fatalf("old tip at %d: %v", at, err)
			}
			var want []chainhash.Hash
			for _, op := range append(ops[1:], waiting) {
				want = append(want, op.Hash)
			}
			var got []chainhash.Hash
			for _, tx := range c.Mempool() {
				got = append(got, tx.TxHash())
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("mempool\n%v want\n%v", got, want)
			}
			if _, err := c.TxOut(ops[0]); !errors.Is(err, chain.ErrNotFound) {
				t.Fatalf("dropped: %v", err)
			}
			must[[]*wire.MsgBlock](t)(c.Mine(1))
			if c.Confirmations(waiting.Hash) != 1 || len(c.Mempool()) != 0 {
				t.Fatal("not mined again")
			}
			// The faucet has its coins back.
			must[wire.OutPoint](t)(c.Fund(script, 900e8))
		})
	}
}

func TestReorgWithConflict(t *testing.T) {
	c := newTest(t)
	script, _ := FaucetScript()
	op := must[wire.OutPoint](t)(c.Fund(script, 1e8))
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	ours, theirs := spend(op, 1e8-1000), spend(op, 1e8-2000)
	if err := c.Broadcast(ours); err != nil {
		t.Fatal(err)
	}
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	if got, _ := c.Spender(op); got != ours.TxHash() {
		t.Fatal("not spent by ours")
	}
	if err := c.Reorg(1, 2, WithBlock(0, theirs)); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Spender(op); got != theirs.TxHash() {
		t.Fatal("not spent by theirs")
	}
	if len(c.Mempool()) != 0 {
		t.Fatal("conflicting transaction came back")
	}

	tip, height := c.Tip()
	if err := c.Reorg(1, 2, WithBlock(0, ours), WithBlock(1, theirs)); err == nil {
		t.Fatal("double spend accepted")
	}
	if got, h := c.Tip(); got != tip || h != height {
		t.Fatal("failed reorganisation moved the tip")
	}
	for _, bad := range [][2]int{{0, 1}, {1, 1}, {-1, 3}, {int(height), int(height) + 1}, {1 << 40, 1 << 41}} {
		if err := c.Reorg(bad[0], bad[1]); !errors.Is(err, ErrBadReorg) {
			t.Fatalf("%v: %v", bad, err)
		}
	}
}

// script drives a chain through everything that could depend on map order.
func script(t testing.TB, c *Chain) {
	out, _ := FaucetScript()
	for i := range 30 {
		must[wire.OutPoint](t)(c.Fund(out, btcutil.Amount(1e6+i)))
		if i%7 == 6 {
			must[[]*wire.MsgBlock](t)(c.Mine(1))
		}
		if i%10 == 9 {
			if err := c.Reorg(2, 3); err != nil {
				t.Fatal(err)
			}
		}
	}
	must[[]*wire.MsgBlock](t)(c.Mine(2))
}

func TestDeterministicAndCloned(t *testing.T) {
	var tips []chainhash.Hash
	for range 3 {
		c := newTest(t)
		script(t, c)
		script(t, c)
		hash, _ := c.Tip()
		tips = append(tips, hash)
	}
	// A clone taken half way, with a filled mempool, goes on equally.
	c := newTest(t)
	out, _ := FaucetScript()
	script(t, c)
	clone := must[*Chain](t)(c.Clone())
	script(t, clone)
	hash, _ := clone.Tip()
	tips = append(tips, hash)
	if _, h := c.Tip(); h == clone.Height() {
		t.Fatal("clone is not independent")
	}
	script(t, c)
	hash, _ = c.Tip()
	for _, tip := range append(tips, hash) {
		if tip != tips[0] {
			t.Fatalf("different tips: %v %v", tips, hash)
		}
	}
	must[wire.OutPoint](t)(c.Fund(out, 1e6))
	clone = must[*Chain](t)(c.Clone())
	if len(clone.Mempool()) != 1 {
		t.Fatal("mempool not cloned")
	}
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	c := must[*Chain](t)(New(dir))
	script(t, c)
	tip, height := c.Tip()
	mem := newTest(t)
	script(t, mem)
	if memTip, _ := mem.Tip(); memTip != tip {
		t.Fatal("disk and memory differ")
	}
	if _, err := c.Clone(); !errors.Is(err, ErrNotInMemory) {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Mine(1); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	c = must[*Chain](t)(New(dir))
	defer c.Close()
	if got, h := c.Tip(); got != tip || h != height {
		t.Fatalf("reopened at %v %d", got, h)
	}
	out, _ := FaucetScript()
	must[wire.OutPoint](t)(c.Fund(out, 1e8))
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	if err := c.Reorg(3, 4); err != nil {
		t.Fatal(err)
	}
}

// A process that is killed leaves the directory as it is: all blocks are there again, on whatever branch, but for one cut off in the middle of being written.
func TestKilledDisk(t *testing.T) {
	dir := t.TempDir()
	c := must[*Chain](t)(New(dir))
	defer c.Close()
	script(t, c)
	if err := c.Reorg(3, 4); err != nil {
		t.Fatal(err)
	}
	tip, height := c.Tip()
	last := must[os.FileInfo](t)(os.Stat(filepath.Join(dir, "blocks.journal"))).Size()
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	newest, _ := c.Tip()

	open := func(damage func(*os.File) error) (*Chain, string) {
		after := filepath.Join(t.TempDir(), "chain")
		if err := os.CopyFS(after, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		f := must[*os.File](t)(os.OpenFile(filepath.Join(after, "blocks.journal"), os.O_RDWR, 0))
		defer f.Close()
		if err := damage(f); err != nil {
			t.Fatal(err)
		}
		return must[*Chain](t)(New(after)), after
	}
	again, after := open(func(*os.File) error { return nil })
	if got, _ := again.Tip(); got != newest {
		t.Fatal("the chain ends elsewhere after a kill")
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if left := must[os.FileInfo](t)(os.Stat(filepath.Join(after, "blocks.journal"))).Size(); left != 0 {
		t.Fatalf("%d bytes left by a close", left)
	}
	again = must[*Chain](t)(New(after))
	if got, _ := again.Tip(); got != newest {
		t.Fatal("the chain ends elsewhere after a close")
	}
	again.Close()
	for name, damage := range map[string]func(*os.File) error{
		"cut off":  func(f *os.File) error { return f.Truncate(last + 20) },
		"a bit":    func(f *os.File) error { _, err := f.WriteAt([]byte{0xff}, last+30); return err },
		"no bytes": func(f *os.File) error { return errors.Join(f.Truncate(last), f.Truncate(last+100)) },
	} {
		again, _ := open(damage)
		if got, h := again.Tip(); got != tip || h != height {
			t.Errorf("%s: ends at %v %d", name, got, h)
		}
		must[[]*wire.MsgBlock](t)(again.Mine(2))
		again.Close()
	}
}

func BenchmarkNew(b *testing.B) {
	newTest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := New(""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClone(b *testing.B) {
	c := newTest(b)
	script(b, c)
	for b.Loop() {
		if _, err := c.Clone(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMine(b *testing.B) {
	c := newTest(b)
	for b.Loop() {
		if _, err := c.Mine(1); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFundAndMine(b *testing.B) {
	c := newTest(b)
	out, _ := FaucetScript()
	for b.Loop() {
		must[wire.OutPoint](b)(c.Fund(out, 1e5))
		must[[]*wire.MsgBlock](b)(c.Mine(1))
	}
}

func TestConcurrentUse(t *testing.T) {
	c := newTest(t)
	out, _ := FaucetScript()
	notified := make(chan struct{}, 1000)
	cancel := c.Subscribe(func() { c.Tip(); notified <- struct{}{} })
	done := make(chan error)
	for range 4 {
		go func() {
			for i := range 10 {
				if _, err := c.Fund(out, 1e5); err != nil {
					done <- err
					return
				}
				if _, err := c.Mine(1); err != nil {
					done <- err
					return
				}
				if i%5 == 4 {
					if err := c.Reorg(1, 2); err != nil {
						done <- err
						return
					}
				}
				c.Mempool()
				if clone, err := c.Clone(); err != nil || clone.Close() != nil {
					done <- fmt.Errorf("clone: %v", err)
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if len(notified) != 48 {
		t.Fatalf("notified %d times", len(notified))
	}
	cancel()
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	if len(notified) != 48 {
		t.Fatal("notified after cancel")
	}
}

func TestMinePolicyAndConsensus(t *testing.T) {
	c := newTest(t)
	out, _ := FaucetScript()
	op := must[wire.OutPoint](t)(c.Fund(out, 1e6))
	must[[]*wire.MsgBlock](t)(c.Mine(1))
	free := spend(op, 1e6)
	wantCode(t, c.Broadcast(free), chain.BroadcastFeeTooLow)
	must[*wire.MsgBlock](t)(c.MineTxs(free))
	if _, loc, err := c.Tx(free.TxHash()); err != nil || loc.Index != 1 || loc.Height != c.Height() {
		t.Fatalf("%+v %v", loc, err)
	}
	if _, err := c.MineTxs(free); err == nil {
		t.Fatal("mined twice")
	}

	// A conflict in a block empties the mempool of what it conflicts with.
	mine, theirs := spend(wire.OutPoint{Hash: free.TxHash()}, 1e6-1000), spend(wire.OutPoint{Hash: free.TxHash()}, 1e6-2000)
	if err := c.Broadcast(mine); err != nil {
		t.Fatal(err)
	}
	must[[]*wire.MsgBlock](t)(c.MineEmpty(2))
	if !c.InMempool(mine.TxHash()) {
		t.Fatal("mined although empty blocks were asked for")
	}
	must[*wire.MsgBlock](t)(c.MineTxs(theirs))
	if c.InMempool(mine.TxHash()) {
		t.Fatal("conflict stays in the mempool")
	}

	child := spend(wire.OutPoint{Hash: theirs.TxHash()}, 1e6-3000)
	if err := c.Broadcast(child); err != nil {
		t.Fatal(err)
	}
	c.Evict(child.TxHash())
	if len(c.Mempool()) != 0 {
		t.Fatal("not evicted")
	}
	key := append([]byte{0, 20}, make([]byte, 20)...)
	blocks := must[[]*wire.MsgBlock](t)(c.MineTo(key, 1))
	if string(blocks[0].Transactions[0].TxOut[0].PkScript) != string(key) {
		t.Fatal("coinbase elsewhere")
	}
}

func TestSource(t *testing.T) {
	c := newTest(t)
	s := c.Source()
	ctx := t.Context()
	tip := must[chain.BlockID](t)(s.Tip(ctx))
	hash := must[chainhash.Hash](t)(s.HashAt(ctx, tip.Height))
	if hash != tip.Hash || must[chainhash.Hash](t)(s.Genesis(ctx)) != *Params().GenesisHash {
		t.Fatal("other hashes")
	}
	if must[*wire.MsgBlock](t)(s.Block(ctx, hash)).BlockHash() != hash {
		t.Fatal("other block")
	}
	if header, height, err := s.Header(ctx, hash); err != nil || height != tip.Height || header.BlockHash() != hash {
		t.Fatal(height, err)
	}
	if _, err := s.HashAt(ctx, tip.Height+1); !errors.Is(err, chain.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.Block(ctx, chainhash.Hash{}); !errors.Is(err, chain.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.FeeRate(ctx, 6); !errors.Is(err, chain.ErrNoFeeEstimate) {
		t.Fatal(err)
	}
	s.SetDown(true)
	if err := s.Broadcast(ctx, nil); !errors.Is(err, chain.ErrUnreachable) {
		t.Fatal(err)
	}
	if _, err := c.Source().Tip(ctx); err != nil {
		t.Fatal("one view down takes the other along")
	}
}
