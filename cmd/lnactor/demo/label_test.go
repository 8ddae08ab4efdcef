package demo

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/commitment"
)

// scripts of one commitment, as the nodes make them.
type scripts struct{ toLocal, toRemote, anchor, offered, received []byte }

func testScripts(t *testing.T) (s scripts) {
	t.Helper()
	next := byte(0)
	key := func() *btcec.PublicKey {
		next++
		_, public := btcec.PrivKeyFromBytes([]byte{next})
		return public
	}
	keys := &commitment.Keys{
		PerCommitmentPoint: key(), OwnerFunding: key(), OtherFunding: key(), Revocation: key(), OwnerDelayed: key(), OtherPayment: key(),
		OwnerHTLC: key(), OtherHTLC: key(),
	}
	must := func(b []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s.toLocal = must(commitment.ToOwnerScript(keys, 144))
	s.toRemote = must(commitment.ToOtherScript(keys.OtherPayment))
	s.anchor = must(commitment.AnchorScript(keys.OwnerFunding))
	s.offered = must(commitment.HTLCScript(keys, &commitment.HTLC{Offered: true, CLTVExpiry: 500}))
	s.received = must(commitment.HTLCScript(keys, &commitment.HTLC{CLTVExpiry: 500}))
	return s
}

var (
	testSig      = make([]byte, 71)
	testPreimage = make([]byte, 32)
	testKey      = make([]byte, 33)
	one          = []byte{1}
)

func TestShapeOf(t *testing.T) {
	s := testScripts(t)
	for _, test := range []struct {
		name    string
		witness wire.TxWitness
		want    shape
	}{
		{"anchor", wire.TxWitness{testSig, s.anchor}, anchorShape},
		{"anchor after 16 blocks", wire.TxWitness{nil, s.anchor}, anchorForAllShape},
		{"to_remote", wire.TxWitness{testSig, s.toRemote}, toRemoteShape},
		{"to_local", wire.TxWitness{testSig, nil, s.toLocal}, delayedShape},
		{"revoked to_local", wire.TxWitness{testSig, one, s.toLocal}, justiceShape},
		{"HTLC-success", wire.TxWitness{nil, testSig, testSig, testPreimage, s.received}, successShape},
		{"HTLC-timeout", wire.TxWitness{nil, testSig, testSig, nil, s.offered}, timeoutShape},
		{"preimage", wire.TxWitness{testSig, testPreimage, s.offered}, directSuccessShape},
		{"time-out", wire.TxWitness{testSig, nil, s.received}, directTimeoutShape},
		{"revoked offered HTLC", wire.TxWitness{testSig, testKey, s.offered}, justiceShape},
		{"revoked received HTLC", wire.TxWitness{testSig, testKey, s.received}, justiceShape},
		{"a wallet's coin", wire.TxWitness{testSig, testKey}, unknownShape},
		{"nothing", nil, unknownShape},
		{"one element", wire.TxWitness{testSig}, unknownShape},
		{"an empty script", wire.TxWitness{testSig, nil}, unknownShape},
		{"an HTLC with a strange element", wire.TxWitness{testSig, one, s.offered}, unknownShape},
		{"too many elements", wire.TxWitness{testSig, testSig, testSig, testSig, testSig, s.toLocal}, unknownShape},
	} {
		if got := shapeOf(test.witness); got != test.want {
			t.Errorf("%s: shape %d, want %d", test.name, got, test.want)
		}
	}
}

// course of a force-close by alice, from her commitment to the last sweep, with a revoked commitment's punishment in another.
func TestExplorer(t *testing.T) {
	s := testScripts(t)
	funding := wire.OutPoint{Hash: chainhash.Hash{1}}
	coin := wire.OutPoint{Hash: chainhash.Hash{2}}
	spend := func(outs []int64, ins ...*wire.TxIn) *wire.MsgTx {
		tx := wire.NewMsgTx(2)
		tx.TxIn = ins
		for _, v := range outs {
			tx.AddTxOut(wire.NewTxOut(v, nil))
		}
		return tx
	}
	in := func(tx *wire.MsgTx, index uint32, w ...[]byte) *wire.TxIn {
		return wire.NewTxIn(&wire.OutPoint{Hash: tx.TxHash(), Index: index}, nil, w)
	}
	fresh := func() *explorer {
		x := newExplorer([2]string{"alice", "bob"}, funding)
		x.values[funding], x.values[coin] = 10_000, 5_000
		return x
	}
	type want struct {
		kind       TxKind
		label, by  string
		takes, fee uint64
	}
	check := func(x *explorer, tx *wire.MsgTx, by string, kind TxKind, want want) {
		t.Helper()
		got := x.label(tx, 7, func() (string, TxKind) { return by, kind })
		if got.Kind != want.kind || got.Label != want.label || got.By != want.by || got.TakesSat != want.takes || got.FeeSat != want.fee ||
			got.Height != 7 || got.Txid != tx.TxHash().String() || got.Inputs != len(tx.TxIn) || len(got.OutputsSat) != len(tx.TxOut) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	left := func(x *explorer, want uint64, n int) {
		t.Helper()
		if sat, outputs := x.left(); sat != want || outputs != n {
			t.Errorf("%d sat are left in %d outputs, want %d in %d", sat, outputs, want, n)
		}
	}

	// Outputs: anchors, an HTLC that alice offered twice, two offered to her, to_remote, to_local.
	x := fresh()
	commit := spend([]int64{330, 330, 1_000, 1_100, 1_200, 1_300, 2_000, 2_500}, &wire.TxIn{PreviousOutPoint: funding})
	check(x, commit, "alice", TxCommitment, want{TxCommitment, "alice's commitment", "alice", 0, 240})
	child := spend([]int64{4_900}, in(commit, 0, testSig, s.anchor), &wire.TxIn{PreviousOutPoint: coin})
	check(x, child, "", "", want{TxAnchor, "alice's CPFP on the anchor", "alice", 330, 430})
	timeout := spend([]int64{1_000, 4_800}, in(commit, 2, nil, testSig, testSig, nil, s.offered), in(child, 0, testSig, testKey))
	check(x, timeout, "", "", want{TxHTLCTimeout, "alice's HTLC-timeout", "alice", 1_000, 100})
	check(x, spend([]int64{1_050}, in(commit, 3, testSig, testPreimage, s.offered)), "", "", want{TxHTLCClaim, "bob's claim by preimage", "bob", 1_100, 50})
	success := spend([]int64{1_200, 4_700}, in(commit, 4, nil, testSig, testSig, testPreimage, s.received), in(timeout, 1, testSig, testKey))
	check(x, success, "", "", want{TxHTLCSuccess, "alice's HTLC-success", "alice", 1_200, 100})
	check(x, spend([]int64{1_290}, in(commit, 5, testSig, nil, s.received)), "", "", want{TxHTLCRefund, "bob's claim by time-out", "bob", 1_300, 10})
	check(x, spend([]int64{2_300}, in(commit, 6, testSig, s.toRemote), in(commit, 1, testSig, s.anchor)), "", "",
		want{TxSweep, "bob's sweep", "bob", 2_330, 30})
	left(x, 2_500+1_000+1_200, 3)
	check(x, spend([]int64{4_690}, in(commit, 7, testSig, nil, s.toLocal), in(timeout, 0, testSig, nil, s.toLocal), in(success, 0, testSig, nil, s.toLocal)),
		"", "", want{TxSweep, "alice's sweep ×3", "alice", 4_700, 10})
	left(x, 0, 0)
	check(x, spend([]int64{4_000}, in(success, 1, testSig, testKey)), "", "", want{TxOther, "other", "", 0, 700})

	// Bob cheats, and is faster with one HTLC.
	x = fresh()
	commit = spend([]int64{330, 330, 1_000, 1_100, 7_000}, &wire.TxIn{PreviousOutPoint: funding})
	check(x, commit, "bob", TxRevoked, want{TxRevoked, "bob's revoked commitment", "bob", 0, 240})
	theft := spend([]int64{1_000}, in(commit, 2, nil, testSig, testSig, testPreimage, s.received))
	check(x, theft, "", "", want{TxHTLCSuccess, "bob's HTLC-success", "bob", 1_000, 0})
	check(x, spend([]int64{9_000}, in(commit, 3, testSig, testKey, s.offered), in(commit, 4, testSig, one, s.toLocal), in(theft, 0, testSig, one, s.toLocal)),
		"", "", want{TxJustice, "alice's justice ×3", "alice", 9_100, 100})
	left(x, 660, 2)

	x = fresh()
	check(x, spend([]int64{4_000, 5_900}, &wire.TxIn{PreviousOutPoint: funding}), "", TxCooperative, want{TxCooperative, "cooperative close", "", 0, 100})
	left(x, 0, 0)
	if x.closes(&wire.MsgBlock{Transactions: []*wire.MsgTx{theft}}) != nil {
		t.Error("something else closed the channel")
	}
	if got := x.closes(&wire.MsgBlock{Transactions: []*wire.MsgTx{theft, commit}}); got == nil || *got != commit.TxHash() {
		t.Errorf("closed by %v", got)
	}
}

func TestTxKinds(t *testing.T) {
	for kind, name := range txNames {
		if !slices.Contains(txKinds, kind) || name == "" {
			t.Errorf("%s is in no order or has no name", kind)
		}
	}
	if len(txKinds) != len(txNames) {
		t.Errorf("%d kinds, %d names", len(txKinds), len(txNames))
	}
}

// Each kind of crash has its turn on each node before any comes again, and all crashes are shared out.
func TestClosingPlan(t *testing.T) {
	for _, o := range []Options{{Crashes: 0}, {Crashes: 30}, {Crashes: 30, Close: CloseForce}, {Crashes: 1, Close: CloseRevoked}, {Close: CloseForce}} {
		before, during := o.split()
		if before+during != o.Crashes || (o.Close == CloseNot) != (during == 0) && o.Crashes > 0 {
			t.Errorf("%+v: %d and %d", o, before, during)
		}
	}
	for nodes := 1; nodes <= 2; nodes++ {
		round := nodes * len(closingKinds)
		seen := map[[2]any]int{}
		for i, b := range planClosing(testRand(), 2*round, 5, nodes) {
			if b.n != 5+i || b.node >= nodes {
				t.Errorf("crash %d is %d on node %d", i, b.n, b.node)
			}
			seen[[2]any{b.node, b.kind}]++
		}
		if len(seen) != round {
			t.Errorf("%d nodes: %d kinds of crashes, want %d", nodes, len(seen), round)
		}
		for what, n := range seen {
			if n != 2 {
				t.Errorf("%v comes %d times", what, n)
			}
		}
	}
}

func testRand() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) } //nolint:gosec // a plan
