package claim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
)

// ended tells how an HTLC ended among updates.
func ended(due []facts.Update, outbound bool, id uint64) (fulfilled, ok bool) {
	for _, u := range due {
		if e, is := u.(facts.HTLCEnded); is && e.Outbound == outbound && e.HTLCID == id {
			return e.Fulfilled, true
		}
	}
	return false, false
}

// endsAt checks that an HTLC ends exactly at a height, and how.
func endsAt(t *testing.T, n *node, outbound bool, id uint64, height uint32, fulfilled bool) {
	t.Helper()
	for h := n.f.Height; h < height; h++ {
		n.at(h)
		if _, ok := ended(n.due(t), outbound, id); ok {
			t.Fatalf("htlc %d ended at %d, %d is the height", id, h, height)
		}
	}
	n.at(height)
	if got, ok := ended(n.due(t), outbound, id); !ok || got != fulfilled {
		t.Fatalf("htlc %d ended %v at %d, fulfilled %v, want %v", id, ok, height, got, fulfilled)
	}
}

// TestSpendDecides: an HTLC with an output ends six blocks after that is spent, as the spend says (rule 12).
func TestSpendDecides(t *testing.T) {
	for _, c := range []struct {
		name, close string
		outbound    bool
		known       bool // we know the preimage of the inbound HTLC
		witness     func() []byte
		stage       bool
		fulfilled   bool
	}{
		{"time-out", "ours", true, false, nil, true, false},
		{"preimage", "ours", true, false, func() []byte { return preimageOf(1) }, false, true},
		{"time-out", "theirs", true, false, nil, false, false},
		{"preimage", "theirs", true, false, func() []byte { return preimageOf(1) }, true, true},
		{"justice", "revoked", true, false, func() []byte { return make([]byte, 33) }, false, false},
		{"preimage", "revoked", true, false, func() []byte { return preimageOf(1) }, true, true},
		{"success", "ours", false, true, func() []byte { return preimageOf(2) }, true, true},
		{"time-out", "ours", false, true, nil, false, false},
		{"preimage", "theirs", false, true, func() []byte { return preimageOf(2) }, false, true},
		{"time-out", "theirs", false, true, nil, true, false},
		{"justice, preimage known", "revoked", false, true, func() []byte { return make([]byte, 33) }, false, true},
		{"justice, preimage unknown", "revoked", false, false, func() []byte { return make([]byte, 33) }, false, false},
	} {
		t.Run(fmt.Sprintf("%s/outbound %v/%s", c.close, c.outbound, c.name), func(t *testing.T) {
			n := withHTLCs()
			closings[c.close](n)
			if c.known {
				n.learn(0, 2)
			}
			var last []byte
			if c.witness != nil {
				last = c.witness()
			}
			w := direct(last)
			if c.stage {
				w = stageOf(last)
			}
			n.at(testHeight + 50)
			n.due(t)
			n.take(t, testHeight+51, n.htlcOutput(t, c.outbound, 0).op, w)
			endsAt(t, n, c.outbound, 0, testHeight+56, c.fulfilled)
		})
	}
}

// TestRevokedSecondStageDecides: an inbound HTLC that the counterparty timed out on a revoked commitment is ours again by the second stage.
func TestRevokedSecondStageDecides(t *testing.T) {
	for _, justice := range []bool{true, false} {
		n := withHTLCs()
		closings["revoked"](n)
		n.learn(0, 2)
		tx, _ := n.take(t, testHeight+110, n.htlcOutput(t, false, 0).op, stageOf(nil))
		n.at(testHeight + 130)
		if _, ok := ended(n.due(t), false, 0); ok {
			t.Fatal("ended while its second stage can be punished")
		}
		o := n.htlcOutput(t, false, 0).stage
		if o == nil || o.op.Hash != tx.TxHash() {
			t.Fatalf("second stage %+v", o)
		}
		mark := []byte{1}
		if !justice {
			mark = nil
		}
		n.take(t, testHeight+131, o.op, direct(mark))
		endsAt(t, n, false, 0, testHeight+136, justice)
	}
}

