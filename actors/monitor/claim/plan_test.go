package claim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
)

// shape is a plan in short: for each request its kind of input and the HTLC values in it.
func shape(p Plan) (out []string) {
	for i := range p.Build {
		b := &p.Build[i].Build
		s := fmt.Sprintf("lock %d:", b.LockTime)
		for _, in := range b.Inputs {
			s += fmt.Sprintf(" %d", in.ValueSat)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func wantShape(t *testing.T, n *node, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := shape(n.resolve(t).Plan()); !slices.Equal(got, want) {
		t.Fatalf("at height %d: planned\n%q, want\n%q", n.f.Height, got, want)
	}
}

func several() *node {
	n := newNode(true)
	n.both([]facts.HTLC{
		testHTLC(0, 51_000, 1100, 1), testHTLC(1, 52_000, 1110, 2), testHTLC(2, 53_000, 1100, 3),
	}, []facts.HTLC{
		testHTLC(0, 61_000, 1200, 4), testHTLC(1, 62_000, 1210, 5), testHTLC(2, 63_000, 1200, 6),
	})
	n.learn(0, 4)
	n.learn(1, 5)
	return n
}

// twoReceived are two HTLCs offered to us, whose preimages we know.
func twoReceived() *node {
	n := newNode(true)
	n.both(nil, []facts.HTLC{testHTLC(0, 61_000, 1200, 4), testHTLC(1, 62_000, 1210, 5)})
	n.learn(0, 4)
	n.learn(1, 5)
	return n
}

// TestGroups: what is claimed together, and when it can be.
func TestGroups(t *testing.T) {
	t.Run("ours", func(t *testing.T) {
		n := several()
		n.closeOurs()
		wantShape(t, n, "lock 0: 61000 62000")
		n.at(1099)
		wantShape(t, n, "lock 0: 61000 62000")
		n.at(1100) // 1100 is final in block 1101
		wantShape(t, n, "lock 0: 61000 62000", "lock 1100: 51000 53000")
		n.at(1110) // each lock time as it was signed
		wantShape(t, n, "lock 0: 61000 62000", "lock 1100: 51000 53000", "lock 1110: 52000")
		n.learn(2, 6)
		wantShape(t, n, "lock 0: 61000 62000 63000", "lock 1100: 51000 53000", "lock 1110: 52000")
	})
	t.Run("theirs", func(t *testing.T) {
		n := several()
		n.closeTheirs()
		wantShape(t, n, "lock 0: 61000 62000")
		n.at(1100)
		wantShape(t, n, "lock 0: 61000 62000", "lock 1100: 51000 53000")
		n.at(1110)
		wantShape(t, n, "lock 0: 61000 62000", "lock 1110: 51000 52000 53000")
		n.at(1188) // twelve blocks before the expiry
		wantShape(t, n, "lock 0: 61000", "lock 0: 62000", "lock 1110: 51000 52000 53000")
	})
	t.Run("revoked", func(t *testing.T) {
		n := several()
		closings["revoked"](n)
		local := n.find(t, revokedDelayed).value
		wantShape(t, n, fmt.Sprintf("lock 0: %d", local), "lock 0: 51000 52000 53000 61000 62000 63000")
		// The counterparty is faster with one: each of the others alone, and its second stage with to_local.
		n.take(t, testHeight+1, n.htlcOutput(t, true, 1).op, stageOf(preimageOf(2)))
		wantShape(t, n, fmt.Sprintf("lock 0: 52000 %d", local), "lock 0: 51000", "lock 0: 53000", "lock 0: 61000", "lock 0: 62000", "lock 0: 63000")
	})
	t.Run("many", func(t *testing.T) {
		n := newNode(true)
		var in []facts.HTLC
		for i := range uint64(130) {
			in = append(in, testHTLC(i, 5000, 1200, byte(i)))
		}
		n.both(nil, in)
		for i := range in {
			n.learn(uint64(i), byte(i))
		}
		n.closeTheirs()
		p, seen := n.resolve(t).Plan(), map[wire.OutPoint]bool{}
		for _, q := range p.Build {
			if len(q.Build.Inputs) > maxInputs {
				t.Fatalf("%d inputs", len(q.Build.Inputs))
			}
			for _, in := range q.Build.Inputs {
				seen[in.OutPoint] = true
			}
		}
		if len(p.Build) != 3 || len(seen) != 130 {
			t.Fatalf("%d claims of %d outputs", len(p.Build), len(seen))
		}
	})
}

// TestIDs follow from what is claimed and are the same however often and after whatever they are asked for.
func TestIDs(t *testing.T) {
	n := several()
	closings["revoked"](n)
	first, again := n.resolve(t).Plan(), n.resolve(t).Plan()
	n.at(testHeight + 3)
	later := n.resolve(t).Plan()
	for i := range first.Build {
		if first.Build[i].ID == 0 || first.Build[i].ID != again.Build[i].ID || first.Build[i].ID != later.Build[i].ID {
			t.Fatalf("ids %x, %x, %x", first.Build[i].ID, again.Build[i].ID, later.Build[i].ID)
		}
	}
	if first.Build[0].ID == first.Build[1].ID {
		t.Fatal("two claims of one id")
	}
}

// TestBumps: a claim that does not confirm is replaced on schedule, under its id, with its inputs, for more than it paid, and never for more than it
// is worth.
func TestBumps(t *testing.T) {
	n := twoReceived()
	n.closeTheirs()
	first := n.claim(t, 700)[0]
	if p := n.resolve(t).Plan(); len(p.Build) != 0 || len(p.Keep) != 1 || len(p.Ended) != 0 {
		t.Fatalf("a live claim is planned anew: %+v", p)
	}
	n.at(testHeight + 5)
	wantShape(t, n)
	if at := n.resolve(t).WakeAt(); at != testHeight+6 {
		t.Fatalf("wakes at %d", at)
	}
	n.at(testHeight + 6)
	p := n.resolve(t).Plan()
	if len(p.Build) != 1 || len(p.Keep) != 1 {
		t.Fatalf("plan %+v", p)
	}
	q := p.Build[0]
	if q.ID != first.ID || q.Build.MinFeePerKw != first.FeePerKw*5/4 || len(q.Build.Inputs) != 2 {
		t.Fatalf("request %+v", q)
	}
	// BIP 125, rule 4: all that it replaces, and 253 sat for each 1000 weight units of its own.
	real := build(&q, q.Build.MinFeeSat)
	c, err := n.resolve(t).Sign(n.keys, &q, real)
	if err != nil {
		t.Fatal(err)
	}
	if weight := uint64(c.Tx.SerializeSizeStripped()*3 + c.Tx.SerializeSize()); q.Build.MinFeeSat < first.FeeSat+(weight*253+999)/1000 {
		t.Fatalf("fee of %d, replaced %d, weight %d", q.Build.MinFeeSat, first.FeeSat, weight)
	}
	n.apply(c)
	if p := n.resolve(t).Plan(); len(p.Keep) != 1 || p.Keep[0].Tx.TxHash() != c.Tx.TxHash() || len(p.Build)+len(p.Ended) != 0 {
		t.Fatalf("after the replacement: %+v", p)
	}

	// Near the deadline it goes faster.
	if got := bumpAt(1000, 1200); got != 1006 {
		t.Fatalf("far away: %d", got)
	}
	if got := bumpAt(1000, 1005); got != 1002 {
		t.Fatalf("near: %d", got)
	}
	if got := bumpAt(1000, 1001); got != 1001 {
		t.Fatalf("last block: %d", got)
	}
	if got := bumpAt(1000, 900); got != 1001 {
		t.Fatalf("too late: %d", got)
	}
	if got := bumpAt(1000, 0); got != 1006 {
		t.Fatalf("no deadline: %d", got)
	}

	// What it is worth is half of it.
	c.FeeSat = (61_000+62_000)/2 - 10
	n.apply(c)
	n.at(testHeight + 100)
	if p := n.resolve(t).Plan(); len(p.Build) != 0 || len(p.Keep) != 1 {
		t.Fatalf("beyond its worth: %+v", p)
	}
}

// TestSplitNearTheDeadline: the most valuable output replaces the claim of many and pays for it; the others then replace nothing.
func TestSplitNearTheDeadline(t *testing.T) {
	n := twoReceived()
	n.closeTheirs()
	batch := n.claim(t, 900)[0]
	n.at(1188)
	p := n.resolve(t).Plan()
	if len(p.Build) != 1 || len(p.Keep) != 1 || len(p.Build[0].Build.Inputs) != 1 || p.Build[0].Build.Inputs[0].ValueSat != 62_000 {
		t.Fatalf("plan %+v", p)
	}
	if q := p.Build[0].Build; q.MinFeeSat <= batch.FeeSat {
		t.Fatalf("pays %d for replacing %d", q.MinFeeSat, batch.FeeSat)
	}
	alone := n.claimOnly(t, 62_000)
	p = n.resolve(t).Plan()
	if i := slices.IndexFunc(p.Build, func(q Request) bool { return q.Build.Inputs[0].ValueSat == 61_000 }); i < 0 || p.Build[i].Build.MinFeeSat != 0 {
		t.Fatalf("the other output: %+v", p)
	}
	if !slices.ContainsFunc(p.Keep, func(c facts.ClaimSigned) bool { return c.ID == alone.ID }) || slices.ContainsFunc(p.Keep, func(c facts.ClaimSigned) bool { return c.Tx == batch.Tx }) {
		t.Fatalf("keeps %+v", p.Keep)
	}
	if gone := slices.Contains(p.Ended, batch.ID) || batch.ID == alone.ID || slices.ContainsFunc(p.Build, func(q Request) bool { return q.ID == batch.ID }); !gone {
		t.Fatalf("the claim of both lives on: %+v", p)
	}
}

// claimOnly signs the request for the output of a value.
func (n *node) claimOnly(t *testing.T, value uint64) facts.ClaimSigned {
	t.Helper()
	r := n.resolve(t)
	for _, q := range r.Plan().Build {
		if q.Build.Inputs[0].ValueSat != value {
			continue
		}
		c, err := r.Sign(n.keys, &q, build(&q, max(700, q.Build.MinFeeSat)))
		if err != nil {
			t.Fatal(err)
		}
		n.apply(c)
		return c
	}
	t.Fatalf("no claim of %d", value)
	return facts.ClaimSigned{}
}

// TestClaimsAndReorganisations: a claim that is spent by something is neither kept nor ended until that is irrevocable, and comes back when it is not.
func TestClaimsAndReorganisations(t *testing.T) {
	n := several()
	n.closeTheirs()
	c := n.claim(t, 900)[0]
	lost := n.htlcOutput(t, false, 0).op
	n.take(t, testHeight+3, lost, stageOf(nil)) // a time-out before its time: only to see what follows
	p := n.resolve(t).Plan()
	if len(p.Keep) != 0 || len(p.Ended) != 0 || len(p.Build) != 1 || p.Build[0].Build.Inputs[0].ValueSat != 62_000 || p.Build[0].Build.MinFeeSat != 0 {
		t.Fatalf("plan %+v", p)
	}
	n.apply(Disconnected(n.f, testHeight+2)...)
	n.at(testHeight + 2)
	if p := n.resolve(t).Plan(); len(p.Keep) != 1 || p.Keep[0].ID != c.ID || len(p.Build)+len(p.Ended) != 0 {
		t.Fatalf("after the reorganisation: %+v", p)
	}
	// It confirms.
	for _, u := range n.resolve(t).Match(c.Tx, c.Tx.TxHash(), testHeight+4) {
		n.apply(u)
	}
	for h := uint32(testHeight + 4); h < testHeight+9; h++ {
		n.at(h)
		if p := n.resolve(t).Plan(); len(p.Keep)+len(p.Build)+len(p.Ended) != 0 {
			t.Fatalf("at %d: %+v", h, p)
		}
	}
	if at := n.resolve(t).WakeAt(); at != testHeight+9 {
		t.Fatalf("wakes at %d", at)
	}
	n.at(testHeight + 9)
	if p := n.resolve(t).Plan(); !slices.Equal(p.Ended, []uint64{c.ID}) {
		t.Fatalf("six deep: %+v", p)
	}
	// The commitment itself leaves the chain: everything rests, and returns with it.
	spent := *n.f.Spent
	n.apply(Disconnected(n.f, testHeight-1)...)
	n.apply(facts.FundingUnspent{}, facts.BlockSeen{Height: testHeight - 1})
	if p := n.resolve(t).Plan(); len(p.Keep)+len(p.Build)+len(p.Ended) != 0 {
		t.Fatalf("without a commitment: %+v", p)
	}
	n.apply(spent, facts.BlockSeen{Height: testHeight + 2})
	if p := n.resolve(t).Plan(); len(p.Keep) != 1 {
		t.Fatalf("with it again: %+v", p)
	}
	// Ours confirms instead: the claim is over when that is irrevocable.
	n.apply(facts.FundingUnspent{})
	n.closeOurs()
	if p := n.resolve(t).Plan(); len(p.Keep) != 0 || len(p.Ended) != 0 || len(p.Build) != 1 {
		t.Fatalf("replaced: %+v", p)
	}
	n.at(testHeight + 5)
	if p := n.resolve(t).Plan(); !slices.Equal(p.Ended, []uint64{c.ID}) {
		t.Fatalf("replaced for good: %+v", p)
	}
}

// TestReplacedClaims: of two claims of one output the one that pays more is kept.
func TestReplacedClaims(t *testing.T) {
	n := several()
	n.closeTheirs()
	a := n.claim(t, 900)[0]
	b := a
	b.ID, b.FeeSat = a.ID+1, a.FeeSat+1000
	n.apply(b)
	if p := n.resolve(t).Plan(); len(p.Keep) != 1 || p.Keep[0].ID != b.ID || !slices.Equal(p.Ended, []uint64{a.ID}) {
		t.Fatalf("plan %+v", p)
	}
}

// TestAnchor: our unconfirmed commitment is paid for through its anchor, until something confirms; never when we are behind.
func TestAnchor(t *testing.T) {
	n := several()
	n.apply(facts.ForceClosed{Reason: facts.CloseByUser})
	p := n.resolve(t).Plan()
	if len(p.Build) != 1 || len(p.Build[0].Build.Inputs) != 1 {
		t.Fatalf("plan %+v", p)
	}
	q, ours := p.Build[0], n.current()
	b := q.Build
	if in := b.Inputs[0]; !in.Attach || in.ValueSat != 330 || in.OutPoint != (wire.OutPoint{Hash: ours.Txid, Index: uint32(ours.OwnerAnchorIndex)}) {
		t.Fatalf("input %+v", in)
	}
	sig, err := n.keys.SignHolder(testIndex, &n.f.Tx, ours)
	signed := must(ours.Complete(must(sig, err), n.f.HolderSig))
	if weight := uint32(signed.SerializeSizeStripped()*3 + signed.SerializeSize()); b.Parent == nil || b.Parent.FeeSat != uint64(ours.Fee) || b.Parent.Weight < weight || b.Parent.Weight > weight+4 {
		t.Fatalf("parent %+v, weighs %d", b.Parent, weight)
	}
	if q.Deadline != 1200-commitMargin || b.MaxFeeSat < (61_000+62_000)/2 {
		t.Fatalf("deadline %d, budget %d", q.Deadline, b.MaxFeeSat)
	}
	c := n.claim(t, 2000)[0]
	n.at(n.f.Height + 6)
	if p := n.resolve(t).Plan(); len(p.Keep) != 1 || len(p.Build) != 1 || p.Build[0].Build.MinFeeSat <= 2000 {
		t.Fatalf("stuck: %+v", p)
	}
	n.closeOurs()
	if p := n.resolve(t).Plan(); len(p.Keep) != 0 || len(p.Ended) != 0 {
		t.Fatalf("the commitment confirmed: %+v", p)
	}
	n.at(testHeight + 5)
	if p := n.resolve(t).Plan(); !slices.Equal(p.Ended, []uint64{c.ID}) {
		t.Fatalf("for good: %+v", p)
	}

	n = several()
	n.apply(facts.ForceClosed{Reason: facts.CloseByUser}, facts.ProvenBehind{})
	if p := n.resolve(t).Plan(); len(p.Build) != 0 {
		t.Fatalf("we are behind (rule 18): %+v", p)
	}
}

// TestDeadlines and budgets, by kind.
func TestDeadlines(t *testing.T) {
	n := newNode(true)
	n.both([]facts.HTLC{forward(testHTLC(0, 51_000, 1100, 1), 1160), testHTLC(1, 52_000, 1100, 2)}, []facts.HTLC{testHTLC(0, 61_000, 1030, 4)})
	n.learn(0, 4)
	deadlines := func(spend func(n *node)) (out map[uint64]uint32) {
		m := &node{keys: n.keys, peer: n.peer, f: n.f.Clone(), rows: n.rows}
		spend(m)
		r := m.resolve(t)
		out = map[uint64]uint32{}
		for _, o := range r.outs {
			if o.claim != 0 {
				out[uint64(o.value)] = r.deadline(o.claim, o)
			}
		}
		return out
	}
	for name, spend := range map[string]func(*node){"ours": (*node).closeOurs, "theirs": (*node).closeTheirs} {
		if d := deadlines(spend); d[51_000] != 1160 || d[52_000] != 0 || d[61_000] != 1030 {
			t.Errorf("%s: %v", name, d)
		}
	}
	old := n.peer.current()
	local := uint64(old.Tx.TxOut[old.ToOwnerIndex].Value)
	n.sign(revoked, nil)
	d := deadlines(func(m *node) { m.spend(facts.SpendRevoked, old) })
	if d[local] != testHeight+theirDelay || d[51_000] != 1100 || d[61_000] != 1030 {
		t.Errorf("revoked: %v", d)
	}
	for _, c := range []struct {
		k      claimKind
		budget uint64
	}{{ownSuccess, 5000}, {theirsTimeout, 5000}, {justiceHTLC, 10_000 - dustSat}} {
		if got := c.k.budget(10_000); got != c.budget {
			t.Errorf("kind %d: %d", c.k, got)
		}
	}
	if theirsPreimage.budget(400) != 70 || justiceDelayed.budget(300) != 0 {
		t.Error("what is left has to be an output")
	}
}

// TestWorthless: an output that can't pay for its own claim goes along with others, and is given up long after its expiry if there are none.
func TestWorthless(t *testing.T) {
	n := newNode(true)
	n.both([]facts.HTLC{testHTLC(0, 360, 1010, 1)}, nil)
	n.closeTheirs()
	n.at(1050)
	wantShape(t, n)
	n.due(t)
	if at := n.resolve(t).WakeAt(); at != 1110 {
		t.Fatalf("wakes at %d", at)
	}
	if n.f.Outbound[0].Fate != facts.FateOpen {
		t.Fatal("failed while it can be claimed")
	}
	n.at(1110)
	if f, ok := ended(n.due(t), true, 0); !ok || f {
		t.Fatalf("ended %v, fulfilled %v", ok, f)
	}
	n.take(t, 1111, n.find(t, toRemote).op, wire.TxWitness{sig, scr})
	if at, ok := n.resolve(t).ResolvedAt(); !ok || at != 1111 {
		t.Fatalf("resolved %v at %d", ok, at)
	}

	n = newNode(true)
	n.both([]facts.HTLC{testHTLC(0, 360, 1010, 1), testHTLC(1, 9000, 1010, 1)}, nil)
	n.closeTheirs()
	n.at(1050)
	wantShape(t, n, "lock 1010: 360 9000")
}

// TestWorthlessInbound: an HTLC that we claimed towards others, and that is not worth the fee on chain, ends as a loss, so that whoever waits for its
// end hears of it. One whose preimage we don't know is left open: nobody claimed anything.
func TestWorthlessInbound(t *testing.T) {
	n := newNode(true)
	n.both(nil, []facts.HTLC{testHTLC(0, 360, 1010, 1), testHTLC(1, 360, 1010, 2)})
	n.learn(0, 1)
	n.closeTheirs()
	n.at(1109)
	if _, ok := ended(n.due(t), false, 0); ok {
		t.Fatal("ended while others could still be claimed with it")
	}
	if at := n.resolve(t).WakeAt(); at != 1110 {
		t.Fatalf("wakes at %d", at)
	}
	n.at(1110)
	due := n.due(t)
	if f, ok := ended(due, false, 0); !ok || f {
		t.Fatalf("ended %v, fulfilled %v", ok, f)
	}
	if _, ok := ended(due, false, 1); ok {
		t.Fatal("an HTLC that nobody claimed has ended")
	}
}
