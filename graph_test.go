package lnactor_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/graph"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// eventually asks until the answer is right. What it waits for is gossip between nodes over TCP.
func eventually(t testing.TB, ctx context.Context, what string, right func() (ok bool, got any)) {
	t.Helper()
	for {
		ok, got := right()
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %+v", what, got)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// knows waits until a node's graph has this size, with both policies of each channel and an announcement of each node.
func knows(t testing.TB, ctx context.Context, n *lnactor.Node, name string, channels, nodes int) {
	t.Helper()
	eventually(t, ctx, name, func() (bool, any) {
		s, err := n.Graph(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return s.Channels == channels && s.Policies == 2*channels && s.Nodes == nodes && s.Announced == nodes, s
	})
}

// Three nodes in a line announce their channels; each learns the whole graph, over the one in the middle. A channel that is closed is forgotten by
// all. A node that starts again knows what it knew, without any peer.
func TestGossipInALine(t *testing.T) { gossipInALine(t, nil) }

// The same with graphs that crash all the time, each as often as ten times. All that is in memory is learned again.
func TestGossipInALineWithCrashes(t *testing.T) {
	crashes := &graphCrashes{seen: map[string]int{}}
	gossipInALine(t, crashes)
	if crashes.count < 10 {
		t.Fatal("only", crashes.count, "crashes")
	}
}

// graphCrashes crashes each graph over every 15th message, ten times.
type graphCrashes struct {
	mu    sync.Mutex
	seen  map[string]int
	count int
}

func (c *graphCrashes) Before(string, any) {}

func (c *graphCrashes) After(name string, msg any) {
	switch msg.(type) {
	case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started, messages.GetGraph:
		return
	}
	if !strings.HasSuffix(name, "/graph") {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[name]++; c.seen[name]%15 == 0 && c.seen[name] <= 150 {
		c.count++
		panic("injected")
	}
}

func gossipInALine(t *testing.T, faults kit.Faults) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	dirs := []string{t.TempDir(), "", ""}
	names := []string{"alice", "bob", "carol"}
	config := func(i int) lnactor.Config {
		cfg := lnactor.Config{
			Chain: chain.Source(), Params: chain.Params(), Listen: "127.0.0.1:0", MinDepth: 1, Dir: dirs[i],
			Public:     lnactor.PublicInfo{Alias: names[i], Color: [3]byte{1, 2, byte(i)}, Addresses: []string{"127.0.0.1:9735", "[2001:db8::1]:9735"}},
			Forwarding: lnactor.ForwardingPolicy{BaseMsat: uint32(1000 + i), PropMillionths: 7},
			Faults:     faults, Restart: supervisor.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond},
		}
		cfg.SetGossip(graph.Times{Tick: 5 * time.Millisecond, Trickle: 20 * time.Millisecond, Resync: 300 * time.Millisecond, Query: 300 * time.Millisecond})
		return cfg
	}
	nodes := make([]*lnactor.Node, 3)
	for i := range nodes {
		if nodes[i], err = lnactor.Open(ctx, config(i)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nodes[i].Close() })
	}
	var ids []lnactor.ChannelID
	for i := range 2 {
		fund(t, ctx, chain, nodes[i], 10_000_000)
		if err := nodes[i].Connect(ctx, nodes[i+1].ID(), nodes[i+1].ListenAddress()); err != nil {
			t.Fatal(err)
		}
		id, err := nodes[i].OpenChannel(ctx, lnactor.OpenParams{Peer: nodes[i+1].ID(), CapacitySat: 1_000_000, PushMsat: 300_000_000, Announce: true})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
		if _, err := chain.Mine(1); err != nil {
			t.Fatal(err)
		}
	}
	// A private channel is nobody's business but its peer's.
	private, err := nodes[0].OpenChannel(ctx, lnactor.OpenParams{Peer: nodes[1].ID(), CapacitySat: 500_000, PushMsat: 100_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Mine(2); err != nil { // the first has five then
		t.Fatal(err)
	}
	for _, n := range nodes {
		if s, err := n.Graph(ctx); err != nil || s.Channels != 0 {
			t.Fatal("a channel is announced before its sixth confirmation", s, err)
		}
	}
	if _, err := chain.Mine(3); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		knows(t, ctx, n, names[i], 2, 3)
	}
	for i, n := range nodes {
		list, err := n.GraphChannels(ctx, 0, 0)
		if err != nil || len(list) != 2 {
			t.Fatal(err, list)
		}
		for j, c := range list { // by short channel id, so the channel of alice is first
			for d, id := range c.Nodes {
				want := 0
				for id != nodes[want].ID() {
					want++
				}
				p := c.Policies[d]
				if c.Aliases[d] != names[want] || p.BaseMsat != uint32(1000+want) || p.PropMillionths != 7 || p.CLTVDelta != 80 || p.Disabled || c.CapacitySat != 1_000_000 {
					t.Errorf("%s knows of channel %d, side %d: %+v", names[i], j, d, c)
				}
			}
		}
		if next, err := n.GraphChannels(ctx, list[0].SCID, 5); err != nil || len(next) != 1 || next[0].SCID != list[1].SCID {
			t.Fatal(err, next)
		}
	}
	eventually(t, ctx, "policies of the private channel", func() (bool, any) {
		list, err := nodes[0].Policies(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range list {
			if p.Channel == private {
				return p.Theirs.Known && p.Theirs.BaseMsat == 1001 && p.Ours.Known && !p.Announced, list
			}
		}
		return false, list
	})

	own := lnactor.ForwardingPolicy{BaseMsat: 77, PropMillionths: 3, CLTVDelta: 60, MaxInFlightMsat: 200_000_000}
	for _, id := range []lnactor.ChannelID{ids[0], private} {
		if err := nodes[0].SetPolicy(ctx, id, own); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(what string) {
		eventually(t, ctx, what, func() (bool, any) {
			list, err := nodes[2].GraphChannels(ctx, 0, 1)
			if err != nil || len(list) != 1 {
				return false, err
			}
			for d, id := range list[0].Nodes {
				if p := list[0].Policies[d]; id == nodes[0].ID() && (p.BaseMsat != 77 || p.PropMillionths != 3 || p.CLTVDelta != 60 || p.MaxMsat != 200_000_000) {
					return false, p
				}
			}
			told, err := nodes[1].Policies(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range told {
				if p.Channel == private {
					return p.Theirs.BaseMsat == 77 && p.Ours.BaseMsat == 1001, p
				}
			}
			return false, told
		})
	}
	hear("policies that were set")
	var wrong *lnactor.PolicyError
	if err := nodes[0].SetPolicy(ctx, private, lnactor.ForwardingPolicy{CLTVDelta: 9}); !errors.As(err, &wrong) || wrong.Least != 46 {
		t.Fatal(err)
	}
	if err := nodes[0].SetPolicy(ctx, lnactor.ChannelID{1}, own); !errors.Is(err, lnactor.ErrNotFound) {
		t.Fatal(err)
	}

	if err := nodes[0].Close(); err != nil {
		t.Fatal(err)
	}
	alice, err := lnactor.Open(ctx, config(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = alice.Close() })
	knows(t, ctx, alice, "alice again", 2, 3)
	nodes[0] = alice
	hear("policies after a restart")
	kept := 0
	list, err := alice.Channels(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		if c.Policy == own {
			kept++
		}
	}
	if kept != 2 {
		t.Fatal("policies are lost", list)
	}

	if err := nodes[1].CloseChannel(ctx, ids[1]); err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "closing transaction", func() (bool, any) {
		list, err := nodes[1].Channels(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			if c.Channel == ids[1] && c.Phase == lnactor.PhaseMutualClose {
				_, err := chain.Mine(1)
				return err == nil, err
			}
			if c.Channel == ids[1] && c.Phase == lnactor.PhaseClosed {
				return true, nil
			}
		}
		return false, list
	})
	if _, err := chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		knows(t, ctx, n, names[i]+" after the close", 1, 2)
	}
}

func TestForwardingIsChecked(t *testing.T) {
	for _, p := range []lnactor.ForwardingPolicy{{CLTVDelta: 45}, {PropMillionths: 1_000_001}, {HTLCMinimumMsat: 2, HTLCMaximumMsat: 1}} {
		if n, err := lnactor.Open(t.Context(), lnactor.Config{Forwarding: p}); !errors.Is(err, lnactor.ErrConfig) {
			if err == nil {
				_ = n.Close()
			}
			t.Error(p, err)
		}
	}
}

func TestPublicInfoIsChecked(t *testing.T) {
	for _, p := range []lnactor.PublicInfo{
		{Alias: strings.Repeat("x", 33)}, {Addresses: []string{"example.com:9735"}}, {Addresses: []string{"127.0.0.1"}}, {Addresses: []string{"127.0.0.1:0"}},
	} {
		if n, err := lnactor.Open(t.Context(), lnactor.Config{Public: p}); !errors.Is(err, lnactor.ErrConfig) {
			if err == nil {
				_ = n.Close()
			}
			t.Error(p, err)
		}
	}
}