// TestCommitmentDecides: HTLCs that the commitment lacks, or has as dust, end at its sixth confirmation.
func TestCommitmentDecides(t *testing.T) {
	const sixth = testHeight + 5
	t.Run("dust", func(t *testing.T) {
		for name, spend := range closings {
			n := newNode(true)
			n.both([]facts.HTLC{testHTLC(0, 300, 1100, 1), testHTLC(1, 310, 1100, 3)}, []facts.HTLC{testHTLC(0, 320, 1100, 2)})
			p := secretOf(3)
			n.apply(facts.PreimageLearned{HTLCID: 1, Preimage: p})
			n.learn(0, 2)
			spend(n)
			n.at(sixth - 1)
			if due := n.due(t); len(due) != 0 {
				t.Fatalf("%s: due too early: %+v", name, due)
			}
			n.at(sixth)
			due := n.due(t)
			for _, c := range []struct{ outbound, fulfilled bool }{{true, false}, {false, false}} {
				if got, ok := ended(due, c.outbound, 0); !ok || got != c.fulfilled {
					t.Fatalf("%s: outbound %v: ended %v, fulfilled %v", name, c.outbound, ok, got)
				}
			}
			if got, ok := ended(due, true, 1); !ok || !got {
				t.Fatalf("%s: its preimage was known: ended %v, fulfilled %v", name, ok, got)
			}
		}
	})
	// An HTLC on its way in or out is on one of the commitments only.
	for _, c := range []struct {
		name      string
		play      func(n *node)
		closeOurs bool
		outbound  bool
		fulfilled bool
	}{
		{"outbound, only in their next", func(n *node) { n.sign(signed, []facts.HTLC{testHTLC(0, 50_000, 1100, 1)}) }, true, true, false},
		{"outbound, only in theirs", func(n *node) { n.sign(revoked, []facts.HTLC{testHTLC(0, 50_000, 1100, 1)}) }, true, true, false},
		{"outbound, out of ours, failed", func(n *node) {
			n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1)}, nil)
			n.peer.apply(facts.Decided{HTLCID: 0, Resolution: facts.Resolution{Reason: []byte{1}}})
			n.peer.sign(revoked, nil, 0)
		}, true, true, false},
		{"outbound, out of ours, fulfilled", func(n *node) {
			n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1)}, nil)
			n.peer.learn(0, 1)
			n.peer.sign(revoked, nil, 0)
		}, true, true, true},
		{"inbound, only in ours", func(n *node) { n.peer.sign(revoked, []facts.HTLC{testHTLC(0, 50_000, 1100, 1)}) }, false, false, false},
		{"inbound, out of theirs, fulfilled", func(n *node) {
			n.both(nil, []facts.HTLC{testHTLC(0, 50_000, 1100, 1)})
			n.learn(0, 1)
			n.sign(received, nil, 0)
		}, false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(true)
			c.play(n)
			if c.closeOurs {
				n.closeOurs()
			} else {
				n.closeTheirs()
			}
			endsAt(t, n, c.outbound, 0, sixth, c.fulfilled)
		})
	}
}

// TestForeignCommitment: of a commitment that we do not know, an outbound HTLC is failed only when nobody can claim it any more.
func TestForeignCommitment(t *testing.T) {
	n := newNode(true)
	n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1), testHTLC(1, 60_000, 1100, 1), testHTLC(2, 70_000, 1002, 3)}, nil)
	// The counterparty signed on without us.
	old := n.f.Clone()
	n.sign(revoked, []facts.HTLC{testHTLC(3, 30_000, 1100, 4)})
	n.sign(received, []facts.HTLC{testHTLC(4, 35_000, 1100, 5)})
	theirs := n.peer.current()
	n.f = old
	n.apply(facts.ProvenBehind{})
	n.apply(facts.FundingSpent{Txid: theirs.Txid, Height: testHeight, Spend: facts.SpendCounterparty, Tx: theirs.Tx})
	n.at(testHeight)

	r := n.resolve(t)
	if r.end != foreignCommitment {
		t.Fatalf("ending %d", r.end)
	}
	if o := n.find(t, toRemote); o.value != theirs.Tx.TxOut[theirs.ToOtherIndex].Value {
		t.Fatalf("to_remote %+v", o)
	}
	if p := r.Plan(); len(p.Build) != 0 {
		t.Fatalf("there is nothing to claim: %+v", p)
	}
	if len(r.Watches()) != len(theirs.Tx.TxOut)-1 { // all but their anchor
		t.Fatalf("%d watches of %d outputs", len(r.Watches()), len(theirs.Tx.TxOut))
	}
	// The preimage of HTLC 1 comes to light at the output of its amount.
	for _, o := range r.outs {
		if o.kind == htlcForeign && o.value == 60_000 {
			_, found := n.take(t, testHeight+1, o.op, stageOf(preimageOf(1)))
			if len(found) != 2 || n.f.Outbound[1].Preimage == nil || n.f.Outbound[0].Preimage != nil {
				t.Fatalf("got %+v", found)
			}
		}
	}
	endsAt(t, n, true, 2, 1008, false) // six blocks past its expiry
	endsAt(t, n, true, 0, 1106, false)
	if n.f.Outbound[1].Fate != facts.FateFulfilled {
		t.Fatalf("fate %d", n.f.Outbound[1].Fate)
	}
}

