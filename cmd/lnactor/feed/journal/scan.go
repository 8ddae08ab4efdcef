package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/lnactor/lnactor"
)

func isShort(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Report is what Scan found.
type Report struct {
	Segments int
	Events   uint64
	Bytes    int64
	First    uint64          // position of the oldest event that was looked at, 0: none
	Next     uint64          // position of the next, 0: none yet
	Missing  []*MissingError // events that can't be read
	Tail     int64           // bytes at the end that are no whole line: a write under way, or one that a crash cut off
}

// Scan reads a journal from a position on without opening it: it changes nothing, and a process may append meanwhile. Each event is shown to see, in
// order, until see returns an error, which Scan returns. Damage is reported, not returned. Older segments are not read; a position beyond the end
// reads the last one, which tells where the end is.
func Scan(dir string, from uint64, see func(Entry) error) (Report, error) {
	var r Report
	segments, err := segmentsOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("%w: no journal of events at %s", lnactor.ErrNotFound, dir)
	}
	if err != nil {
		return r, storeFailed(err)
	}
	for i, s := range segments {
		if i+1 < len(segments) && segments[i+1].base <= from {
			continue
		}
		text, err := os.ReadFile(s.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile: over the limit
		}
		if err != nil {
			return r, storeFailed(err)
		}
		var failed error
		x, _ := scan(text, s.base, func(l *line) {
			if l.Seq < from {
				return
			}
			r.Events++
			if failed == nil && see != nil {
				failed = see(l.Entry)
			}
		})
		if failed != nil {
			return r, failed
		}
		if r.Segments++; r.First == 0 {
			r.First = s.base
		} else if s.base > r.Next {
			r.Missing = append(r.Missing, &MissingError{First: r.Next, Last: s.base - 1, File: s.path})
		}
		for _, h := range x.holes() {
			if s.base+h[1] < from {
				continue
			}
			r.Missing = append(r.Missing, &MissingError{First: s.base + h[0], Last: s.base + h[1], File: s.path})
		}
		r.Bytes, r.Next, r.Tail = r.Bytes+int64(len(text)), s.base+x.count(), int64(len(text))-x.size
	}
	return r, nil
}
