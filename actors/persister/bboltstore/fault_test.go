//go:build linux

package bboltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// Any error or panic of a commit poisons the store for good, and a new one finds the state before or after it.
func TestFailedCommitPoisons(t *testing.T) {
	root := func(s *Store, off int64) bool { return off < 2*int64(s.db.Info().PageSize) }
	faults := map[string]struct {
		kind error
		hook func(s *Store, write func([]byte, int64) (int, error)) func([]byte, int64) (int, error)
	}{
		"page write": {persister.ErrStoreFailed, func(*Store, func([]byte, int64) (int, error)) func([]byte, int64) (int, error) {
			return func([]byte, int64) (int, error) { return 0, syscall.EIO }
		}},
		"disk full": {persister.ErrDiskFull, func(*Store, func([]byte, int64) (int, error)) func([]byte, int64) (int, error) {
			return func([]byte, int64) (int, error) { return 0, &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC} }
		}},
		"root write": {persister.ErrStoreFailed, func(s *Store, write func([]byte, int64) (int, error)) func([]byte, int64) (int, error) {
			return func(b []byte, off int64) (int, error) {
				if root(s, off) {
					return 0, syscall.EIO
				}
				return write(b, off)
			}
		}},
		"panic": {persister.ErrStoreFailed, func(*Store, func([]byte, int64) (int, error)) func([]byte, int64) (int, error) {
			return func([]byte, int64) (int, error) { panic("disk on fire") }
		}},
		"panic with a lock held": {persister.ErrStoreFailed, func(s *Store, write func([]byte, int64) (int, error)) func([]byte, int64) (int, error) {
			return func(b []byte, off int64) (int, error) {
				if root(s, off) {
					panic("disk on fire")
				}
				return write(b, off)
			}
		}},
		// The root is written, then its sync fails: the commit is on disk although it returned an error.
		"second sync": {persister.ErrStoreFailed, func(s *Store, write func([]byte, int64) (int, error)) func([]byte, int64) (int, error) {
			return func(b []byte, off int64) (int, error) {
				n, err := write(b, off)
				if root(s, off) {
					var pipe [2]int
					if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
						return 0, err
					}
					_ = unix.Dup3(pipe[0], int(s.file.Fd()), unix.O_CLOEXEC) // a pipe cannot be synced
					_ = unix.Close(pipe[0])
					_ = unix.Close(pipe[1])
				}
				return n, err
			}
		}},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, small)
			w := newWorkload(7)
			if err := s.Commit(w.next()); err != nil {
				t.Fatal(err)
			}
			before, err := contents(s)
			if err != nil {
				t.Fatal(err)
			}
			hook := writeAt(s)
			write := *hook
			*hook = fault.hook(s, write)
			b := w.next()
			err = s.Commit(b)
			var e *persister.Error
			if !errors.Is(err, fault.kind) || !errors.Is(err, persister.ErrStoreFailed) || !errors.As(err, &e) || e.Path == "" || e.Hint == "" {
				t.Fatalf("commit: %v", err)
			}
			*hook = write // the disk works again: too late
			if again := s.Commit(w.next()); again != err {
				t.Fatalf("commit after a failed one: %v, want the same error", again)
			}
			if _, err := contents(s); !errors.Is(err, persister.ErrStoreFailed) {
				t.Fatalf("read from a failed store: %v", err)
			}
			_ = s.Close()

			s = open(t, dir, small)
			got, err := contents(s)
			if err != nil {
				t.Fatal(err)
			}
			isBefore := got == before
			if name == "second sync" == isBefore {
				t.Fatalf("the commit is on disk: %v", !isBefore)
			}
		})
	}
}

