package crash

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/lnactor/lnactor/internal/redact"
)

// rawName is where the runtime writes when the process dies of a panic. It is there from the start on, since then it is too late to make it.
const rawName = "fatal.raw"

// Own takes the directory for this process, which must have the data directory. What an earlier process died of becomes a report, and what this one may
// die of will be found by the next. A failure is no reason not to run: it is returned to be logged.
func (r *Recorder) Own() (report string, err error) {
	if r.dir == "" {
		return "", nil
	}
	path := filepath.Join(r.dir, rawName)
	raw, err := readBounded(path)
	if err == nil && len(raw) > 0 {
		p := Report{
			Time: r.now(), What: "an earlier process died of a panic; this was found at the next start",
			Stack: redact.Stack(raw),
		}
		if info, err := os.Stat(path); err == nil {
			p.Time = info.ModTime()
		}
		if report, err = p.write(r.dir, r.version); err != nil {
			return "", fmt.Errorf("crash report: %w", err)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, fmt.Errorf("crash report: %w", err)
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return report, fmt.Errorf("crash reports: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return report, fmt.Errorf("crash reports: %w", err)
	}
	defer f.Close() // the runtime has its own
	return report, debug.SetCrashOutput(f, debug.CrashOptions{})
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxStack))
}
