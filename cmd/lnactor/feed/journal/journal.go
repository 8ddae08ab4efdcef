package journal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/atomicfile"
)

// How files and directories become durable. Tests look at when that is, and have it fail.
var (
	syncFile = (*os.File).Sync
	syncDir  = atomicfile.SyncDir
)

// Options say how a journal is kept.
type Options struct {
	Segment int          // events of a full segment; 0: 16,384
	Feed    string       // goes with each event; (Feed, Seq) never names two events if a copy of the journal gets another one
	After   uint64       // no event gets this position or one before: something else remembers them
	Log     *slog.Logger // nil discards
}

// New is an event to append.
type New struct {
	ID, Kind string
	Data     json.RawMessage // an object
}

// Journal is the log. Make it by Open.
type Journal struct {
	dir string
	o   Options

	appending sync.Mutex // held by Append: one write at a time
	active    *os.File   // the last segment; nil: none yet
	failed    error      // final

	mu       sync.RWMutex // guards what follows, never held over I/O
	segments []*segment   // by position, without gaps between them but holes in them
	next     uint64       // position of the next event
}

// Open opens or makes the journal in a directory. Errors of the file system are lnactor.ErrStoreFailed.
func Open(dir string, o Options) (*Journal, error) {
	if o.Segment <= 0 {
		o.Segment = 16 << 10
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	j := &Journal{dir: dir, o: o, next: 1}
	if err := j.open(); err != nil {
		if !errors.Is(err, lnactor.ErrCorrupt) {
			err = storeFailed(err)
		}
		if j.active != nil {
			j.active.Close()
		}
		return nil, err
	}
	return j, nil
}

func (j *Journal) open() error {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return err
	}
	var err error
	if j.segments, err = segmentsOf(j.dir); err != nil {
		return err
	}
	for i, s := range j.segments {
		if i == len(j.segments)-1 {
			err = j.openLast(s)
		} else {
			err = s.load()
		}
		if err != nil {
			return err
		}
	}
	for i, s := range j.segments {
		j.next = s.end()
		if i == len(j.segments)-1 {
			break
		}
		following := j.segments[i+1]
		if following.base < j.next {
			return fmt.Errorf("%w: %s and %s hold the same events; move one of them away", lnactor.ErrCorrupt, s.path, following.path)
		}
		s.miss(following.base - j.next) // of a segment that lost its end, or of one that is gone
	}
	if j.next <= j.o.After {
		if n := len(j.segments); n > 0 {
			j.segments[n-1].miss(j.o.After + 1 - j.next)
			j.active.Close()
			j.active = nil // what comes next is not at its end
		}
		j.next = j.o.After + 1
	}
	// A directory that was just made, and files in it, are there after a power cut only once their directories were synced.
	return errors.Join(syncDir(filepath.Dir(j.dir)), syncDir(j.dir))
}

func (j *Journal) openLast(s *segment) (err error) {
	if j.active, err = os.OpenFile(s.path, os.O_RDWR, 0); err != nil {
		return err
	}
	cut, err := s.recoverTail(j.active)
	if cut > 0 {
		j.o.Log.Warn("the journal of events ended in a write that a crash cut off; it was not acknowledged and comes again",
			"file", s.path, "bytes", cut)
	}
	return err
}

// Bounds are the positions of the oldest event and of the next one.
func (j *Journal) Bounds() (first, next uint64) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	return j.firstLocked(), j.next
}

func (j *Journal) firstLocked() uint64 {
	if len(j.segments) == 0 {
		return j.next
	}
	return j.segments[0].base
}

// Append makes events durable, in order, and returns those that were not there before.
func (j *Journal) Append(list []New, now time.Time) (added []Entry, err error) {
	j.appending.Lock()
	defer j.appending.Unlock()
	if j.failed != nil {
		return nil, j.failed
	}
	fresh := make([]New, 0, len(list))
	seen := map[string]bool{}
	for _, e := range list {
		_, there, err := j.Find(e.ID)
		if err != nil {
			return nil, err
		}
		if !there && !seen[e.ID] {
			seen[e.ID] = true
			fresh = append(fresh, e)
		}
	}
	for len(fresh) > 0 {
		s, err := j.room()
		if err != nil {
			return added, j.fail(err)
		}
		n := min(len(fresh), max(1, j.o.Segment-int(s.count()))) //nolint:gosec // small
		entries, err := j.write(s, fresh[:n], now.UTC())
		if err != nil {
			return added, err
		}
		added, fresh = append(added, entries...), fresh[n:]
	}
	return added, nil
}

// fail is the end of appending: what is on disk is not known.
func (j *Journal) fail(err error) error {
	j.failed = storeFailed(err)
	return j.failed
}

