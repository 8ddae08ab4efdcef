// Package journal keeps the user events of a node process in a file of JSON lines, one event each, so that acknowledging an event loses nothing.
//
// An event is on disk before Add returns; only then may it be acknowledged. An event that comes again, after a crash between the two, is
// not written again, as long as its first line is among the last 16 MiB of the file: ids are stable. A line that a crash cut off is removed at the
// next start; its event was not acknowledged and comes again. The file, mode 0600, only grows, by some 300 bytes an event; it may be moved away while
// the node is stopped. It holds the preimages of payments of ours, which prove them.
package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/atomicfile"
)

// FileName is the journal in the data directory.
const FileName = "events.jsonl"

// remembered is how much of the end of the file is read for the ids in it.
const remembered = 16 << 20

// Entry is a line.
type Entry struct {
	ID   string         `json:"id"`
	Time time.Time      `json:"time"` // of writing, not of what happened
	Kind string         `json:"kind"`
	Data map[string]any `json:"data"`
}

// Journal appends to the file. It is for one goroutine.
type Journal struct {
	file *os.File
	ids  map[string]bool
}

// Open opens or makes the file. Errors of the file system are lnactor.ErrStoreFailed, a file that is no journal lnactor.ErrCorrupt.
func Open(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, storeFailed(err)
	}
	j := &Journal{file: f, ids: map[string]bool{}}
	err = j.read(path)
	if err == nil {
		// A file that was just made is not there after a power cut unless its directory is synced, however often the file was (rule 24).
		if err = atomicfile.SyncDir(filepath.Dir(path)); err != nil {
			err = storeFailed(err)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

func storeFailed(err error) error {
	return fmt.Errorf("%w: journal of events: %w", lnactor.ErrStoreFailed, err)
}

// read learns the last ids and cuts off a line without an end.
func (j *Journal) read(path string) error {
	size, err := j.file.Seek(0, io.SeekEnd)
	if err != nil {
		return storeFailed(err)
	}
	from := max(0, size-remembered)
	if _, err := j.file.Seek(from, io.SeekStart); err != nil {
		return storeFailed(err)
	}
	in, at := bufio.NewReader(j.file), from
	for first := true; ; first = false {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) == 0 {
				return nil
			}
			if err := j.file.Truncate(at); err != nil {
				return storeFailed(err)
			}
			_, err := j.file.Seek(at, io.SeekStart)
			return err
		}
		if err != nil {
			return storeFailed(err)
		}
		at += int64(len(line))
		if first && from > 0 {
			continue // it began before
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.ID == "" {
			return fmt.Errorf("%w: %s: the line that ends at byte %d is no event; move the file away to go on with a new one", lnactor.ErrCorrupt, path, at)
		}
		j.ids[e.ID] = true
	}
}

// Add makes an event durable, once.
func (j *Journal) Add(ev lnactor.Event, now time.Time) (Entry, error) {
	kind, data := describe(ev.Kind)
	e := Entry{ID: ev.ID, Time: now.UTC(), Kind: kind, Data: data}
	if j.ids[ev.ID] {
		return e, nil
	}
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(e); err != nil {
		return e, fmt.Errorf("journal of events: %w", err)
	}
	if _, err := j.file.Write(line.Bytes()); err != nil {
		return e, storeFailed(err)
	}
	if err := j.file.Sync(); err != nil {
		return e, storeFailed(err) // not to be tried again: what is on disk is not known
	}
	j.ids[ev.ID] = true
	return e, nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }
