package onchain

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
)

// side is a node, what its user was told, and its money on chain when the channel was opened.
type side struct {
	name   string
	cfg    lnactor.Config
	node   *lnactor.Node
	before uint64 // satoshis

	mu     sync.Mutex
	events map[string]lnactor.Event
}

// world is two nodes with a channel of 1,000,000 satoshis, 30 % of it bob's.
type world struct {
	ctx        context.Context
	ground     ground
	view       lnactor.ChainSource
	alice, bob *side
	channel    lnactor.ChannelID
	start      int32 // height at which the sides' money was counted
}

const archiveDepth = 12

func newWorld(t *testing.T, g ground) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	w := &world{ctx: ctx, ground: g, view: g.source(t)}
	w.alice, w.bob = w.newSide(t, "alice"), w.newSide(t, "bob")
	for _, s := range w.sides() {
		w.fund(t, s, 3_000_000)
		w.fund(t, s, 200_000)
	}
	w.mine(t)
	w.start = tip(t, w.view).Height
	for _, s := range w.sides() {
		s.before = s.coins(t)
	}
	must(t, w.alice.node.Connect(ctx, w.bob.node.ID(), w.bob.node.ListenAddress()))
	id, err := w.alice.node.OpenChannel(ctx, lnactor.OpenParams{Peer: w.bob.node.ID(), CapacitySat: 1_000_000, PushMsat: 300_000_000})
	must(t, err)
	w.channel = id
	for range 3 {
		w.mine(t)
	}
	w.until(t, "both sides are ready", func() bool {
		return w.alice.has("channel-ready/"+id.String()) && w.bob.has("channel-ready/"+id.String())
	})
	return w
}

func (w *world) sides() []*side { return []*side{w.alice, w.bob} }

func (w *world) newSide(t *testing.T, name string) *side {
	t.Helper()
	s := &side{name: name, events: map[string]lnactor.Event{}}
	s.cfg = lnactor.Config{
		Dir: t.TempDir(), Chain: w.ground.source(t), Params: w.ground.params(), Listen: "127.0.0.1:0", MinDepth: 1, ManualClaim: true, ArchiveDepth: archiveDepth,
	}
	if path := os.Getenv("LNACTOR_LOG"); path != "" {
		s.cfg.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", name)
	}
	w.open(t, s)
	t.Cleanup(func() { _ = s.node.Close() })
	return s
}

// open starts a node, for the first time or again.
func (w *world) open(t *testing.T, s *side) {
	t.Helper()
	n, err := lnactor.Open(w.ctx, s.cfg)
	must(t, err)
	s.node = n
	s.cfg.Listen = n.ListenAddress()
	go func() {
		for ev, err := range n.Events(w.ctx) {
			if err != nil {
				return
			}
			s.mu.Lock()
			s.events[ev.ID] = ev
			s.mu.Unlock()
		}
	}()
}

// kill ends a node as a crash would, and starts it again.
func (w *world) kill(t *testing.T, s *side) {
	t.Helper()
	s.node.Kill()
	w.open(t, s)
}

func (w *world) fund(t *testing.T, s *side, amount btcutil.Amount) {
	t.Helper()
	text, err := s.node.NewAddress(w.ctx)
	must(t, err)
	a, err := btcutil.DecodeAddress(text, w.ground.params())
	must(t, err)
	script, err := txscript.PayToAddrScript(a)
	must(t, err)
	w.ground.pay(t, script, amount)
}

// mine makes a block and waits until both nodes have followed it and the chain has what they make of it.
func (w *world) mine(t *testing.T) {
	t.Helper()
	w.ground.mine(t)
	w.follow(t)
}

func (w *world) follow(t *testing.T) {
	t.Helper()
	height := uint32(tip(t, w.view).Height)
	w.until(t, "both nodes follow the chain", func() bool {
		for _, s := range w.sides() {
			if st, err := s.node.FundsStatus(w.ctx); err != nil || st.Height != height {
				return false
			}
		}
		return true
	})
	time.Sleep(pace) // claims go there and back between monitor and wallet; nothing depends on all of them being in the next block
}

const pace = 15 * time.Millisecond

