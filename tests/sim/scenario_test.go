package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// The scenarios are bugs and tests of other implementations. Those of payers and of the store are here, those of forwarders and of sets of parts in
// scenario_forward_test.go and scenario_revoked_test.go, those of channels that end on chain in scenario_chain_test.go. Scenario 18 is TestSweepSlowWrites,
// 23 is played on one channel in package claim.

// stage is a world without faults, its nodes connected.
func stage(t *testing.T, from *prepared, p plan) *world {
	t.Helper()
	if p.snapshotEvery == 0 {
		p.snapshotEvery = 8
	}
	w := newWorld(1, from, p)
	t.Cleanup(w.close)
	w.pass(60 * time.Millisecond)
	return w
}

// when steps until cond holds, looking after every step.
func (w *world) when(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := w.sim.Steps() + 100_000; !cond(); {
		if w.sim.Steps() > end || !w.step() {
			t.Fatalf("never: %s\n%s\n%s", what, w.report(), w.sim)
		}
	}
}

// done lets the world rest, checks everything and fails the test if something is wrong.
func (w *world) done(t *testing.T) {
	t.Helper()
	w.finish()
	if problem := w.report(); problem != "" {
		t.Fatalf("%s\n%s", problem, w.sim)
	}
}

// pay begins a payment from alice.
func (w *world) pay(kind int) *payment {
	p := w.newPayment(0, 5_000_000, kind)
	p.ask()
	return p
}

// oldManager makes every later restart of alice one with the manager records of the prepared world, which know no payment.
func oldManager(n *node) {
	if n.index == 0 {
		n.lossy = true
		n.store = rolledBack(n.store, n.old)
	}
}

// restarts crashes alice several times.
func (w *world) restarts(times int) {
	for range times {
		w.sim.Crash(w.nodes[0].name)
		w.pass(3 * time.Second)
	}
}

// own is alice's only outbound HTLC, nil if there is none.
func (w *world) own() *facts.HTLC {
	for _, c := range w.nodes[0].shadow.channels {
		for _, h := range c.facts.Outbound {
			return h
		}
	}
	return nil
}

// unacked tells whether a node's store holds an unacknowledged event of this kind.
func unacked[K facts.EventKind](n *node) bool {
	for _, c := range n.shadow.channels {
		for _, e := range c.unacked {
			if _, ok := e.Kind.(K); ok {
				return true
			}
		}
	}
	return false
}

func (w *world) expectOnce(t *testing.T, id string) {
	t.Helper()
	if got := w.nodes[0].user.count[id]; got != 1 {
		t.Fatalf("%s was told %d times", id, got)
	}
}

// Scenario 1: after every test, no monitor holds an unacknowledged event. This is the test of that detector.
func TestScenario01LeakDetector(t *testing.T) {
	w := stage(t, opened(), plan{})
	w.nodes[0].user.handling = func(messages.UserEvent) bool { return false }
	w.pay(payGood)
	w.pass(10 * time.Second)
	if why := w.quiet(); !strings.Contains(why, "not acknowledged") {
		t.Fatalf("an event that nobody handled is not missed: %q", why)
	}
	w.nodes[0].user.handling = nil
	w.done(t)
}

// Scenario 2: alice has handled the fulfil and bob's commitment_signed only; restart with an old manager that never knew the payment.
func TestScenario02ClaimedWithAnOldManager(t *testing.T) {
	w := stage(t, opened(), plan{loseRecords: oldManager, alwaysLose: true})
	w.nodes[0].user.handling = func(messages.UserEvent) bool { return false }
	p := w.pay(payGood)
	w.when(t, "the HTLC is out of alice's commitment alone", func() bool {
		h := w.own()
		return h != nil && h.Preimage != nil && h.State == facts.SentRemoveRevocation
	})
	w.nodes[0].user.handling = nil
	w.restarts(1)
	w.expectOnce(t, sentID(p.msg.PaymentID))
	w.restarts(3)
	w.expectOnce(t, sentID(p.msg.PaymentID))
	w.done(t)
}

