package lnactor_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// TestNodesSurviveBeingKilled kills both nodes of a pair in turn while payments are under way, on the real store, over TCP. Every payment that Pay
// accepted gets exactly one outcome, the receiver has exactly the money of those that were sent, and nothing stays unacknowledged.
func TestNodesSurviveBeingKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx, t.TempDir(), t.TempDir())
	before := channelOf(t, ctx, p.alice, p.channel)
	book := newBook()
	alice := revive(t, ctx, p, "alice", p.alice, book)
	bob := revive(t, ctx, p, "bob", p.bob, book)

	// Of each ten payments five are left in peace and five are under way while a node dies, the payer and the payee in turn.
	const payments = 60
	accepted := map[lnactor.PaymentID]lnactor.Hash{}
	quiet := 0
	for i := range payments {
		switch i % 10 {
		case 5:
			waitFor(t, ctx, "outcomes of payments in peace", func() bool { return book.outcomes() >= len(accepted) })
			quiet += 5
		case 8:
			if i%20 == 8 {
				alice.kill()
			} else {
				bob.kill()
			}
		case 0:
			waitFor(t, ctx, "outcomes of payments over a crash", func() bool { return book.outcomes() >= len(accepted) })
		}
		inv, err := bob.node().CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 1_000_000 + uint64(i)})
		if err != nil {
			t.Fatal(err)
		}
		id := lnactor.PaymentID{byte(i), 7}
		waitFor(t, ctx, "the channel", func() bool { // it is refused until the peers have found each other again
			_, err = alice.node().Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id))
			return !errors.Is(err, lnactor.ErrNoChannel)
		})
		if err != nil {
			t.Fatal(err)
		}
		accepted[id] = inv.Hash
	}
	// An outcome for each, and no other. The receiver is told of exactly those that were sent.
	waitFor(t, ctx, "every outcome", func() bool { return book.outcomes() >= len(accepted) })
	waitFor(t, ctx, "rest", func() bool {
		a, b := summary(ctx, alice.node(), p.channel), summary(ctx, bob.node(), p.channel)
		return a != nil && b != nil && a.UnackedEvents+b.UnackedEvents+a.OutboundHTLCs+b.InboundHTLCs == 0
	})
	sent := book.check(t, accepted)
	if sent < quiet {
		t.Fatalf("only %d of %d payments were sent, of which %d were left in peace", sent, len(accepted), quiet)
	}
	after := channelOf(t, ctx, alice.node(), p.channel)
	if got := before.HolderMsat - after.HolderMsat; got != book.sum(t) {
		t.Fatalf("%d msat left the payer, %d arrived", got, book.sum(t))
	}
	t.Logf("%d accepted, %d sent", len(accepted), sent)
}

// TestPaymentIDIsUsedOnce: an id that was used is refused for ever, over restarts too.
func TestPaymentIDIsUsedOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	p := newPair(t, ctx, dir, t.TempDir())
	inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: 5_000_000})
	if err != nil {
		t.Fatal(err)
	}
	id := lnactor.PaymentID{42}
	if _, err := p.alice.Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.alice.Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id)); !errors.Is(err, lnactor.ErrPaymentIDUsed) {
		t.Fatalf("under way: %v", err)
	}
	await(t, ctx, p.alice, func(ev lnactor.Event) bool { _, ok := ev.Kind.(lnactor.PaymentSent); return ok })
	if err := p.alice.Close(); err != nil {
		t.Fatal(err)
	}
	alice, err := lnactor.Open(ctx, lnactor.Config{Dir: dir, Chain: p.chain.Source(), Params: p.chain.Params()})
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close()
	if _, err := alice.Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id)); !errors.Is(err, lnactor.ErrPaymentIDUsed) {
		t.Fatalf("after a restart: %v", err)
	}
	got, err := alice.GetPayment(ctx, id)
	if err != nil || got.Status != lnactor.PaymentIsSent || got.Hash != inv.Hash {
		t.Fatalf("%+v, %v", got, err)
	}
}

// TestDirectoryInUse: a second node on one directory is refused, and says who has it.
func TestDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	a, err := lnactor.Open(t.Context(), lnactor.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_, err = lnactor.Open(t.Context(), lnactor.Config{Dir: dir})
	var e *lnactor.Error
	if !errors.Is(err, lnactor.ErrInUse) || !errors.As(err, &e) {
		t.Fatalf("%v", err)
	}
}

