package peers

import (
	"testing"

	"github.com/lnactor/lnactor"
)

// TestLiveWeFund: connect, open, 20 payments each way, cooperative close by us, and both wallets have what they should.
func TestLiveWeFund(t *testing.T) {
	r := newRig(t, setup{})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	r.twenty(l)
	r.closeMutually(l, true)
}

// TestLiveLndFunds: the same with lnd as dialler, funder and closer.
func TestLiveLndFunds(t *testing.T) {
	r := newRig(t, setup{})
	r.connect(false)
	l := r.open(false, capacity/2, nil)
	r.twenty(l)
	r.closeMutually(l, false)
}

// twenty makes payments in both directions and compares the balances after each pair.
func (r *rig) twenty(l link) {
	r.t.Helper()
	began, _ := r.balances(l)
	for i := range uint64(20) {
		r.weMustSend(2_000_000 + i)
		r.lndMustSend(1_000_000)
		if ours, _ := r.balances(l); ours != began-(i+1)*1_000_000-i*(i+1)/2 {
			r.t.Fatalf("after %d pairs we have %d msat, began with %d", i+1, ours, began)
		}
	}
}

// closeMutually closes a channel at rest, and accounts for every satoshi of it.
func (r *rig) closeMutually(l link, weStart bool) {
	r.t.Helper()
	r.closeMutuallyBy(l, func() {
		if weStart {
			must(r.t, r.us.CloseChannel(r.ctx, l.id))
		} else {
			must(r.t, r.lnd.closeChannel(r.ctx, l.point, false))
		}
	})
}

func (r *rig) closeMutuallyBy(l link, start func()) {
	r.t.Helper()
	ourMsat, theirMsat := r.balances(l)
	before, err := r.us.Balance(r.ctx)
	must(r.t, err)
	lndBefore := r.lnd.wallet(r.t, r.ctx)
	start()
	tx := r.awaitSpend(l)
	r.mine(1)
	closed := awaitEvent(r.t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool { return e.Channel == l.id && e.Txid != [32]byte{} })
	if closed.Cause != lnactor.ClosedMutually || closed.Txid != tx.TxHash() {
		r.t.Fatalf("closed by %d with %x, want mutually with %v", closed.Cause, closed.Txid, tx.TxHash())
	}
	var paid int64
	for _, out := range tx.TxOut {
		paid += out.Value
	}
	fee := capacity - paid
	ours, theirs := int64(ourMsat/1000), int64(theirMsat/1000)
	if l.ours {
		ours = capacity - theirs - fee // the funder has what is left of rounding, too
	} else {
		theirs = capacity - ours - fee
	}
	await(r.t, r.ctx, "money of the closed channel", func() bool {
		b, err := r.us.Balance(r.ctx)
		return err == nil && int64(b.ConfirmedSat) == int64(before.ConfirmedSat)+ours &&
			r.lnd.wallet(r.t, r.ctx).Confirmed == lndBefore.Confirmed+theirs
	})
	r.mine(6)
	awaitEvent(r.t, r.ctx, r.us, "ChannelResolved", func(e lnactor.ChannelResolved) bool { return e.Closed.Channel == l.id })
	await(r.t, r.ctx, "lnd to have it closed", func() bool {
		for _, c := range r.lnd.closed(r.t, r.ctx) {
			if c.Point == l.point {
				return c.CloseType == "COOPERATIVE_CLOSE"
			}
		}
		return false
	})
}