// TestOwnCommitmentNewerThanTheFacts: we closed with a commitment of ours, and go on from a copy of the facts that is older. The key of its to_local
// follows from the seed and the number, so the output is ours all the same; nothing is archived before it is in the wallet.
func TestOwnCommitmentNewerThanTheFacts(t *testing.T) {
	for _, ahead := range []int{0, 3} { // of the counterparty's commitments, which are counted alike
		n := newNode(true)
		n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1)}, []facts.HTLC{testHTLC(0, 60_000, 1100, 2)})
		for range ahead {
			n.sign(revoked, nil)
		}
		old := n.f.Clone()
		for range 2 {
			n.peer.sign(revoked, nil)
		}
		ours := n.current()
		n.f = old
		kind := facts.SpendCounterparty // as the monitor takes it, by its number
		if ours.Number <= n.f.CounterpartyNumber {
			kind = facts.SpendUnknown
		}
		n.apply(facts.FundingSpent{Txid: ours.Txid, Height: testHeight, Spend: kind, Tx: ours.Tx})
		n.at(testHeight)

		want := wire.OutPoint{Hash: ours.Txid, Index: uint32(ours.ToOwnerIndex)}
		value := uint64(ours.Tx.TxOut[ours.ToOwnerIndex].Value)
		if b := n.resolve(t).Balance(); b.Awaiting != value || b.SpendableAt != testHeight+holderDelay-1 {
			t.Fatalf("ahead by %d: balance %+v, want %d", ahead, b, value)
		}
		// What a second stage pays that had been broadcast is ours too, and what the peer takes is not.
		stage := wire.OutPoint{}
		for i := range ours.HTLCs {
			h := &ours.HTLCs[i]
			op := wire.OutPoint{Hash: ours.Txid, Index: h.OutputIndex}
			if h.Offered {
				tx, _ := n.take(t, testHeight+3, op, stageOf(nil))
				stage.Hash = tx.TxHash()
			} else {
				n.take(t, testHeight+3, op, direct(nil))
			}
		}
		n.at(testHeight + holderDelay - 2)
		n.due(t)
		if n.f.OnChain.Spendable[want] {
			t.Fatal("too early")
		}
		n.at(testHeight + holderDelay - 1)
		n.due(t)
		r := n.resolve(t)
		list := r.Spendable([]wire.OutPoint{want})
		if !n.f.OnChain.Spendable[want] || len(list) != 1 {
			t.Fatalf("ahead by %d: to_local was not handed over: %+v", ahead, n.f.OnChain.Spendable)
		}
		n.at(testHeight + 3 + holderDelay - 1)
		n.due(t)
		if !n.f.OnChain.Spendable[stage] || len(n.f.OnChain.Spendable) != 3 { // and the anchor
			t.Fatalf("ahead by %d: the second stage was not handed over: %+v", ahead, n.f.OnChain.Spendable)
		}
		n.at(2 * testHeight)
		n.due(t)
		if _, ok := n.resolve(t).ResolvedAt(); ok {
			t.Fatal("resolved while our money is in it")
		}
		// What the wallet is told is enough to sign.
		s := list[0]
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: s.Output, Sequence: s.Sequence})
		tx.AddTxOut(wire.NewTxOut(int64(s.ValueSat)-1000, []byte{txscript.OP_TRUE}))
		spend := chankeys.Spend{
			Path: chankeys.PathDelayed, WitnessScript: s.WitnessScript, Value: btcutil.Amount(s.ValueSat), Point: must(btcec.ParsePubKey(s.Point[:])),
		}
		tx.TxIn[0].Witness = must(n.keys.SignSpend(s.KeyIndex, &spend, tx, 0))
		out := ours.Tx.TxOut[ours.ToOwnerIndex]
		if err := execute(tx, 0, &output{pk: out.PkScript, value: out.Value}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestThreeBlockRule: the outbound HTLC of a forward is given up three blocks before the inbound one expires, once its channel has ended, and never
// when its preimage is known.
func TestThreeBlockRule(t *testing.T) {
	n := newNode(true)
	n.both([]facts.HTLC{
		forward(testHTLC(0, 50_000, 1100, 1), 1150), testHTLC(1, 50_000, 1100, 2), forward(testHTLC(2, 300, 1100, 3), 1150),
		forward(testHTLC(3, 50_000, 1100, 4), 1150), forward(testHTLC(4, 50_000, 1100, 5), 0),
	}, nil)
	n.apply(facts.PreimageLearned{HTLCID: 3, Preimage: secretOf(4)})
	n.at(1148)
	if due := n.due(t); len(due) != 0 {
		t.Fatalf("the channel is open: %+v", due)
	}
	behind := &node{keys: n.keys, f: n.f.Clone()}
	behind.at(1140)
	behind.apply(facts.ProvenBehind{}) // nothing else is planned that would wake it
	if at := behind.resolve(t).WakeAt(); at != 1147 {
		t.Fatalf("wakes at %d", at)
	}
	n.at(1146)
	n.apply(facts.ForceClosed{Reason: facts.CloseByUser})
	if due := n.due(t); len(due) != 0 {
		t.Fatalf("due at 1146: %+v", due)
	}
	if at := n.resolve(t).WakeAt(); at != 1147 {
		t.Fatalf("wakes at %d", at)
	}
	n.at(1147)
	due := n.due(t)
	if !slices.Equal(due, []facts.Update{facts.HTLCFailedEarly{HTLCID: 0}, facts.HTLCFailedEarly{HTLCID: 2}}) {
		t.Fatalf("due at 1147: %+v", due)
	}
	// What the chain says later is still heard.
	n.spend(facts.SpendHolder, n.current())
	_, found := n.take(t, 1160, n.htlcOutput(t, true, 0).op, direct(preimageOf(1)))
	if len(found) != 2 {
		t.Fatalf("got %+v", found)
	}
}

// TestSpendable: outputs are handed over once they are final and their delay has passed, each once, the anchor with the first.
func TestSpendable(t *testing.T) {
	n := withHTLCs()
	n.closeOurs()
	n.learn(0, 2)
	tx, _ := n.take(t, testHeight+2, n.htlcOutput(t, false, 0).op, stageOf(preimageOf(2)))
	handed := map[string]uint32{}
	for h := uint32(testHeight + 2); h < testHeight+160; h++ {
		n.at(h)
		r := n.resolve(t)
		if b := r.Balance(); b.SpendableAt != 0 && b.SpendableAt < h {
			t.Fatalf("at %d the balance is spendable at %d", h, b.SpendableAt)
		}
		for _, u := range n.due(t) {
			s, ok := u.(facts.OutputsSpendable)
			if !ok {
				continue
			}
			for _, o := range n.resolve(t).Spendable(s.Outputs) {
				name := fmt.Sprint(o.Kind)
				if o.Output.Hash == tx.TxHash() {
					name = "stage"
				}
				if handed[name] != 0 {
					t.Fatalf("%s was handed over twice", name)
				}
				handed[name] = h
				if o.KeyIndex != testIndex || len(o.WitnessScript) == 0 || (o.Kind == facts.SpendableDelayed && (o.Sequence != holderDelay || o.Point == [33]byte{})) {
					t.Fatalf("%+v", o)
				}
			}
		}
	}
	want := map[string]uint32{
		fmt.Sprint(facts.SpendableDelayed): testHeight + holderDelay - 1, fmt.Sprint(facts.SpendableAnchor): testHeight + holderDelay - 1,
		"stage": testHeight + 2 + holderDelay - 1,
	}
	if fmt.Sprint(handed) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", handed, want)
	}

	// to_remote: six confirmations.
	n = withHTLCs()
	n.closeTheirs()
	n.at(testHeight + 4)
	if due := n.due(t); len(due) != 0 {
		t.Fatalf("due: %+v", due)
	}
	if at := n.resolve(t).WakeAt(); at != testHeight+5 {
		t.Fatalf("wakes at %d", at)
	}
	n.at(testHeight + 5)
	due := n.due(t)
	if s, ok := due[len(due)-1].(facts.OutputsSpendable); !ok || len(s.Outputs) != 2 {
		t.Fatalf("due: %+v", due)
	} else if list := n.resolve(t).Spendable(s.Outputs); list[0].Kind != facts.SpendableToRemote || list[0].Sequence != 1 || list[1].Kind != facts.SpendableAnchor {
		t.Fatalf("list: %+v", list)
	} else {
		if n.resolve(t).Swept(list) {
			t.Fatal("nothing is swept")
		}
		n.take(t, testHeight+10, list[0].Output, [][]byte{sig, scr})
		n.at(testHeight + 14)
		if n.resolve(t).Swept(list) {
			t.Fatal("swept with five confirmations")
		}
		if n.at(testHeight + 15); !n.resolve(t).Swept(list) {
			t.Fatal("the anchor holds it up")
		}
	}
}

