package sim

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/interceptor"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// What users and embedders do while payments are under way, beside paying: they set policies, give payments up or a deadline, and decide about what is
// to be forwarded. Each of these is judged by what was answered, and so is durable.

// tally counts what was done in the worlds of a suite, by name.
type tally map[string]int

func (c tally) String() string {
	var out []string
	for _, what := range slices.Sorted(maps.Keys(c)) {
		out = append(out, fmt.Sprintf("%s %d", what, c[what]))
	}
	return strings.Join(out, ", ")
}

// networkCourses must all be met in a hundred seeds.
var networkCourses = []string{
	"abandoned", "abandoned and failed", "deadlines", "policies", "intercepted", "decided later", "asked again", "failed by the interceptor", "forwarded as asked",
	"forwarded for less", "forwarded elsewhere",
}

// drawCourses makes the plan of a network whose nodes may be told to ask about what they forward.
func drawCourses(r *rand.Rand) plan {
	p := drawNetwork(r)
	p.courses = true
	if r.IntN(3) == 0 {
		p.intercepts = 1 + r.IntN(1<<len(identities)-1)
	}
	return p
}

// embedder decides about what a node is to forward. It survives every crash of the node, and says the same of an HTLC each time.
type embedder struct {
	n        *node
	asked    map[htlcOf]messages.InterceptHTLC
	decision map[htlcOf]messages.DecideIntercepted
	told     map[htlcOf]bool // was sent once at least
	tries    int
}

func newEmbedder(n *node) *embedder {
	return &embedder{
		n: n, asked: map[htlcOf]messages.InterceptHTLC{}, decision: map[htlcOf]messages.DecideIntercepted{}, told: map[htlcOf]bool{},
	}
}

// join makes it part of a life.
func (e *embedder) join(env *kit.Env, p *supervisor.Parts) {
	q := interceptor.NewQueue()
	inner := interceptor.New(env, q)
	p.Manager.Intercept = true
	p.Interceptor = func() actor.Actor {
		a := inner()
		return actor.ReceiveFunc(func(ctx actor.Context) {
			a.Receive(ctx)
			if m, ok := ctx.Message().(messages.InterceptHTLC); ok {
				e.ask(m)
			}
		})
	}
}

func (e *embedder) ask(m messages.InterceptHTLC) {
	w, in := e.n.w, htlcOf{m.Channel, m.HTLCID}
	if before, ok := e.asked[in]; ok {
		w.did("asked again")
		if m.Deadline != before.Deadline || m.AmountMsat != before.AmountMsat || m.ForwardMsat != before.ForwardMsat || m.Hash != before.Hash {
			w.wrong("%s: the interceptor is asked about %+v, it was %+v", e.n.name, m, before)
		}
	} else {
		w.did("intercepted")
		e.asked[in], e.decision[in] = m, e.draw(m)
	}
	if f := e.n.forwards[in]; f != nil {
		w.wrong("%s: the interceptor is asked about %v, which is forwarded as %v", e.n.name, in, f.out)
	}
	wait := time.Duration(0)
	if r := e.n.rand(); !w.calm() && r.IntN(3) == 0 {
		w.did("decided later")
		wait = time.Duration(r.Int64N(int64(time.Second)))
	}
	env := e.n.env
	w.sim.After(wait, "decide about an intercepted HTLC", func() {
		if e.n.env == env && w.sim.Alive(e.n.name) { // else it is asked again
			e.decide(in)
		}
	})
}

// draw is a decision about an HTLC.
func (e *embedder) draw(m messages.InterceptHTLC) messages.DecideIntercepted {
	d := messages.DecideIntercepted{Channel: m.Channel, HTLCID: m.HTLCID, Action: messages.InterceptForward}
	switch r := e.n.rand(); r.IntN(8) {
	case 0:
		codes := []lnwire.FailCode{0, lnwire.CodeUnknownNextPeer, lnwire.CodeTemporaryNodeFailure, lnwire.CodeInvalidOnionKey}
		d.Action, d.Code = messages.InterceptFail, uint16(codes[r.IntN(len(codes))])
	case 1:
		d.ForwardMsat = max(1, m.ForwardMsat-min(m.ForwardMsat, 1+r.Uint64N(1000)))
	case 2, 3:
		for _, i := range r.Perm(len(e.n.shadow.order)) {
			if id := e.n.shadow.order[i]; id != m.Channel {
				d.Out = id
			}
		}
	}
	return d
}

