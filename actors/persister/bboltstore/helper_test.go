package bboltstore

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// small is a store that fits a test.
var small = Options{MmapSize: 1 << 16, MinFree: -1, CompactBytes: -1, LockTimeout: 1}

func open(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// writeAt returns bbolt's own hook for writes of pages and roots. It is not exported; nothing but tests may touch it.
func writeAt(s *Store) *func([]byte, int64) (int, error) {
	f := reflect.ValueOf(s.db).Elem().FieldByName("ops").FieldByName("writeAt")
	return (*func([]byte, int64) (int, error))(unsafe.Pointer(f.UnsafeAddr()))
}

// workload makes batches as a persister does: growing log, snapshots, trims, moves, rows.
type workload struct {
	r    *rand.Rand
	key  uint64
	seq  map[messages.Owner]uint64
	log  []uint64
	n    int
	size int // greatest record
}

func newWorkload(seed uint64) *workload {
	return &workload{r: rand.New(rand.NewPCG(seed, 2)), seq: map[messages.Owner]uint64{}, size: 300}
}

func (w *workload) owner() messages.Owner {
	return messages.Owner(bytes.Repeat([]byte{byte('a' + w.r.IntN(12))}, 32))
}

func (w *workload) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.r.Uint32())
	}
	return b
}

func (w *workload) next() *persister.Batch {
	w.n++
	b := &persister.Batch{}
	old := slices.Clone(w.log)
	if len(old) > 20 && w.r.IntN(3) == 0 { // move the front
		w.key++
		b.Moves = append(b.Moves, persister.Move{From: old[0], To: w.key})
		w.log = append(w.log[1:], w.key)
		old = old[1:]
	}
	for range w.r.IntN(12) {
		o := w.owner()
		w.key++
		w.seq[o]++
		w.log = append(w.log, w.key)
		b.Append = append(b.Append, persister.Record{Key: w.key, Owner: o, Seq: w.seq[o], Data: w.bytes(w.r.IntN(w.size))})
	}
	if len(old) > 30 {
		n := w.r.IntN(20)
		b.Trim = old[:n]
		w.log = slices.DeleteFunc(w.log, func(k uint64) bool { return slices.Contains(b.Trim, k) })
	}
	if w.r.IntN(3) == 0 {
		b.Snapshots = append(b.Snapshots, persister.Snapshot{Owner: w.owner(), Through: uint64(w.n), Data: w.bytes(w.r.IntN(900))})
	}
	if w.r.IntN(9) == 0 {
		b.Forget = append(b.Forget, w.owner())
	}
	for range w.r.IntN(4) {
		row := messages.Row{Bucket: fmt.Sprint("rows", w.r.IntN(2)), Key: w.bytes(1 + w.r.IntN(2)), Value: w.bytes(w.r.IntN(200))}
		if w.r.IntN(4) == 0 {
			row.Value = nil
		}
		b.Rows = append(b.Rows, row)
	}
	return b
}

// dump is everything in a store, as one string.
type dump struct {
	strings.Builder
	errs []error
}

func (d *dump) Snapshot(s persister.Snapshot) {
	fmt.Fprintf(d, "snapshot %s %d %x\n", s.Owner, s.Through, s.Data)
	d.errs = append(d.errs, s.Err)
}

func (d *dump) Record(r persister.Record) {
	fmt.Fprintf(d, "record %d %s %d %x\n", r.Key, r.Owner, r.Seq, r.Data)
	d.errs = append(d.errs, r.Err)
}

func contents(s persister.Store) (string, error) {
	var d dump
	if err := s.Scan(&d); err != nil {
		return "", err
	}
	for _, bucket := range []string{"rows0", "rows1"} {
		rows, err := s.Range(bucket, nil, nil, 1<<20)
		if err != nil {
			return "", err
		}
		for _, r := range rows {
			fmt.Fprintf(&d, "row %s %x %x\n", r.Bucket, r.Key, r.Value)
		}
	}
	return d.String(), errors.Join(d.errs...)
}
