package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
)

// TestManPages: every command has a page with its use and its flags, and the pages are the same each time.
func TestManPages(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	date := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, dir := range []string{first, second} {
		if err := writeMan(newRoot(), dir, date); err != nil {
			t.Fatal(err)
		}
	}
	pages := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		if !c.IsAvailableCommand() && c.HasParent() || c.Name() == "help" {
			return
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		page, err := os.ReadFile(filepath.Join(first, name))
		if err != nil {
			t.Error(err)
			return
		}
		again, err := os.ReadFile(filepath.Join(second, name))
		if err != nil || !bytes.Equal(page, again) {
			t.Errorf("%s differs the second time: %v", name, err)
		}
		text := strings.ReplaceAll(string(page), `\-`, "-")
		for _, want := range []string{".TH", "SYNOPSIS", "Mar 2026", c.CommandPath()} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		if c.Flags().Lookup("json") != nil && !strings.Contains(text, "--json") {
			t.Errorf("%s does not tell of --json", name)
		}
		pages++
	}
	walk(newRoot())
	files, err := os.ReadDir(first)
	if err != nil || len(files) != pages {
		t.Errorf("%d pages for %d commands, %v", len(files), pages, err)
	}
}

func TestManDate(t *testing.T) {
	built := &debug.BuildInfo{Settings: []debug.BuildSetting{{Key: "vcs.time", Value: "2026-05-06T07:08:09Z"}}}
	for _, tc := range []struct {
		info  *debug.BuildInfo
		epoch string
		want  time.Time
	}{
		{built, "86400", time.Unix(86400, 0)},
		{built, "", time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)},
		{nil, "", time.Unix(0, 0)},
	} {
		if got, err := manDate(tc.info, tc.epoch); err != nil || !got.Equal(tc.want) {
			t.Errorf("%q: %v, %v", tc.epoch, got, err)
		}
	}
	if _, err := manDate(nil, "today"); err == nil {
		t.Error("no error")
	}
}
