package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Scenarios of those who forward where a preimage or a revoked commitment comes late: alice pays carol over bob, and one of his channels ends on chain.

// stageRelay is the line, with users who hold all payments, under a plan for channels that end on chain.
func stageRelay(t *testing.T, p plan) *world {
	t.Helper()
	p.manual, p.forceCloses, p.errors, p.archiveDepth = true, true, true, 6
	w := stage(t, lineNet.get(), p)
	w.closing, w.delta = true, 36
	for _, n := range w.nodes {
		n.user.holds = func(ln.Hash) bool { return true }
	}
	return w
}

// holds tells how many HTLCs of a hash a node has that are irrevocable and not decided.
func (n *node) holds(hash ln.Hash) (count int) {
	for _, id := range n.shadow.order {
		for _, h := range n.shadow.channels[id].facts.Inbound {
			if h.Hash == hash && h.Decidable() {
				count++
			}
		}
	}
	return count
}

// payRelay is a payment from alice that carol holds.
func (w *world) payRelay(t *testing.T, amountMsat uint64) *payment {
	t.Helper()
	p := w.netPayment(0, 2, amountMsat, payGood)
	p.ask()
	w.when(t, "carol holds it", func() bool { return w.nodes[2].holds(p.msg.Hash) == 1 })
	w.pass(time.Second)
	return p
}

// refuse is claim's opposite.
func (u *user) refuse(hash ln.Hash) {
	if !u.undecided(hash) {
		return
	}
	if u.n.w.sim.Alive(u.n.name) {
		u.n.env.Tell(messages.ManagerAddr, messages.ClaimHeld{Hash: hash})
	}
	u.n.w.sim.After(100*time.Millisecond, "refuse again", func() { u.refuse(hash) })
}

// Scenario 24: carol broadcasts a revoked commitment whose HTLCs overlap with those of the current one: of one that failed and one that was claimed
// before, of two that live in both; one of the current, and a dust one, are not in it. All that live are failed back to alice, each once; where carol
// shows a preimage in the revoked commitment that one is claimed instead. Bob has every output.
func TestScenario24RevokedWithOverlap(t *testing.T) {
	for _, shows := range []bool{false, true} {
		for _, crash := range []int{-1, 0, 7} {
			t.Run(fmt.Sprintf("shows=%v crash=%d", shows, crash), func(t *testing.T) { scenario24(t, shows, crash) })
		}
	}
}

func scenario24(t *testing.T, shows bool, crash int) {
	w := stageRelay(t, plan{})
	alice, bob, carol := w.nodes[0], w.nodes[1], w.nodes[2]
	id := w.relayChannel(1)
	refused := map[uint64]int{}
	w.plan.sent = func(n *node, msg lnwire.Message) {
		if m, ok := msg.(*lnwire.UpdateFailHTLC); ok && n == bob {
			refused[m.ID]++
		}
	}

	before, paid := w.payRelay(t, 20_000_000), w.payRelay(t, 21_000_000)
	both, shown := w.payRelay(t, 22_000_000), w.payRelay(t, 23_000_000)
	old := w.held[2][len(w.held[2])-1]
	if len(old.tx.HTLCs) != 4 {
		t.Fatalf("%d HTLCs in the commitment that will be revoked", len(old.tx.HTLCs))
	}
	carol.user.refuse(before.msg.Hash)
	carol.user.claim(paid.msg.Hash)
	w.when(t, "two are over", func() bool { return before.outcome() != nil && paid.outcome() != nil })
	current, dust := w.payRelay(t, 24_000_000), w.payRelay(t, 200_000)
	if now := bob.shadow.channels[id].facts; old.tx.Number >= now.CounterpartyNumber || len(now.Outbound) != 4 {
		t.Fatalf("commitment %d is not revoked, the current one is %d with %d HTLCs", old.tx.Number, now.CounterpartyNumber, len(now.Outbound))
	}

	w.lose(2)
	w.chainEnds[id] = true
	direct := func(tx *wire.MsgTx) {
		if _, err := w.chain.MineTxs(tx); err != nil {
			t.Fatal(err)
		}
		w.deepen()
	}
	direct(old.signed())
	early := w.chain.Height() + 5
	for i := range old.tx.HTLCs {
		if x := &old.tx.HTLCs[i]; shows && x.Hash == shown.msg.Hash {
			direct(old.secondStage(i, w.preimageFor(2, x.Hash), nil)) // before bob can do anything about it
		}
	}
	relay{chain: true, block: func(w *world, n int) {
		for _, p := range []*payment{both, current, dust} {
			if w.chain.Height() < early && p.outcome() != nil {
				t.Fatalf("%s has an outcome when the revoked commitment has %d confirmations", p.msg.PaymentID, w.chain.Height()-early+6)
			}
		}
		if n == crash {
			w.sim.Crash("bob")
			w.sim.Crash("alice")
		}
	}}.blocks(w)
	w.rest()
	w.checkNetworkOutcomes()
	w.checkForwards()
	w.checkParts()
	w.checkEnded(bob, id)
	if problem := w.report(); problem != "" {
		t.Fatalf("%s\n%s", problem, w.sim)
	}

	sent := map[*payment]bool{paid: true, shown: shows}
	for i, p := range w.payments {
		want := failedID(p.msg.PaymentID)
		if sent[p] {
			want = sentID(p.msg.PaymentID)
		}
		if got := alice.user.count[want]; got != 1 {
			t.Errorf("payment %d: %s was told %d times: %+v", i, want, got, p.outcome())
		}
	}
	failures := 5
	if shows {
		failures = 4
	}
	if len(bob.failed) != failures || len(bob.claimed) != 6-failures || len(bob.forwards) != 6 || len(refused) != failures {
		t.Errorf("bob forwarded %d HTLCs: %d failed, %d were claimed, and he failed %v to alice", len(bob.forwards), len(bob.failed), len(bob.claimed), refused)
	}
	for htlc, times := range refused {
		if times != 1 && crash < 0 {
			t.Errorf("bob failed HTLC %d %d times", htlc, times)
		}
	}
	var due int64
	for i, out := range old.tx.Tx.TxOut {
		if i != old.tx.OwnerAnchorIndex && i != old.tx.OtherAnchorIndex {
			due += out.Value
		}
	}
	if l := w.ledger(w.fundings...); l.taken[1] < due || l.taken[1] > due+330 { // with his anchor
		t.Errorf("bob took %d of the %d that the revoked commitment holds", l.taken[1], due)
	}
}

