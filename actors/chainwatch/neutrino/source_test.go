package neutrino

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/neutrino/banman"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// The data directory outlives the process: headers, and those of the branches that were abandoned meanwhile.
func TestReopen(t *testing.T) {
	n, dir := btcdtest.Start(t), t.TempDir()
	s := caughtUp(t, n, dir)
	n.Mine(t, 2)
	awaitTip(t, s, n)
	first, firstHeight := n.Tip(t)
	n.Reorg(t, 2, 3)
	awaitTip(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	second, secondHeight := n.Tip(t)
	n.Reorg(t, 1, 3) // while nobody looks
	s = caughtUp(t, n, dir)
	for stale, height := range map[chainhash.Hash]int32{first: firstHeight, second: secondHeight} {
		header, at, err := s.Header(t.Context(), stale)
		if err != nil || at != height || header.BlockHash() != stale {
			t.Errorf("abandoned header: %d, %v; want %d", at, err, height)
		}
		if _, _, err := s.Header(t.Context(), header.PrevBlock); err != nil {
			t.Errorf("its parent: %v", err)
		}
		if _, err := s.Block(t.Context(), stale); !errors.Is(err, chain.ErrNotFound) {
			t.Errorf("abandoned block: %v", err)
		}
	}
}

func TestDirectory(t *testing.T) {
	n, dir := btcdtest.Start(t), t.TempDir()
	s := caughtUp(t, n, dir)
	if _, err := Open(Config{Dir: dir, Params: n.Params, Peers: []string{n.P2PAddr}}); !errors.Is(err, ErrInUse) {
		t.Errorf("a directory in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: dir, Params: &chaincfg.RegressionNetParams, Peers: []string{n.P2PAddr}}); !errors.Is(err, chain.ErrWrongChain) {
		t.Errorf("a directory of another network: %v", err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{
		{},
		{Dir: t.TempDir()},
		{Dir: t.TempDir(), Params: &chaincfg.RegressionNetParams}, // no seeds, no peers
		{Dir: t.TempDir(), Params: &chaincfg.MainNetParams, Lookup: lookupNothing},
	} {
		if _, err := Open(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Without peers there is no tip; the headers on disk still answer.
func TestNoPeers(t *testing.T) {
	n, dir := btcdtest.Start(t), t.TempDir()
	s := caughtUp(t, n, dir)
	hash, height := n.Tip(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	n.Stop(t)
	s = open(t, Config{Dir: dir, Params: n.Params, Peers: []string{n.P2PAddr}, patience: time.Millisecond, retry: time.Millisecond})
	for range 3 {
		if _, err := s.Tip(t.Context()); !errors.Is(err, chain.ErrUnreachable) || errors.Is(err, chain.ErrWrongChain) {
			t.Errorf("tip: %v", err)
		}
	}
	if got, err := s.HashAt(t.Context(), height); err != nil || got != hash {
		t.Errorf("hash: %v, %v", got, err)
	}
	if _, at, err := s.Header(t.Context(), hash); err != nil || at != height {
		t.Errorf("header: %d, %v", at, err)
	}
	if _, err := s.Block(t.Context(), hash); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("block: %v", err)
	}
	if _, err := s.MayMatch(t.Context(), hash, [][]byte{{1}}); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("filter: %v", err)
	}
	if err := s.Broadcast(t.Context(), wire.NewMsgTx(2)); !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("broadcast: %v", err)
	}
	n.Restart(t)
	awaitTip(t, s, n)
}

// A chain whose tip is old is not taken for caught up, or chainwatch would fetch all blocks since.
func TestSyncing(t *testing.T) {
	n := btcdtest.Start(t, btcdtest.Empty())
	s := open(t, Config{Params: n.Params, Peers: []string{n.P2PAddr}})
	deadline := time.Now().Add(2 * time.Minute)
	for {
		_, err := s.Tip(t.Context())
		if errors.Is(err, ErrSyncing) {
			break
		}
		if err == nil || time.Now().After(deadline) {
			t.Fatalf("tip: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
	n.Mine(t, 1)
	awaitTip(t, s, n)
}

func TestUselessPeer(t *testing.T) {
	n := btcdtest.Start(t, btcdtest.Args("--nocfilters"))
	s := open(t, Config{Params: n.Params, Peers: []string{n.P2PAddr}, patience: time.Millisecond, retry: time.Millisecond})
	if err := awaitError(t, s, "compact filters"); !errors.Is(err, chain.ErrUnreachable) || errors.Is(err, chain.ErrInvalidBlock) {
		t.Errorf("tip: %v", err)
	}
}

// awaitError waits until Tip says why there is no peer.
func awaitError(t *testing.T, s *Source, part string) error {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		_, err := s.Tip(t.Context())
		if err != nil && strings.Contains(err.Error(), part) {
			return err
		}
		if time.Now().After(deadline) {
			t.Fatalf("tip: %v, waited for %q", err, part)
		}
	}
}

func TestLyingPeer(t *testing.T) {
	n, dir := btcdtest.Start(t), t.TempDir()
	hash, _ := n.Tip(t)
	cfg := Config{
		Dir: dir, Params: n.Params, Peers: []string{n.P2PAddr}, patience: time.Millisecond, retry: time.Millisecond,
		Dial: dialLiar, Lookup: lookupLiteral,
	}
	s := open(t, cfg)
	awaitTip(t, s, n)
	began := time.Now()
	if block, err := s.Block(t.Context(), hash); !errors.Is(err, chain.ErrUnreachable) {
		t.Fatalf("a block that was tampered with: %v, %v", block, err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v to find out", took)
	}
	if err := awaitError(t, s, "banned"); !errors.Is(err, chain.ErrInvalidBlock) {
		t.Errorf("tip: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	// A restart gives the peer another chance.
	s = caughtUp(t, n, dir)
	if _, err := s.Block(t.Context(), hash); err != nil {
		t.Error(err)
	}
}

func TestMayMatch(t *testing.T) {
	n := btcdtest.Start(t)
	s := caughtUp(t, n, "")
	script := append([]byte{txscript.OP_0, txscript.OP_DATA_20}, make([]byte, 20)...)
	op := n.Fund(t, script, btcutil.SatoshiPerBitcoin)
	paid, empty := n.Mine(t, 1)[0], n.Mine(t, 1)[0]
	awaitTip(t, s, n)
	other := append([]byte{txscript.OP_1, txscript.OP_DATA_32}, make([]byte, 32)...)
	for _, c := range []struct {
		name    string
		block   chainhash.Hash
		scripts [][]byte
		want    bool
	}{
		{"pays", paid, [][]byte{other, script}, true},
		{"spends", paid, [][]byte{btcdtest.Script()}, true},
		{"neither", empty, [][]byte{other, script}, false},
		{"nothing to look for", paid, nil, false},
		{"not in filters", empty, [][]byte{{txscript.OP_RETURN}}, true},
		{"not in filters either", empty, [][]byte{{}}, true},
		{"genesis", *n.Params.GenesisHash, [][]byte{other}, true},
	} {
		if got, err := s.MayMatch(t.Context(), c.block, c.scripts); err != nil || got != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	if _, err := s.MayMatch(t.Context(), op.Hash, [][]byte{script}); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("no such block: %v", err)
	}
}

// What btcd says of a transaction arrives as a code.
func TestRefusals(t *testing.T) {
	n := btcdtest.Start(t)
	s := caughtUp(t, n, "")
	spend := func(op wire.OutPoint, value btcutil.Amount, sequence uint32) *wire.MsgTx {
		tx := wire.NewMsgTx(2)
		in := wire.NewTxIn(&op, nil, btcdtest.Witness())
		in.Sequence = sequence
		tx.AddTxIn(in)
		tx.AddTxOut(wire.NewTxOut(int64(value), btcdtest.Script()))
		return tx
	}
	op, value := n.Coinbase(t)
	const final = wire.MaxTxInSequenceNum
	if err := s.Broadcast(t.Context(), spend(op, value-1000, final)); err != nil {
		t.Fatal(err)
	}
	fresh, rich := n.Coinbase(t)
	locked := spend(fresh, rich-1000, final-1)
	locked.LockTime = 1_000_000
	for name, c := range map[string]struct {
		tx   *wire.MsgTx
		want chain.BroadcastCode
	}{
		"double spend": {spend(op, value-5000, final), chain.BroadcastConflict},
		"no fee":       {spend(fresh, rich, final), chain.BroadcastFeeTooLow},
		"too early":    {locked, chain.BroadcastNotFinal},
		"too soon":     {spend(fresh, rich-1000, 60_000), chain.BroadcastNotFinal},
		"invalid":      {spend(fresh, rich+1, final), chain.BroadcastRejected},
	} {
		for range 2 { // btcd is silent about what it has refused before
			err := s.Broadcast(t.Context(), c.tx)
			var be *chain.BroadcastError
			if errors.As(err, &be) {
				if be.Code != c.want || be.Txid != c.tx.TxHash() || be.Reason == "" {
					t.Errorf("%s: %v, want %v", name, err, c.want)
				}
				break
			}
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// A transaction that a peer has taken is not waited for again, but offered again to a peer that lost it.
func TestBroadcastAgain(t *testing.T) {
	n := btcdtest.Start(t)
	s := caughtUp(t, n, "")
	op, value := n.Coinbase(t)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&op, nil, btcdtest.Witness()))
	tx.AddTxOut(wire.NewTxOut(int64(value-1000), btcdtest.Script()))
	if err := s.Broadcast(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	n.AwaitTx(t, tx.TxHash())
	began := time.Now()
	for range 20 {
		if err := s.Broadcast(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took > 10*askWithin { // each of 20 would wait askWithin
		t.Errorf("20 repeats took %v", took)
	}

	n.Stop(t)
	n.Restart(t) // with an empty mempool
	n.Mine(t, 1) // to have something to wait for
	awaitTip(t, s, n)
	if err := s.Broadcast(t.Context(), tx); err != nil {
		t.Fatal(err)
	}
	n.AwaitTx(t, tx.TxHash())
}

func TestClose(t *testing.T) {
	n := btcdtest.Start(t)
	// What the test itself and btcd's client run.
	before := goleak.IgnoreCurrent()
	s := open(t, Config{Params: n.Params, Peers: []string{n.P2PAddr}})
	awaitTip(t, s, n)
	hash, _ := n.Tip(t)
	stop := make(chan struct{})
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = s.Tip(context.Background())
				_, _ = s.Block(context.Background(), hash)
			}
		}
	}()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	close(stop)
	<-asked
	for name, call := range map[string]func() error{
		"Tip":       func() error { _, err := s.Tip(t.Context()); return err },
		"HashAt":    func() error { _, err := s.HashAt(t.Context(), 0); return err },
		"Header":    func() error { _, _, err := s.Header(t.Context(), hash); return err },
		"Block":     func() error { _, err := s.Block(t.Context(), hash); return err },
		"MayMatch":  func() error { _, err := s.MayMatch(t.Context(), hash, [][]byte{{1}}); return err },
		"Broadcast": func() error { return s.Broadcast(t.Context(), wire.NewMsgTx(2)) },
	} {
		if err := call(); !errors.Is(err, chain.ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	goleak.VerifyNone(t, before)
}

// A configured peer that was banned gets another chance, without a restart.
func TestBanEnds(t *testing.T) {
	n := btcdtest.Start(t)
	s := open(t, Config{Params: n.Params, Peers: []string{n.P2PAddr}, patience: time.Millisecond, retry: 2 * time.Second})
	awaitTip(t, s, n)
	if err := s.client.BanPeer(n.P2PAddr, banman.InvalidFilterHeader); err != nil {
		t.Fatal(err)
	}
	awaitError(t, s, "banned")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if _, err := s.Tip(t.Context()); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the peer is still banned")
		}
	}
}
