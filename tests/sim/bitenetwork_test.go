package sim

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// across breaks the rules of those who forward, and of sets of parts.
var across = []struct {
	bite
	suite suite
}{
	{bite{name: "none", seeds: 8}, networkSuite},
	{bite{name: "none, on chain", seeds: 4}, networkEndings},
	// Rule 9: the event is done when the manager has decided to forward.
	{bite{name: "ack before the outbound HTLC is durable, guarded", seeds: 40, guards: true, plan: func(p *plan) { p.handled = ackAccepted }}, lineSuite},
	{bite{name: "ack before the outbound HTLC is durable", seeds: 300, plan: func(p *plan) {
		p.handled, p.nodeCrash, p.commitCrash, p.actorCrash = ackAndDie, 0, 0, 0
	}}, lineSuite},
	// S14: a restarted manager does not look at what the monitors report of forwards.
	{bite{name: "forward again after a restart", seeds: 300, plan: func(p *plan) {
		p.seen, p.actorCrash, p.crashOnly, p.handlerFails = forgetForwards, 0.05, "manager", 0.5
	}}, lineSuite},
	// Rule 12: update_fail_htlc is taken for a failure before it is irrevocable.
	{bite{name: "fail upstream at update_fail_htlc", seeds: 60, guards: true, plan: func(p *plan) { p.handled = failEarly }}, lineSuite},
	// Rule 11: where the inbound channel is closed the preimage is not kept, and the event is acknowledged.
	{bite{name: "preimage dropped at a closed inbound channel", seeds: 300, plan: func(p *plan) { p.drops = dropPreimage }}, networkEndings},
	// Rule 13: of a set of parts one is claimed.
	{bite{name: "one part of a set claimed", seeds: 300, plan: func(p *plan) { p.drops = dropParts }}, networkSuite},
	// What users and embedders said is answered and forgotten.
	{bite{name: "forward without asking the interceptor", seeds: 60, plan: func(p *plan) {
		p.mutate = func(_ *node, parts *supervisor.Parts) { parts.Manager.Intercept = false }
	}}, networkSuite},
	{bite{name: "policy forgotten", seeds: 60, plan: func(p *plan) { p.drops = dropPolicy }}, networkSuite},
	{bite{name: "abandonment forgotten", seeds: 300, plan: func(p *plan) { p.drops = dropAbandonment }}, networkSuite},
	// Rule 18: a restored node takes its backup for the truth.
	{bite{name: "restored without a mark", seeds: 300, guards: true, plan: func(p *plan) { p.unmarked = true }}, restoreSuite},
}

// lineSuite is networkSuite where one node forwards all.
var lineSuite = func() suite {
	s := networkSuite
	s.pick = func(*rand.Rand) *prepared { return lineNet.get() }
	return s
}()

// TestBitesNetwork: with a rule broken, the simulations of networks fail within some seeds; with none broken they do not.
func TestBitesNetwork(t *testing.T) {
	for _, b := range across {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
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
				t.Logf("noticed by seed %d: %.300s", seed, line)
				return
			}
			if b.plan != nil {
				t.Fatalf("not noticed in %d seeds", b.seeds)
			}
		})
	}
}

// ackAccepted acknowledges an HTLC as soon as the manager has been told of it.
func ackAccepted(n *node, pt sim.Point) {
	if pt.Kind != "manager" {
		return
	}
	var ack messages.AckMonitorEvent
	take := func(id ln.ChannelID, events []facts.Event) {
		ack.Channel = id
		for _, e := range events {
			if _, ok := e.Kind.(facts.HTLCAccepted); ok {
				ack.Seqs = append(ack.Seqs, e.Seq)
			}
		}
	}
	switch m := pt.Msg.(type) {
	case messages.EmitEvents:
		take(m.Channel, m.Events)
	case messages.MonitorReport:
		take(m.Channel, m.Events)
	}
	if len(ack.Seqs) > 0 {
		n.env.Tell(messages.MonitorAddr(ack.Channel), ack)
	}
}