// decide says it. That it arrives is not certain, nor that it comes in time: then it is asked for again, or the HTLC is gone.
func (e *embedder) decide(in htlcOf) {
	w, d := e.n.w, e.decision[in]
	e.told[in] = true
	e.tries++
	probe := w.sim.Probe(fmt.Sprintf("intercepted/%s/%d", e.n.name, e.tries))
	probe.On = func(msg any) {
		r, ok := msg.(messages.InterceptReply)
		switch {
		case !ok, errors.Is(r.Err, manager.ErrNotIntercepted), errors.Is(r.Err, manager.ErrNotForwarded), errors.Is(r.Err, manager.ErrNoChannel):
		case r.Err != nil:
			w.wrong("%s: decision %+v about %v is refused: %v", e.n.name, d, in, r.Err)
		case d.Action == messages.InterceptFail:
			w.did("failed by the interceptor")
			e.durably(in, d)
		default:
			e.durably(in, d)
		}
	}
	d.ReplyTo = probe.Addr()
	probe.Send(e.n.name, messages.ManagerAddr, d)
}

// durably: a decision that was answered without an error is durable.
func (e *embedder) durably(in htlcOf, d messages.DecideIntercepted) {
	n, f := e.n, e.n.forwards[in]
	switch {
	case d.Action == messages.InterceptForward && f == nil:
		n.w.guard("rule 9: %s: forwarding %v is answered before the outbound HTLC is durable", n.name, in)
	case d.Action == messages.InterceptFail:
		if c := n.shadow.channels[in.channel]; c != nil {
			if h := c.facts.Inbound[in.id]; h != nil && h.Resolution == nil {
				n.w.guard("S3: %s: failing %v is answered before the failure is durable", n.name, in)
			}
		}
	case d.ForwardMsat != 0:
		n.w.did("forwarded for less")
	case d.Out != (ln.ChannelID{}):
		n.w.did("forwarded elsewhere")
	default:
		n.w.did("forwarded as asked")
	}
}

// forwarded guards what the embedder decided: nothing leaves before it has, nor otherwise than it has.
func (e *embedder) forwarded(f *forward) {
	d, m, w := e.decision[f.in], e.asked[f.in], e.n.w
	switch {
	case !e.told[f.in]:
		w.wrong("%s: %v is forwarded as %v before the interceptor decided", e.n.name, f.in, f.out)
	case d.Action != messages.InterceptForward:
		w.wrong("%s: %v is forwarded as %v although the interceptor failed it", e.n.name, f.in, f.out)
	case f.amountMsat != cmp.Or(d.ForwardMsat, m.ForwardMsat):
		w.wrong("%s: %v is forwarded with %d msat; the interceptor said %d of %d", e.n.name, f.in, f.amountMsat, d.ForwardMsat, m.ForwardMsat)
	case d.Out != (ln.ChannelID{}) && e.n.peerOf(d.Out) != e.n.peerOf(f.out.channel):
		w.wrong("%s: %v is forwarded as %v; the interceptor said %s", e.n.name, f.in, f.out, d.Out)
	}
}

func (n *node) peerOf(id ln.ChannelID) (peer ln.NodeID) {
	if c := n.shadow.channels[id]; c != nil {
		peer = c.facts.Peer
	}
	return peer
}

// choices schedules policies for the storm.
func (w *world) choices(r *rand.Rand) {
	for range max(r.IntN(6)-2, 0) {
		n := w.nodes[r.IntN(len(w.nodes))]
		id := n.shadow.order[r.IntN(len(n.shadow.order))]
		p := facts.Policy{
			BaseMsat: uint32(r.IntN(3000)), PropMillionths: uint32(r.IntN(2000)), CLTVDelta: facts.MinCLTVDelta + uint16(r.IntN(20)),
			HTLCMinimumMsat: uint64(1 + r.IntN(3)*1000),
		}
		w.sim.After(time.Duration(r.Int64N(int64(w.plan.storm))), "set a policy", func() { n.setPolicy(id, p) })
	}
}

// setPolicy sets the policy of a channel, and again until that is answered. Another one follows only when it had to be said once: a repeat may still be
// on its way.
func (n *node) setPolicy(id ln.ChannelID, p facts.Policy) {
	if n.setting[id] {
		return
	}
	w, answered := n.w, false
	n.setting[id] = true
	n.policies[id] = append(n.policies[id], p)
	number, tries := len(n.policies[id]), 0
	var ask func()
	ask = func() {
		if answered {
			return
		}
		tries++
		probe := w.sim.Probe(fmt.Sprintf("policy/%s/%s/%d/%d", n.name, id, number, tries))
		probe.On = func(msg any) {
			r, ok := msg.(messages.PolicyReply)
			if !ok || answered || errors.Is(r.Err, monitor.ErrQuarantined) {
				return // until the restart that ends a quarantine
			}
			answered, n.setting[id], n.answers[id] = true, tries > 1, number
			if r.Err != nil {
				w.wrong("%s: policy %+v of %s is refused: %v", n.name, p, id, r.Err)
			}
			w.did("policies")
			n.hasPolicy(id, p)
		}
		probe.Send(n.name, messages.MonitorAddr(id), messages.SetPolicy{Channel: id, Policy: p, ReplyTo: probe.Addr()})
		w.sim.After(400*time.Millisecond, "set the policy again", ask)
	}
	ask()
}

