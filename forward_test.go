package lnactor_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/graph"
)

// line is three nodes over TCP: alice - bob - carol. Bob forwards.
type line struct {
	chain  *regtest.Chain
	nodes  []*lnactor.Node // alice, bob, carol
	dirs   []string
	first  lnactor.ChannelID
	second lnactor.ChannelID
}

const lineFee = 1_000 // msat a payment that bob takes

func lineConfig(chain *regtest.Chain, dir, listen string, edit func(*lnactor.Config)) lnactor.Config {
	cfg := lnactor.Config{
		Chain: chain.Source(), Params: chain.Params(), Listen: listen, MinDepth: 1, Dir: dir,
		Forwarding: lnactor.ForwardingPolicy{BaseMsat: lineFee},
	}
	cfg.SetGossip(graph.Times{Tick: 5 * time.Millisecond, Trickle: 20 * time.Millisecond, Resync: 300 * time.Millisecond, Query: 300 * time.Millisecond})
	if edit != nil {
		edit(&cfg)
	}
	return cfg
}

// newLine opens and announces the channels; edit is for bob.
func newLine(t *testing.T, ctx context.Context, edit func(*lnactor.Config)) *line {
	t.Helper()
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	l := &line{chain: chain}
	for i := range 3 {
		l.dirs = append(l.dirs, t.TempDir())
		e := edit
		if i != 1 {
			e = nil
		}
		n, err := lnactor.Open(ctx, lineConfig(chain, l.dirs[i], "127.0.0.1:0", e))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		l.nodes = append(l.nodes, n)
	}
	for i, id := range []*lnactor.ChannelID{&l.first, &l.second} {
		fund(t, ctx, chain, l.nodes[i], 10_000_000)
		if err := l.nodes[i].Connect(ctx, l.nodes[i+1].ID(), l.nodes[i+1].ListenAddress()); err != nil {
			t.Fatal(err)
		}
		*id, err = l.nodes[i].OpenChannel(ctx, lnactor.OpenParams{Peer: l.nodes[i+1].ID(), CapacitySat: 1_000_000, PushMsat: 100_000_000, Announce: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chain.Mine(1); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := chain.Mine(6); err != nil {
		t.Fatal(err)
	}
	for i, n := range l.nodes {
		eventually(t, ctx, "graph", func() (bool, any) {
			s, err := n.Graph(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return s.Channels == 2 && s.Policies == 4, []any{i, s}
		})
	}
	return l
}

func (l *line) invoice(t *testing.T, ctx context.Context, carol *lnactor.Node, msat uint64) lnactor.Invoice {
	t.Helper()
	inv, err := carol.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: msat})
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// next waits for an event of a node that is of a kind, and about a payment.
func next[T any](t *testing.T, ctx context.Context, n *lnactor.Node, hash lnactor.Hash) (got T) {
	t.Helper()
	await(t, ctx, n, func(ev lnactor.Event) bool {
		k, ok := ev.Kind.(T)
		if !ok || hashIn(ev.Kind) != hash {
			return false
		}
		got = k
		return true
	})
	return got
}

func hashIn(kind any) lnactor.Hash {
	switch k := kind.(type) {
	case lnactor.PaymentSent:
		return k.Hash
	case lnactor.PaymentFailed:
		return k.Hash
	case lnactor.PaymentClaimed:
		return k.Hash
	case lnactor.PaymentForwarded:
		return k.Hash
	case lnactor.HTLCHandlingFailed:
		return k.Hash
	}
	return lnactor.Hash{}
}

// TestForward: a payment over a node in the middle, what everybody is told of it, and failures that the payer can attribute.
func TestForward(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	l := newLine(t, ctx, nil)
	alice, bob, carol := l.nodes[0], l.nodes[1], l.nodes[2]

	inv := l.invoice(t, ctx, carol, 5_000_000)
	if _, err := alice.Pay(ctx, inv.Bolt11); err != nil {
		t.Fatal(err)
	}
	if sent := next[lnactor.PaymentSent](t, ctx, alice, inv.Hash); sent.AmountMsat != 5_000_000 {
		t.Fatalf("sent: %+v", sent)
	}
	if f := next[lnactor.PaymentForwarded](t, ctx, bob, inv.Hash); f.InChannel != l.first || f.OutChannel != l.second ||
		f.FeeMsat != lineFee || f.InAmountMsat != 5_000_000+lineFee || f.OutAmountMsat != 5_000_000 || f.ClaimLost || f.OnChain {
		t.Fatalf("forwarded: %+v", f)
	}
	if c := next[lnactor.PaymentClaimed](t, ctx, carol, inv.Hash); c.AmountMsat != 5_000_000 {
		t.Fatalf("claimed: %+v", c)
	}

	// Carol has been paid: she fails it, and alice reads that it was she.
	if _, err := alice.Pay(ctx, inv.Bolt11); err != nil {
		t.Fatal(err)
	}
	if f := next[lnactor.PaymentFailed](t, ctx, alice, inv.Hash); !strings.Contains(strings.ToLower(f.Reason), "detail") {
		t.Fatalf("failed: %+v", f)
	}
	if f := next[lnactor.HTLCHandlingFailed](t, ctx, bob, inv.Hash); f.OutChannel != l.second || f.Channel != l.first {
		t.Fatalf("bob was told: %+v", f)
	}

	// Carol is away: bob fails it himself.
	carol.Kill()
	waitFor(t, ctx, "carol to be gone", func() bool {
		peers, err := bob.Peers(ctx)
		for _, p := range peers {
			if p.Peer == carol.ID() && p.Connected {
				return false
			}
		}
		return err == nil
	})
	again, err := lnactor.Open(ctx, lineConfig(l.chain, l.dirs[2], "", nil)) // it listens nowhere, so it is not found
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Close() })
	late := l.invoice(t, ctx, again, 6_000_000)
	if _, err := alice.Pay(ctx, late.Bolt11, lnactor.WithTimeout(time.Second)); err != nil {
		t.Fatal(err)
	}
	if f := next[lnactor.HTLCHandlingFailed](t, ctx, bob, late.Hash); f.OutChannel != (lnactor.ChannelID{}) || !strings.Contains(f.Reason, "TemporaryChannelFailure") {
		t.Fatalf("bob was told: %+v", f)
	}
	next[lnactor.PaymentFailed](t, ctx, alice, late.Hash)
	for _, n := range []*lnactor.Node{alice, bob} {
		waitFor(t, ctx, "rest", func() bool {
			c := summary(ctx, n, l.first)
			return c != nil && c.OutboundHTLCs+c.InboundHTLCs == 0
		})
	}
}

// TestIntercept: an interceptor fails one payment, skims another one's fee, and decides about a third long after a crash of the node.
func TestIntercept(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	asked := make(chan lnactor.InterceptedHTLC, 16)
	var mu sync.Mutex
	var answer lnactor.Interception
	edit := func(cfg *lnactor.Config) {
		cfg.Interceptor = func(_ context.Context, h lnactor.InterceptedHTLC) lnactor.Interception {
			mu.Lock()
			defer mu.Unlock()
			asked <- h
			return answer
		}
	}
	say := func(i lnactor.Interception) {
		mu.Lock()
		defer mu.Unlock()
		answer = i
	}
	l := newLine(t, ctx, edit)
	alice, bob, carol := l.nodes[0], l.nodes[1], l.nodes[2]

	say(lnactor.Interception{Action: lnactor.InterceptFail, Code: 0x400f}) // incorrect_or_unknown_payment_details: the payer does not try again
	inv := l.invoice(t, ctx, carol, 5_000_000)
	if _, err := alice.Pay(ctx, inv.Bolt11, lnactor.WithTimeout(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	if h := <-asked; h.Hash != inv.Hash || h.Channel != l.first || h.ForwardMsat != 5_000_000 || h.AmountMsat != 5_000_000+lineFee {
		t.Fatalf("asked: %+v", h)
	}
	next[lnactor.PaymentFailed](t, ctx, alice, inv.Hash)

	// It is decided later; bob dies in between and asks again.
	say(lnactor.Interception{})
	held := l.invoice(t, ctx, carol, 7_000_000)
	if _, err := alice.Pay(ctx, held.Bolt11); err != nil {
		t.Fatal(err)
	}
	for h := range asked {
		if h.Hash == held.Hash {
			break
		}
	}
	addr := bob.ListenAddress()
	bob.Kill()
	bob, err := lnactor.Open(ctx, lineConfig(l.chain, l.dirs[1], addr, edit))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bob.Close() })
	var h lnactor.InterceptedHTLC
	for h = range asked {
		if h.Hash == held.Hash {
			break
		}
	}
	if err := bob.DecideIntercepted(ctx, h.Channel, h.HTLCID, lnactor.Interception{Action: lnactor.InterceptForward, ForwardMsat: h.ForwardMsat + 1}); !errors.Is(err, lnactor.ErrAmount) {
		t.Fatalf("more than the onion says: %v", err)
	}
	waitFor(t, ctx, "carol to be back", func() bool {
		peers, err := bob.Peers(ctx)
		for _, p := range peers {
			if p.Peer == carol.ID() && p.Connected {
				return err == nil
			}
		}
		return false
	})
	if err := bob.DecideIntercepted(ctx, h.Channel, h.HTLCID, lnactor.Interception{Action: lnactor.InterceptForward}); err != nil {
		t.Fatal(err)
	}
	if err := bob.DecideIntercepted(ctx, h.Channel, h.HTLCID, lnactor.Interception{Action: lnactor.InterceptFail}); !errors.Is(err, lnactor.ErrNotIntercepted) {
		t.Fatalf("decided twice: %v", err)
	}
	if sent := next[lnactor.PaymentSent](t, ctx, alice, held.Hash); sent.AmountMsat != 7_000_000 {
		t.Fatalf("sent: %+v", sent)
	}
}
