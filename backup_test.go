package lnactor_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// copied writes a backup of a running node.
func copied(t *testing.T, ctx context.Context, n *lnactor.Node) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	h, err := n.Backup(ctx, f, lnactor.BackupOptions{Seed: true, Software: "test"})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if h.NodeID != n.ID().String() || h.Network != "regtest" || h.Channels == 0 {
		t.Fatalf("header %+v", h)
	}
	return path
}

// opened is a node on a directory of its own, restored from a backup.
func (p *pair) opened(t *testing.T, ctx context.Context, path string, manual bool) (*lnactor.Node, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	r, err := lnactor.RestoreBackup(path, dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Channels) != 1 || r.Channels[0] != p.channel || len(r.Unreadable) > 0 || !r.Seed {
		t.Fatalf("restored %+v", r)
	}
	return p.reopened(t, ctx, dir, manual), dir
}

func (p *pair) reopened(t *testing.T, ctx context.Context, dir string, manual bool) *lnactor.Node {
	t.Helper()
	n, err := lnactor.Open(ctx, lnactor.Config{
		Dir: dir, Chain: p.chain.Source(), Params: p.chain.Params(), Listen: "127.0.0.1:0", MinDepth: 1, ManualClaim: manual,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func (p *pair) inPhase(t *testing.T, ctx context.Context, n *lnactor.Node, phase ...any) {
	t.Helper()
	waitFor(t, ctx, "phase", func() bool {
		c := summary(ctx, n, p.channel)
		if c == nil {
			return false
		}
		for _, want := range phase {
			if c.Phase == want {
				return true
			}
		}
		return false
	})
}

// unspent checks that nobody has closed the channel, and nobody is about to.
func (p *pair) unspent(t *testing.T, ctx context.Context, n *lnactor.Node) {
	t.Helper()
	c := channelOf(t, ctx, n, p.channel)
	funding := wire.OutPoint{Hash: c.FundingTxid, Index: c.FundingIndex}
	if txid, spent := p.chain.Spender(funding); spent || c.Spent != nil {
		t.Fatalf("the channel was closed by %s", txid)
	}
	for _, tx := range p.chain.Mempool() {
		for _, in := range tx.TxIn {
			if in.PreviousOutPoint == funding {
				t.Fatalf("%s is about to close the channel", tx.TxHash())
			}
		}
	}
}

// idle mines blocks that a node follows, none of which concerns its channel.
func (p *pair) idle(t *testing.T, ctx context.Context, n *lnactor.Node, blocks int) {
	t.Helper()
	if _, err := p.chain.Mine(blocks); err != nil {
		t.Fatal(err)
	}
	awaitSynced(t, ctx, n, p.chain.Height())
}

// mined mines blocks until a channel whose deadline has passed has seen the last.
func (p *pair) mined(t *testing.T, ctx context.Context, n *lnactor.Node, blocks int) {
	t.Helper()
	if _, err := p.chain.Mine(blocks); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "blocks", func() bool {
		c := summary(ctx, n, p.channel)
		return c != nil && c.Height == uint32(p.chain.Height())
	})
}

// held pays an invoice whose HTLC waits at bob.
func (p *pair) held(t *testing.T, ctx context.Context, amount uint64) lnactor.Hash {
	t.Helper()
	inv, err := p.bob.CreateInvoice(ctx, lnactor.InvoiceParams{AmountMsat: amount})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.alice.Pay(ctx, inv.Bolt11); err != nil {
		t.Fatal(err)
	}
	claimable(t, ctx, p.bob, inv.Hash)
	return inv.Hash
}

func claimable(t *testing.T, ctx context.Context, n *lnactor.Node, hash lnactor.Hash) {
	t.Helper()
	await(t, ctx, n, func(ev lnactor.Event) bool {
		c, ok := ev.Kind.(lnactor.PaymentClaimable)
		return ok && c.Hash == hash
	})
}

func sent(t *testing.T, ctx context.Context, n *lnactor.Node, hash lnactor.Hash) {
	t.Helper()
	await(t, ctx, n, func(ev lnactor.Event) bool {
		s, ok := ev.Kind.(lnactor.PaymentSent)
		return ok && s.Hash == hash
	})
}

func manualPair(t *testing.T, ctx context.Context) *pair {
	t.Helper()
	return newPairWith(t, ctx, func(c *lnactor.Config) { c.ManualClaim = true }, t.TempDir(), t.TempDir())
}

// A backup made in the middle of a payment, and nothing happened after it: the restored node says nothing until the peer is there, and then goes on,
// payer or payee.
func TestRestoreOfACurrentBackup(t *testing.T) {
	for _, payee := range []bool{true, false} {
		t.Run(map[bool]string{true: "payee", false: "payer"}[payee], func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			p := manualPair(t, ctx)
			hash := p.held(t, ctx, 3_000_000)
			which, other := &p.alice, p.bob
			if payee {
				which, other = &p.bob, p.alice
			}
			path := copied(t, ctx, *which)
			(*which).Kill()
			*which, _ = p.opened(t, ctx, path, true)
			n := *which
			p.inPhase(t, ctx, n, lnactor.PhaseUnverified)
			if err := n.ForceCloseChannel(ctx, p.channel); !errors.Is(err, lnactor.ErrUnverified) {
				t.Fatal("force-close of an unverified channel:", err)
			}
			if err := n.Connect(ctx, other.ID(), other.ListenAddress()); err != nil {
				t.Fatal(err)
			}
			p.inPhase(t, ctx, n, lnactor.PhaseOpen)
			claimable(t, ctx, p.bob, hash)
			if err := p.bob.ClaimPayment(ctx, hash); err != nil {
				t.Fatal(err)
			}
			sent(t, ctx, p.alice, hash)
			if err := n.TrustRestored(ctx, p.channel); !errors.Is(err, lnactor.ErrVerified) {
				t.Fatal(err)
			}
			// And once more, which takes both signatures and revocations.
			hash = p.held(t, ctx, 1_000_000)
			if err := p.bob.ClaimPayment(ctx, hash); err != nil {
				t.Fatal(err)
			}
			sent(t, ctx, p.alice, hash)
			p.unspent(t, ctx, n)
		})
	}
}

// Payments were made after the backup: the restored node never broadcasts, asks the peer to close, and sweeps what the peer's commitment pays it.
func TestRestoreOfAnOldBackup(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := manualPair(t, ctx)
	path := copied(t, ctx, p.alice)
	for range 2 {
		hash := p.held(t, ctx, 20_000_000)
		if err := p.bob.ClaimPayment(ctx, hash); err != nil {
			t.Fatal(err)
		}
		sent(t, ctx, p.alice, hash)
	}
	before := channelOf(t, ctx, p.alice, p.channel)
	p.alice.Kill()
	var dir string
	p.alice, dir = p.opened(t, ctx, path, true)
	p.inPhase(t, ctx, p.alice, lnactor.PhaseUnverified)
	p.idle(t, ctx, p.alice, 3)
	p.unspent(t, ctx, p.alice)
	if err := p.alice.Connect(ctx, p.bob.ID(), p.bob.ListenAddress()); err != nil {
		t.Fatal(err)
	}
	p.inPhase(t, ctx, p.alice, lnactor.PhaseBehind)
	for _, try := range []error{p.alice.ForceCloseChannel(ctx, p.channel), p.alice.TrustRestored(ctx, p.channel)} {
		if !errors.Is(try, lnactor.ErrBehind) {
			t.Fatal(try)
		}
	}
	waitFor(t, ctx, "the peer's close", func() bool { return len(p.chain.Mempool()) > 0 })
	p.alice.Kill() // the mark is durable
	p.alice = p.reopened(t, ctx, dir, true)
	p.inPhase(t, ctx, p.alice, lnactor.PhaseBehind)
	p.idle(t, ctx, p.alice, 1)
	p.inPhase(t, ctx, p.alice, lnactor.PhaseClosed)
	if s := channelOf(t, ctx, p.alice, p.channel).Spent; s == nil || s.Spend != lnactor.SpendCounterparty {
		t.Fatalf("closed by %+v", s)
	}
	was, err := p.alice.WalletBalance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.chain.Mine(6); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "sweep", func() bool { return len(p.chain.Mempool()) > 0 })
	if _, err := p.chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "to_remote in the wallet", func() bool {
		now, err := p.alice.WalletBalance(ctx)
		return err == nil && uint64(now.Confirmed) > uint64(was.Confirmed)+before.HolderMsat/1000-10_000
	})
}