func TestBadBatchDoesNoHarm(t *testing.T) {
	s := open(t, t.TempDir(), small)
	for _, b := range []*persister.Batch{
		{Append: []persister.Record{{Key: 0, Owner: "a", Seq: 1}}},
		{Append: []persister.Record{{Key: 2, Owner: "a", Seq: 1}, {Key: 2, Owner: "a", Seq: 2}}},
		{Append: []persister.Record{{Key: 1, Owner: "", Seq: 1}}},
		{Rows: []messages.Row{{Bucket: persister.BucketMeta, Key: []byte("x")}}},
		{Snapshots: []persister.Snapshot{{}}},
	} {
		if err := s.Commit(b); !errors.Is(err, persister.ErrBadBatch) {
			t.Errorf("%+v: %v", b, err)
		}
	}
	if err := s.Commit(newWorkload(1).next()); err != nil {
		t.Fatal(err)
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	if os.Getenv("PERSISTER_TEST_DIR") != "" { // the second process
		_, err := Open(os.Getenv("PERSISTER_TEST_DIR"), small)
		fmt.Printf("%v in use: %v\n", err, errors.Is(err, persister.ErrInUse))
		return
	}
	s := open(t, dir, small)
	cmd := exec.Command(os.Args[0], "-test.run=^TestInUse$", "-test.v")
	cmd.Env = append(os.Environ(), "PERSISTER_TEST_DIR="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "in use: true") ||
		!strings.Contains(string(out), fmt.Sprintf("process %d", os.Getpid())) || !strings.Contains(string(out), dir) {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, small)
}

func TestRefusesToStartOnAFullDisk(t *testing.T) {
	opts := small
	opts.MinFree = 1 << 60
	_, err := Open(t.TempDir(), opts)
	if !errors.Is(err, persister.ErrDiskFull) || !errors.Is(err, persister.ErrStoreFailed) {
		t.Fatal(err)
	}
}

// written makes a store with a few of everything and returns its file and contents.
func written(t *testing.T) (dir string, file []byte, want string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir, small)
	w := newWorkload(3)
	for range 40 {
		if err := s.Commit(w.next()); err != nil {
			t.Fatal(err)
		}
	}
	w.key++
	err := s.Commit(&persister.Batch{
		Append:    []persister.Record{{Key: w.key, Owner: "victim", Seq: 1, Data: []byte("needle in the log")}},
		Snapshots: []persister.Snapshot{{Owner: "hurt", Through: 5, Data: []byte("needle in a snapshot")}},
		Rows:      []messages.Row{{Bucket: "rows0", Key: []byte("row"), Value: []byte("needle in a row")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want, err = contents(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err = os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	return dir, file, want
}

// Damage to data is attributed to its owner, and named.
func TestCorruptValueIsNamed(t *testing.T) {
	dir, file, _ := written(t)
	for needle, at := range map[string]struct{ bucket, key string }{
		"needle in the log":    {persister.BucketLog, ""},
		"needle in a snapshot": {persister.BucketSnapshots, "hurt"},
		"needle in a row":      {"rows0", "row"},
	} {
		bad := bytes.Clone(file)
		for i := 0; ; { // stale pages hold it too
			n := bytes.Index(bad[i:], []byte(needle))
			if n < 0 {
				break
			}
			i += n
			bad[i+3] ^= 1
			i++
		}
		if err := os.WriteFile(filepath.Join(dir, FileName), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, small)
		_, err := contents(s)
		var e *persister.Error
		if !errors.Is(err, persister.ErrCorrupt) || !errors.As(err, &e) || e.Bucket != at.bucket || len(e.Key) == 0 || at.key != "" && string(e.Key) != at.key || e.Path == "" {
			t.Errorf("%s: %v", needle, err)
		}
		if at.bucket == persister.BucketLog {
			var d dump
			if err := s.Scan(&d); err != nil || !strings.Contains(d.String(), "victim") {
				t.Errorf("a damaged record must not hide the others: %v", err)
			}
		}
		_ = s.Close()
	}
}

// One flipped bit anywhere: a typed error, or no effect on what is read. Never a panic, never other data.
func TestFlippedBits(t *testing.T) {
	dir, file, want := written(t)
	var used []int // bytes that are not zero; stale pages have some too
	for i, b := range file {
		if b != 0 {
			used = append(used, i)
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	n, refused, lost := *images, 0, 0
	for range n {
		at := used[r.IntN(len(used))]
		bit := byte(1) << r.IntN(8)
		file[at] ^= bit
		if err := os.WriteFile(filepath.Join(dir, FileName), file, 0o600); err != nil {
			t.Fatal(err)
		}
		got, lostRoot, err := openAndRead(dir)
		var e *persister.Error
		switch {
		case err != nil && errors.As(err, &e) && errors.Is(err, persister.ErrCorrupt):
			refused++
		case err != nil:
			t.Errorf("bit %#x of byte %d: %v", bit, at, err)
		case lostRoot:
			lost++ // one commit back: only the commit counter can tell
		case got != want:
			t.Errorf("bit %#x of byte %d: other data and no error", bit, at)
		}
		file[at] ^= bit
	}
	t.Logf("%d bits: %d found, %d roots lost, the others in unused space", n, refused, lost)
	if refused == 0 {
		t.Error("no flipped bit was found")
	}
}

func openAndRead(dir string) (string, bool, error) {
	s, err := Open(dir, small)
	if err != nil {
		return "", false, err
	}
	defer s.Close()
	got, err := contents(s)
	return got, s.Stats().LostMeta, err
}

func TestTruncatedFile(t *testing.T) {
	dir, file, _ := written(t)
	high := 0
	for i, b := range file {
		if b != 0 {
			high = i
		}
	}
	for _, size := range []int{0, 1, 100, 4096, 8192, 10000, high / 2, high - 4096} {
		if err := os.WriteFile(filepath.Join(dir, FileName), file[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := openAndRead(dir); !errors.Is(err, persister.ErrCorrupt) {
			t.Errorf("%d of %d bytes: %v", size, len(file), err)
		}
	}
}

// A file truncated under a running store is a SIGBUS in the mapping.
func TestTruncatedWhileOpen(t *testing.T) {
	dir, _, _ := written(t)
	s := open(t, dir, small)
	if err := os.Truncate(s.path, 8192); err != nil {
		t.Fatal(err)
	}
	if _, err := contents(s); !errors.Is(err, persister.ErrStoreFailed) && !errors.Is(err, persister.ErrCorrupt) {
		t.Fatal(err)
	}
	if err := s.Commit(newWorkload(1).next()); err == nil {
		t.Fatal("a store whose file is gone commits")
	}
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	big := &persister.Batch{}
	for i := range uint64(2000) {
		big.Append = append(big.Append, persister.Record{Key: i + 1, Owner: "a", Seq: i + 1, Data: make([]byte, 1000)})
	}
	trim := &persister.Batch{Append: []persister.Record{{Key: 2001, Owner: "a", Seq: 2001, Data: []byte("kept")}}}
	for i := range uint64(2000) {
		trim.Trim = append(trim.Trim, i+1)
	}
	for _, b := range []*persister.Batch{big, trim} {
		if err := s.Commit(b); err != nil {
			t.Fatal(err)
		}
	}
	want, _ := contents(s)
	before := s.Stats()
	_ = s.Close()
	// A crash in an earlier attempt left this.
	if err := os.WriteFile(filepath.Join(dir, compactName), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := small
	opts.CompactBytes = 1 << 20
	s = open(t, dir, opts)
	got, err := contents(s)
	if err != nil || got != want {
		t.Fatalf("contents changed: %v", err)
	}
	after := s.Stats()
	if after.FileBytes*4 > before.FileBytes || after.Commits != before.Commits {
		t.Fatalf("before %+v, after %+v", before, after)
	}
	if err := s.Commit(&persister.Batch{Append: []persister.Record{{Key: 2002, Owner: "a", Seq: 2002}}}); err != nil {
		t.Fatal(err)
	}
}

// A crash while the store is made leaves either nothing or a whole store.
func TestUnfinishedCreation(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, newName), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, small)
	if got, err := contents(s); got != "" || err != nil {
		t.Fatal(got, err)
	}
}
