package peers

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/btcd"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// ourNode is an lnactor with a directory and an address that stay over restarts. It acknowledges every event and remembers it.
type ourNode struct {
	*lnactor.Node

	cfg     lnactor.Config
	chain   *btcdtest.Node
	src     *btcd.Source
	watched *watched
	log     *os.File
	done    chan struct{} // closed when the watcher of this life has ended
	rate    atomic.Uint32 // fee estimate per kw, asked for at the start and every few minutes; 0: what btcd says

	mu     sync.Mutex
	events []lnactor.Event
	seen   map[string]bool
}

// newUs starts an lnactor in a directory.
func newUs(t testing.TB, ctx context.Context, dir string, chain *btcdtest.Node, edit func(*lnactor.Config)) *ourNode {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	log, err := os.Create(dir + ".log")
	must(t, err)
	u := &ourNode{chain: chain, log: log, seen: map[string]bool{}}
	u.cfg = lnactor.Config{
		Dir: dir, Params: chain.Params, Listen: freeAddr(t), FeePerKw: 1250, MinDepth: 1, ArchiveDepth: 6, Name: "us",
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if edit != nil {
		edit(&u.cfg)
	}
	u.start(t, ctx)
	return u
}

// start opens the node, for the first time or again.
func (u *ourNode) start(t testing.TB, ctx context.Context) {
	t.Helper()
	src, err := btcd.Open(ctx, btcd.Config{Interval: time.Second, Config: rpc.Config{
		Params: u.chain.Params, URL: "https://" + u.chain.RPCAddr, User: u.chain.User, Pass: u.chain.Pass, CertFile: u.chain.CertFile,
	}})
	must(t, err)
	watched := &watched{Source: src, rate: &u.rate}
	cfg := u.cfg
	cfg.Chain = watched
	n, err := lnactor.Open(ctx, cfg)
	if err != nil {
		src.Close()
		t.Fatal(err)
	}
	u.mu.Lock()
	u.Node, u.src, u.watched, u.done = n, src, watched, make(chan struct{})
	u.mu.Unlock()
	go u.watch(n, u.done)
}

// stop closes the node, or kills it as a crash would.
func (u *ourNode) stop(kill bool) error {
	var err error
	if kill {
		u.Kill()
	} else {
		err = u.Close()
	}
	<-u.done
	u.src.Close()
	return err
}

func (u *ourNode) watch(n *lnactor.Node, done chan struct{}) {
	defer close(done)
	for ev, err := range n.Events(context.Background()) {
		if err != nil {
			return
		}
		u.mu.Lock()
		if !u.seen[ev.ID] { // events come at least once
			u.seen[ev.ID] = true
			u.events = append(u.events, ev)
		}
		u.mu.Unlock()
	}
}

// find returns the first event that a function accepts.
func find[E any](u *ourNode, accept func(E) bool) (E, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ev := range u.events {
		if e, ok := ev.Kind.(E); ok && accept(e) {
			return e, true
		}
	}
	var zero E
	return zero, false
}

// all returns the events of a kind.
func all[E any](u *ourNode) (list []E) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ev := range u.events {
		if e, ok := ev.Kind.(E); ok {
			list = append(list, e)
		}
	}
	return list
}

// awaitEvent waits for an event.
func awaitEvent[E any](t testing.TB, ctx context.Context, u *ourNode, what string, accept func(E) bool) E {
	t.Helper()
	var got E
	await(t, ctx, what, func() bool {
		e, ok := find(u, accept)
		got = e
		return ok
	})
	return got
}

// channel is our view of a channel; nil if it is not listed.
func (u *ourNode) channel(ctx context.Context, id lnactor.ChannelID) *lnactor.Channel {
	list, err := u.Channels(ctx)
	if err != nil {
		return nil
	}
	for _, c := range list {
		if c.Channel == id {
			return &c
		}
	}
	return nil
}

// outcome waits for the outcome of a payment of ours. It fails with the reason.
func (u *ourNode) outcome(t testing.TB, ctx context.Context, id lnactor.PaymentID) lnactor.Payment {
	t.Helper()
	var p lnactor.Payment
	await(t, ctx, "outcome of payment "+id.String(), func() bool {
		_, sent := find(u, func(e lnactor.PaymentSent) bool { return e.PaymentID == id })
		_, failed := find(u, func(e lnactor.PaymentFailed) bool { return e.PaymentID == id })
		return sent || failed
	})
	p, err := u.GetPayment(ctx, id)
	must(t, err)
	return p
}

// patience is how long any one thing may take, on a busy machine.
const patience = 2 * time.Minute

// await polls until a condition holds, or fails the test.
func await(t testing.TB, ctx context.Context, what string, cond func() bool) {
	t.Helper()
	if !within(ctx, patience, cond) {
		t.Fatalf("waited in vain for %s", what)
	}
}

// within polls until a condition holds, for so long at most.
func within(ctx context.Context, limit time.Duration, cond func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !cond() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

// now is the node of this moment, for goroutines that go on while it is restarted.
func (u *ourNode) now() *lnactor.Node {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.Node
}

// watched is a chain source that knows which block was asked for last: the node itself tells nobody how far it has followed. Its fee estimates can be set.
type watched struct {
	chain.Source
	last atomic.Pointer[chainhash.Hash]
	rate *atomic.Uint32
}

func (w *watched) FeeRate(ctx context.Context, target int32) (chain.FeePerKW, error) {
	if rate := w.rate.Load(); rate != 0 {
		return chain.FeePerKW(rate), nil
	}
	return w.Source.FeeRate(ctx, target)
}

func (w *watched) Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	b, err := w.Source.Block(ctx, hash)
	if err == nil {
		w.last.Store(&hash)
	}
	return b, err
}
