package daemon

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// busy is where a backup goes while the node works on: with each write to it events happen, and are acknowledged.
type busy struct {
	bytes.Buffer
	work func()
}

func (b *busy) Write(p []byte) (int, error) {
	b.work()
	return b.Buffer.Write(p)
}

// TestBackupWhileEventsHappen: a backup of a running node holds no cursor behind an event that it lacks, which would be damage: the feed stops its slower
// consumers then. A cursor that is too old only repeats events.
func TestBackupWhileEventsHappen(t *testing.T) {
	dir := t.TempDir()
	node, err := lnactor.Open(t.Context(), lnactor.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := feed.Open(feed.Options{Dir: filepath.Join(dir, feed.Dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, name := range []string{"fast", "slow"} {
		if err := f.Set(name, feed.Beginning); err != nil {
			t.Fatal(err)
		}
	}
	events := 0
	work := func() {
		events++
		id := fmt.Sprintf("id/%d", events)
		if _, err := f.Append([]lnactor.Event{{ID: id, Kind: lnactor.PaymentFailed{Reason: id}}}); err != nil {
			t.Fatal(err)
		}
		if err := f.Ack("fast", id); err != nil {
			t.Fatal(err)
		}
	}
	work()
	to := &busy{work: work}
	if _, err := lnactor.BackupDir(dir, to, lnactor.BackupOptions{Seed: true, Files: BackupFiles}); err != nil {
		t.Fatal(err)
	}
	if events < 10 {
		t.Fatalf("only %d events", events)
	}
	path := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(path, to.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	if _, err := lnactor.RestoreBackup(path, restored); err != nil {
		t.Fatal(err)
	}

	g, err := feed.Open(feed.Options{Dir: filepath.Join(restored, feed.Dir)})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for _, c := range g.Conditions() {
		if c.Critical {
			t.Errorf("%s: %s", c.Code, c.Text)
		}
	}
	if _, err := g.Append([]lnactor.Event{{ID: "new", Kind: lnactor.PaymentFailed{}}}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, name := range []string{"slow", "fast"} {
		r, err := g.Read(name, "")
		if err != nil {
			t.Fatal(err)
		}
		list, err := r.Next(t.Context(), 10*events)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r.Close()
		got := make([]string, len(list))
		for i, e := range list {
			got[i] = e.ID
		}
		if name == "slow" {
			ids = got // from the first event on
		}
		if len(got) < 2 || got[len(got)-1] != "new" || !slices.Equal(got, ids[len(ids)-len(got):]) {
			t.Errorf("%s is delivered %v", name, got)
		}
	}
	if ids[0] != "id/1" {
		t.Errorf("the events begin with %s", ids[0])
	}
}
