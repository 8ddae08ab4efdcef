package sim

import (
	"context"
	"maps"
	"reflect"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/userevents"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// user is whoever embeds a node. What it has seen is durable and its own: it survives every crash of the node.
type user struct {
	n     *node
	seen  map[string]messages.UserEvent // handled, by id
	count map[string]int
	queue *userevents.Queue // of this life

	claimed map[ln.Hash]bool // PaymentClaimed was handled

	handling func(messages.UserEvent) bool // nil: all goes well; false: the handler failed
	holds    func(ln.Hash) bool            // payments that are not decided about when they come
}

func newUser(n *node, seen map[string]messages.UserEvent) *user {
	u := &user{n: n, seen: maps.Clone(seen), count: map[string]int{}, claimed: map[ln.Hash]bool{}, queue: userevents.NewQueue(func(string) {})}
	if u.seen == nil {
		u.seen = map[string]messages.UserEvent{}
	}
	for _, ev := range u.seen {
		if k, ok := ev.Kind.(messages.PaymentClaimed); ok {
			u.claimed[k.Hash] = true
		}
	}
	return u
}

// pump lets the user look for an event.
type pump struct{}

// producer makes the node's events actor, with a user behind it that fails now and then.
func (u *user) producer(env *kit.Env) actor.Producer {
	u.queue = userevents.NewQueue(func(id string) { env.Tell(messages.ManagerAddr, messages.UserEventHandled{ID: id}) })
	q := u.queue
	inner := userevents.New(env, q)
	return func() actor.Actor {
		a := inner()
		return actor.ReceiveFunc(func(ctx actor.Context) {
			a.Receive(ctx)
			switch ctx.Message().(type) {
			case *actor.Started, messages.UserEvents:
				ctx.Send(ctx.Self(), pump{})
			case pump:
				u.handle(env, ctx, q)
			}
		})
	}
}

// handle takes the oldest event. A handler may fail, then the event comes again (S20); it may die after its work was done, then the event comes
// again too and must be equal (S5).
func (u *user) handle(env *kit.Env, ctx actor.Context, q *userevents.Queue) {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	d, err := q.Next(now)
	if err != nil {
		return
	}
	rate := u.n.w.plan.handlerFails
	if u.n.w.calm() {
		rate = 0
	}
	r := u.n.rand()
	if rate > 0 && r.Float64() < rate || u.handling != nil && !u.handling(d.Event) {
		d.Return()
		env.Clock.After(time.Duration(1+r.Int64N(20))*time.Millisecond, ctx.Self(), pump{})
		return
	}
	u.handled(d.Event)
	if rate > 0 && r.Float64() < rate/2 {
		d.Return()
		panic(sim.ErrInjected)
	}
	d.Ack()
	ctx.Send(ctx.Self(), pump{})
}

func (u *user) handled(ev messages.UserEvent) {
	u.count[ev.ID]++
	if before, ok := u.seen[ev.ID]; ok {
		if !u.equal(before, ev) {
			u.n.w.wrong("S5: %s: event %s was %+v, now it is %+v", u.n.name, ev.ID, before.Kind, ev.Kind)
		}
		return
	}
	u.seen[ev.ID] = ev
	if k, ok := ev.Kind.(messages.PaymentClaimed); ok {
		u.claimed[k.Hash] = true
	}
	if k, ok := ev.Kind.(messages.PaymentClaimable); ok && (u.holds == nil || !u.holds(k.Hash)) {
		u.decide(k.Hash)
	}
}

// decide claims or refuses a held payment, and says it again until the decision is durable.
func (u *user) decide(hash ln.Hash) {
	w := u.n.w
	if w.sim.Alive(u.n.name) {
		if !u.undecided(hash) {
			return
		}
		u.n.env.Tell(messages.ManagerAddr, messages.ClaimHeld{Hash: hash, Claim: w.claimAll || hash[31]%4 != 0})
	}
	w.sim.After(200*time.Millisecond, "decide again", func() { u.decide(hash) })
}

func (u *user) undecided(hash ln.Hash) bool {
	for _, id := range u.n.shadow.order {
		for _, h := range u.n.shadow.channels[id].facts.Inbound {
			if h.Hash == hash && h.Resolution == nil && h.Fate == facts.FateOpen {
				return true
			}
		}
	}
	return false
}

// knows tells whether an event was handled.
func (u *user) knows(id string) bool {
	_, ok := u.seen[id]
	return ok
}

// equal compares repeats. The text of a failure may be lost with the manager's records, if the payment was in no commitment.
func (u *user) equal(a, b messages.UserEvent) bool {
	if _, closed := a.Kind.(messages.ChannelClosed); closed && u.n.lossy {
		return true // that it was handled may be lost, when the half of its cause that was acknowledged is gone
	}
	if x, ok := a.Kind.(messages.HTLCHandlingFailed); ok { // for insight: what no record holds is missing after a restart
		y, too := b.Kind.(messages.HTLCHandlingFailed)
		return too && x.Channel == y.Channel && x.HTLCID == y.HTLCID && x.Hash == y.Hash
	}
	if x, ok := a.Kind.(messages.PaymentForwarded); ok && u.n.restore != nil { // a backup from before it was paid takes it for lost
		y, too := b.Kind.(messages.PaymentForwarded)
		return too && x.Hash == y.Hash && x.InHTLCID == y.InHTLCID && x.OutHTLCID == y.OutHTLCID && x.OutAmountMsat == y.OutAmountMsat
	}
	x, ok := a.Kind.(messages.PaymentFailed)
	y, too := b.Kind.(messages.PaymentFailed)
	if s, sent := a.Kind.(messages.PaymentSent); sent && u.n.lossy { // what it cost is in the record
		t, again := b.Kind.(messages.PaymentSent)
		s.FeeMsat, t.FeeMsat = 0, 0
		return again && s == t
	}
	if ok && too && u.n.lossy {
		x.Reason, y.Reason = "", ""
		if u.n.restore != nil { // a backup from before it failed knows no better than the operator
			x.Unproven, y.Unproven = false, false
		}
		return x == y
	}
	return reflect.DeepEqual(a, b)
}