// ackAndDie is ackAccepted at nodes that often die a moment later.
func ackAndDie(n *node, pt sim.Point) {
	ackAccepted(n, pt)
	if m, ok := pt.Msg.(messages.EmitEvents); !ok || pt.Kind != "manager" || n.w.calm() || n.rand().IntN(3) > 0 || !hasAccepted(m.Events) {
		return
	}
	env := n.env
	n.w.sim.After(time.Duration(n.rand().Int64N(int64(2*time.Millisecond))), "die", func() {
		if n.env == env && n.w.sim.Alive(n.name) {
			n.w.sim.Crash(n.name)
		}
	})
}

func hasAccepted(events []facts.Event) bool {
	return slices.ContainsFunc(events, func(e facts.Event) bool {
		_, ok := e.Kind.(facts.HTLCAccepted)
		return ok
	})
}

// forgetForwards takes what was made for an inbound HTLC for something else.
func forgetForwards(_ *node, pt sim.Point) {
	m, ok := pt.Msg.(messages.MonitorReport)
	if !ok || pt.Kind != "manager" {
		return
	}
	other := func(src ln.Source) ln.Source {
		if src.Forward == nil {
			return src
		}
		f := *src.Forward
		f.HTLCID += 1000
		return ln.Source{Forward: &f}
	}
	for i := range m.Own {
		m.Own[i].Source = other(m.Own[i].Source)
	}
}

// failEarly fails the inbound HTLC when the channel has handled update_fail_htlc for the outbound one.
func failEarly(n *node, pt sim.Point) {
	m, ok := pt.Msg.(messages.PeerMsg)
	if !ok || pt.Kind != "channel" {
		return
	}
	u, ok := m.Msg.(*lnwire.UpdateFailHTLC)
	if !ok {
		return
	}
	c := n.shadow.channels[ln.ChannelID(u.ChanID)]
	if c == nil {
		return
	}
	if h := c.facts.Outbound[u.ID]; h != nil && h.Source.Forward != nil {
		in := h.Source.Forward
		n.env.Tell(messages.MonitorAddr(in.Channel), messages.DecideHTLC{
			Channel: in.Channel, HTLCID: in.HTLCID, Resolution: facts.Resolution{Reason: u.Reason},
		})
	}
}

// answer says to the manager that a decision is durable.
func (n *node) answer(m messages.DecideHTLC) {
	n.env.Tell(messages.ManagerAddr, messages.InboundDecided{Channel: m.Channel, HTLCID: m.HTLCID, Resolution: &m.Resolution})
	n.env.Tell(messages.ManagerAddr, messages.InboundResolved{Channel: m.Channel, HTLCID: m.HTLCID, Fulfilled: m.Resolution.Fulfilled()})
}

// dropPreimage loses the preimage of a forward on its way to the monitor of a closed channel, and says that it arrived.
func dropPreimage(n *node, pt sim.Point) bool {
	m, ok := pt.Msg.(messages.DecideHTLC)
	if !ok || pt.Kind != "monitor" || m.Resolution.Preimage == nil || n.forwards[htlcOf{m.Channel, m.HTLCID}] == nil {
		return false
	}
	c := n.shadow.channels[m.Channel]
	if c == nil || !c.facts.Ended() {
		return false
	}
	n.answer(m)
	return true
}

// dropPolicy loses a policy, and says that it is set.
func dropPolicy(n *node, pt sim.Point) bool {
	m, ok := pt.Msg.(messages.SetPolicy)
	if ok && pt.Kind == "monitor" {
		n.env.Tell(m.ReplyTo, messages.PolicyReply{})
	}
	return ok && pt.Kind == "monitor"
}

// dropAbandonment loses an abandonment, and says that it is durable.
func dropAbandonment(n *node, pt sim.Point) bool {
	m, ok := pt.Msg.(messages.AbandonPayment)
	if ok && pt.Kind == "manager" {
		n.env.Tell(m.ReplyTo, messages.AbandonReply{})
	}
	return ok && pt.Kind == "manager"
}

// dropParts loses the decision about all parts of a set but one, and says that it arrived.
func dropParts(n *node, pt sim.Point) bool {
	m, ok := pt.Msg.(messages.DecideHTLC)
	if !ok || pt.Kind != "monitor" || m.Resolution.Preimage == nil || len(m.Resolution.Parts) < 2 {
		return false
	}
	if p := m.Resolution.Parts[0]; p.Channel == m.Channel && p.HTLCID == m.HTLCID {
		return false
	}
	n.answer(m)
	return true
}