// Scenario 3: the dance is complete and PaymentSent is unhandled at the crash; old manager. PaymentSent, never PaymentFailed, also after a long
// idle time.
func TestScenario03UnhandledWithAnOldManager(t *testing.T) {
	w := stage(t, opened(), plan{loseRecords: oldManager, alwaysLose: true})
	w.nodes[0].user.handling = func(messages.UserEvent) bool { return false }
	p := w.pay(payGood)
	w.when(t, "the dance is complete", func() bool { return unacked[facts.Claimed](w.nodes[0]) && w.own() == nil })
	w.restarts(2)
	w.pass(time.Hour)
	if p.outcome() != nil {
		t.Fatalf("an event was handled by nobody: %+v", p.outcome())
	}
	w.nodes[0].user.handling = nil
	w.restarts(1)
	w.expectOnce(t, sentID(p.msg.PaymentID))
	w.done(t)
}

// Scenario 6: many restarts with old managers after a completed payment: a second send with the same id is refused each time.
func TestScenario06SameIDAfterOldManagers(t *testing.T) {
	for _, kind := range []int{payGood, payWrongSecret} {
		w := stage(t, opened(), plan{loseRecords: oldManager, alwaysLose: true})
		p := w.pay(kind)
		w.rest()
		for range 5 {
			w.restarts(1)
			var got error
			probe := w.sim.Probe("again/" + w.sim.Now().String())
			probe.On = func(msg any) { got = msg.(messages.PayReply).Err }
			msg := p.msg
			msg.ReplyTo = probe.Addr()
			probe.Send("alice", messages.ManagerAddr, msg)
			w.pass(time.Second)
			if !errors.Is(got, manager.ErrPaymentIDUsed) {
				t.Fatalf("a second payment with this id: %v", got)
			}
		}
		w.done(t)
	}
}

// Scenario 7: a failure event for a payment that the manager never stored: reported, not forgotten.
func TestScenario07FailureOfAnUnknownPayment(t *testing.T) {
	w := stage(t, opened(), plan{loseRecords: oldManager, alwaysLose: true})
	w.nodes[0].user.handling = func(messages.UserEvent) bool { return false }
	p := w.pay(payWrongSecret)
	w.when(t, "the failure is durable", func() bool { return unacked[facts.Failed](w.nodes[0]) })
	w.nodes[0].user.handling = nil
	w.restarts(1)
	w.expectOnce(t, failedID(p.msg.PaymentID))
	ev, ok := p.outcome().(messages.PaymentFailed)
	if !ok || ev.Hash != p.msg.Hash || ev.AmountMsat != p.msg.AmountMsat || !strings.Contains(ev.Reason, "incorrect") && !strings.Contains(ev.Reason, "Incorrect") {
		t.Fatalf("got %+v", p.outcome())
	}
	w.done(t)
}

// Scenario 8: the peer fulfils, restarts and then fails the same HTLC: one outcome. Bob forgets his decision, which no honest node can.
func TestScenario08FulfilledThenFailed(t *testing.T) {
	w := stage(t, opened(), plan{
		mutate: func(n *node, p *supervisor.Parts) {
			if n.index == 1 && n.lives > 1 {
				p.Manager.Invoices = identities[0].invoices // he does not know the invoice any more
			}
		},
	})
	alice, bob := w.nodes[0], w.nodes[1]
	var before *memstore.Store
	w.plan.seen = func(n *node, pt sim.Point) {
		if _, ok := pt.Msg.(messages.DecideHTLC); ok && n == bob && before == nil {
			before = bob.store.Clone()
		}
	}
	// The fulfil goes through, the commitment_signed behind it does not.
	w.plan.cutAt = func(from string, msg []byte) bool {
		return from == bob.name && before != nil && bob.lives == 1 && lnwire.MessageType(binary.BigEndian.Uint16(msg)) == lnwire.MsgCommitSig
	}
	p := w.pay(payGood)
	w.when(t, "alice knows the preimage", func() bool { h := w.own(); return h != nil && h.Preimage != nil })
	w.sim.Crash(bob.name)
	bob.store = before
	bob.user.seen = map[string]messages.UserEvent{}
	w.until(func() bool { return w.calm() && w.quiet() == "" }, patience)
	if why := w.quiet(); why != "" {
		t.Fatalf("%s\n%s", why, w.report())
	}
	if h := w.own(); h != nil {
		t.Fatalf("the HTLC lives: %+v", h)
	}
	w.expectOnce(t, sentID(p.msg.PaymentID))
	if alice.user.knows(failedID(p.msg.PaymentID)) {
		t.Fatal("the payment failed as well")
	}
	if f := w.nodes[0].shadow.channels[opened().channel].facts; f.HolderMsat != capacitySat*1000-pushMsat {
		t.Fatalf("alice has %d msat", f.HolderMsat)
	}
	if problem := w.report(); problem != "" {
		t.Fatal(problem)
	}
}

// Scenario 15: bob sent update_fail_htlc; restart: the very same message is sent again.
func TestScenario15TheSameFailureAgain(t *testing.T) {
	for _, crash := range []string{"alice", "bob"} {
		w := stage(t, opened(), plan{})
		var sent [][]byte
		cut := false
		w.plan.cutAt = func(string, []byte) bool { return cut }
		w.plan.sent = func(n *node, msg lnwire.Message) {
			if m, ok := msg.(*lnwire.UpdateFailHTLC); ok && n.index == 1 {
				var b bytes.Buffer
				if _, err := lnwire.WriteMessage(&b, m, 0); err != nil {
					t.Fatal(err)
				}
				sent = append(sent, b.Bytes())
				cut = len(sent) <= 3 // nothing that follows is heard
			}
		}
		p := w.pay(payWrongSecret)
		for range 3 {
			w.when(t, "bob fails the HTLC", func() bool { return cut })
			w.sim.Crash(crash)
			cut = false
		}
		w.done(t)
		if len(sent) < 3 || !slices.EqualFunc(sent[1:], sent[:len(sent)-1], bytes.Equal) {
			t.Fatalf("%d messages: %x", len(sent), sent)
		}
		if _, ok := p.outcome().(messages.PaymentFailed); !ok {
			t.Fatalf("got %+v", p.outcome())
		}
	}
}

// Scenario 19: many writes in flight: nothing is emitted before it is durable (the guards see to that), then events come in order.
func TestScenario19EventsInOrder(t *testing.T) {
	w := stage(t, opened(), plan{})
	var last uint64
	events := 0
	w.plan.seen = func(n *node, pt sim.Point) {
		m, ok := pt.Msg.(messages.EmitEvents)
		if !ok || n.index != 0 {
			return
		}
		for _, e := range m.Events {
			if e.Seq <= last {
				t.Errorf("event %d after %d", e.Seq, last)
			}
			last = e.Seq
			events++
		}
	}
	turn := 0
	w.plan.before = func(pt sim.Point) sim.Fault {
		if pt.Kind != "persister" {
			return sim.Fault{}
		}
		if turn++; turn%5 != 0 {
			return sim.Fault{}
		}
		return sim.Fault{Kind: sim.Delay, Delay: 300 * time.Millisecond}
	}
	for i := range 8 {
		w.newPayment(i%2, 3_000_000, []int{payGood, payWrongSecret}[i/2%2]).ask()
	}
	w.done(t)
	if events < 8 {
		t.Fatalf("%d events", events)
	}
}

// Scenario 20: the first monitor write never completes: the funding transaction is not broadcast, and after the restart the channel is gone.
func TestScenario20FirstWriteLost(t *testing.T) {
	w := stage(t, funded(), plan{onDisk: func(int) int { return 0 }, errors: true, forceCloses: true})
	alice := w.nodes[0]
	armed := false
	w.plan.seen = func(n *node, pt sim.Point) {
		if m, ok := pt.Msg.(messages.Append); ok && n == alice && m.Owner != messages.OwnerManager && len(m.Records) > 0 {
			armed = true
		}
	}
	w.plan.onCommit = func(n *node) memstore.Fault {
		if n == alice && armed && alice.lives == 1 {
			w.sim.Crash(n.name)
		}
		return memstore.None
	}
	o := w.openChannel(0)
	w.when(t, "alice writes the channel and dies", func() bool { return alice.lives == 2 })
	if len(w.chain.Mempool()) != 0 || w.broadcast != 0 {
		t.Fatal("the funding transaction was broadcast")
	}
	if len(alice.shadow.order) != 0 {
		t.Fatal("the channel is durable")
	}
	o.done = true // nobody asks again
	w.pass(10 * time.Second)
	w.done(t)
	if len(alice.user.seen) != 0 || len(w.chain.Mempool()) != 0 {
		t.Fatal("the channel that was never durable is told of")
	}
	// Bob, for whom it was durable, learns that it is gone.
	closed := 0
	for _, ev := range w.nodes[1].user.seen {
		if k, ok := ev.Kind.(messages.ChannelClosed); ok && k.Force != nil && k.Force.Reason == facts.CloseByPeerError {
			closed++
		}
	}
	if closed != 1 {
		t.Fatalf("bob was told: %+v", w.nodes[1].user.seen)
	}
	if list := w.list(t, "alice"); len(list.Channels)+list.Loading+len(list.Quarantined) != 0 {
		t.Fatalf("the channel is listed: %+v", list)
	}
}