// TestNeedsRevoked: without the HTLC data, what needs none is done, and nothing is decided about HTLCs.
func TestNeedsRevoked(t *testing.T) {
	n := withHTLCs()
	old := n.peer.current()
	n.sign(revoked, nil)
	n.apply(facts.FundingSpent{Txid: old.Txid, Height: testHeight, Spend: facts.SpendRevoked, Tx: old.Tx})
	n.at(testHeight + 20)
	r := n.resolve(t)
	if number, ok := r.NeedsRevoked(); !ok || number != old.Number {
		t.Fatalf("needs %d, %v", number, ok)
	}
	if _, ok := ended(n.due(t), true, 0); ok {
		t.Fatal("decided about an HTLC that may be there")
	}
	if p := r.Plan(); len(p.Build) != 1 || len(p.Build[0].Build.Inputs) != 1 {
		t.Fatalf("plan: %+v", p)
	}
	// An HTLC that is taken meanwhile is understood, and its second stage punished.
	for _, o := range r.outs {
		if o.kind == htlcRevoked && o.value == 50_000 {
			if _, found := n.take(t, testHeight+21, o.op, stageOf(preimageOf(1))); len(found) != 2 {
				t.Fatalf("found %+v", found)
			}
		}
	}
	if p := n.resolve(t).Plan(); len(p.Build) != 1 || len(p.Build[0].Build.Inputs) != 2 {
		t.Fatalf("plan: %+v", p)
	}
	// The data is lost: what the commitment lacks is not known, so nothing is failed before it can't be claimed any more (S6).
	n.apply(facts.RevokedRead{Revoked: facts.Revoked{Number: old.Number}})
	if _, ok := n.resolve(t).NeedsRevoked(); ok {
		t.Fatal("asks again")
	}
	n.f.Outbound[0].Preimage = nil // as if it had not been seen
	n.f.OnChain.Spends = nil
	for _, c := range []struct {
		height uint32
		ended  bool
	}{{1105, false}, {1106, true}} {
		n.at(c.height)
		if _, ok := ended(n.resolve(t).Due(), true, 0); ok != c.ended {
			t.Fatalf("at %d, expired at 1100: ended %v", c.height, ok)
		}
	}
}

// TestOpenChannelCostsNothing: no allocation beyond the resolution itself.
func TestOpenChannelCostsNothing(t *testing.T) {
	n := withHTLCs()
	if got := testing.AllocsPerRun(100, func() {
		r, err := Resolve(n.f, nil)
		if err != nil || r.Due() != nil || r.WakeAt() != 0 {
			t.Fatal("an open channel is not resolved")
		}
	}); got > 1 {
		t.Fatalf("%v allocations", got)
	}
}
