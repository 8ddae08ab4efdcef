package peers

import (
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
)

// TestLiveWeForceClose: we close with HTLCs of both directions in flight, of which each side claims some on chain and lets others time out.
func TestLiveWeForceClose(t *testing.T) {
	r := newRig(t, setup{limit: 3 * time.Minute, us: func(c *lnactor.Config) { c.ManualClaim = true }})
	r.connect(true)
	r.forceClose(r.open(true, capacity/2, nil), func(l link) { must(t, r.us.ForceCloseChannel(r.ctx, l.id)) })
}

// TestLiveWeForceCloseLndsChannel is the same with lnd as the funder.
func TestLiveWeForceCloseLndsChannel(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 4 * time.Minute, us: func(c *lnactor.Config) { c.ManualClaim = true }})
	r.connect(true)
	r.forceClose(r.open(false, capacity/2, nil), func(l link) { must(t, r.us.ForceCloseChannel(r.ctx, l.id)) })
}

// TestLiveLndForceCloses is the same with lnd's commitment.
func TestLiveLndForceCloses(t *testing.T) {
	for _, weFund := range []bool{true, false} {
		t.Run(fmt.Sprintf("we fund %v", weFund), func(t *testing.T) {
			r := newRig(t, setup{extra: true, limit: 4 * time.Minute, us: func(c *lnactor.Config) { c.ManualClaim = true }})
			r.connect(true)
			r.forceClose(r.open(weFund, capacity/2, nil), func(l link) { must(t, r.lnd.closeChannel(r.ctx, l.point, true)) })
		})
	}
}

// forceClose closes a channel with HTLCs in flight and mines to the end. Each side must have its share, less what the miners got.
func (r *rig) forceClose(l link, closeIt func(link)) {
	t := r.t
	t.Helper()
	a := r.openAccounts()
	ourMsat, theirMsat := r.balances(l)

	// Claimed, timed out, and too small for an output.
	out := r.weOffer(61_000_000, 113_000_000, 200_000)
	in := r.lndOffers(47_000_000, 89_000_000, 150_000)
	closeIt(l)
	tx := r.awaitSpend(l)
	must(t, r.lnd.settle(r.ctx, out[0].preimage))
	must(t, r.us.ClaimPayment(r.ctx, in[0].hash))
	r.mine(1)
	awaitEvent(t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool { return e.Channel == l.id })
	r.toTheEnd(l)

	if p := r.us.outcome(t, r.ctx, out[0].id); p.Status != lnactor.PaymentIsSent || p.Preimage != out[0].preimage {
		t.Errorf("claimed on chain by lnd: %+v", p)
	}
	for _, h := range out[1:] {
		if p := r.us.outcome(t, r.ctx, h.id); p.Status != lnactor.PaymentFailure {
			t.Errorf("timed out: %+v", p)
		}
	}
	payments, err := r.lnd.payments(r.ctx)
	must(t, err)
	for i, want := range []string{"SUCCEEDED", "FAILED", "FAILED"} {
		if p := payments[in[i].hash.String()]; p.Status != want {
			t.Errorf("lnd's payment %d is %s, want %s", i, p.Status, want)
		}
	}
	// What nobody but the miners has is the two dust HTLCs, and they go by the commitment.
	ours := int64(ourMsat/1000) - 61_000 + 47_000
	theirs := int64(theirMsat/1000) + 61_000 - 47_000
	if tx.TxHash() != a.closing(l).TxHash() {
		t.Errorf("%v confirmed, not %v", a.closing(l).TxHash(), tx.TxHash())
	}
	a.settle(l, ours, theirs)
}

// accounts are the coins of both sides before a channel ends.
type accounts struct {
	r         *rig
	ours, lnd int64
	height    int32
}

func (r *rig) openAccounts() *accounts {
	r.t.Helper()
	b, err := r.us.Balance(r.ctx)
	must(r.t, err)
	_, tip := r.chain.Tip(r.t)
	if b.UnconfirmedSat != 0 {
		r.t.Fatalf("coins wait for a block: %+v", b)
	}
	return &accounts{r: r, ours: int64(b.ConfirmedSat), lnd: r.lnd.wallet(r.t, r.ctx).Confirmed, height: tip}
}