// room is the segment that the next event goes to, a new one if the last is full.
func (j *Journal) room() (*segment, error) {
	j.mu.RLock()
	var last *segment
	if n := len(j.segments); n > 0 {
		last = j.segments[n-1]
	}
	next := j.next
	j.mu.RUnlock()
	if last != nil && j.active != nil {
		if last.count() < uint64(j.o.Segment) && last.size < maxBytes { //nolint:gosec // positive
			return last, nil
		}
		j.active.Close()
		j.active = nil
		j.mu.Lock()
		last.close()
		j.mu.Unlock()
		if err := last.saveIndex(); err != nil {
			return nil, err
		}
	}
	s := &segment{path: segmentPath(j.dir, next), base: next, index: newIndex()}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	j.active = f
	if err := syncDir(j.dir); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.segments = append(j.segments, s)
	return s, nil
}

// write is one write and one sync. Only then can the events be read.
func (j *Journal) write(s *segment, list []New, now time.Time) ([]Entry, error) {
	if now.Before(s.last) {
		now = s.last // so that it can be searched by time
	}
	var text []byte
	entries, lengths := make([]Entry, len(list)), make([]int, len(list))
	for i, e := range list {
		entries[i] = Entry{Feed: j.o.Feed, Seq: j.next + uint64(i), ID: e.ID, Time: now, Kind: e.Kind, Data: e.Data} //nolint:gosec // small
		b, err := Seal(line{entries[i], j.next - 1})
		if err != nil {
			return nil, fmt.Errorf("journal of events: event %s: %w", e.ID, err)
		}
		text, lengths[i] = append(text, b...), len(b)
	}
	if _, err := j.active.WriteAt(text, s.size); err != nil {
		return nil, j.fail(err)
	}
	if err := syncFile(j.active); err != nil {
		return nil, j.fail(err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range entries {
		s.add(s.size, lengths[i], &entries[i])
	}
	j.next = s.end()
	return entries, nil
}

// at is the segment with a position, nil if there is none. It needs the lock.
func (j *Journal) at(seq uint64) *segment {
	i, found := slices.BinarySearchFunc(j.segments, seq, func(s *segment, seq uint64) int { return cmp.Compare(s.base, seq) })
	if !found {
		i--
	}
	if i < 0 || seq >= j.segments[i].end() {
		return nil
	}
	return j.segments[i]
}

// Find looks for an event by its id. A damaged event is not found.
func (j *Journal) Find(id string) (seq uint64, found bool, err error) {
	h := hashOf(id)
	var at []uint64
	j.mu.RLock()
	for i := len(j.segments) - 1; i >= 0; i-- {
		for _, n := range j.segments[i].find(h) {
			at = append(at, j.segments[i].base+uint64(n))
		}
	}
	j.mu.RUnlock()
	for _, seq := range at {
		list, err := j.Read(seq, 1)
		if errors.Is(err, ErrGone) || errors.Is(err, lnactor.ErrCorrupt) {
			continue
		}
		if err != nil {
			return 0, false, err
		}
		if len(list) == 1 && list[0].ID == id {
			return seq, true, nil
		}
	}
	return 0, false, nil
}

// Since is the position of the first event that was written at the time or later.
func (j *Journal) Since(t time.Time) (uint64, error) {
	j.mu.RLock()
	i := slices.IndexFunc(j.segments, func(s *segment) bool { return !s.last.Before(t) })
	if i < 0 {
		defer j.mu.RUnlock()
		return j.next, nil
	}
	lo, hi, first := j.segments[i].base, j.segments[i].end(), j.segments[i].first
	j.mu.RUnlock()
	if !first.Before(t) {
		return lo, nil
	}
	for lo < hi {
		mid := lo + (hi-lo)/2
		list, err := j.Read(mid, 1)
		var missing *MissingError
		switch {
		case errors.As(err, &missing), err == nil && len(list) == 1 && list[0].Time.Before(t):
			lo = mid + 1
		case err == nil:
			hi = mid
		case errors.Is(err, ErrGone):
			return j.Since(t)
		default:
			return 0, err
		}
	}
	return lo, nil
}

// Drop removes the segments all of whose events are before a position; the last segment stays.
func (j *Journal) Drop(before uint64) error {
	for {
		j.mu.Lock()
		if len(j.segments) < 2 || j.segments[0].end() > before {
			j.mu.Unlock()
			return nil
		}
		s := j.segments[0]
		j.segments = j.segments[1:]
		j.mu.Unlock()
		// The oldest first, so that what a crash leaves has no gap. An index without its segment would be left for ever, so it goes first.
		for _, path := range []string{strings.TrimSuffix(s.path, segmentExt) + indexExt, s.path} {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return storeFailed(err)
			}
		}
	}
}

// Close ends appending and closes the file.
func (j *Journal) Close() error {
	j.appending.Lock()
	defer j.appending.Unlock()
	if j.failed == nil {
		j.failed = fmt.Errorf("journal of events: %w", lnactor.ErrClosed)
	}
	if j.active == nil {
		return nil
	}
	err := j.active.Close()
	j.active = nil
	return err
}
