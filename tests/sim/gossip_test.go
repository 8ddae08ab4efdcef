package sim

import (
	"time"

	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/graph"
	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// graphConfig is the node's channel graph, nil in worlds without one. Its cache survives a crash as it was written last.
func (n *node) graphConfig() *graph.Config {
	if !n.w.gossip {
		return nil
	}
	return &graph.Config{
		Self: n.id, Chain: *regtest.Params().GenesisHash, Policy: n.policy(),
		Node: graph.Node{Alias: n.name, Features: peer.Features()},
		Sign: func(digest [32]byte) (lnwire.Sig, error) {
			return lnwire.NewSigFromSignature(ecdsa.Sign(n.key, digest[:]))
		},
		Load: func() ([]byte, error) { return n.graph, nil },
		Save: func(raw []byte) error {
			n.graph = raw
			return nil
		},
		Times: graph.Times{Tick: 500 * time.Millisecond, Trickle: 2 * time.Second, Save: 30 * time.Second},
	}
}

// forwarding is its policy as the manager takes it.
func (n *node) forwarding() facts.Policy {
	p := n.policy()
	return facts.Policy{BaseMsat: p.BaseMsat, PropMillionths: p.PropMillionths, CLTVDelta: p.CLTVDelta}
}

// policy is what a node asks for forwarding: each something else, so that a fee says whose it is.
func (n *node) policy() facts.Policy {
	return facts.Policy{BaseMsat: 1000 + 100*uint32(n.index), PropMillionths: 500 + 50*uint32(n.index), CLTVDelta: facts.MinCLTVDelta}
}

// checkGraphs: every node knows every public channel, with what both sides ask for, and no private one.
func (w *world) checkGraphs(t topology) {
	public := 0
	for _, e := range t.edges {
		if e.announce {
			public++
		}
	}
	for _, n := range w.nodes {
		probe := w.sim.Probe("graph of " + n.name)
		probe.Send(n.name, messages.GraphAddr, messages.GetGraph{ReplyTo: probe.Addr()})
		w.pass(time.Second)
		s, ok := messages.GraphSummary{}, false
		for _, got := range probe.Take() {
			s, ok = got.(messages.GraphSummary)
		}
		if !ok || s.Channels != public || s.Policies != 2*public {
			w.wrong("%s: %s knows %+v of %d public channels", t.name, n.name, s, public)
		}
	}
}