// HTLCs pass their deadlines while the peer is away: nothing is broadcast for hundreds of blocks, by payer or payee. The operator's word ends that, and
// survives a crash.
func TestUnverifiedAtTheDeadline(t *testing.T) {
	for _, payee := range []bool{true, false} {
		t.Run(map[bool]string{true: "payee", false: "payer"}[payee], func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			p := manualPair(t, ctx)
			hash := p.held(t, ctx, 30_000_000)
			which, other := &p.alice, &p.bob
			if payee {
				which, other = other, which
				(*other).Kill() // so that the HTLC stays although the preimage is used
				if err := p.bob.ClaimPayment(ctx, hash); err != nil {
					t.Fatal(err)
				}
			}
			path := copied(t, ctx, *which)
			(*other).Kill()
			(*which).Kill()
			n, dir := p.opened(t, ctx, path, true)
			p.mined(t, ctx, n, 300)
			p.unspent(t, ctx, n)
			n.Kill()
			n = p.reopened(t, ctx, dir, true)
			p.mined(t, ctx, n, 10)
			p.unspent(t, ctx, n)
			if err := n.TrustRestored(ctx, p.channel); err != nil {
				t.Fatal(err)
			}
			n.Kill()
			n = p.reopened(t, ctx, dir, true)
			if c := channelOf(t, ctx, n, p.channel); c.Unverified {
				t.Fatal("the operator's word was lost")
			}
			p.idle(t, ctx, n, 1)
			waitFor(t, ctx, "close", func() bool { // which the block may have in it already
				return len(p.chain.Mempool()) > 0 || channelOf(t, ctx, n, p.channel).Spent != nil
			})
		})
	}
}

