package claim

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
)

// closings are the ways in which a commitment with HTLC 0 each way can be in the chain.
var closings = map[string]func(n *node){
	"ours":   (*node).closeOurs,
	"theirs": (*node).closeTheirs,
	"revoked": func(n *node) {
		old := n.peer.current()
		n.sign(revoked, nil)
		n.spend(facts.SpendRevoked, old)
	},
}

func withHTLCs() *node {
	n := newNode(true)
	n.both([]facts.HTLC{testHTLC(0, 50_000, 1100, 1)}, []facts.HTLC{testHTLC(0, 40_000, 1100, 2)})
	return n
}

// TestWhoSpent: the shape of a witness says who made it, and a preimage is one by its hash only.
func TestWhoSpent(t *testing.T) {
	key := make([]byte, 33)
	wrong := make([]byte, 32)
	for _, c := range []struct {
		name, close string
		outbound    bool
		witness     wire.TxWitness
		ours        bool
		preimage    byte // secret number, 0 for none
	}{
		{"our time-out", "ours", true, stageOf(nil), true, 0},
		{"their preimage", "ours", true, direct(preimageOf(1)), false, 1},
		{"32 bytes that are no preimage", "ours", true, direct(wrong), false, 0},
		{"the preimage of another HTLC", "ours", true, direct(preimageOf(2)), false, 0},
		{"our success", "ours", false, stageOf(preimageOf(2)), true, 2},
		{"their time-out", "ours", false, direct(nil), false, 0},
		{"our time-out, direct", "theirs", true, direct(nil), true, 0},
		{"their success", "theirs", true, stageOf(preimageOf(1)), false, 1},
		{"our preimage, direct", "theirs", false, direct(preimageOf(2)), true, 2},
		{"their time-out, second stage", "theirs", false, stageOf(nil), false, 0},
		{"their time-out with a strange dummy", "theirs", false, stageOf([]byte{1}), false, 0},
		{"justice", "revoked", true, direct(key), true, 0},
		{"their success, revoked", "revoked", true, stageOf(preimageOf(1)), false, 1},
		{"justice on theirs", "revoked", false, direct(key), true, 0},
		{"their time-out, revoked", "revoked", false, stageOf(nil), false, 0},
		{"no witness", "ours", true, nil, false, 0},
		{"one element", "theirs", true, wire.TxWitness{preimageOf(1)}, false, 0},
		{"four elements", "revoked", true, wire.TxWitness{nil, sig, sig, preimageOf(1)}, false, 0},
	} {
		t.Run(c.close+"/"+c.name, func(t *testing.T) {
			n := withHTLCs()
			closings[c.close](n)
			_, found := n.take(t, testHeight+1, n.htlcOutput(t, c.outbound, 0).op, c.witness)
			u, ok := found[0].(facts.OutputSpent)
			if !ok || u.Ours != c.ours {
				t.Fatalf("got %+v, want ours %v", found[0], c.ours)
			}
			if c.preimage == 0 {
				if u.Preimage != nil || len(found) != 1 {
					t.Fatalf("a preimage out of nothing: %+v", found)
				}
				return
			}
			if u.Preimage == nil || *u.Preimage != secretOf(c.preimage) {
				t.Fatalf("the preimage was not seen: %+v", u)
			}
			if learned := len(found) == 2; learned != c.outbound {
				t.Fatalf("got %+v", found)
			}
		})
	}
}

// TestWhoSpentTheRest: outputs without an HTLC.
func TestWhoSpentTheRest(t *testing.T) {
	for _, c := range []struct {
		name, close string
		kind        kind
		witness     wire.TxWitness
		ours        bool
	}{
		{"to_local after the delay", "ours", ownDelayed, direct(nil), true},
		{"to_local, false as a negative zero", "ours", ownDelayed, direct([]byte{0, 0x80}), true},
		{"to_local by revocation", "ours", ownDelayed, direct([]byte{1}), false},
		{"revoked to_local, justice", "revoked", revokedDelayed, direct([]byte{1}), true},
		{"revoked to_local, true in two bytes", "revoked", revokedDelayed, direct([]byte{0x80, 0}), true},
		{"revoked to_local, taken", "revoked", revokedDelayed, direct(nil), false},
		{"revoked to_local, taken with a zero", "revoked", revokedDelayed, direct([]byte{0}), false},
		{"to_remote", "theirs", toRemote, wire.TxWitness{sig, scr}, true},
		{"anchor", "theirs", anchor, wire.TxWitness{sig, scr}, true},
		{"anchor, by anybody", "theirs", anchor, wire.TxWitness{nil, scr}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := withHTLCs()
			closings[c.close](n)
			_, found := n.take(t, testHeight+1, n.find(t, c.kind).op, c.witness)
			if u, ok := found[0].(facts.OutputSpent); len(found) != 1 || !ok || u.Ours != c.ours {
				t.Fatalf("got %+v, want ours %v", found, c.ours)
			}
		})
	}
}