// Scenario 25: bob's channel with alice is closed, with two HTLCs of one hash that expire at different heights and one of another hash between them;
// then carol claims the two. The late preimage claims the two on chain, before their own expiries and the one that expires first not after the other; the
// third one stays alice's.
func TestScenario25LatePreimageOfAForward(t *testing.T) {
	for closer, who := range []string{"alice", "bob"} {
		for _, crash := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s closes, crash=%v", who, crash), func(t *testing.T) { scenario25(t, closer, crash) })
		}
	}
}

func scenario25(t *testing.T, closer int, crash bool) {
	w := stageRelay(t, plan{})
	bob, carol := w.nodes[1], w.nodes[2]
	p := w.partsPayment(0, 2, 40_000_000)
	p.raw = true
	way := w.path(0, 1, 2)
	part := func(n uint64) {
		add := w.rawPart(p, way, n, p.msg.AmountMsat/2)
		p.msg.MaxFeeMsat += add.AmountMsat
		p.from.env.Tell(messages.ChannelAddr(way[0].channel), add)
		w.when(t, "bob has forwarded it", func() bool { return len(bob.forwards) == int(n)+1 })
		w.pass(time.Second)
	}
	part(0)
	w.mine(2)
	w.pass(time.Second)
	other := w.netPayment(0, 2, 30_000_000, payGood)
	w.mine(2)
	w.pass(time.Second)
	part(1)
	other.ask()
	w.when(t, "carol holds all", func() bool { return carol.holds(p.msg.Hash) == 2 && carol.holds(other.msg.Hash) == 1 })
	w.pass(time.Second)

	id := w.relayChannel(0)
	w.chainEnds[id] = true
	inbound := map[uint64]*facts.HTLC{}
	for htlc, h := range bob.shadow.channels[id].facts.Inbound {
		inbound[htlc] = h
	}
	w.forceClose(closer, id)
	w.pass(time.Second)
	taken := map[uint64]int32{}
	relay{chain: true, block: func(w *world, n int) {
		h, _, _ := w.closed(bob.fundingOf(id))
		switch {
		case n == 5 && len(taken) > 0:
			t.Fatal("an HTLC is claimed before its preimage is known")
		case n == 5:
			carol.user.claim(p.msg.Hash)
			w.when(t, "bob knows the preimage", func() bool { return bob.known[p.msg.Hash] })
			if crash {
				w.sim.Crash("bob")
			}
		case h == nil:
			return
		}
		for htlc, in := range inbound {
			op, there := h.output(0, htlc)
			if !there {
				t.Fatalf("HTLC %d has no output", htlc)
			}
			if _, spent := w.chain.Spender(op); spent && taken[htlc] == 0 && w.shownBy(op, in.Hash, p) {
				taken[htlc] = w.chain.Height()
			}
		}
	}}.blocks(w)
	w.doneNetwork(t)
	wantSent(t, p, 3)
	if k, ok := other.outcome().(messages.PaymentFailed); !ok {
		t.Fatalf("the other payment: %+v", k)
	}
	var last *facts.HTLC
	for _, h := range facts.Sorted(inbound) {
		height := taken[h.ID]
		if (h.Hash == p.msg.Hash) != (height > 0) {
			t.Errorf("HTLC %d of %s: claimed with the preimage at height %d", h.ID, h.Hash, height)
			continue
		}
		if height == 0 {
			continue
		}
		if height >= int32(h.CLTVExpiry) {
			t.Errorf("HTLC %d is claimed at height %d and expires at %d", h.ID, height, h.CLTVExpiry)
		}
		if last != nil && (last.CLTVExpiry >= h.CLTVExpiry || taken[last.ID] > height) {
			t.Errorf("HTLC %d expires at %d and is claimed at %d; HTLC %d at %d and %d", last.ID, last.CLTVExpiry, taken[last.ID], h.ID, h.CLTVExpiry, height)
		}
		last = h
	}
}

// fundingOf is the funding output of a channel.
func (n *node) fundingOf(id ln.ChannelID) wire.OutPoint {
	for _, op := range n.w.fundings {
		if ln.NewChannelID(op) == id {
			return op
		}
	}
	panic("no such channel")
}

// shownBy tells whether the spend of an output shows the preimage of a payment.
func (w *world) shownBy(op wire.OutPoint, hash ln.Hash, p *payment) bool {
	preimage := w.preimageFor(p.to.index, p.msg.Hash)
	spender, ok := w.chain.Spender(op)
	if !ok || hash != p.msg.Hash {
		return false
	}
	tx, _, err := w.chain.Tx(spender)
	if err != nil {
		return false
	}
	for _, in := range tx.TxIn {
		for _, item := range in.Witness {
			if in.PreviousOutPoint == op && len(item) == 32 && ln.Preimage(item) == *preimage {
				return true
			}
		}
	}
	return false
}
