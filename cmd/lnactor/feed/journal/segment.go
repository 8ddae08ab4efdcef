package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lnactor/lnactor/internal/atomicfile"
)

const (
	segmentExt = ".jsonl"
	indexExt   = ".index"

	// maxBytes is when a segment is full although it has few events: offsets fit into 32 bits, and a scan at Open stays short.
	maxBytes = 16 << 20
)

// segment is a file of consecutive events.
type segment struct {
	path string
	base uint64 // position of the first
	*index
}

func segmentPath(dir string, base uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", base, segmentExt))
}

// end is the position after the last.
func (s *segment) end() uint64 { return s.base + s.count() }

// segmentsOf lists the segments in a directory, the oldest first, without their indexes.
func segmentsOf(dir string) (out []*segment, err error) {
	list, err := os.ReadDir(dir) // sorted by name, which is by position
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		name, isSegment := strings.CutSuffix(e.Name(), segmentExt)
		base, err := strconv.ParseUint(name, 10, 64)
		if isSegment && err == nil && len(name) == 20 && base > 0 {
			out = append(out, &segment{path: filepath.Join(dir, e.Name()), base: base})
		}
	}
	return out, nil
}

// load has the index of a segment that nothing is appended to, from its file or from the segment itself.
func (s *segment) load() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	path := strings.TrimSuffix(s.path, segmentExt) + indexExt
	if raw, err := os.ReadFile(path); err == nil {
		if s.index, err = decodeIndex(raw, s.base, info.Size()); err == nil {
			return nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	s.index, _ = scan(text, s.base, nil)
	s.size = info.Size()
	s.close()
	return s.saveIndex()
}

// saveIndex writes the index of a segment that is full. It is a cache: that it is on disk matters to nobody.
func (s *segment) saveIndex() error {
	return atomicfile.Write(strings.TrimSuffix(s.path, segmentExt)+indexExt, s.encode(s.base))
}

// scan reads a segment's text. It returns the index of everything that is there, and up to which position the last line was written in the knowledge that
// all was on disk. Positions that a bad line stands for are holes. Each good line is shown to see, unless that is nil.
func scan(text []byte, base uint64, see func(*line)) (x *index, synced uint64) {
	x = newIndex()
	for at := 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			break
		}
		end += at + 1
		var l line
		// A line is good if it verifies and is at its place or, behind a bad one, at a later one. The bound keeps a forged number from filling memory.
		next := base + x.count()
		if err := Unseal(text[at:end], &l); err == nil && l.Seq >= next && l.Seq-next <= uint64(len(text)) {
			x.miss(l.Seq - next)
			x.add(int64(at), end-at, &l.Entry)
			synced = max(synced, l.Synced)
			if see != nil {
				see(&l)
			}
		}
		at = end
	}
	return x, synced
}

// recoverTail reads the segment that is appended to and cuts what a crash left at its end. It reports how many bytes were cut.
func (s *segment) recoverTail(f *os.File) (cut int64, err error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<40))
	if err != nil {
		return 0, err
	}
	x, synced := scan(text, s.base, nil)
	// A hole that nothing proves to have been on disk is of the write that the crash hit; so is everything behind it. A hole that is proven is damage.
	keep := int64(0)
	for i, at := range x.offsets {
		if at == hole {
			if s.base+uint64(i) > synced { //nolint:gosec // a position
				break
			}
			continue
		}
		keep = lineEnd(text, int64(at))
	}
	if cut = int64(len(text)) - keep; cut > 0 {
		x, _ = scan(text[:keep], s.base, nil)
		if err := f.Truncate(keep); err != nil {
			return cut, err
		}
	}
	s.index = x
	s.size = keep
	// What a killed process wrote is there to be read, and may yet not be on disk. It counts as durable from here on.
	return cut, syncFile(f)
}

func lineEnd(text []byte, at int64) int64 {
	return at + int64(bytes.IndexByte(text[at:], '\n')) + 1
}
