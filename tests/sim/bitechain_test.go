package sim

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// onChain breaks rules of what happens on chain. Messages of actors that wait for the persister are changed in place.
var onChain = []struct {
	bite
	suite suite
}{
	{bite{name: "none", seeds: 4}, endingSuite},
	{bite{name: "none, robbed", seeds: 4}, robberySuite},
	// Rule 22: a claim is in the chain before its record is on disk.
	{bite{name: "claim before its record", seeds: 20, guards: true, plan: func(p *plan) { p.seen = castEarly }}, endingSuite},
	// S16: an HTLC has failed, says the monitor, when the transaction that decides about it has one confirmation.
	{bite{name: "failed at one confirmation", seeds: 60, guards: true, plan: func(p *plan) { p.seen = deepAtOnce }}, endingSuite},
	// Rule 3 of package actors: a restarted monitor does not ask for its outputs to be watched again.
	{bite{name: "no watch after a restart", seeds: 60, plan: func(p *plan) {
		p.seen, p.actorCrash, p.crashOnly = noWatchAgain, 0.1, "monitor"
	}}, endingSuite},
	// A restarted node does not broadcast the claims that it has made, nor make others.
	{bite{name: "no claims after a restart", seeds: 60, plan: func(p *plan) {
		p.seen, p.nodeCrash = noClaimsAgain, 0.01
	}}, endingSuite},
	// BOLT 5: the second stages of a revoked commitment are left to the thief.
	{bite{name: "justice without second stages", seeds: 60, plan: func(p *plan) { p.seen = noSecondStages }}, robberySuite},
	{bite{name: "no justice", seeds: 20, plan: func(p *plan) { p.seen = noBuild }}, robberySuite},
	// L4: a preimage that is known is not used on chain.
	{bite{name: "no claims of inbound HTLCs", seeds: 60, plan: func(p *plan) { p.seen = noInbound }}, endingSuite},
}

// TestBitesOnChain: with a rule broken, the simulations of endings fail within some seeds; with none broken they do not.
func TestBitesOnChain(t *testing.T) {
	for _, b := range onChain {
		t.Run(b.name, func(t *testing.T) {
			s := b.suite
			s.plan = func(r *rand.Rand) plan {
				p := b.suite.plan(r)
				if b.plan != nil {
					b.plan(&p)
					p.blind = !b.guards
				}
				return p
			}
			for seed := range b.seeds {
				_, problem := s.world(seed, false)
				if problem == "" {
					continue
				}
				line, _, _ := strings.Cut(problem, "\n")
				if b.plan == nil {
					t.Fatalf("seed %d fails with nothing broken: %s", seed, problem)
				}
				t.Logf("noticed by seed %d: %.200s", seed, line)
				return
			}
			if b.plan != nil {
				t.Fatalf("not noticed in %d seeds", b.seeds)
			}
		})
	}
}

// nothing takes the place of a message that is lost.
type nothing struct{}

// waiting calls f with each message that a monitor of the node has delivered behind its records; what f returns takes its place.
func waiting(pt sim.Point, f func(msg any) any) {
	m, ok := pt.Msg.(messages.Append)
	if !ok || pt.Kind != "persister" || m.Owner == messages.OwnerManager {
		return
	}
	for i := range m.Then {
		m.Then[i].Msg = f(m.Then[i].Msg)
	}
}

func castEarly(n *node, pt sim.Point) {
	waiting(pt, func(msg any) any {
		if b, ok := msg.(messages.Broadcast); ok && b.Label == "claim" {
			n.env.Tell(messages.ChainWatchAddr, b)
		}
		return msg
	})
}

// deepAtOnce tells monitors of blocks that are not there yet.
func deepAtOnce(n *node, pt sim.Point) {
	m, ok := pt.Msg.(messages.ChainBlock)
	if !ok || pt.Kind != "monitor" || len(m.Matches) == 0 || int32(m.Height) > n.w.chain.Height() {
		return
	}
	m.Height += 5
	n.env.Tell(messages.Addr(pt.Actor), m)
}

func noWatchAgain(_ *node, pt sim.Point) {
	again := false
	waiting(pt, func(msg any) any {
		switch m := msg.(type) {
		case messages.ChainRegister:
			again = true
		case messages.ChainWatch:
			if again {
				m.Outpoints = nil
				return m
			}
		}
		return msg
	})
}

func noClaimsAgain(n *node, pt sim.Point) {
	waiting(pt, func(msg any) any {
		switch m := msg.(type) {
		case messages.Broadcast:
			if n.lives > 1 && m.Label == "claim" {
				return nothing{}
			}
		case messages.BuildClaim:
			if n.lives > 1 {
				return nothing{}
			}
		}
		return msg
	})
}

func noSecondStages(n *node, pt sim.Point) {
	waiting(pt, func(msg any) any {
		b, ok := msg.(messages.BuildClaim)
		if !ok {
			return msg
		}
		for _, in := range b.Inputs {
			if n.w.commitments[in.OutPoint.Hash] == nil {
				return nothing{}
			}
		}
		return msg
	})
}

func noBuild(_ *node, pt sim.Point) {
	waiting(pt, func(msg any) any {
		if _, ok := msg.(messages.BuildClaim); ok {
			return nothing{}
		}
		return msg
	})
}

// noInbound keeps the node from claiming what its peer offered.
func noInbound(n *node, pt sim.Point) {
	waiting(pt, func(msg any) any {
		b, ok := msg.(messages.BuildClaim)
		if !ok {
			return msg
		}
		for _, in := range b.Inputs {
			if h := n.w.commitments[in.OutPoint.Hash]; h != nil {
				for i := range h.tx.HTLCs {
					if x := &h.tx.HTLCs[i]; x.OutputIndex == in.OutPoint.Index && x.Offered != (h.owner == n.index) {
						return nothing{}
					}
				}
			}
		}
		return msg
	})
}
