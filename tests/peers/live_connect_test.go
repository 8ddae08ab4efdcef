package peers

import (
	"context"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestLiveReconnect: either side dials, hangs up, ends in order or dies, and the connection and the channel come back.
func TestLiveReconnect(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 4 * time.Minute})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	works := func(what string) {
		t.Helper()
		t.Log(what)
		r.awaitConnected()
		r.awaitActive(l)
		r.weMustSend(1_500_000)
		r.lndMustSend(1_500_000)
		r.balances(l)
	}
	works("we dialled")

	r.lnd.disconnect(t, r.ctx, r.us.ID())
	works("lnd hung up, we dialled again")

	must(t, r.us.Disconnect(r.ctx, r.lnd.ID))
	await(t, r.ctx, "the end of the connection", func() bool { return !r.lnd.connected(r.ctx, r.us.ID()) })
	r.lndDials()
	works("lnd dialled")

	must(t, r.us.Connect(r.ctx, r.lnd.ID, r.lnd.Addr))
	works("both want the connection")

	for _, kill := range []bool{false, true} {
		r.restartUs(kill)
		works("we restarted")
		r.restartLnd(kill)
		works("lnd restarted")
	}
	must(t, r.us.Disconnect(r.ctx, r.lnd.ID))
	r.lndDials()
	works("lnd alone dials")
	r.restartUs(true)
	works("we restarted, lnd dials")
	r.restartLnd(true)
	r.lndDials()
	works("lnd restarted and dials")

	// One and the same connection for longer than lnd's pings are apart, and ours.
	idle, cancel := context.WithTimeout(r.ctx, 75*time.Second)
	defer cancel()
	for idle.Err() == nil {
		if !r.connected() {
			t.Fatal("an idle connection was lost")
		}
		time.Sleep(time.Second)
	}
	works("after some quiet")
}

// TestLivePublic: a public channel works, and both sides announce it: lnd takes what we sign, and we what it signs.
func TestLivePublic(t *testing.T) {
	r := newRig(t, setup{extra: true, us: func(c *lnactor.Config) {
		c.Public = lnactor.PublicInfo{Alias: "lnactor here", Addresses: []string{"127.0.0.1:19735"}}
		c.Forwarding.BaseMsat = 1234
	}})
	r.connect(true)
	l := r.open(false, capacity/2, map[string]any{"private": false})
	r.mine(6) // announcement_signatures go both ways now
	await(t, r.ctx, "our graph to hold the channel with both policies and both nodes", func() bool {
		s, err := r.us.Graph(r.ctx)
		return err == nil && s.Channels == 1 && s.Policies == 2 && s.Announced == 2
	})
	await(t, r.ctx, "lnd's graph to hold the same", func() bool {
		type policy struct {
			Base string `json:"fee_base_msat"`
		}
		var g struct {
			Nodes []struct {
				Alias string `json:"alias"`
			} `json:"nodes"`
			Edges []struct {
				One *policy `json:"node1_policy"`
				Two *policy `json:"node2_policy"`
			} `json:"edges"`
		}
		if r.lnd.get(r.ctx, "/v1/graph", &g) != nil || len(g.Edges) != 1 || len(g.Nodes) != 2 {
			return false
		}
		e := g.Edges[0]
		return e.One != nil && e.Two != nil && (e.One.Base == "1234" || e.Two.Base == "1234") &&
			(g.Nodes[0].Alias == "lnactor here" || g.Nodes[1].Alias == "lnactor here")
	})
	r.weMustSend(1_500_000)
	r.lndMustSend(1_500_000)
	r.balances(l)
	r.restartLnd(false)
	r.awaitActive(l)
	r.mine(1)
	r.weMustSend(1_500_000)
	r.lndMustSend(1_500_000)
	r.closeMutually(l, true)
}

// TestLiveOpenSurvivesRestarts: either side dies while the funding transaction waits for blocks, at each depth.
func TestLiveOpenSurvivesRestarts(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 4 * time.Minute, us: func(c *lnactor.Config) { c.MinDepth = 3 }})
	r.connect(true)
	for _, weFund := range []bool{true, false} {
		l := r.openUnconfirmed(weFund, capacity/2, nil)
		r.restartUs(true)
		r.awaitConnected()
		r.mine(1)
		r.restartLnd(true)
		r.awaitConnected()
		r.mine(1)
		r.restartUs(true)
		r.mine(1)
		r.awaitConnected()
		r.restartLnd(true)
		r.mine(1)
		r.awaitActive(l)
		r.balances(l)
		r.closeMutually(l, weFund)
	}
}
