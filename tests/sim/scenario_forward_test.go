package sim

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// Scenarios of those who forward, bob here: alice pays carol.

// doneNetwork lets the network rest, checks everything and fails the test if something is wrong.
func (w *world) doneNetwork(t *testing.T) {
	t.Helper()
	w.finishNetwork()
	if problem := w.report(); problem != "" {
		t.Fatalf("%s\n%s", problem, w.sim)
	}
}

// bob's inbound HTLC, nil if there is none.
func (w *world) inboundOfBob() *facts.HTLC {
	bob := w.nodes[1]
	for _, id := range bob.shadow.order {
		for _, h := range bob.shadow.channels[id].facts.Inbound {
			return h
		}
	}
	return nil
}

func wantSent(t *testing.T, p *payment, forwards int) {
	t.Helper()
	if _, ok := p.outcome().(messages.PaymentSent); !ok {
		t.Fatalf("got %+v", p.outcome())
	}
	if got := len(p.w.nodes[1].forwards); got < forwards {
		t.Fatalf("%d forwards", got)
	}
}

// Scenario 9: downstream claimed, the write of the preimage to the inbound monitor still in flight, restart: the replay claims upstream.
func TestScenario09ClaimInFlight(t *testing.T) {
	for _, kept := range []bool{false, true} {
		w := stage(t, lineNet.get(), plan{onDisk: func(n int) int {
			if kept {
				return n - 1
			}
			return 0
		}})
		p := w.netPayment(0, 2, 5_000_000, payGood)
		p.ask()
		bob := w.nodes[1]
		w.when(t, "bob has the preimage and alice's channel does not", func() bool { return len(bob.claimed) == 1 && w.inboundOfBob().Resolution == nil })
		w.sim.Crash("bob")
		w.doneNetwork(t)
		wantSent(t, p, 1)
	}
}

// Scenario 10: the inbound channel is closed before or during the restart: the preimage claims on chain.
func TestScenario10InboundClosedByPeer(t *testing.T) {
	for _, closer := range []int{0, 1} {
		for _, early := range []bool{true, false} {
			s := relay{name: "inbound closed", from: inFlight, chain: true, sent: true, begin: func(w *world) {
				id := w.relayChannel(0)
				w.chainEnds[id] = true
				if early {
					w.forceClose(closer, id)
				}
				w.nodes[2].user.claim(w.payments[0].msg.Hash)
				w.until(func() bool { return len(w.nodes[1].claimed) == 1 }, time.Minute)
				w.sim.Crash("bob")
				w.forceClose(closer, id)
			}}
			if _, problem := s.play(plan{}, func(*world) {}); problem != "" {
				t.Errorf("closed by %d, early %v: %s", closer, early, problem)
			}
		}
	}
}

// Scenario 11: the event of a claim on chain, or of a time-out, was fetched and is durable; bob's manager forgets all.
func TestScenario11ForwarderForgets(t *testing.T) {
	for _, s := range relays[2:4] {
		p := plan{loseRecords: func(n *node) {
			n.lossy = true
			n.store.Drop([]messages.Owner{messages.OwnerManager}, managerBuckets)
		}, alwaysLose: true}
		done := false
		p.handled = func(n *node, pt sim.Point) {
			m, ok := pt.Msg.(messages.EmitEvents)
			if !ok || done || n.name != "bob" || pt.Kind != "manager" {
				return
			}
			for _, e := range m.Events {
				switch e.Kind.(type) {
				case facts.Claimed, facts.Failed:
					done = true
					n.w.sim.After(time.Microsecond, "forget", func() { n.w.sim.Crash("bob") })
				}
			}
		}
		if _, problem := s.play(p, func(*world) {}); problem != "" || !done {
			t.Errorf("%s: hit %v: %s", s.name, done, problem)
		}
	}
}

// Scenario 12: forwarded, the outbound monitor is saved, the manager is not: neither forwarded again nor failed early.
func TestScenario12ForwardedAndForgotten(t *testing.T) {
	w := stage(t, lineNet.get(), plan{alwaysLose: true, loseRecords: func(n *node) {
		n.lossy = true
		n.store.Drop([]messages.Owner{messages.OwnerManager}, managerBuckets)
	}})
	p := w.netPayment(0, 2, 5_000_000, payGood)
	p.ask()
	w.when(t, "bob's outbound HTLC is durable", func() bool { return len(w.nodes[1].forwards) == 1 })
	w.sim.Crash("bob")
	w.doneNetwork(t)
	wantSent(t, p, 1)
}

