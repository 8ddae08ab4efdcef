package lnactor_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
)

// A restore that dies at any step leaves no store, and can be repeated; or a store in which every channel is marked.
func TestRestoreCrashes(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	p := newPair(t, ctx, t.TempDir(), t.TempDir())
	path := copied(t, ctx, p.alice)
	p.alice.Kill()
	p.bob.Kill()

	var marked, none int
	for step := 0; ; step++ {
		dir := filepath.Join(t.TempDir(), "restored")
		if !crashedRestore(t, path, dir, step) {
			if step < 8 || none < 7 || marked == 0 {
				t.Fatalf("%d steps, %d without a store, %d with", step, none, marked)
			}
			return
		}
		if _, err := os.Stat(filepath.Join(dir, "store.db")); errors.Is(err, os.ErrNotExist) {
			none++
			if _, err := lnactor.RestoreBackup(path, dir); err != nil {
				t.Fatalf("step %d, repeated: %v", step, err)
			}
		} else {
			marked++
		}
		n := p.reopened(t, ctx, dir, false)
		if n.ID() != p.alice.ID() {
			t.Fatalf("step %d: another node", step)
		}
		if c := channelOf(t, ctx, n, p.channel); !c.Unverified {
			t.Fatalf("step %d: not marked", step)
		}
		n.Kill()
	}
}

// crashedRestore stops a restore at a step, and tells whether there was one.
func crashedRestore(t *testing.T, path, dir string, step int) (crashed bool) {
	t.Helper()
	const crash = "crash"
	defer lnactor.CrashRestore(func() {
		if step--; step < 0 {
			panic(crash)
		}
	})()
	defer func() {
		if r := recover(); r == crash {
			crashed = true
		} else if r != nil {
			panic(r)
		}
	}()
	if _, err := lnactor.RestoreBackup(path, dir); err != nil {
		t.Fatal(err)
	}
	return false
}