// A node that is not there any more has its seed and store in the backup, and nothing is written over anything.
func TestRestoreRefusals(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	p := newPair(t, ctx, dir)
	if _, err := p.alice.OpenChannel(ctx, lnactor.OpenParams{Peer: p.bob.ID(), CapacitySat: 500_000}); err != nil {
		t.Fatal(err)
	}
	path := copied(t, ctx, p.alice)

	if _, err := lnactor.RestoreBackup(path, dir); !errors.Is(err, lnactor.ErrStoreExists) {
		t.Fatal("over a store:", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "seed"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lnactor.RestoreBackup(path, other); !errors.Is(err, lnactor.ErrSeedExists) {
		t.Fatal("with another seed:", err)
	}
	if _, err := os.Stat(filepath.Join(other, "store.db")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("a refused restore left a store:", err)
	}
	if _, err := lnactor.BackupDir(dir, &bytes.Buffer{}, lnactor.BackupOptions{}); !errors.Is(err, lnactor.ErrInUse) {
		t.Fatal("the directory of a running node:", err)
	}

	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"cut":     {whole[:len(whole)-1000], lnactor.ErrBackupDamaged},
		"half":    {whole[:len(whole)/2], lnactor.ErrBackupDamaged},
		"flipped": {func() []byte { b := bytes.Clone(whole); b[len(b)/2] ^= 4; return b }(), lnactor.ErrBackupDamaged},
		"empty":   {nil, lnactor.ErrBackupDamaged},
		"foreign": {bytes.Repeat([]byte("no backup "), 500), lnactor.ErrNotBackup},
	} {
		if err := os.WriteFile(bad, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		empty := filepath.Join(t.TempDir(), "empty")
		if _, err := lnactor.RestoreBackup(bad, empty); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, err := os.Stat(empty); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was made", name)
		}
	}

	// Offline, of what a crash left; without the seed a restore leaves it to its owner to bring it.
	p.alice.Kill()
	var b bytes.Buffer
	if _, err := lnactor.BackupDir(dir, &b, lnactor.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bad, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	to := t.TempDir()
	r, err := lnactor.RestoreBackup(bad, to)
	if err != nil || r.Seed {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := lnactor.AddSeed(bad, dir); err != nil {
		t.Fatal(err)
	}
	to = t.TempDir()
	if r, err = lnactor.RestoreBackup(bad, to); err != nil || !r.Seed {
		t.Fatalf("%+v, %v", r, err)
	}
	// Neither a channel key nor an address is used again.
	if was, now := lastKey(t, dir), lastKey(t, to); now < was+1<<20 {
		t.Fatalf("channel keys up to %d were given out, and %d is the last given up", was, now)
	}
	if was, now := indexes(t, dir), indexes(t, to); now.Receive < was.Receive+1000 || now.Change < was.Change+1000 {
		t.Fatalf("addresses %+v, were %+v", now, was)
	}
	n := p.reopened(t, ctx, to, false)
	if n.ID() != p.alice.ID() {
		t.Fatal("another node")
	}
	list, err := n.Channels(ctx)
	if err != nil || len(list) != 2 || !list[0].Unverified || !list[1].Unverified {
		t.Fatalf("%+v, %v", list, err)
	}
}

// What interrupted backups and restores have left is away after the next start; the rest is not touched.
func TestOpenTidiesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	dir := t.TempDir()
	for range 2 {
		n, err := lnactor.Open(ctx, lnactor.Config{Dir: dir, Listen: "127.0.0.1:0"})
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]bool{".backup-123": false, "restore-unfinished": false, ".backups": true} {
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) && (err != nil || !want) {
				t.Fatalf("%s: %v", name, err)
			} else if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		// A copy of the store is a file.
		if err := os.Remove(filepath.Join(dir, ".backup-123")); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".backup-123"), []byte("an old store"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "restore-unfinished", "store.db"), []byte("an old store"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !there(t, dir, ".backups") {
		t.Fatal("a directory of the user is gone")
	}
}

func lastKey(t *testing.T, dir string) uint32 {
	t.Helper()
	s, err := bboltstore.OpenReadOnly(dir)
	if err != nil {
		t.Fatal(err)
	}
	row, _, err := s.Last(messages.BucketKeys, nil)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return binary.BigEndian.Uint32(row.Key)
}

func indexes(t *testing.T, dir string) (next wallet.Indexes) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "wallet.json"))
	if err == nil {
		err = json.Unmarshal(b, &next)
	}
	if err != nil {
		t.Fatal(err)
	}
	return next
}
