package peers

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/facts"
)

// TestLiveLndCheats: lnd broadcasts a commitment that it has revoked, from an old copy of its directory, with a payment of ours in flight, and loses all of
// it to us.
func TestLiveLndCheats(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 4 * time.Minute})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	a := r.openAccounts()
	held := r.weOffer(61_000_000)[0]
	r.rewindLnd(l, func() {
		must(t, r.lnd.settle(r.ctx, held.preimage))
		if p := r.us.outcome(t, r.ctx, held.id); p.Status != lnactor.PaymentIsSent {
			t.Fatalf("%+v", p)
		}
		for range 3 {
			r.lndMustSend(100_000_000)
		}
		r.balances(l)
	})
	must(t, r.us.stop(false))
	r.lnd.start(t, r.ctx)
	must(t, r.lnd.closeChannel(r.ctx, l.point, true))
	r.awaitSpend(l)
	r.us.start(t, r.ctx)
	r.mine(1)
	awaitEvent(t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool {
		// lnd may say that it is behind before we see the block. Then we decide to close, and lnd's commitment confirms all the same.
		return e.Channel == l.id && (e.Cause == lnactor.ClosedByRevoked || e.Cause == lnactor.ClosedByUs)
	})
	r.toTheEnd(l)
	e := awaitEvent(t, r.ctx, r.us, "ChannelResolved", func(e lnactor.ChannelResolved) bool { return e.Closed.Channel == l.id })
	if e.Closed.Spend != facts.SpendRevoked {
		t.Fatalf("%+v", e.Closed)
	}
	a.settle(l, capacity, 0)
}

// TestLiveWeCheat: the same with the sides exchanged.
func TestLiveWeCheat(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 4 * time.Minute})
	r.connect(false)
	l := r.open(true, capacity/2, nil)
	a := r.openAccounts()
	held := r.weOffer(61_000_000)[0]
	r.rewindUs(l, func() {
		must(t, r.lnd.settle(r.ctx, held.preimage))
		for range 3 {
			r.weMustSend(100_000_000)
		}
		r.balances(l)
	})
	r.lnd.stop(t)
	r.us.start(t, r.ctx)
	must(t, r.us.ForceCloseChannel(r.ctx, l.id))
	r.awaitSpend(l)
	r.lnd.start(t, r.ctx)
	r.mine(1)
	r.toTheEnd(l)
	a.settle(l, 0, capacity)
}

// TestLiveLndIsBehind: lnd comes back from an old copy of its directory while we are there. It learns that it is behind, we close as BOLT 2 asks,
// and lnd has its money.
func TestLiveLndIsBehind(t *testing.T) {
	newRig(t, setup{extra: true, limit: 4 * time.Minute}).lndIsBehind()
}

// TestLiveCutErrors: the same, and the other way round, and the connection is lost before or after the error with which we tell lnd.
func TestLiveCutErrors(t *testing.T) {
	for _, behind := range []struct {
		name string
		run  func(*rig)
	}{{"lnd is behind", (*rig).lndIsBehind}, {"we are behind", (*rig).weAreBehind}} {
		for _, m := range aroundSending(lnwire.MsgError, 1) {
			t.Run(behind.name+", "+m.String(), func(t *testing.T) {
				faults := &cutter{}
				faults.arm(m)
				behind.run(newRig(t, setup{extra: true, limit: 5 * time.Minute, us: func(c *lnactor.Config) { c.Faults = faults }}))
				if faults.pending() {
					t.Error("we said nothing")
				}
			})
		}
	}
}

func (r *rig) lndIsBehind() {
	t := r.t
	t.Helper()
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	a := r.openAccounts()
	var ours, theirs uint64
	r.rewindLnd(l, func() {
		for range 3 {
			r.weMustSend(100_000_000)
		}
		ours, theirs = r.balances(l)
	})
	r.lnd.start(t, r.ctx)
	tx := r.awaitSpend(l)
	r.mine(1)
	e := awaitEvent(t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool { return e.Channel == l.id })
	if e.Cause != lnactor.ClosedByUs || a.closing(l).TxHash() != tx.TxHash() {
		t.Fatalf("closed by %d: %+v", e.Cause, e)
	}
	r.toTheEnd(l)
	a.settle(l, int64(ours/1000), int64(theirs/1000))
}

// TestLiveWeAreBehind: we come back from an old copy of our directory while lnd is there. We broadcast nothing, lnd closes, and we have our money.
func TestLiveWeAreBehind(t *testing.T) {
	newRig(t, setup{extra: true, limit: 4 * time.Minute}).weAreBehind()
}

func (r *rig) weAreBehind() {
	t := r.t
	t.Helper()
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	a := r.openAccounts()
	var ours, theirs uint64
	r.rewindUs(l, func() {
		for range 3 {
			r.weMustSend(100_000_000)
		}
		ours, theirs = r.balances(l)
	})
	r.us.start(t, r.ctx)
	await(t, r.ctx, "the proof that we are behind", func() bool {
		c := r.us.channel(r.ctx, l.id)
		return c != nil && (c.Phase == lnactor.PhaseBehind || c.Phase == lnactor.PhaseClosed)
	})
	if err := r.us.ForceCloseChannel(r.ctx, l.id); err == nil {
		t.Error("we would close with an old commitment")
	}
	r.restartUs(true) // it is known for ever
	if c := r.us.channel(r.ctx, l.id); c == nil || c.Phase != lnactor.PhaseBehind && c.Phase != lnactor.PhaseClosed {
		t.Fatalf("%+v", c)
	}
	r.awaitSpend(l)
	r.mine(1)
	e := awaitEvent(t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool { return e.Channel == l.id })
	if e.Cause != lnactor.ClosedByPeer {
		t.Fatalf("closed by %d: %+v", e.Cause, e)
	}
	r.toTheEnd(l)
	a.settle(l, int64(ours/1000), int64(theirs/1000))
}

// rewindLnd does something and leaves lnd stopped, with the directory that it had before.
func (r *rig) rewindLnd(l link, do func()) {
	r.t.Helper()
	r.lnd.stop(r.t)
	old := r.lnd.dir + ".old"
	copyDir(r.t, r.lnd.dir, old)
	r.lnd.start(r.t, r.ctx)
	r.awaitConnected()
	r.awaitActive(l)
	do()
	r.lnd.stop(r.t)
	must(r.t, os.Rename(r.lnd.dir, r.lnd.dir+".new"))
	must(r.t, os.Rename(old, r.lnd.dir))
}

// rewindUs is the same for our node.
func (r *rig) rewindUs(l link, do func()) {
	r.t.Helper()
	must(r.t, r.us.stop(false))
	old := r.us.cfg.Dir + ".old"
	copyDir(r.t, r.us.cfg.Dir, old)
	r.us.start(r.t, r.ctx)
	r.awaitConnected()
	r.awaitActive(l)
	do()
	must(r.t, r.us.stop(false))
	must(r.t, os.Rename(r.us.cfg.Dir, r.us.cfg.Dir+".new"))
	must(r.t, os.Rename(old, r.us.cfg.Dir))
}

// copyDir copies a directory; the files stay private.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	must(t, os.CopyFS(to, os.DirFS(from)))
	must(t, filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	}))
}
