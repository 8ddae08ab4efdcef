package lnactor_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// TestKeysAreNotUsedAgain: a peer of a former life of the seed knows the revocation secrets of its channels. One that is opened after the store was
// lost, or by a node that was made of the words, has other keys (rule 1); one that is opened after an ordinary start has the next.
func TestKeysAreNotUsedAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	open := func(dir string) *lnactor.Node {
		n, err := lnactor.Open(ctx, lnactor.Config{Chain: chain.Source(), Params: chain.Params(), Dir: dir, Listen: "127.0.0.1:0", MinDepth: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = n.Close() })
		return n
	}
	bob := open(t.TempDir())
	indexes := map[uint32]string{}
	channel := func(life, dir string) uint32 {
		alice := open(dir)
		fund(t, ctx, chain, alice, 2_000_000)
		if err := alice.Connect(ctx, bob.ID(), bob.ListenAddress()); err != nil {
			t.Fatal(err)
		}
		id, err := alice.OpenChannel(ctx, lnactor.OpenParams{Peer: bob.ID(), CapacitySat: 500_000})
		if err != nil {
			t.Fatal(err)
		}
		var c *lnactor.Channel
		waitFor(t, ctx, "the channel", func() bool { c = summary(ctx, alice, id); return c != nil })
		if before, again := indexes[c.KeyIndex]; again {
			t.Fatalf("%s: the channel has the keys of index %d, as one had %s", life, c.KeyIndex, before)
		}
		indexes[c.KeyIndex] = life
		if err := alice.Close(); err != nil {
			t.Fatal(err)
		}
		return c.KeyIndex
	}
	dir, again := t.TempDir(), filepath.Join(t.TempDir(), "again")
	first := channel("at first", dir)
	if next := channel("after a restart", dir); next != first+1 {
		t.Errorf("after a restart index %d follows on %d", next, first)
	}
	words, err := lnactor.SeedWords(dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := lnactor.Restore(again, words, nil, nil); err != nil {
		t.Fatal(err)
	}
	channel("after the words", again)
	if err := os.Remove(filepath.Join(dir, "store.db")); err != nil {
		t.Fatal(err)
	}
	channel("after the store was lost", dir)
}

// TestNewStoreDrawsItsKeys: two stores that meet a seed that was there before begin at keys that are drawn, each once.
func TestNewStoreDrawsItsKeys(t *testing.T) {
	const givenUp = 1 << 20
	dir := t.TempDir()
	start := func() uint32 {
		t.Helper()
		n, err := lnactor.Open(t.Context(), lnactor.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		return lastKey(t, dir)
	}
	n, err := lnactor.Open(t.Context(), lnactor.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for i, share := range []uint32{0, 1000} {
		var draw [8]byte
		draw[6], draw[7] = byte(share>>8), byte(share)
		stop := lnactor.RestoreWith(bytes.NewReader(draw[:]))
		if err := os.Remove(filepath.Join(dir, "store.db")); err != nil {
			t.Fatal(err)
		}
		if got := start(); got != givenUp+share {
			t.Errorf("store %d: the last key is %d, want %d", i, got, givenUp+share)
		}
		if got := start(); got != givenUp+share { // nothing is left to draw from
			t.Errorf("store %d after another start: the last key is %d, want %d", i, got, givenUp+share)
		}
		stop()
	}
}
