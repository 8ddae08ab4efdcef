package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// tell appends events to the feed of a data directory, and gives all that a consumer is delivered then.
func tell(t *testing.T, dir string, ids ...string) []feed.Entry {
	t.Helper()
	f, err := feed.Open(feed.Options{Dir: filepath.Join(dir, feed.Dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []lnactor.Event
	for _, id := range ids {
		list = append(list, lnactor.Event{ID: id, Kind: lnactor.PaymentFailed{Reason: id}})
	}
	if _, err := f.Append(list); err != nil {
		t.Fatal(err)
	}
	r, err := f.Read("shop", "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got, err := r.Next(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestFeedRestoredTwice: whatever is told after a copy of the feed was made, and then by each of two nodes that were restored from that copy, no position of a
// feed stands for two events, and no consumer is behind an event that it can't get.
func TestFeedRestoredTwice(t *testing.T) {
	dir := t.TempDir()
	node, err := lnactor.Open(t.Context(), lnactor.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	tell(t, dir, "a", "b", "c")
	f, err := feed.Open(feed.Options{Dir: filepath.Join(dir, feed.Dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Ack("shop", "b"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(t.TempDir(), "backup")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lnactor.BackupDir(dir, file, lnactor.BackupOptions{Seed: true, Files: BackupFiles, Omit: BackupOmit}); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	_, entries, err := lnactor.OpenBackup(path)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) int {
		return slices.IndexFunc(entries, func(e lnactor.BackupEntry) bool { return e.Name == name })
	}
	cursors, events := at("events/"+feed.ConsumersFile), at("events/00000000000000000001.jsonl")
	if cursors < 0 || events < cursors || at("events/"+feed.NameFile) >= 0 {
		t.Errorf("the cursors are entry %d, the events %d, the name %d", cursors, events, at("events/"+feed.NameFile))
	}

	type place struct {
		feed string
		seq  uint64
	}
	stands := map[place]string{}
	see := func(list []feed.Entry, want ...string) {
		t.Helper()
		var ids []string
		for _, e := range list {
			ids = append(ids, e.ID)
			p := place{e.Feed, e.Seq}
			if old, ok := stands[p]; e.Feed == "" || ok && old != e.ID {
				t.Errorf("%+v stands for %s and %s", p, old, e.ID)
			}
			stands[p] = e.ID
		}
		if !slices.Equal(ids, want) {
			t.Errorf("delivered %v, want %v", ids, want)
		}
	}
	see(tell(t, dir, "d", "e"), "c", "d", "e") // lost with the old node
	for i := range 2 {
		to := filepath.Join(t.TempDir(), fmt.Sprint(i))
		if _, err := lnactor.RestoreBackup(path, to); err != nil {
			t.Fatal(err)
		}
		see(tell(t, to, fmt.Sprint("f", i), "c"), "c", fmt.Sprint("f", i))
		see(tell(t, to, "g"), "c", fmt.Sprint("f", i), "g") // the name stays
	}
	if len(stands) != 3+2*2 { // c, d, e; f and g of each
		t.Errorf("%d places: %v", len(stands), stands)
	}
}
