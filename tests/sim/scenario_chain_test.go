package sim

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// Scenarios of channels that end on chain, of two nodes. Those of forwarders (10, 11, 24 to 26) are on networks, in scenario_forward_test.go and
// scenario_revoked_test.go.

// stageOnChain is a world whose channel may end on chain, and whose users hold payments.
func stageOnChain(t *testing.T, from *prepared, p plan) *world {
	t.Helper()
	p.forceCloses, p.errors, p.manual, p.archiveDepth = true, true, true, 8
	w := stage(t, from, p)
	w.closing, w.delta = true, 27
	w.adopt(from)
	for _, n := range w.nodes {
		n.user.holds = func(ln.Hash) bool { return true }
	}
	return w
}

// blocks mines one at a time, until cond holds.
func (w *world) blocks(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for n := 0; !cond(); n++ {
		if n == 150 || len(w.wrongs) > 0 {
			t.Fatalf("never: %s\n%s\n%s\n%s", what, w.report(), w.whatIsLeft(), w.sim)
		}
		w.mine(1)
		w.deepen()
		w.pass(300 * time.Millisecond)
	}
}

// over mines until the channel is archived and checks everything.
func (w *world) over(t *testing.T) {
	t.Helper()
	w.blocks(t, "archived", func() bool { return w.archived() && w.quiet() == "" })
	w.checkEnding()
	if problem := w.report(); problem != "" {
		t.Fatal(problem)
	}
}

// held HTLC of alice's, irrevocably with bob.
func (w *world) payHeld(t *testing.T, amount uint64) *payment {
	t.Helper()
	p := w.newPayment(0, amount, payGood)
	p.ask()
	w.when(t, "bob holds it", func() bool {
		for _, ev := range w.nodes[1].user.seen {
			if k, ok := ev.Kind.(messages.PaymentClaimable); ok && k.Hash == p.msg.Hash {
				return true
			}
		}
		return false
	})
	return p
}

func (w *world) confirmed() bool {
	_, ok := w.chain.Spender(w.funding)
	return ok
}

// Scenario 4: an HTLC is claimed or times out on chain x the manager's records are there or old x the monitor's are there or not: the same single
// outcome in all of them; silence when both were durable and handled.
func TestScenario04OutcomeOnChain(t *testing.T) {
	for _, claimed := range []bool{true, false} {
		for _, monitor := range []bool{true, false} {
			for _, manager := range []bool{true, false} {
				t.Run(fmt.Sprintf("claimed=%v/monitor=%v/manager=%v", claimed, monitor, manager), func(t *testing.T) {
					scenario04(t, 0, claimed, monitor, manager)
				})
			}
		}
	}
}

// Scenario 11, the payer's half: the monitor's event about what the chain did is durable and the manager's records are not, over the commitments of
// both sides: nothing is lost.
func TestScenario11ManagerLost(t *testing.T) {
	for closer, whose := range []string{"holder", "counterparty"} {
		for _, claimed := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/claimed=%v", whose, claimed), func(t *testing.T) { scenario04(t, closer, claimed, true, false) })
		}
	}
}

// Scenario 10, the payee's half: the inbound channel is closed before or during a restart, and the preimage claims on chain.
func TestScenario10InboundClosed(t *testing.T) {
	for closer, whose := range []string{"counterparty", "holder"} {
		for _, during := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/during=%v", whose, during), func(t *testing.T) {
				w := stageOnChain(t, opened(), plan{})
				bob := w.nodes[1]
				x := w.payHeld(t, 5_000_000)
				w.forceClose(closer, opened().channel)
				w.pass(time.Second)
				if !during {
					w.blocks(t, "the commitment confirms", w.confirmed)
				}
				bob.user.claim(x.msg.Hash)
				w.when(t, "the preimage is durable", func() bool {
					h := bob.shadow.channels[opened().channel].facts.Inbound[0]
					return h != nil && h.Preimage != nil
				})
				w.sim.Crash(bob.name)
				w.mine(1)
				w.deepen()
				w.blocks(t, "the payment is sent", func() bool { return x.outcome() != nil })
				if _, ok := x.outcome().(messages.PaymentSent); !ok {
					t.Fatalf("got %+v", x.outcome())
				}
				w.over(t)
			})
		}
	}
}

