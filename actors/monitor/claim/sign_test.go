package claim

import (
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// TestSignChecks: what the wallet built wrong is not signed, and nothing leaves that would not confirm.
func TestSignChecks(t *testing.T) {
	for name, c := range map[string]struct {
		want  error
		wrong func(q *Request, b *messages.ClaimBuilt)
	}{
		"fee too high":     {ErrFee, func(_ *Request, b *messages.ClaimBuilt) { b.FeeSat = 1e6 }},
		"fee too low":      {ErrFee, func(q *Request, _ *messages.ClaimBuilt) { q.Build.MinFeeSat = 5000 }},
		"a fee it has not": {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.FeeSat++ }},
		"nothing":          {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.Tx = nil }},
		"other input":      {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.Tx.TxIn[0].PreviousOutPoint.Index++ }},
		"other order":      {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { slices.Reverse(b.Tx.TxIn) }},
		"other sequence":   {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.Tx.TxIn[1].Sequence++ }},
		"other lock time":  {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.Tx.LockTime = 9 }},
		"other version":    {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.Tx.Version = 1 }},
		"input twice":      {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.Tx.AddTxIn(b.Tx.TxIn[0]) }},
		"not signed":       {ErrBuilt, func(_ *Request, b *messages.ClaimBuilt) { b.Tx.AddTxIn(&wire.TxIn{}) }},
		"no input":         {ErrBuilt, func(q *Request, _ *messages.ClaimBuilt) { q.Build.Inputs = nil }},
		"no such output": {ErrStale, func(q *Request, b *messages.ClaimBuilt) {
			q.Build.Inputs[0].OutPoint.Index, b.Tx.TxIn[0].PreviousOutPoint.Index = 99, 99
		}},
		"lock too early for the script": {ErrScript, func(q *Request, b *messages.ClaimBuilt) {
			q.Build.Inputs[0].Sequence, b.Tx.TxIn[0].Sequence = 0, 0
		}},
	} {
		t.Run(name, func(t *testing.T) {
			n := several()
			n.closeTheirs()
			r := n.resolve(t)
			q := r.Plan().Build[0]
			b := build(&q, 900)
			c.wrong(&q, &b)
			_, err := r.Sign(n.keys, &q, b)
			var se *SignError
			if !errors.Is(err, c.want) || !errors.As(err, &se) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("second stage not beside its input", func(t *testing.T) {
		n := several()
		n.closeOurs()
		r := n.resolve(t)
		q := r.Plan().Build[0]
		b := build(&q, 900)
		b.Tx.TxOut[0], b.Tx.TxOut[1] = b.Tx.TxOut[1], b.Tx.TxOut[0]
		if _, err := r.Sign(n.keys, &q, b); !errors.Is(err, ErrBuilt) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("the counterparty's signature is wrong", func(t *testing.T) {
		n := several()
		n.closeOurs()
		slices.Reverse(n.f.HolderHTLCSigs)
		r := n.resolve(t)
		q := r.Plan().Build[0]
		if _, err := r.Sign(n.keys, &q, build(&q, 900)); !errors.Is(err, ErrScript) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("spent since", func(t *testing.T) {
		n := several()
		n.closeTheirs()
		q := n.resolve(t).Plan().Build[0]
		n.take(t, testHeight+1, q.Build.Inputs[1].OutPoint, stageOf(nil))
		if _, err := n.resolve(t).Sign(n.keys, &q, build(&q, 900)); !errors.Is(err, ErrStale) {
			t.Fatalf("got %v", err)
		}
	})
	t.Run("the wallet has no coins", func(t *testing.T) {
		n := several()
		n.closeOurs()
		q := n.resolve(t).Plan().Build[0]
		why := &messages.ClaimError{Code: messages.ClaimNoCoins, Err: errors.New("none")}
		if _, err := n.resolve(t).Sign(n.keys, &q, messages.ClaimBuilt{Err: why}); !errors.Is(err, why) {
			t.Fatalf("got %v", err)
		}
	})
}

// TestSignEveryKind: the witnesses of all claims satisfy their outputs, and weigh what was announced.
func TestSignEveryKind(t *testing.T) {
	closings := map[string]func(*node){
		"ours": (*node).closeOurs, "theirs": (*node).closeTheirs, "revoked": closings["revoked"],
		"anchor": func(n *node) { n.apply(facts.ForceClosed{Reason: facts.CloseByUser}) },
	}
	for name, spend := range closings {
		for _, funder := range []bool{true, false} {
			n := newNode(funder)
			n.both([]facts.HTLC{testHTLC(0, 51_000, 1010, 1), testHTLC(1, 52_000, 1010, 2)}, []facts.HTLC{testHTLC(0, 61_000, 1200, 4), testHTLC(1, 61_000, 1200, 4)})
			n.learn(0, 4)
			n.learn(1, 4)
			spend(n)
			n.at(testHeight + 20)
			if name == "revoked" {
				n.take(t, testHeight+20, n.htlcOutput(t, true, 0).op, stageOf(preimageOf(1)))
			}
			r := n.resolve(t)
			p := r.Plan()
			for i := range p.Build {
				q := &p.Build[i]
				c, err := r.Sign(n.keys, q, build(q, 2000))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				for j, in := range q.Build.Inputs {
					if got := c.Tx.TxIn[j].Witness.SerializeSize(); got > int(in.WitnessWeight) || got+8 < int(in.WitnessWeight) {
						t.Fatalf("%s: the witness of input %d weighs %d, announced %d", name, j, got, in.WitnessWeight)
					}
				}
			}
			if len(p.Build) == 0 {
				t.Fatalf("%s: nothing planned", name)
			}
		}
	}
}

// BenchmarkResolve is what a block costs a closed channel with as many HTLCs as there can be.
func BenchmarkResolve(b *testing.B) {
	n := newNode(true)
	var out []facts.HTLC
	for i := range uint64(483) {
		out = append(out, testHTLC(i, 1000, 1010+uint32(i%40), byte(i)))
	}
	n.both(out, out)
	n.closeTheirs()
	n.at(testHeight + 100)
	b.ReportAllocs()
	for b.Loop() {
		r := n.resolve(b)
		r.Due()
		r.Plan()
		r.WakeAt()
		r.Balance()
	}
}