// Scenario 13: accepted and not yet forwarded, or handed to the outbound channel and not signed, restart: forwarded exactly once, when carol is
// connected again.
func TestScenario13AcceptedNotForwarded(t *testing.T) {
	for _, queued := range []bool{false, true} {
		w := stage(t, lineNet.get(), plan{})
		bob, handed := w.nodes[1], false
		w.plan.handled = func(n *node, pt sim.Point) {
			if m, ok := pt.Msg.(messages.AddHTLC); ok && n == bob && m.Source.Forward != nil {
				handed = true
			}
		}
		p := w.netPayment(0, 2, 5_000_000, payGood)
		p.ask()
		w.when(t, "bob is to forward", func() bool { return len(bob.accepted) == 1 && handed == queued })
		if len(bob.forwards) != 0 {
			t.Fatal("it is forwarded already")
		}
		w.sim.Crash("bob")
		w.doneNetwork(t)
		wantForwarded(t, p)
	}
}

// wantForwarded: what waited over a restart was forwarded once, and sent.
func wantForwarded(t *testing.T, p *payment) {
	t.Helper()
	_, sent := p.outcome().(messages.PaymentSent)
	if got := len(p.w.nodes[1].forwards); !sent || got != 1 {
		t.Fatalf("%d forwards end with %+v", got, p.outcome())
	}
}

// Scenarios 14 and 15: downstream failed with the recipient's own error, restart before upstream was failed: that same error goes upstream, and the
// very same message is sent again after another restart.
func TestScenario14TheRecipientsError(t *testing.T) {
	var reasons []string
	for _, crashes := range []int{0, 1, 2} {
		w := stage(t, lineNet.get(), plan{})
		bob := w.nodes[1]
		var sent [][]byte
		w.plan.sent = func(n *node, msg lnwire.Message) {
			if m, ok := msg.(*lnwire.UpdateFailHTLC); ok && n == bob {
				sent = append(sent, bytes.Clone(m.Reason))
			}
		}
		p := w.netPayment(0, 2, 5_000_000, payWrongSecret)
		p.ask()
		if crashes > 0 {
			w.when(t, "the failure is irrevocable", func() bool { return len(bob.failed) == 1 && w.inboundOfBob().Resolution == nil })
			w.sim.Crash("bob")
		}
		if crashes > 1 {
			w.when(t, "bob fails it upstream", func() bool { return len(sent) > 0 })
			w.sim.Crash("bob")
			w.when(t, "bob fails it again", func() bool { return len(sent) > 1 })
			if !bytes.Equal(sent[0], sent[1]) {
				t.Fatal("another message")
			}
		}
		w.doneNetwork(t)
		k, ok := p.outcome().(messages.PaymentFailed)
		if !ok {
			t.Fatalf("got %+v", p.outcome())
		}
		reasons = append(reasons, k.Reason)
	}
	if reasons[0] != reasons[1] || reasons[0] != reasons[2] {
		t.Fatalf("the reason depends on crashes: %q", reasons)
	}
}

// sendParts sends a payment as raw parts, over the paths in turn.
func (w *world) sendParts(p *payment, n int, paths ...[]leg) {
	p.raw = true
	total := p.msg.AmountMsat
	for i := range n {
		add := w.rawPart(p, paths[i%len(paths)], uint64(i), total/uint64(n))
		p.msg.MaxFeeMsat += add.AmountMsat
		p.from.env.Tell(messages.ChannelAddr(paths[i%len(paths)][0].channel), add)
	}
}

// path is a way along nodes.
func (w *world) path(nodes ...int) (legs []leg) {
	for i := range nodes[1:] {
		from, to := w.nodes[nodes[i]], w.nodes[nodes[i+1]]
		for _, id := range from.shadow.order {
			if from.shadow.channels[id].facts.Peer == to.id {
				legs = append(legs, leg{from, to, id})
				break
			}
		}
	}
	return legs
}

// partsPayment is a payment whose invoice takes parts.
func (w *world) partsPayment(from, to int, amountMsat uint64) *payment {
	return w.netPayment(from, to, amountMsat, netParts)
}