// closing is the transaction that spent the funding output.
func (a *accounts) closing(l link) *wire.MsgTx {
	a.r.t.Helper()
	var found *wire.MsgTx
	a.walk(func(tx *wire.MsgTx) {
		for _, in := range tx.TxIn {
			if in.PreviousOutPoint.String() == l.point {
				found = tx
			}
		}
	})
	if found == nil {
		a.r.t.Fatal("the funding output is not spent")
	}
	return found
}

// walk visits all transactions in blocks since then, but for coinbases.
func (a *accounts) walk(visit func(*wire.MsgTx)) {
	a.r.t.Helper()
	_, tip := a.r.chain.Tip(a.r.t)
	for h := a.height + 1; h <= tip; h++ {
		hash := a.r.chain.HashAt(a.r.t, h)
		block, err := a.r.chain.RPC.GetBlock(&hash)
		must(a.r.t, err)
		for _, tx := range block.Transactions[1:] {
			visit(tx)
		}
	}
}

// settle compares the coins with each side's share of the channel. Together they are exact: what is missing is the miners', or lies in anchors
// that nobody wanted. Each alone has its share less what its own transactions can have cost.
func (a *accounts) settle(l link, ours, theirs int64) {
	t := a.r.t
	t.Helper()
	values := map[wire.OutPoint]int64{}
	unspent := map[wire.OutPoint]int64{}
	var fees int64
	a.walk(func(tx *wire.MsgTx) {
		for _, in := range tx.TxIn {
			v, ok := values[in.PreviousOutPoint]
			if !ok {
				prev := a.r.transaction(in.PreviousOutPoint.Hash)
				v = prev.TxOut[in.PreviousOutPoint.Index].Value
			}
			delete(unspent, in.PreviousOutPoint)
			fees += v
		}
		for i, out := range tx.TxOut {
			op := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(i)}
			values[op] = out.Value
			fees -= out.Value
			if out.Value == 330 && txscript.IsPayToWitnessScriptHash(out.PkScript) {
				unspent[op] = out.Value
			}
		}
	})
	var anchors int64
	for _, v := range unspent {
		anchors += v
	}
	b, err := a.r.us.Balance(a.r.ctx)
	must(t, err)
	w := a.r.lnd.wallet(t, a.r.ctx)
	ourGain, lndGain := int64(b.ConfirmedSat+b.UnconfirmedSat)-a.ours, w.Confirmed+w.Unconfirmed-a.lnd
	if ourGain+lndGain+fees+anchors != capacity {
		t.Errorf("we gained %d sat, lnd %d, miners %d, anchors hold %d: that is %d of %d",
			ourGain, lndGain, fees, anchors, ourGain+lndGain+fees+anchors, int64(capacity))
	}
	const mostFees = 20_000
	if ourGain > ours || ourGain < ours-mostFees {
		t.Errorf("we gained %d sat, our share is %d", ourGain, ours)
	}
	if lndGain > theirs || lndGain < theirs-mostFees {
		t.Errorf("lnd gained %d sat, its share is %d", lndGain, theirs)
	}
	t.Logf("of %d sat we have %d (share %d), lnd %d (share %d), miners %d, anchors %d", int64(capacity), ourGain, ours, lndGain, theirs, fees, anchors)
}

// toTheEnd mines until our channel is archived and lnd waits for nothing more.
func (r *rig) toTheEnd(l link) {
	r.t.Helper()
	for range 500 {
		r.mine(1)
		time.Sleep(30 * time.Millisecond) // both react to blocks after they say that they have them
		_, resolved := find(r.us, func(e lnactor.ChannelResolved) bool { return e.Closed.Channel == l.id })
		p := r.lnd.pending(r.t, r.ctx)
		if resolved && len(p.ForceCloses)+len(p.Waiting) == 0 {
			b, err := r.us.Balance(r.ctx)
			must(r.t, err)
			if w := r.lnd.wallet(r.t, r.ctx); w.Unconfirmed == 0 && b.UnconfirmedSat == 0 && len(r.mempool()) == 0 {
				return
			}
		}
	}
	r.t.Fatalf("not resolved after 500 blocks: ours %+v, lnd's %+v", r.us.channel(r.ctx, l.id), r.lnd.pending(r.t, r.ctx))
}
