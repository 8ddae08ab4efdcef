package lnactor_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/chaincfg"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// A store opens with its own seed and on its own chain only, also if it never had a channel: there may be coins.
func TestStoreBelongsToSeedAndChain(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	start := func(cfg lnactor.Config) error {
		n, err := lnactor.Open(t.Context(), cfg)
		if err != nil {
			return err
		}
		return n.Close()
	}
	for _, d := range []string{dir, dir, other} {
		if err := start(lnactor.Config{Dir: d}); err != nil {
			t.Fatal(err)
		}
	}

	seed := filepath.Join(dir, "seed")
	right, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := os.ReadFile(filepath.Join(other, "seed"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(seed, wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := start(lnactor.Config{Dir: dir}); !errors.Is(err, lnactor.ErrConfig) {
		t.Fatalf("with another seed: %v", err)
	}
	if err := os.Remove(seed); err != nil {
		t.Fatal(err)
	}
	if err := start(lnactor.Config{Dir: dir}); !errors.Is(err, lnactor.ErrCorrupt) {
		t.Fatalf("without the seed: %v", err)
	}
	if _, err := os.Stat(seed); !os.IsNotExist(err) {
		t.Fatalf("a new seed was made for an old store: %v", err)
	}
	if err := os.WriteFile(seed, right, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := start(lnactor.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}

	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = chain.Close() }()
	if err := start(lnactor.Config{Dir: dir, Chain: chain.Source(), Params: &chaincfg.SimNetParams}); err == nil {
		t.Fatal("a store on another chain")
	}
}