// TestClaimBeatsFailure: a preimage counts whatever was decided about the HTLC before (S7, holes 4).
func TestClaimBeatsFailure(t *testing.T) {
	n := withHTLCs()
	n.closeTheirs()
	op := n.htlcOutput(t, true, 0).op
	n.take(t, testHeight+200, op, direct(nil))
	n.at(testHeight + 205)
	if due := n.due(t); len(due) == 0 || n.f.Outbound[0].Fate != facts.FateFailed {
		t.Fatalf("got %+v", due)
	}
	n.apply(Disconnected(n.f, testHeight+150)...) // deeper than any reorganisation should be
	n.at(testHeight + 150)
	_, found := n.take(t, testHeight+151, op, stageOf(preimageOf(1)))
	if len(found) != 2 || n.f.Outbound[0].Preimage == nil {
		t.Fatalf("got %+v", found)
	}
	for _, u := range n.due(t) {
		if _, again := u.(facts.HTLCEnded); again {
			t.Fatalf("a second end: %+v", u)
		}
	}
}

// TestMatchRepeats: what is known is not told again, and another spender or height is.
func TestMatchRepeats(t *testing.T) {
	n := withHTLCs()
	n.closeTheirs()
	op := n.htlcOutput(t, true, 0).op
	tx, _ := n.take(t, testHeight+1, op, stageOf(preimageOf(1)))
	if again := n.resolve(t).Match(tx, tx.TxHash(), testHeight+1); len(again) != 0 {
		t.Fatalf("told again: %+v", again)
	}
	if moved := n.resolve(t).Match(tx, tx.TxHash(), testHeight+2); len(moved) != 1 {
		t.Fatalf("the block changed: %+v", moved)
	}
	if got := n.resolve(t).Match(txSpending(direct(nil), wire.OutPoint{Index: 9}), tx.TxHash(), testHeight); len(got) != 0 {
		t.Fatalf("an output of nobody: %+v", got)
	}
	if got := n.resolve(t).Match(nil, tx.TxHash(), testHeight); got != nil {
		t.Fatalf("nothing means %+v", got)
	}
}

// TestDisconnected takes back what is above a height, in a fixed order.
func TestDisconnected(t *testing.T) {
	n := withHTLCs()
	n.closeTheirs()
	a, b := n.htlcOutput(t, true, 0).op, n.htlcOutput(t, false, 0).op
	n.take(t, testHeight+3, a, direct(nil))
	n.take(t, testHeight+5, b, stageOf(nil))
	if got := Disconnected(n.f, testHeight+5); len(got) != 0 {
		t.Fatalf("got %+v", got)
	}
	if got := Disconnected(n.f, testHeight+4); len(got) != 1 || got[0] != (facts.OutputUnspent{Output: b}) {
		t.Fatalf("got %+v", got)
	}
	first, second := a, b
	if facts.CompareOutPoints(a, b) > 0 {
		first, second = b, a
	}
	got := Disconnected(n.f, testHeight)
	if len(got) != 2 || got[0] != (facts.OutputUnspent{Output: first}) || got[1] != (facts.OutputUnspent{Output: second}) {
		t.Fatalf("got %+v", got)
	}
}

// TestSecondStageIndex: a second stage has its output at the index of its input, wherever that is in the transaction around it.
func TestSecondStageIndex(t *testing.T) {
	n := withHTLCs()
	closings["revoked"](n)
	tx := txSpending(stageOf(preimageOf(1)), wire.OutPoint{Index: 50}, wire.OutPoint{Index: 51}, n.htlcOutput(t, true, 0).op)
	n.apply(n.resolve(t).Match(tx, tx.TxHash(), testHeight+1)...)
	n.at(testHeight + 1)
	if o := n.htlcOutput(t, true, 0).stage; o == nil || o.op != (wire.OutPoint{Hash: tx.TxHash(), Index: 2}) || o.value != 50_000 {
		t.Fatalf("second stage %+v", o)
	}
}

