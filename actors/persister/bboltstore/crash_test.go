package bboltstore

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/lnactor/lnactor/actors/persister/memstore"
)

var images = flag.Int("images", 600, "crash images to rebuild and check")

// event is what reached the disk, in order: a write, or a barrier before which everything is durable.
type event struct {
	barrier bool
	off     int64
	data    []byte
	size    int64 // of the file, at this time
	acked   int   // commits that had returned
	begun   int   // commits that had been started
}

// recording is a workload's way to the disk, and the states between its commits.
type recording struct {
	base   []byte
	events []event
	states []string // states[i]: after i commits
}

// record runs a workload and notes each write of bbolt. Where bbolt syncs is inferred: before a root and after it, when syncs are on, and
// when the file grew. memstore is the model: it is given the same batches.
func record(t *testing.T, seed uint64, commits int, opts Options) *recording {
	t.Helper()
	dir := t.TempDir()
	s := open(t, dir, opts)
	base, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	rec := &recording{base: base}
	model := memstore.New()
	begun, acked := 0, 0
	size := int64(len(base))
	barrier := func() {
		rec.events = append(rec.events, event{barrier: true, size: size, acked: acked, begun: begun})
	}
	hook := writeAt(s)
	write := *hook
	*hook = func(b []byte, off int64) (int, error) {
		if info, err := s.file.Stat(); err == nil && info.Size() != size {
			size = info.Size()
			barrier()
		}
		if root := off < 2*int64(s.db.Info().PageSize); root && !opts.NoSync {
			barrier()
		}
		rec.events = append(rec.events, event{off: off, data: slices.Clone(b), size: size, acked: acked, begun: begun})
		return write(b, off)
	}
	state := func() {
		c, err := contents(model)
		if err != nil {
			t.Fatal(err)
		}
		rec.states = append(rec.states, c)
	}
	state()
	w := newWorkload(seed)
	for range commits {
		b := w.next()
		begun++
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
		if err := model.Commit(b); err != nil {
			t.Fatal(err)
		}
		acked++
		if !opts.NoSync {
			barrier()
		}
		state()
		got, err := contents(s)
		if err != nil || got != rec.states[acked] {
			t.Fatalf("after commit %d the store differs from the model: %v", acked, err)
		}
	}
	return rec
}

// image is a file as a crash after the first n events may have left it: what is before the last barrier, and of the rest whatever the disk
// liked, by the sector.
func (rec *recording) image(n int, r *rand.Rand) (file []byte, acked, begun int) {
	durable := 0
	size := int64(len(rec.base))
	for i, e := range rec.events[:n] {
		if e.barrier {
			durable = i
		}
		acked, begun, size = e.acked, e.begun, e.size
	}
	file = make([]byte, size)
	copy(file, rec.base)
	how := r.IntN(4)
	for i, e := range rec.events[:n] {
		if e.barrier {
			continue
		}
		switch {
		case i < durable || how == 0: // durable, or all of it made it
			copy(file[e.off:], e.data)
		case how == 1: // only the last write is torn
			if i < n-1 {
				copy(file[e.off:], e.data)
				continue
			}
			tear(file, e, r, 2)
		case how == 2: // a subset of the writes
			if r.IntN(2) == 0 {
				copy(file[e.off:], e.data)
			}
		default: // a subset of the sectors
			tear(file, e, r, 1+r.IntN(3))
		}
	}
	return file, acked, begun
}

func tear(file []byte, e event, r *rand.Rand, odds int) {
	const sector = 512
	for at := 0; at < len(e.data); at += sector {
		if r.IntN(odds+1) > 0 {
			copy(file[e.off+int64(at):], e.data[at:min(at+sector, len(e.data))])
		}
	}
}

// check opens an image and says what is wrong with it.
func (rec *recording) check(dir string, file []byte, acked, begun int) error {
	if err := os.WriteFile(filepath.Join(dir, FileName), file, 0o600); err != nil {
		return err
	}
	opts := small
	opts.NoSync = true
	s, err := Open(dir, opts)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	got, err := contents(s)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	for n := acked; n <= begun; n++ {
		if got != rec.states[n] || s.Stats().Commits != uint64(n) {
			continue
		}
		w := newWorkload(1)
		w.key = s.lastKey
		for range 3 { // it must also go on
			if err := s.Commit(w.next()); err != nil {
				return fmt.Errorf("commit after the crash: %w", err)
			}
		}
		return nil
	}
	n := slices.Index(rec.states, got)
	return fmt.Errorf("found state %d (-1: none) with commit counter %d, want %d to %d", n, s.Stats().Commits, acked, begun)
}

func (rec *recording) sweep(t *testing.T, n int, seed uint64) (bad int, first error) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	dir := t.TempDir()
	for i := range n {
		at := i * (len(rec.events) + 1) / n // crash points spread over all of it
		file, acked, begun := rec.image(at, r)
		if err := rec.check(dir, file, acked, begun); err != nil {
			bad++
			if first == nil {
				first = fmt.Errorf("image %d, after event %d of %d: %w", i, at, len(rec.events), err)
			}
		}
	}
	return bad, first
}

func TestCrashImages(t *testing.T) {
	for seed := range uint64(3) {
		rec := record(t, seed, 60, small)
		bad, err := rec.sweep(t, *images/3, seed)
		t.Logf("seed %d: %d writes and barriers, %d images, %d bad", seed, len(rec.events), *images/3, bad)
		if bad > 0 {
			t.Errorf("seed %d: %d bad images; first: %v", seed, bad, err)
		}
	}
}

// TestCrashImagesNoticeMissingSyncs tests the test.
func TestCrashImagesNoticeMissingSyncs(t *testing.T) {
	opts := small
	opts.NoSync = true
	rec := record(t, 1, 60, opts)
	bad, _ := rec.sweep(t, 60, 1)
	if bad == 0 {
		t.Fatal("a store without syncs passed")
	}
	t.Logf("%d of 60 images are bad without syncs", bad)
}
