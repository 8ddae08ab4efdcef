package peers

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// TestLiveWeRestore: we come back from a backup that is old. Nothing of it is broadcast: not at the start, with lnd away, not when we are asked to, and not
// once lnd has proven that it is old. lnd closes, and we have our money.
func TestLiveWeRestore(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 8 * time.Minute})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	a := r.openAccounts()
	path, coins := r.backup()
	for range 3 {
		r.weMustSend(100_000_000)
	}
	ours, theirs := r.balances(l)
	must(t, r.us.stop(false))
	r.lnd.stop(t)
	r.restore(path, coins)
	if err := r.us.ForceCloseChannel(r.ctx, l.id); err == nil {
		t.Error("we would close with a commitment from a backup")
	}
	r.chain.Mine(t, 3)
	time.Sleep(2 * time.Second)
	if tx := r.spender(l.point); tx != nil {
		t.Fatalf("%v was broadcast", tx.TxHash())
	}
	r.lnd.start(t, r.ctx)
	r.weDial()
	tx := r.awaitSpend(l)
	r.mine(1)
	e := awaitEvent(t, r.ctx, r.us, "ChannelClosed", func(e lnactor.ChannelClosed) bool { return e.Channel == l.id })
	if e.Cause != lnactor.ClosedByPeer || a.closing(l).TxHash() != tx.TxHash() {
		t.Fatalf("closed by %d: %+v", e.Cause, e)
	}
	r.toTheEnd(l)
	a.settle(l, int64(ours/1000), int64(theirs/1000))
}

// TestLiveWeRestoreInTime: we come back from a backup that is current. lnd shows that it is, and the channel goes on.
func TestLiveWeRestoreInTime(t *testing.T) {
	r := newRig(t, setup{extra: true, limit: 8 * time.Minute})
	r.connect(true)
	l := r.open(true, capacity/2, nil)
	r.weMustSend(100_000_000)
	r.lndMustSend(30_000_000)
	before, _ := r.balances(l)
	path, coins := r.backup()
	must(t, r.us.stop(false))
	r.restore(path, coins)
	if c := r.us.channel(r.ctx, l.id); c == nil || !c.Unverified && !r.connected() {
		t.Fatalf("%+v", c)
	}
	r.weDial()
	r.awaitActive(l)
	if after, _ := r.balances(l); after != before {
		t.Fatalf("%d msat before, %d after", before, after)
	}
	r.weMustSend(1_500_000)
	r.lndMustSend(1_500_000)
	r.closeMutually(l, true)
}

// backup makes a backup of our node, with its seed, and tells what its wallet holds.
func (r *rig) backup() (path string, coins uint64) {
	r.t.Helper()
	path = filepath.Join(r.dir, "backup")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	must(r.t, err)
	_, err = r.us.Backup(r.ctx, f, lnactor.BackupOptions{Seed: true})
	must(r.t, err)
	must(r.t, f.Close())
	b, err := r.us.Balance(r.ctx)
	must(r.t, err)
	return path, b.ConfirmedSat
}

// restore starts our node, which was stopped, from a backup, and waits for its wallet to find the coins on chain.
func (r *rig) restore(path string, coins uint64) {
	r.t.Helper()
	must(r.t, os.Rename(r.us.cfg.Dir, r.us.cfg.Dir+".gone"))
	got, err := lnactor.RestoreBackup(path, r.us.cfg.Dir)
	must(r.t, err)
	if len(got.Channels) != 1 || !got.Seed {
		r.t.Fatalf("restored %+v", got)
	}
	r.us.start(r.t, r.ctx)
	await(r.t, r.ctx, "the wallet to find its coins", func() bool {
		b, err := r.us.Balance(r.ctx)
		return err == nil && b.ConfirmedSat == coins
	})
}
