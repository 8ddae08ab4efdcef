package cli_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCorruptStore: whatever byte of a store is wrong, and where the file is cut off within what is used, `inspect` finds it and says what to do, and `run` either leaves the
// file as it is and exits with the code for it, or runs on with what is whole and says which channel is not.
func TestCorruptStore(t *testing.T) {
	if testing.Short() {
		t.Skip("runs processes")
	}
	t.Parallel()
	c := servedPair(t)
	c.start(t)
	c.open(t)
	asked := map[string]bool{}
	paid(t, c.alice, c.bob, asked, "a payment")
	paid(t, c.bob, c.alice, asked, "a payment")
	c.stop(t)
	path := filepath.Join(c.alice.dir, "store.db")
	whole, err := os.ReadFile(path)
	must(t, err)

	inspect := func() (code int, out string) {
		code, out = c.alice.command(t, "inspect", "--datadir", c.alice.dir)
		if code == 65 && !strings.Contains(out, "remedy: ") {
			t.Errorf("it does not say what to do:\n%s", out)
		}
		return code, out
	}
	refused := func(what string, content []byte) {
		t.Helper()
		if code := c.alice.exit(t); code != 65 || !strings.Contains(c.alice.out.String(), path) || !strings.Contains(c.alice.out.String(), "hint: the data is left as it is") {
			t.Errorf("%s: exit code %d:\n%s", what, code, tail(c.alice.out.String()))
		}
		if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, content) {
			t.Errorf("%s: the file was changed: %v", what, err)
		}
	}
	// More than that is never needed of a new store: its file grows ahead of its use.
	for _, size := range []int{0, 100, 4096, 20_000} {
		must(t, os.WriteFile(path, whole[:size], 0o600))
		if code, out := inspect(); code != 65 {
			t.Errorf("inspect of %d bytes: exit code %d\n%s", size, code, out)
		}
		c.alice.out = &output{}
		c.alice.launch(t)
		refused("cut off", whole[:size])
	}

	rng := rand.New(rand.NewPCG(1, 0))
	refusals, others := 0, 0
	for try := 0; try < 100 && refusals+others < 8; try++ {
		b, at := bytes.Clone(whole), 0
		for b[at] == 0 { // most of the file was never used
			at = rng.IntN(len(b))
		}
		b[at] ^= 1 << rng.IntN(8)
		must(t, os.WriteFile(path, b, 0o600))
		code, out := inspect()
		if code == 0 {
			continue // what is there is no longer, or not yet, in use
		}
		if code != 65 {
			t.Fatalf("inspect: exit code %d:\n%s", code, out)
		}
		c.alice.out = &output{}
		c.alice.launch(t)
		poll(t, patience, "alice to end, or to say what is wrong", func(ctx context.Context) bool {
			quarantined, answered := c.alice.has(ctx, "channel_quarantined")
			return c.alice.gone() || answered && (quarantined || !strings.Contains(out, "the node will quarantine the channel"))
		})
		if !c.alice.gone() {
			others++
			c.alice.kill()
			continue
		}
		refusals++
		refused("a byte flipped", b)
	}
	t.Logf("a byte flipped: %d starts refused, %d not", refusals, others)
	if refusals+others == 0 {
		t.Error("nothing was damaged")
	}

	must(t, os.WriteFile(path, whole, 0o600))
	c.start(t)
	paid(t, c.alice, c.bob, asked, "a payment later")
	c.stop(t)
}
