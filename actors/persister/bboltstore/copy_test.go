package bboltstore

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

func copyTo(s *Store, dir string, during func()) error {
	return s.Copy(func(size int64, _ uint64, write func(io.Writer) error) error {
		during()
		f, err := os.Create(filepath.Join(dir, FileName))
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return err
		}
		info, err := os.Stat(f.Name())
		if err == nil && info.Size() != size {
			err = errors.New("another size than announced")
		}
		return err
	})
}

// A copy is the store as of one commit, whatever is committed meanwhile.
func TestCopyIsConsistent(t *testing.T) {
	roomy := small
	roomy.MmapSize = 1 << 24 // or the commits below would wait for the copy
	s := open(t, t.TempDir(), roomy)
	w := newWorkload(1)
	for range 30 {
		if err := s.Commit(w.next()); err != nil {
			t.Fatal(err)
		}
	}
	want, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = copyTo(s, dir, func() {
		for range 30 {
			if err := s.Commit(w.next()); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := contents(open(t, dir, small)); err != nil || got != want {
		t.Fatalf("the copy differs: %v", err)
	}
	if now, err := contents(s); err != nil || now == want {
		t.Fatalf("nothing was committed meanwhile: %v", err)
	}
}

// Looking changes nothing in the directory, needs nobody's leave, and keeps off a store that is in use.
func TestOpenReadOnly(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReadOnly(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatal("nothing there:", err)
	}
	s := open(t, dir, small)
	w := newWorkload(2)
	for range 30 {
		if err := s.Commit(w.next()); err != nil {
			t.Fatal(err)
		}
	}
	want, err := contents(s)
	if err != nil {
		t.Fatal(err)
	}
	var e *persister.Error
	if _, err := OpenReadOnly(dir); !errors.Is(err, persister.ErrInUse) || !errors.As(err, &e) || e.PID != os.Getpid() {
		t.Fatal("in use:", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range []bool{true, false} {
		if !pid {
			if err := os.Remove(filepath.Join(dir, PIDName)); err != nil {
				t.Fatal(err)
			}
		}
		before := files(t, dir)
		r, err := OpenReadOnly(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := contents(r); err != nil || got != want {
			t.Fatalf("reads something else: %v", err)
		}
		names, err := r.Buckets()
		if err != nil || len(names) != 5 {
			t.Fatal(names, err)
		}
		rows := 0
		if err := r.VisitRows("rows0", func(_ messages.Row, err error) {
			if rows++; err != nil {
				t.Error(err)
			}
		}); err != nil || rows == 0 {
			t.Fatal(rows, err)
		}
		if err := r.Commit(w.next()); err == nil {
			t.Fatal("committed")
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if after := files(t, dir); after != before {
			t.Fatalf("changed:\n%s\nwas:\n%s", after, before)
		}
	}
}

// files describes a directory and what is in its files.
func files(t *testing.T, dir string) (out string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		out += e.Name() + " " + info.ModTime().String() + " " + string(b[:min(len(b), 16)]) + "\n"
	}
	return out
}
