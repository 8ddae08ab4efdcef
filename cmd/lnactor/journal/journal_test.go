package journal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/journal"
)

func open(t *testing.T, path string) *journal.Journal {
	t.Helper()
	j, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func ids(t *testing.T, path string) (out []string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range bytes.Split(bytes.TrimSpace(raw), []byte("\n")) {
		var e journal.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out = append(out, e.ID+" "+e.Kind)
	}
	return out
}

// TestOnce: an event is there once, over restarts and lines that were cut off at any byte.
func TestOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), journal.FileName)
	now := time.Unix(1_800_000_000, 0)
	events := []lnactor.Event{
		{ID: "a/1", Kind: lnactor.ChannelReady{}}, {ID: "a/2", Kind: lnactor.PaymentSent{AmountMsat: 7}}, {ID: "a/3", Kind: lnactor.ChannelClosed{}},
	}
	j := open(t, path)
	for _, ev := range append(events, events...) {
		if _, err := j.Add(ev, now); err != nil {
			t.Fatal(err)
		}
	}
	want := ids(t, path)
	if len(want) != 3 || want[1] != "a/2 PaymentSent" {
		t.Fatalf("%q", want)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	for cut := range whole {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(path)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for _, ev := range events {
			if _, err := j.Add(ev, now); err != nil {
				t.Fatal(err)
			}
		}
		j.Close()
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
			t.Fatalf("cut at %d:\n%s", cut, again)
		}
	}
}

// TestCutLine: what a crash left of a long line does not follow a shorter one.
func TestCutLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), journal.FileName)
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	j := open(t, path)
	if _, err := j.Add(lnactor.Event{ID: "a/1", Kind: lnactor.ChannelReady{}}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, path); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestNotAJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), journal.FileName)
	if err := os.WriteFile(path, []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Open(path); !errors.Is(err, lnactor.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	if _, err := journal.Open(t.TempDir()); !errors.Is(err, lnactor.ErrStoreFailed) {
		t.Errorf("%v", err)
	}
}
