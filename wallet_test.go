package lnactor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// walletNode opens a node on a chain.
func walletNode(t *testing.T, ctx context.Context, chain *regtest.Chain, edit func(*lnactor.Config)) *lnactor.Node {
	t.Helper()
	cfg := lnactor.Config{Chain: chain.Source(), Params: chain.Params()}
	edit(&cfg)
	n, err := lnactor.Open(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func awaitWallet(t *testing.T, ctx context.Context, n *lnactor.Node, want func(lnactor.WalletBalance) bool) lnactor.WalletBalance {
	t.Helper()
	for {
		b, err := n.WalletBalance(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if want(b) {
			return b
		}
		select {
		case <-ctx.Done():
			st, _ := n.FundsStatus(ctx)
			t.Fatalf("balance %+v, %+v", b, st)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func awaitSynced(t *testing.T, ctx context.Context, n *lnactor.Node, height int32) {
	t.Helper()
	for {
		st, err := n.FundsStatus(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if st.Synced && st.Height >= uint32(height) {
			// It gives coins away only when it has heard of the channels, too.
			if _, err := n.Send(ctx, faucetAddress(t), 1000, lnactor.SendOptions{FeePerKw: 10}); !errors.Is(err, lnactor.ErrNotSynced) {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%+v", st)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func newChain(t *testing.T) *regtest.Chain {
	t.Helper()
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	return chain
}

func faucetAddress(t *testing.T) string {
	t.Helper()
	script, _ := regtest.FaucetScript()
	a, err := btcutil.NewAddressWitnessScriptHash(script[2:], regtest.Params())
	if err != nil {
		t.Fatal(err)
	}
	return a.EncodeAddress()
}

func TestSendFromWallet(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	chain := newChain(t)
	dir := t.TempDir()
	with := func(c *lnactor.Config) { c.Dir = dir }
	n := walletNode(t, ctx, chain, with)
	fund(t, ctx, chain, n, 100_000)
	awaitSynced(t, ctx, n, chain.Height())

	mainnet, err := btcutil.NewAddressWitnessPubKeyHash(make([]byte, 20), &chaincfg.MainNetParams)
	if err != nil {
		t.Fatal(err)
	}
	to := faucetAddress(t)
	for _, tc := range []struct {
		name, address string
		amount        uint64
		o             lnactor.SendOptions
		want          error
	}{
		{"no address", "somewhere", 1000, lnactor.SendOptions{}, lnactor.ErrBadAddress},
		{"another chain's", mainnet.EncodeAddress(), 1000, lnactor.SendOptions{}, lnactor.ErrBadAddress},
		{"a bare key", "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", 1000, lnactor.SendOptions{}, lnactor.ErrBadAddress},
		{"nothing", to, 0, lnactor.SendOptions{}, lnactor.ErrBadOutput},
		{"dust", to, 300, lnactor.SendOptions{}, lnactor.ErrBadOutput},
		{"more than there are", to, lnactor.SendAll - 1, lnactor.SendOptions{}, lnactor.ErrBadOutput},
		{"fee rate", to, 1000, lnactor.SendOptions{FeePerKw: 10}, lnactor.ErrBadFeeRate},
	} {
		if _, err := n.Send(ctx, tc.address, tc.amount, tc.o); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	var short *lnactor.InsufficientFundsError
	if _, err := n.Send(ctx, to, 100_000, lnactor.SendOptions{}); !errors.As(err, &short) {
		t.Error(err)
	}

	sent, err := n.Send(ctx, to, 30_000, lnactor.SendOptions{FeePerKw: 1000})
	if err != nil || !sent.Accepted || sent.AmountSat != 30_000 || !chain.InMempool(sent.Txid) {
		t.Fatalf("%+v, %v", sent, err)
	}
	// Killed right after the reply, and the mempools of the world forget it: it is offered again.
	n.Kill()
	chain.Evict(sent.Txid)
	n = walletNode(t, ctx, chain, with)
	for !chain.InMempool(sent.Txid) {
		select {
		case <-ctx.Done():
			t.Fatal("forgotten")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if txs, err := n.Unconfirmed(ctx); err != nil || len(txs) != 1 || txs[0].TxHash() != sent.Txid {
		t.Errorf("%v, %v", txs, err)
	}
	if _, err := chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	left := btcutil.Amount(70_000 - sent.FeeSat)
	awaitWallet(t, ctx, n, func(b lnactor.WalletBalance) bool { return b.Confirmed == left && b.Total() == left })
	coins, err := n.Coins(ctx)
	if err != nil || len(coins) != 1 || coins[0].Value != left || coins[0].Height == 0 {
		t.Errorf("%+v, %v", coins, err)
	}
	all, err := n.Send(ctx, to, lnactor.SendAll, lnactor.SendOptions{})
	if err != nil || all.AmountSat+all.FeeSat != uint64(left) {
		t.Errorf("%+v, %v", all, err)
	}
}

// The words and the passphrase bring the coins back in an empty directory, change included.
func TestRestore(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	chain := newChain(t)
	dir, restored := t.TempDir(), filepath.Join(t.TempDir(), "new")
	secret := []byte("correct horse")
	n := walletNode(t, ctx, chain, func(c *lnactor.Config) { c.Dir, c.Passphrase = dir, secret })
	fund(t, ctx, chain, n, 100_000)
	awaitSynced(t, ctx, n, chain.Height())
	sent, err := n.Send(ctx, faucetAddress(t), 30_000, lnactor.SendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := chain.Mine(1); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := lnactor.SeedWords(dir, []byte("wrong"), nil); !errors.Is(err, lnactor.ErrPassphrase) {
		t.Error(err)
	}
	words, err := lnactor.SeedWords(dir, secret, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := lnactor.Restore(restored, words, []byte("wrong"), nil); !errors.Is(err, lnactor.ErrPassphrase) {
		t.Error(err)
	}
	if err := lnactor.Restore(restored, words, secret, nil); err != nil {
		t.Fatal(err)
	}
	if err := lnactor.Restore(restored, words, secret, nil); !errors.Is(err, lnactor.ErrSeedExists) {
		t.Error(err)
	}
	file := filepath.Join(t.TempDir(), "passphrase")
	if err := os.WriteFile(file, append(secret, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	again := walletNode(t, ctx, chain, func(c *lnactor.Config) { c.Dir, c.PassphraseFile = restored, file })
	if again.ID() != n.ID() {
		t.Error("another node")
	}
	want := btcutil.Amount(70_000 - sent.FeeSat)
	awaitWallet(t, ctx, again, func(b lnactor.WalletBalance) bool { return b.Confirmed == want && b.Total() == want })
}

// TestRestoreBesideStore: words come back beside the store of their own node, which is at rest, and beside no other.
func TestRestoreBesideStore(t *testing.T) {
	dir, stranger, half := t.TempDir(), t.TempDir(), t.TempDir()
	open := func(dir string) *lnactor.Node {
		n, err := lnactor.Open(t.Context(), lnactor.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	n := open(dir)
	words, err := lnactor.SeedWords(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := open(stranger).Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, stranger} {
		if err := os.Remove(filepath.Join(d, "seed")); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(half, "restore-unfinished"), 0o700); err != nil {
		t.Fatal(err)
	}
	refused := func(dir string, want error) {
		t.Helper()
		if err := lnactor.Restore(dir, words, nil, nil); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		if there(t, dir, "seed") {
			t.Error("a seed was written")
		}
	}
	refused(dir, lnactor.ErrInUse)
	refused(stranger, lnactor.ErrStoreExists)
	refused(half, lnactor.ErrRestoreUnfinished)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := lnactor.Restore(dir, words, nil, nil); err != nil {
		t.Fatal(err)
	}
	if again := open(dir); again.ID() != n.ID() {
		t.Error("another node")
	}
}

func TestPassphrase(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	chain := newChain(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "passphrase")
	open := func(edit func(*lnactor.Config)) error {
		cfg := lnactor.Config{Chain: chain.Source(), Params: chain.Params(), Dir: filepath.Join(dir, "node")}
		edit(&cfg)
		n, err := lnactor.Open(ctx, cfg)
		if err == nil {
			err = n.Close()
		}
		return err
	}
	t.Setenv(lnactor.PassphraseEnv, "from the environment")
	secret, ok, err := lnactor.PassphraseFromEnv()
	if err != nil || !ok || string(secret) != "from the environment" {
		t.Fatalf("%q, %v, %v", secret, ok, err)
	}
	if _, ok, _ := lnactor.PassphraseFromEnv(); ok {
		t.Error("a child process would inherit it")
	}
	if err := open(func(c *lnactor.Config) { c.Passphrase = secret }); err != nil {
		t.Fatal(err)
	}
	if err := open(func(*lnactor.Config) {}); !errors.Is(err, lnactor.ErrPassphrase) {
		t.Errorf("without: %v", err)
	}
	if err := open(func(c *lnactor.Config) { c.PassphraseFile = file }); !errors.Is(err, lnactor.ErrConfig) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := open(func(c *lnactor.Config) { c.PassphraseFile = file }); !errors.Is(err, lnactor.ErrConfig) {
		t.Errorf("readable by everybody: %v", err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(func(c *lnactor.Config) { c.PassphraseFile = file }); err != nil {
		t.Error(err)
	}
}

// A cache that is cut off, of another node or gone costs a rescan and nothing else.
func TestWalletCache(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	chain := newChain(t)
	dir := t.TempDir()
	with := func(c *lnactor.Config) { c.Dir = dir }
	n := walletNode(t, ctx, chain, with)
	fund(t, ctx, chain, n, 100_000)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "wallet-cache")
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"good": good, "cut off": good[:len(good)/2], "empty": {}, "another node's": append([]byte("00"), good[2:]...), "gone": nil,
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if content == nil {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		n := walletNode(t, ctx, chain, with)
		if b, _ := n.WalletBalance(ctx); name == "good" && b.Confirmed != 100_000 {
			t.Error("the cache was not used")
		}
		awaitWallet(t, ctx, n, func(b lnactor.WalletBalance) bool { return b.Confirmed == 100_000 })
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