// Scenario 16: eight parts over one downstream channel, claimed while writes are slow: no deadlock, and their events stay until each inbound removal is
// irrevocable (a guard).
func TestScenario16PartsWhileWritesAreSlow(t *testing.T) {
	for seed := range 5 {
		w := stage(t, lineNet.get(), plan{before: func(pt sim.Point) sim.Fault {
			if pt.Kind == "persister" && pt.Number%7 == uint64(seed) && pt.Number < 6000 {
				return sim.Fault{Kind: sim.Delay, Delay: 40 * time.Millisecond}
			}
			return sim.Fault{}
		}})
		w.pass(3 * time.Second)
		p := w.partsPayment(0, 2, 40_000_000)
		w.sendParts(p, 8, w.path(0, 1, 2))
		w.doneNetwork(t)
		wantSent(t, p, 8)
	}
}

// Scenario 17: a set over two channels is claimed, one of them waits for a revocation, restart: both are claimed.
func TestScenario17SetOverTwoChannels(t *testing.T) {
	for after := range 3 { // decisions that are durable at the crash
		w := stage(t, diamondNet.get(), plan{onDisk: func(int) int { return 0 }})
		dave := w.nodes[3]
		decided := func() (n int) {
			for _, id := range dave.shadow.order {
				for _, h := range dave.shadow.channels[id].facts.Inbound {
					if h.Resolution.Fulfilled() {
						n++
					}
				}
			}
			return n
		}
		p := w.partsPayment(0, 3, 40_000_000)
		w.sendParts(p, 2, w.path(0, 1, 3), w.path(0, 2, 3))
		if after == 0 {
			w.when(t, "the set is there", func() bool { return len(dave.accepted) == 2 })
		} else {
			w.when(t, "it is decided", func() bool { return decided() >= after })
		}
		w.net.Cut("bob", "dave") // no revocation comes from there
		w.sim.Crash("dave")
		w.doneNetwork(t)
		if _, ok := p.outcome().(messages.PaymentSent); !ok {
			t.Fatalf("after %d decisions: got %+v", after, p.outcome())
		}
	}
}

// Scenario 22, of a forwarder: a handler that fails, then succeeds: PaymentForwarded comes again, and is handled once.
func TestScenario22FailingHandlerOfAForward(t *testing.T) {
	w := stage(t, lineNet.get(), plan{})
	bob, fails := w.nodes[1], 0
	bob.user.handling = func(ev messages.UserEvent) bool {
		if _, ok := ev.Kind.(messages.PaymentForwarded); ok && fails < 5 {
			fails++
			return false
		}
		return true
	}
	p := w.netPayment(0, 2, 5_000_000, payGood)
	p.ask()
	w.when(t, "the forward is told", func() bool { return fails == 3 })
	w.sim.Crash("bob")
	w.doneNetwork(t)
	wantSent(t, p, 1)
	for in := range bob.forwards {
		if got := bob.user.count[forwardedID(in.channel, in.id)]; got != 1 || fails != 5 {
			t.Fatalf("handled %d times after %d failures", got, fails)
		}
	}
}

// longNet is a line of four: two who forward.
var longNet = newNetwork(topology{"long line", 4, []edge{public(0, 1, 1_000_000), public(1, 2, 1_000_000), public(2, 3, 1_000_000)}})

// Scenario 26: three hops, success and time-out on chain: passed back exactly.
func TestScenario26ThreeHops(t *testing.T) {
	for _, claims := range []bool{true, false} {
		for _, crash := range []string{"", "bob", "carol"} {
			t.Run(fmt.Sprintf("claims=%v crash=%s", claims, crash), func(t *testing.T) {
				w := stage(t, longNet.get(), plan{manual: true, forceCloses: true, errors: true, archiveDepth: 6})
				w.closing, w.delta = true, 36
				dave := w.nodes[3]
				dave.user.holds = func(ln.Hash) bool { return true }
				p := w.netPayment(0, 3, 5_000_000, payGood)
				p.ask()
				w.when(t, "dave holds it", func() bool { return len(dave.accepted) == 1 })
				w.pass(time.Second)
				id := dave.shadow.order[0]
				w.chainEnds[id] = true
				w.forceClose(2, id)
				r := relay{chain: true, block: func(w *world, n int) {
					if n == 1 && claims {
						dave.user.claim(p.msg.Hash)
					}
					if n == 2 && crash != "" {
						w.sim.Crash(crash)
					}
				}}
				r.blocks(w)
				w.doneNetwork(t)
				_, sent := p.outcome().(messages.PaymentSent)
				if k, failed := p.outcome().(messages.PaymentFailed); sent != claims || failed == claims {
					t.Fatalf("got %+v", k)
				}
			})
		}
	}
}