// TestCooperativeClose: the money of a closed channel is in the wallets again, and ChannelClosed says so once.
func TestCooperativeClose(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx)
	before, err := p.bob.Balance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.alice.CloseChannel(ctx, p.channel); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "closing transaction", func() bool { return len(p.chain.Mempool()) > 0 })
	if _, err := p.chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	closed := func(ev lnactor.Event) bool {
		c, ok := ev.Kind.(lnactor.ChannelClosed)
		return ok && c.Cause == lnactor.ClosedMutually
	}
	await(t, ctx, p.alice, closed)
	await(t, ctx, p.bob, closed)
	waitFor(t, ctx, "money", func() bool {
		b, err := p.bob.Balance(ctx)
		return err == nil && b.ConfirmedSat == before.ConfirmedSat+300_000 && b.ChannelsMsat == 0
	})
}

func waitFor(t testing.TB, ctx context.Context, what string, cond func() bool) {
	t.Helper()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func summary(ctx context.Context, n *lnactor.Node, id lnactor.ChannelID) *lnactor.Channel {
	list, err := n.Channels(ctx)
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

func channelOf(t testing.TB, ctx context.Context, n *lnactor.Node, id lnactor.ChannelID) lnactor.Channel {
	t.Helper()
	c := summary(ctx, n, id)
	if c == nil {
		t.Fatalf("no channel %s", id)
	}
	return *c
}

// book is what the users of both nodes were told, by event id.
type book struct {
	mu     sync.Mutex
	events map[string]lnactor.Event
	twice  []string
}

func newBook() *book { return &book{events: map[string]lnactor.Event{}} }

func (b *book) note(node string, ev lnactor.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := node + "/" + ev.ID
	if old, ok := b.events[key]; ok && fmt.Sprint(old.Kind) != fmt.Sprint(ev.Kind) {
		b.twice = append(b.twice, fmt.Sprintf("%s: %v, then %v", key, old.Kind, ev.Kind))
	}
	b.events[key] = ev
}

func (b *book) outcomes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, ev := range b.events {
		switch ev.Kind.(type) {
		case lnactor.PaymentSent, lnactor.PaymentFailed:
			n++
		}
	}
	return n
}

func (b *book) sum(t *testing.T) (msat uint64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ev := range b.events {
		if c, ok := ev.Kind.(lnactor.PaymentClaimed); ok {
			msat += c.AmountMsat
		}
	}
	return msat
}

func (b *book) check(t *testing.T, accepted map[lnactor.PaymentID]lnactor.Hash) (sent int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.twice {
		t.Errorf("told differently: %s", s)
	}
	sentHashes, claimed := map[lnactor.Hash]bool{}, map[lnactor.Hash]bool{}
	for _, ev := range b.events {
		switch k := ev.Kind.(type) {
		case lnactor.PaymentSent:
			if _, failed := b.events["alice/payment-failed/"+k.PaymentID.String()]; failed {
				t.Errorf("payment %s was sent and failed", k.PaymentID)
			}
			sentHashes[k.Hash] = true
			sent++
		case lnactor.PaymentClaimed:
			if claimed[k.Hash] {
				t.Errorf("hash %s was claimed twice", k.Hash)
			}
			claimed[k.Hash] = true
		}
	}
	for id, hash := range accepted {
		_, ok := b.events["alice/payment-sent/"+id.String()]
		_, failed := b.events["alice/payment-failed/"+id.String()]
		if ok == failed || ok != claimed[hash] {
			t.Errorf("payment %s: sent %v, failed %v, claimed %v", id, ok, failed, claimed[hash])
		}
	}
	return sent
}

// revived is a node that is killed and opened again on its directory.
type revived struct {
	t    *testing.T
	ctx  context.Context
	p    *pair
	name string
	book *book

	mu   sync.Mutex
	n    *lnactor.Node
	dir  string
	addr string
}

// revive takes over a node of the pair.
func revive(t *testing.T, ctx context.Context, p *pair, name string, n *lnactor.Node, b *book) *revived {
	t.Helper()
	r := &revived{t: t, ctx: ctx, p: p, name: name, book: b, n: n, dir: n.Dir(), addr: n.ListenAddress()}
	go r.watch(n)
	t.Cleanup(func() { _ = r.node().Close() })
	return r
}

func (r *revived) node() *lnactor.Node {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.n
}

func (r *revived) watch(n *lnactor.Node) {
	for ev, err := range n.Events(r.ctx) {
		if err != nil {
			return
		}
		r.book.note(r.name, ev)
	}
}

func (r *revived) kill() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n.Kill()
	n, err := openOn(r.ctx, r.p.chain, r.dir, r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.n = n
	go r.watch(n)
}

func openOn(ctx context.Context, chain *regtest.Chain, dir, listen string) (*lnactor.Node, error) {
	return lnactor.Open(ctx, lnactor.Config{Dir: dir, Chain: chain.Source(), Params: chain.Params(), Listen: listen, MinDepth: 1})
}
