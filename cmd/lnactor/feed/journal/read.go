package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
)

// maxRead bounds how many bytes one Read takes in, the first event excepted.
const maxRead = 1 << 20

// Read reads at most so many events from a position on, fewer where a segment ends; none if there are none yet. It fails with ErrGone before the oldest
// event and with a *MissingError at one that can't be read.
func (j *Journal) Read(from uint64, most int) ([]Entry, error) {
	j.mu.RLock()
	if from < j.firstLocked() {
		j.mu.RUnlock()
		return nil, ErrGone
	}
	s := j.at(from)
	if s == nil {
		j.mu.RUnlock()
		return nil, nil
	}
	i := int(from - s.base) //nolint:gosec // a position in a segment
	if s.offsets[i] == hole {
		e := &MissingError{First: from, Last: from, File: s.path}
		for k := i + 1; k < len(s.offsets) && s.offsets[k] == hole; k++ {
			e.Last++
		}
		j.mu.RUnlock()
		return nil, e
	}
	starts := []int64{int64(s.offsets[i])}
	end := int64(-1)
	for k := i + 1; k < len(s.offsets); k++ {
		at := s.offsets[k]
		if at == hole || len(starts) == max(1, most) || int64(at)-starts[0] > maxRead {
			break
		}
		starts = append(starts, int64(at))
	}
	for k := i + len(starts); k < len(s.offsets) && end < 0; k++ {
		if s.offsets[k] != hole {
			end = int64(s.offsets[k])
		}
	}
	if end < 0 {
		end = s.size
	}
	path := s.path
	j.mu.RUnlock()

	text := make([]byte, end-starts[0])
	if err := readAt(path, text, starts[0]); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if first, _ := j.Bounds(); from < first {
				return nil, ErrGone // removed meanwhile
			}
		} else if !isShort(err) {
			return nil, storeFailed(err)
		}
		return nil, &MissingError{First: from, Last: from, File: path}
	}
	out := make([]Entry, 0, len(starts))
	for n, at := range starts {
		part := text[at-starts[0]:]
		if n+1 < len(starts) {
			part = part[:starts[n+1]-at]
		}
		if nl := bytes.IndexByte(part, '\n'); nl >= 0 {
			part = part[:nl]
		}
		var l line
		seq := from + uint64(n) //nolint:gosec // small
		if err := Unseal(part, &l); err != nil || l.Seq != seq {
			if n > 0 {
				return out, nil // the next Read tells
			}
			return nil, &MissingError{First: seq, Last: seq, File: path}
		}
		out = append(out, l.Entry)
	}
	return out, nil
}

func readAt(path string, into []byte, at int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(into, at)
	return err
}

// Damage lists what of the journal can't be read, as far as is known without reading all of it again.
func (j *Journal) Damage() (out []*MissingError) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, s := range j.segments {
		for _, h := range s.holes() {
			out = append(out, &MissingError{First: s.base + h[0], Last: s.base + h[1], File: s.path})
		}
	}
	return out
}
