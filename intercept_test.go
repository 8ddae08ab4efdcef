package lnactor_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/messages"
)

// before is a fault before a message.
type before func(actor string, msg any)

func (f before) Before(actor string, msg any) { f(actor, msg) }
func (before) After(string, any)              {}

// The loop that asks the interceptor waits for no answer of the manager, which crashes here between a decision and its answer.
func TestInterceptorSurvivesTheManager(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var armed atomic.Bool
	l := newLine(t, ctx, func(cfg *lnactor.Config) {
		cfg.Faults = before(func(actor string, msg any) {
			if _, ok := msg.(messages.HTLCCommitted); ok && strings.Contains(actor, "manager") && armed.CompareAndSwap(true, false) {
				panic("injected")
			}
		})
		cfg.Interceptor = func(context.Context, lnactor.InterceptedHTLC) lnactor.Interception {
			return lnactor.Interception{Action: lnactor.InterceptForward}
		}
	})
	alice, carol := l.nodes[0], l.nodes[2]
	for i := range 3 {
		armed.Store(i == 1)
		inv := l.invoice(t, ctx, carol, 1_000_000+uint64(i))
		if _, err := alice.Pay(ctx, inv.Bolt11); err != nil {
			t.Fatal(err)
		}
		next[lnactor.PaymentSent](t, ctx, alice, inv.Hash)
		if armed.Load() {
			t.Fatal("the manager did not crash")
		}
	}
}

// A peer that answers no commitment_signed keeps what was decided from being durable, not others from being asked about.
func TestInterceptorBehindAMutePeer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	asked := make(chan lnactor.Hash, 100)
	l := newLine(t, ctx, func(cfg *lnactor.Config) {
		cfg.Interceptor = func(_ context.Context, h lnactor.InterceptedHTLC) lnactor.Interception {
			asked <- h.Hash
			return lnactor.Interception{Action: lnactor.InterceptForward}
		}
	})
	alice, bob := l.nodes[0], l.nodes[1]
	addr := l.nodes[2].ListenAddress()
	l.nodes[2].Kill()
	var mute atomic.Bool
	carol, err := lnactor.Open(ctx, lineConfig(l.chain, l.dirs[2], addr, func(cfg *lnactor.Config) {
		cfg.Faults = before(func(actor string, msg any) {
			m, ok := msg.(messages.PeerMsg)
			if !ok || !mute.Load() || !strings.Contains(actor, "channel/") {
				return
			}
			if _, ok := m.Msg.(*lnwire.CommitSig); ok {
				<-ctx.Done()
			}
		})
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(carol.Kill)
	t.Cleanup(cancel)
	_ = bob.Connect(ctx, carol.ID(), addr)
	pay := func(msat uint64) lnactor.Hash {
		inv := l.invoice(t, ctx, carol, msat)
		if _, err := alice.Pay(ctx, inv.Bolt11); err != nil {
			t.Fatal(err)
		}
		return inv.Hash
	}
	next[lnactor.PaymentSent](t, ctx, alice, pay(1_000_000)) // all is well
	mute.Store(true)
	for i := range 3 {
		for h := pay(2_000_000 + uint64(i)); ; {
			select {
			case got := <-asked:
				if got == h {
					break
				}
				continue
			case <-ctx.Done():
				t.Fatalf("the interceptor was not asked about HTLC %d: it waits for the peer of another", i)
			}
			break
		}
	}
}