func scenario04(t *testing.T, closer int, claimed, monitor, manager bool) {
	p := plan{onDisk: func(n int) int {
		if monitor {
			return n - 1
		}
		return 0
	}}
	if !manager {
		p.loseRecords, p.alwaysLose = oldManager, true
	}
	w := stageOnChain(t, opened(), p)
	alice := w.nodes[0]
	x := w.payHeld(t, 5_000_000)
	w.forceClose(closer, opened().channel)
	w.blocks(t, "the commitment confirms", w.confirmed)
	// Alice dies in the commit of the outcome.
	armed, hit := false, false
	w.plan.seen = func(n *node, pt sim.Point) {
		m, ok := pt.Msg.(messages.Append)
		if !ok || n != alice {
			return
		}
		for _, d := range m.Then {
			if e, ok := d.Msg.(messages.EmitEvents); ok {
				for _, ev := range e.Events {
					_, yes := ev.Kind.(facts.Claimed)
					_, no := ev.Kind.(facts.Failed)
					armed = armed || yes || no
				}
			}
		}
	}
	w.plan.onCommit = func(n *node) memstore.Fault {
		if n == alice && armed && !hit {
			hit = true
			w.sim.Crash(n.name)
		}
		return memstore.None
	}
	if claimed {
		w.nodes[1].user.claim(x.msg.Hash)
	}
	w.blocks(t, "an outcome", func() bool { return x.outcome() != nil })
	if !hit {
		t.Fatal("alice did not die")
	}
	id := failedID(x.msg.PaymentID)
	if _, sent := x.outcome().(messages.PaymentSent); sent != claimed {
		t.Fatalf("got %+v", x.outcome())
	} else if sent {
		id = sentID(x.msg.PaymentID)
	}
	w.restarts(3)
	w.expectOnce(t, id)
	w.over(t)
	w.expectOnce(t, id)
}

// Scenario 5: two sends, one claimed on chain and one timed out, the manager's records from before both: both payments are rebuilt, one sent, one
// failed, and not earlier than its time-out is final.
func TestScenario05ClaimedAndTimedOut(t *testing.T) {
	w := stageOnChain(t, opened(), plan{loseRecords: oldManager, alwaysLose: true})
	one, two := w.payHeld(t, 5_000_000), w.payHeld(t, 6_000_000)
	w.forceClose(0, opened().channel)
	w.blocks(t, "the commitment confirms", w.confirmed)
	w.nodes[1].user.claim(one.msg.Hash)
	w.restarts(1)
	w.blocks(t, "one is sent", func() bool { return one.outcome() != nil })
	for two.outcome() == nil {
		if w.chain.Height()%5 == 0 {
			w.restarts(1)
			if got := w.payAgain(two); two.outcome() == nil && !errors.Is(got, manager.ErrPaymentIDUsed) {
				t.Fatalf("a second payment with the id of one under way: %v", got)
			}
		}
		w.mine(1)
		w.deepen()
		w.pass(300 * time.Millisecond)
		if w.chain.Height() > w.startHeight+100 {
			t.Fatal("no outcome")
		}
	}
	if _, ok := one.outcome().(messages.PaymentSent); !ok {
		t.Fatalf("the claimed one: %+v", one.outcome())
	}
	if _, ok := two.outcome().(messages.PaymentFailed); !ok {
		t.Fatalf("the other one: %+v", two.outcome())
	}
	w.over(t)
	w.expectOnce(t, sentID(one.msg.PaymentID))
	w.expectOnce(t, failedID(two.msg.PaymentID))
}

// payAgain asks for a payment with an id that was used.
func (w *world) payAgain(p *payment) (got error) {
	probe := w.sim.Probe("again/" + w.sim.Now().String())
	probe.On = func(msg any) { got = msg.(messages.PayReply).Err }
	msg := p.msg
	msg.ReplyTo = probe.Addr()
	probe.Send(p.from.name, messages.ManagerAddr, msg)
	w.pass(time.Second)
	return got
}

// Scenario 27: a monitor that is resolved, but for an event that nobody handled, is not archived however many blocks come; after it was handled it is,
// once.
func TestScenario27UnhandledEvent(t *testing.T) {
	w := stageOnChain(t, opened(), plan{})
	alice, id := w.nodes[0], opened().channel
	alice.user.handling = func(ev messages.UserEvent) bool { return !strings.HasPrefix(ev.ID, "channel-closed/") }
	archived := 0
	w.plan.seen = func(n *node, pt sim.Point) {
		if _, ok := pt.Msg.(messages.ChannelArchived); ok && n == alice && pt.Kind == "manager" {
			archived++
		}
	}
	w.forceClose(0, id)
	w.blocks(t, "bob is done", func() bool { return w.nodes[1].closed[id] })
	for range 3 {
		w.mine(40)
		w.pass(10 * time.Second)
		w.restarts(1)
	}
	if c := alice.shadow.channels[id]; c == nil || archived != 0 {
		t.Fatal("a channel with an event that nobody handled is archived")
	}
	alice.user.handling = nil
	w.restarts(1)
	w.over(t)
	if archived != 1 {
		t.Fatalf("archived %d times", archived)
	}
}