// hasPolicy: a policy that was answered is durable.
func (n *node) hasPolicy(id ln.ChannelID, p facts.Policy) {
	if c := n.shadow.channels[id]; c != nil && c.facts.Policy != p {
		n.w.wrong("%s: channel %s has policy %+v, answered was %+v", n.name, id, c.facts.Policy, p)
	}
}

// leastFee is what a node asks at least for what goes out over a channel, by any policy that it has had for one with the same peer: the terms are those of
// the channel that the payer named (BOLT 4, non-strict forwarding).
func (n *node) leastFee(id ln.ChannelID, amountMsat uint64) (least uint64) {
	least = feeOf(n.policy(), amountMsat)
	for _, other := range n.shadow.order {
		if n.peerOf(other) != n.peerOf(id) {
			continue
		}
		for _, p := range n.policies[other] {
			least = min(least, feeOf(p, amountMsat))
		}
	}
	return least
}

func feeOf(p facts.Policy, amountMsat uint64) uint64 {
	return uint64(p.BaseMsat) + amountMsat*uint64(p.PropMillionths)/1_000_000
}

// checkCourses looks at what was chosen, at rest.
func (w *world) checkCourses() {
	for _, n := range w.nodes {
		for _, id := range n.shadow.order {
			if all := n.policies[id]; len(all) > 0 && n.answers[id] == len(all) {
				n.hasPolicy(id, all[len(all)-1])
			}
		}
	}
	for _, p := range w.payments {
		if _, failed := p.outcome().(messages.PaymentFailed); failed && p.abandoned {
			w.did("abandoned and failed")
		}
	}
}

// maybeAbandon gives a payment a deadline, or has its user lose patience with it.
func (p *payment) maybeAbandon(r *rand.Rand) {
	w := p.w
	switch r.IntN(6) {
	case 0:
		w.did("deadlines")
		p.msg.Deadline = w.sim.Now().Add(time.Duration(r.Int64N(int64(3 * time.Second))))
	case 1:
		w.sim.After(time.Duration(r.Int64N(int64(500*time.Millisecond))), "abandon", func() { p.abandon(0) })
	}
}

// abandon gives up a payment that the node has taken, and says so again until that is answered or the payment is over.
func (p *payment) abandon(tries int) {
	w := p.w
	if p.abandoned || p.refused != nil || p.outcome() != nil || tries > 20 {
		return
	}
	if p.accepted && !w.sharesID(p) {
		probe := w.sim.Probe(fmt.Sprintf("abandon/%d/%d", w.indexOf(p), tries))
		probe.On = func(msg any) {
			if r, ok := msg.(messages.AbandonReply); ok && r.Err == nil {
				p.abandoned = true
				w.did("abandoned")
			}
		}
		probe.Send(p.from.name, messages.ManagerAddr, messages.AbandonPayment{PaymentID: p.msg.PaymentID, ReplyTo: probe.Addr()})
	}
	w.sim.After(200*time.Millisecond, "abandon again", func() { p.abandon(tries + 1) })
}

// deadlineSlack is what a part may take from the manager to the persister's turn: both may rest for half a second, several times.
const deadlineSlack = 10 * time.Second

// adds guards a part that the manager hands out: none follows an abandonment that was answered, nor the payment's deadline.
func (n *node) adds(m messages.AddHTLC) {
	src := m.Source.Payment
	if src == nil || n.lossy {
		return
	}
	for _, p := range n.w.payments {
		switch {
		case p.from != n || p.msg.PaymentID != src.PaymentID || n.w.sharesID(p):
		case p.abandoned:
			n.w.wrong("%s: payment %s gets part %d although it was abandoned", n.name, src.PaymentID, src.PartID)
		case !p.msg.Deadline.IsZero() && n.w.sim.Now().After(p.msg.Deadline.Add(deadlineSlack)):
			n.w.wrong("%s: payment %s gets part %d, its deadline was %v", n.name, src.PaymentID, src.PartID, p.msg.Deadline.Sub(n.w.begin))
		}
	}
}
