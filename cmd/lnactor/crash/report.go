package crash

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lnactor/lnactor/internal/atomicfile"
	"github.com/lnactor/lnactor/internal/redact"
)

// DirName is the directory of the reports in the data directory.
const DirName = "crashes"

// Bounds of what is written.
const (
	Keep     = 20 // files
	Repeats  = 3  // of one fault, by one process
	maxStack = 1 << 20
)

// Report is what is written of one fault.
type Report struct {
	Time    time.Time
	What    string // "an actor panicked", ...
	Actor   string // of one actor
	Message string // its type; lost
	Reason  string
	Recent  []string // types of messages, the newest last
	Notes   []string
	Stack   []byte // already without arguments
	Events  []string
	Log     []string
}

// text is the file. Whatever could hold a secret is cut down on the way.
func (r *Report) text(version string) []byte {
	var b bytes.Buffer
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-10s %s\n", key, value)
		}
	}
	block := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s:\n", title)
		for _, l := range lines {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	b.WriteString("lnactor crash report. It holds no keys, preimages or words of the seed.\n\n")
	row("time", r.Time.UTC().Format(time.RFC3339Nano))
	row("version", version)
	row("what", r.What)
	row("actor", r.Actor)
	row("message", r.Message)
	row("reason", strings.ReplaceAll(redact.Text(r.Reason), "\n", "\n           "))
	block("notes", redacted(r.Notes))
	block("last messages, by type, the newest last", r.Recent)
	if len(r.Stack) > 0 {
		fmt.Fprintf(&b, "\nstack:\n%s", r.Stack[:min(len(r.Stack), maxStack)])
	}
	block("last events of supervision", redacted(r.Events))
	block("last lines of the log", redacted(r.Log))
	return b.Bytes()
}

func redacted(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = redact.Text(l)
	}
	return out
}

// write makes the file and removes the oldest ones over the bound.
func (r *Report) write(dir, version string) (path string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	name := "node"
	if r.Actor != "" {
		name = r.Actor
	}
	if len(name) > 40 {
		name = name[:40]
	}
	stamp := r.Time.UTC().Format("20060102T150405.000000000Z")
	path = filepath.Join(dir, fmt.Sprintf("%s-%s.txt", stamp, strings.NewReplacer("/", "-", " ", "-").Replace(name)))
	if err := atomicfile.Write(path, r.text(version)); err != nil {
		return "", err
	}
	return path, prune(dir)
}

// Reports are the files in a data directory's reports, the oldest first.
func Reports(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	slices.Sort(files) // they begin with their time
	return files, err
}

func prune(dir string) error {
	files, err := Reports(dir)
	for len(files) > Keep && err == nil {
		err = os.Remove(files[0])
		files = files[1:]
	}
	return err
}
