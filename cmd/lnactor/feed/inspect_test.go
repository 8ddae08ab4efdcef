package feed

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lnactor/lnactor"
)

// TestInspect: a good feed has no problems, and each thing that can be wrong with one is found; nothing is changed.
func TestInspect(t *testing.T) {
	change := func(name, from, to string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			raw, err := os.ReadFile(path)
			must(t, err)
			must(t, os.WriteFile(path, bytes.Replace(raw, []byte(from), []byte(to), 1), 0o600))
		}
	}
	for _, c := range []struct {
		damage func(*testing.T, string)
		want   string // empty: none
	}{
		{func(*testing.T, string) {}, ""},
		{change("00000000000000000001.jsonl", `"amount_msat":2,`, `"amount_msat":9,`), "events 3 to 3"},
		{change(ConsumersFile, `"acked":3`, `"acked":4`), ConsumersFile},
		{change("dead-shop.json", `"attempts":7`, `"attempts":8`), "dead-shop.json"},
		{change("secret-shop", "whsec_", ""), "secret-shop"},
		{func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "secret-shop"))) }, "secret"},
		{func(t *testing.T, dir string) {
			must(t, os.Truncate(filepath.Join(dir, "00000000000000000001.jsonl"), 0))
		}, "older copy"},
	} {
		o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
		f := openFeed(t, o)
		for n := range 5 {
			add(t, f, n, n+1)
		}
		must(t, f.Set("a", "id/3"))
		must(t, f.SetWebhook(Webhook{Name: "shop", URL: "https://example.com", Start: End}))
		hook, err := f.hookOf("shop")
		must(t, err)
		if buried, err := f.bury(hook, DeadLetter{Entry: Entry{ID: "x"}, Attempts: 7}); !buried || err != nil {
			t.Fatal(err)
		}
		f.Close()
		c.damage(t, o.Dir)
		before := contents(t, o.Dir)
		in, err := Inspect(t.Context(), o.Dir)
		must(t, err)
		if after := contents(t, o.Dir); after != before {
			t.Errorf("%s: changed", c.want)
		}
		if c.want == "" {
			if len(in.Problems) != 0 || in.Consumers != 2 || in.Webhooks != 1 || in.DeadLetters != 1 || in.Journal.Events != 5 || in.Expired != nil {
				t.Errorf("%+v", in)
			}
			continue
		}
		if len(in.Problems) != 1 || !errors.Is(in.Problems[0], lnactor.ErrCorrupt) || !strings.Contains(in.Problems[0].Error(), c.want) {
			t.Errorf("%s: %v", c.want, in.Problems)
		}
	}
	if _, err := Inspect(t.Context(), filepath.Join(t.TempDir(), "none")); !errors.Is(err, lnactor.ErrNotFound) {
		t.Error(err)
	}
}

// contents are all files of a directory, one after the other.
func contents(t *testing.T, dir string) string {
	t.Helper()
	list, err := os.ReadDir(dir)
	must(t, err)
	var b strings.Builder
	for _, e := range list {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		b.WriteString(e.Name() + string(raw))
	}
	return b.String()
}