// TestEqualHTLCs: outputs that can't be told apart are mapped one to one, by id where nothing else orders them, on a commitment that is built and on a
// revoked one that is searched. Two of one hash and amount whose expiries differ have one script where we offered them on ours: there the order of
// BOLT 3 tells them apart.
func TestEqualHTLCs(t *testing.T) {
	add := []facts.HTLC{testHTLC(0, 50_000, 1200, 1), testHTLC(1, 50_000, 1100, 1), testHTLC(2, 50_000, 1100, 1), testHTLC(3, 50_000, 1300, 1)}
	want := []uint64{1, 2, 0, 3}
	for name, spend := range closings {
		for _, outbound := range []bool{true, false} {
			n := newNode(true)
			if outbound {
				n.both(add, nil)
			} else {
				n.both(nil, add)
			}
			spend(n)
			r, seen := n.resolve(t), map[uint64]bool{}
			var got []uint64
			for _, o := range r.outs {
				if o.htlc == nil {
					continue
				}
				if o.htlc.outbound != outbound || seen[o.htlc.id] {
					t.Fatalf("%s: htlc %d twice, or the wrong way", name, o.htlc.id)
				}
				seen[o.htlc.id] = true
				got = append(got, o.htlc.id)
				if !bytes.Equal(commitment.PayTo(o.script), o.pk) {
					t.Fatalf("%s: htlc %d has the script of another output", name, o.htlc.id)
				}
			}
			if len(got) != len(want) {
				t.Fatalf("%s: got %v", name, got)
			}
			if one := (name == "ours") == outbound; one {
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%s, outbound %v: got %v, want %v", name, outbound, got, want)
					}
				}
			}
		}
	}
}

// FuzzMatch: whatever confirmed, Match does not panic and its updates apply; nor does anything that follows.
func FuzzMatch(f *testing.F) {
	f.Add(byte(0), byte(0), []byte{0, 3, 1, 2, 3}, byte(1))
	f.Add(byte(1), byte(3), preimageOf(1), byte(5))
	f.Add(byte(2), byte(1), preimageOf(2), byte(3))
	f.Add(byte(3), byte(2), []byte{}, byte(0))
	base := withHTLCs()
	base.sign(revoked, nil)
	old, theirs := base.peer.held[len(base.peer.held)-2], base.peer.current()
	f.Fuzz(func(t *testing.T, how, which byte, element []byte, elements byte) {
		n := &node{keys: base.keys, f: base.f.Clone(), rows: base.rows, peer: base.peer}
		switch how % 4 {
		case 0:
			n.closeOurs()
		case 1:
			n.closeTheirs()
		case 2:
			n.spend(facts.SpendRevoked, old)
		case 3:
			n.spend(facts.SpendUnknown, theirs)
		}
		watches := n.resolve(t).Watches()
		var w wire.TxWitness
		for range elements % 8 {
			w = append(w, element)
		}
		tx := txSpending(w, wire.OutPoint{Index: 77}, watches[int(which)%len(watches)].Output)
		tx.TxOut = tx.TxOut[:elements%3] // a second stage's output may be missing
		n.apply(n.resolve(t).Match(tx, tx.TxHash(), testHeight+1)...)
		for _, h := range []uint32{testHeight + 1, testHeight + 6, testHeight + 150, testHeight + 400} {
			n.at(h)
			n.due(t)
			r := n.resolve(t)
			r.Plan()
			if b := r.Balance(); b.Total < b.Lost {
				t.Fatalf("balance %+v", b)
			}
			if at := r.WakeAt(); at != 0 && at <= h {
				t.Fatalf("wake at %d, it is %d", at, h)
			}
		}
	})
}

// TestContradictions: facts that do not give the transaction are an error, not a wrong answer.
func TestContradictions(t *testing.T) {
	n := withHTLCs()
	n.apply(facts.FundingSpent{Txid: [32]byte{1}, Height: testHeight, Spend: facts.SpendHolder, Tx: n.current().Tx})
	r, err := Resolve(n.f, func(k uint64) (*btcec.PublicKey, error) { return n.keys.PerCommitmentPoint(testIndex, k) })
	if err == nil || r == nil || len(r.Watches()) != 0 || len(r.Plan().Build) != 0 {
		t.Fatalf("got %v, %v", r, err)
	}
}