// Scenario 28: balances are right at every block through a force-close on either side, with dust, claims in flight and justice.
func TestScenario28BalancesAtEveryBlock(t *testing.T) {
	for _, s := range courses {
		t.Run(s.name, func(t *testing.T) {
			var last [2]messages.ChannelBalance
			blocks := 0
			inner := s.block
			s.block = func(w *world, n int) {
				for i, x := range w.nodes {
					if x.gone {
						continue
					}
					for _, sum := range w.list(t, x.name).Channels {
						checkBalance(t, w, x.name, last[i], sum.Balance)
						last[i] = sum.Balance
						blocks++
					}
				}
				inner(w, n)
			}
			check := s.check
			s.check = func(w *world) {
				check(w)
				l := w.ledger(w.funding)
				for i, n := range w.nodes {
					k, ok := n.user.seen["channel-resolved/"+opened().channel.String()].Kind.(messages.ChannelResolved)
					if n.gone {
						continue
					}
					if c := k.Closed; !ok || int64(c.SweptSat) != l.taken[i] || c.SweptSat+c.LostSat+c.FeesSat != last[i].Total {
						t.Errorf("%s ends with %+v; the last balance was %+v, the chain says %d", n.name, c, last[i], l.taken[i])
					}
				}
			}
			if _, problem := s.play(plan{before: func(sim.Point) sim.Fault { return sim.Fault{} }}, func(*world) {}); problem != "" {
				t.Error(problem)
			}
			if blocks < 8 {
				t.Errorf("%d balances were seen", blocks)
			}
		})
	}
}

func checkBalance(t *testing.T, w *world, name string, before, now messages.ChannelBalance) {
	t.Helper()
	if sum := now.Available + now.InHTLCs + now.Awaiting + now.Contested + now.Swept + now.Fees + now.Lost; sum != now.Total {
		t.Errorf("%s at height %d: the parts of %+v are %d", name, w.chain.Height(), now, sum)
	}
	// It grows by preimages and by a revoked commitment, and never shrinks.
	if now.Total < before.Total || now.Swept < before.Swept || now.Lost < before.Lost {
		t.Errorf("%s at height %d: %+v, it was %+v", name, w.chain.Height(), now, before)
	}
}

// Scenario 29: our commitment is replaced in the chain by the counterparty's after a reorganisation: claims are rebuilt for the new one.
func TestScenario29ReplacedByTheirs(t *testing.T) {
	for depth := 1; depth <= 5; depth++ {
		w := stageOnChain(t, loaded(), plan{})
		w.forceClose(0, opened().channel)
		w.blocks(t, "the commitment confirms", w.confirmed)
		for n := 1; n < depth; n++ {
			claimTwo(w, n)
			w.mine(1)
			w.deepen()
			w.pass(300 * time.Millisecond)
		}
		list := w.held[1]
		theirs := list[len(list)-1]
		if err := w.chain.Reorg(depth, depth+1, regtest.WithBlock(0, theirs.signed())); err != nil {
			t.Fatal(err)
		}
		w.deepen()
		w.pass(time.Second)
		for n := 1; n < 5; n++ {
			claimTwo(w, n)
			w.mine(1)
			w.deepen()
			w.pass(300 * time.Millisecond)
		}
		w.over(t)
		if h, _, _ := w.closed(w.funding); h != theirs {
			t.Fatalf("depth %d: the channel was closed by %+v", depth, h)
		}
		w.checkTwo(w.nodes[:]...)
		if problem := w.report(); problem != "" {
			t.Fatalf("depth %d: %s", depth, problem)
		}
	}
}

// Scenario 30: restarts in the middle of catching up with blocks: every monitor goes on from its own height. Thousands of channels at once are a test
// of package chainwatch.
func TestScenario30RestartWhileCatchingUp(t *testing.T) {
	for _, k := range []uint64{3, 10, 20, 35, 50, 80, 120} {
		w := stageOnChain(t, loaded(), plan{})
		alice, id := w.nodes[0], opened().channel
		other := w.openChannel(0)
		w.blocks(t, "a second channel", func() bool { return other.done && w.usable(other.id) })
		alice.gone = true // for a while
		w.sim.Crash(alice.name)
		w.forceClose(1, id)
		for range 6 {
			w.mine(2)
			w.deepen()
			w.pass(300 * time.Millisecond)
		}
		registered := 0
		w.plan.seen = func(n *node, pt sim.Point) {
			m, ok := pt.Msg.(messages.ChainRegister)
			if !ok || n != alice || pt.Kind != "chainwatch" {
				return
			}
			registered++
			if c := n.shadow.channels[m.Channel]; c != nil && c.facts.Height < m.Height {
				t.Errorf("k = %d: %s registers from height %d, %d is durable", k, m.Channel, m.Height, c.facts.Height)
			}
		}
		alice.gone = false
		alice.reboot()
		for range 4 {
			w.when(t, "some messages", func() func() bool {
				end := w.sim.Points() + k
				return func() bool { return w.sim.Points() >= end }
			}())
			w.sim.Crash(alice.name)
			w.when(t, "alice is back", func() bool { return w.sim.Alive(alice.name) })
		}
		w.pass(3 * time.Second)
		if registered < 2 {
			t.Fatalf("k = %d: %d registrations", k, registered)
		}
		w.blocks(t, "archived", func() bool { return alice.closed[id] && w.nodes[1].closed[id] && w.quiet() == "" })
		if !w.usable(other.id) {
			t.Fatalf("k = %d: the other channel is not open", k)
		}
		if problem := w.report(); problem != "" {
			t.Fatal(problem)
		}
	}
}
