package lnactor_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestForwarderIsKilled kills the node in the middle at random moments while payments go through it, on the real store, over TCP. Every payment has one
// outcome, what the payee got is what was sent, and what the node in the middle has more is its fee: to the msat.
func TestForwarderIsKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	l := newLine(t, ctx, nil)
	alice, carol := l.nodes[0], l.nodes[2]
	p := &pair{chain: l.chain}
	book := newBook()
	revive(t, ctx, p, "alice", alice, book)
	revive(t, ctx, p, "carol", carol, book)
	var bobs []*lnactor.Node
	watch := func(n *lnactor.Node) {
		bobs = append(bobs, n)
		t.Cleanup(func() { _ = n.Close() })
		go func() {
			for ev, err := range n.Events(ctx) {
				if err != nil {
					return
				}
				if _, insight := ev.Kind.(lnactor.HTLCHandlingFailed); !insight { // what it knows depends on what was restarted
					book.note("bob", ev)
				}
			}
		}()
	}
	watch(l.nodes[1])
	addr := l.nodes[1].ListenAddress()
	before := channelOf(t, ctx, bobs[0], l.first).HolderMsat + channelOf(t, ctx, bobs[0], l.second).HolderMsat
	start := channelOf(t, ctx, carol, l.second).HolderMsat

	rnd := rand.New(rand.NewPCG(1, 2))
	accepted := map[lnactor.PaymentID]lnactor.Hash{}
	const kills, burst = 6, 5
	for k := range kills {
		for i := range burst {
			inv := l.invoice(t, ctx, carol, 1_000_000+uint64(k*burst+i))
			id := lnactor.PaymentID{byte(k), byte(i), 9}
			waitFor(t, ctx, "a route", func() bool {
				_, err := alice.Pay(ctx, inv.Bolt11, lnactor.WithPaymentID(id), lnactor.WithTimeout(20*time.Second))
				return err == nil
			})
			accepted[id] = inv.Hash
		}
		left := 1 + rnd.IntN(burst) // under way when it dies
		waitFor(t, ctx, "some outcomes", func() bool { return book.outcomes() >= len(accepted)-left })
		bobs[len(bobs)-1].Kill()
		n, err := lnactor.Open(ctx, lineConfig(l.chain, l.dirs[1], addr, nil))
		if err != nil {
			t.Fatal(err)
		}
		watch(n)
	}
	waitFor(t, ctx, "every outcome", func() bool { return book.outcomes() >= len(accepted) })
	bob := bobs[len(bobs)-1]
	var in, out *lnactor.Channel
	waitFor(t, ctx, "rest", func() bool {
		in, out = summary(ctx, bob, l.first), summary(ctx, bob, l.second)
		return in != nil && out != nil && in.InboundHTLCs+out.OutboundHTLCs+in.UnackedEvents+out.UnackedEvents == 0
	})
	sent := book.check(t, accepted)
	if got := channelOf(t, ctx, carol, l.second).HolderMsat - start; got != book.sum(t) {
		t.Fatalf("carol was told of %d msat and has %d more", book.sum(t), got)
	}
	if got := in.HolderMsat + out.HolderMsat - before; got != uint64(sent)*lineFee {
		t.Fatalf("bob has %d msat more after %d payments", got, sent)
	}
	told := 0
	for _, ev := range book.events {
		if f, ok := ev.Kind.(lnactor.PaymentForwarded); ok {
			if told++; f.FeeMsat != lineFee || f.ClaimLost {
				t.Errorf("forwarded: %+v", f)
			}
		}
	}
	if told != sent {
		t.Fatalf("bob was told of %d forwards, alice of %d payments that were sent", told, sent)
	}
	t.Logf("%d accepted, %d sent", len(accepted), sent)
}
