package lnactor_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/messages"
)

// silentGraph answers no search for a route while it is armed, until it is let go.
type silentGraph struct {
	armed   atomic.Bool
	asked   chan struct{}
	release atomic.Pointer[chan struct{}]
}

func (g *silentGraph) arm() (asked <-chan struct{}, letGo func()) {
	g.asked = make(chan struct{}, 16)
	release := make(chan struct{})
	g.release.Store(&release)
	g.armed.Store(true)
	return g.asked, sync.OnceFunc(func() {
		g.armed.Store(false)
		close(release)
	})
}

func (g *silentGraph) Before(_ string, msg any) {
	if _, ok := msg.(messages.FindRoutes); ok && g.armed.Load() {
		select {
		case g.asked <- struct{}{}:
		default:
		}
		<-*g.release.Load()
	}
}

func (g *silentGraph) After(string, any) {}

// A payment that has not begun when its time is over does not begin, whoever has paid otherwise meanwhile; and as long as it may begin nobody is told that
// there is no such payment.
func TestPayBegins(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	l := newLine(t, ctx, nil)
	bob, carol := l.nodes[1], l.nodes[2]
	l.nodes[0].Kill()
	g := &silentGraph{}
	alice, err := lnactor.Open(ctx, lineConfig(l.chain, l.dirs[0], "127.0.0.1:0", func(cfg *lnactor.Config) { cfg.Faults = g }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alice.Close() })
	if err := alice.Connect(ctx, bob.ID(), bob.ListenAddress()); err != nil {
		t.Fatal(err)
	}
	first := l.invoice(t, ctx, carol, 1_000_000)
	waitFor(t, ctx, "a route", func() bool {
		_, err := alice.Pay(ctx, first.Bolt11, lnactor.WithPaymentID(lnactor.PaymentID{1}))
		return err == nil
	})
	next[lnactor.PaymentSent](t, ctx, alice, first.Hash)

	late, id := l.invoice(t, ctx, carol, 2_000_000), lnactor.PaymentID{2}
	_, letGo := g.arm()
	defer letGo()
	_, err = alice.Pay(ctx, late.Bolt11, lnactor.WithPaymentID(id), lnactor.WithTimeout(time.Second))
	if !errors.Is(err, lnactor.ErrDeadline) {
		t.Fatalf("a payment that found no route in its time: %v", err)
	}
	letGo()
	if p, err := alice.GetPayment(ctx, id); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatalf("%+v, %v", p, err)
	}

	// With the same id, which is unused; now nobody knows for a while whether it begins.
	asked, letGo := g.arm()
	defer letGo()
	began := make(chan error, 1)
	pay := func() error {
		_, err := alice.Pay(ctx, late.Bolt11, lnactor.WithPaymentID(id))
		return err
	}
	go func() { began <- pay() }()
	select {
	case <-asked:
	case <-ctx.Done():
		t.Fatal("no route was looked for")
	}
	look, stop := context.WithTimeout(ctx, 200*time.Millisecond)
	defer stop()
	if _, err := alice.GetPayment(look, id); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("of a payment that is about to begin: %v", err)
	}
	again := make(chan error, 1)
	go func() { again <- pay() }()
	letGo()
	if err := <-began; err != nil {
		t.Fatal(err)
	}
	if err := <-again; !errors.Is(err, lnactor.ErrPaymentIDUsed) {
		t.Fatalf("a repeat of the call: %v", err)
	}
	if p, err := alice.GetPayment(ctx, id); err != nil || p.Hash != late.Hash {
		t.Fatalf("%+v, %v", p, err)
	}
	next[lnactor.PaymentSent](t, ctx, alice, late.Hash)
}