// Scenario 21: a gap or a repeat in update ids is refused and the channel is quarantined; the process lives.
func TestScenario21GapInUpdates(t *testing.T) {
	for _, offset := range []uint64{0, 2, 7} {
		w := stage(t, opened(), plan{})
		alice, id := w.nodes[0], opened().channel
		var incarnation uint64
		w.plan.seen = func(n *node, pt sim.Point) {
			if m, ok := pt.Msg.(messages.ChannelLoad); ok && n == alice {
				incarnation = m.Incarnation
			}
		}
		w.restarts(1)
		before := alice.shadow.channels[id].updateID
		alice.env.Tell(messages.MonitorAddr(id), messages.MonitorUpdate{
			Channel: id, Incarnation: incarnation, UpdateID: before + offset, Update: facts.HolderShutdown{Script: []byte{0x51}},
		})
		w.pass(time.Second)
		if alice.lives != 2 || !w.sim.Alive("alice") {
			t.Fatal("the process died")
		}
		if got := alice.shadow.channels[id].updateID; got != before {
			t.Fatalf("offset %d: update %d after %d is recorded", offset, got, before)
		}
		list := w.list(t, "alice")
		if len(list.Quarantined) != 1 || list.Quarantined[0] != id {
			t.Fatalf("offset %d: got %+v", offset, list)
		}
		if len(w.wrongs) > 0 {
			t.Fatal(w.wrongs)
		}
	}
}

// list asks a node for its channels.
func (w *world) list(t *testing.T, name string) (list messages.ChannelList) {
	t.Helper()
	probe := w.sim.Probe("list/" + name + w.sim.Now().String())
	probe.On = func(msg any) { list = msg.(messages.ChannelList) }
	probe.Send(name, messages.ManagerAddr, messages.ListChannels{ReplyTo: probe.Addr()})
	w.pass(time.Second)
	return list
}

// Scenario 22: a handler that fails n times, then succeeds: the event and those after it arrive in order each time; completion actions run once.
func TestScenario22FailingHandler(t *testing.T) {
	w := stage(t, opened(), plan{})
	alice := w.nodes[0]
	var tries []string
	failed := map[string]int{}
	alice.user.handling = func(ev messages.UserEvent) bool {
		tries = append(tries, ev.ID)
		failed[ev.ID]++
		return failed[ev.ID] > 3
	}
	acks := map[ln.EventID]int{}
	w.plan.seen = func(n *node, pt sim.Point) {
		if m, ok := pt.Msg.(messages.AckMonitorEvent); ok && n == alice {
			for _, seq := range m.Seqs {
				acks[ln.EventID{Channel: m.Channel, Seq: seq}]++
			}
		}
	}
	for range 3 {
		w.pay(payGood)
	}
	w.rest()
	if len(tries) != 12 {
		t.Fatalf("%d tries: %v", len(tries), tries)
	}
	for i, id := range tries {
		if id != tries[i/4*4] {
			t.Fatalf("event %s came before %s was handled", id, tries[i/4*4])
		}
	}
	if len(acks) != 3 {
		t.Fatalf("%d events acknowledged", len(acks))
	}
	for id, n := range acks {
		if n != 1 {
			t.Errorf("%s was acknowledged %d times", id, n)
		}
	}
	w.done(t)
}