func (w *world) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for !f() {
		select {
		case <-w.ctx.Done():
			t.Fatalf("still not: %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *side) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.events[id]
	return ok
}

// outcomes counts what payments came to.
func (s *side) outcomes() (sent, failed int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.events {
		switch ev.Kind.(type) {
		case lnactor.PaymentSent:
			sent++
		case lnactor.PaymentFailed:
			failed++
		}
	}
	return sent, failed
}

func (s *side) coins(t *testing.T) uint64 {
	t.Helper()
	b, err := s.node.WalletBalance(t.Context())
	must(t, err)
	return uint64(b.Total())
}

// hold pays n invoices that the payee keeps in suspense.
func (w *world) hold(t *testing.T, from, to *side, n int, msat uint64) (hashes []lnactor.Hash) {
	t.Helper()
	for range n {
		inv, err := to.node.CreateInvoice(w.ctx, lnactor.InvoiceParams{AmountMsat: msat})
		must(t, err)
		_, err = from.node.Pay(w.ctx, inv.Bolt11)
		must(t, err)
		hashes = append(hashes, inv.Hash)
		w.until(t, "the payment arrives", func() bool {
			to.mu.Lock()
			defer to.mu.Unlock()
			for _, ev := range to.events {
				if k, ok := ev.Kind.(lnactor.PaymentClaimable); ok && k.Hash == inv.Hash {
					return true
				}
			}
			return false
		})
	}
	return hashes
}

// resolve mines until both nodes have archived the channel.
func (w *world) resolve(t *testing.T, between func(block int)) {
	t.Helper()
	for block := range 600 {
		done := 0
		for _, s := range w.sides() {
			w.balanced(t, s)
			if closed, _, err := s.node.ClosedChannels(w.ctx, nil, 0); err == nil && len(closed) == 1 {
				done++
			}
		}
		if done == 2 {
			return
		}
		between(block)
		w.mine(t)
	}
	for _, s := range w.sides() {
		list, _ := s.node.Channels(w.ctx)
		st, _ := s.node.FundsStatus(w.ctx)
		t.Logf("%s: %+v\n%+v", s.name, list, st)
	}
	t.Fatal("the channel is not archived after 600 blocks")
}

// balanced: the parts of a channel's balance add up at every block (scenario 28).
func (w *world) balanced(t *testing.T, s *side) {
	t.Helper()
	list, err := s.node.Channels(w.ctx)
	if err != nil {
		return // it is being restarted
	}
	for _, c := range list {
		b := c.Balance
		if sum := b.Available + b.InHTLCs + b.Awaiting + b.Contested + b.Swept + b.Fees + b.Lost; sum != b.Total {
			t.Errorf("%s: the parts are %d, the whole is %d: %+v", s.name, sum, b.Total, b)
		}
	}
}

// fees is what all transactions of the nodes paid since the start. All of their inputs are outputs of blocks that are read here.
func (w *world) fees(t *testing.T) (total uint64) {
	t.Helper()
	outs := map[wire.OutPoint]int64{}
	end := tip(t, w.view).Height
	for h := int32(1); h <= end; h++ {
		hash, err := w.view.HashAt(w.ctx, h)
		must(t, err)
		block, err := w.view.Block(w.ctx, hash)
		must(t, err)
		for i, tx := range block.Transactions {
			fee := int64(0)
			for _, in := range tx.TxIn {
				fee += outs[in.PreviousOutPoint]
			}
			for j, out := range tx.TxOut {
				outs[wire.OutPoint{Hash: tx.TxHash(), Index: uint32(j)}] = out.Value
				fee -= out.Value
			}
			if i > 0 && h > w.start {
				total += uint64(fee)
			}
		}
	}
	return total
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unclaimed is what is left of outputs that neither node nor faucet got: those of the transactions that spent the funding output and their second
// stages. Only scripts of witness version 0 with 32 bytes (P2WSH) can be: wallets have shorter ones.
func (w *world) unclaimed(t *testing.T) (total uint64) {
	t.Helper()
	left := map[wire.OutPoint]int64{}
	end := tip(t, w.view).Height
	for h := w.start + 1; h <= end; h++ {
		hash, err := w.view.HashAt(w.ctx, h)
		must(t, err)
		block, err := w.view.Block(w.ctx, hash)
		must(t, err)
		for i, tx := range block.Transactions {
			for _, in := range tx.TxIn {
				delete(left, in.PreviousOutPoint)
			}
			for j, out := range tx.TxOut {
				if i > 0 && txscript.IsPayToWitnessScriptHash(out.PkScript) {
					left[wire.OutPoint{Hash: tx.TxHash(), Index: uint32(j)}] = out.Value
				}
			}
		}
	}
	for _, v := range left {
		total += uint64(v)
	}
	return total
}
