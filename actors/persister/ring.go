package persister

import (
	"slices"
)

// entry is one record in the log, as the index knows it.
type entry struct {
	key   uint64
	seq   uint64
	owner *owner // nil: deleted out of order
	size  int
}

func (e *entry) dead() bool { return e.seq <= e.owner.through }

// ring holds the entries of the log in ascending key order; it is appended to at the end and consumed at the front.
type ring struct {
	entries []entry
	head    int
}

func (r *ring) len() int      { return len(r.entries) - r.head }
func (r *ring) front() *entry { return &r.entries[r.head] }
func (r *ring) push(e entry)  { r.entries = append(r.entries, e) }

func (r *ring) pop() {
	r.entries[r.head] = entry{}
	r.head++
	if r.head > 1024 && r.head > len(r.entries)/2 {
		r.entries = slices.Clone(r.entries[r.head:]) // amortised, and gives memory back
		r.head = 0
	}
}

// find returns the entry with this key, or nil.
func (r *ring) find(key uint64) *entry {
	rest := r.entries[r.head:]
	i, ok := slices.BinarySearchFunc(rest, key, func(e entry, key uint64) int {
		switch {
		case e.key < key:
			return -1
		case e.key > key:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &rest[i]
}

// place is where one record of an owner is.
type place struct{ key, seq uint64 }

// fifo holds an owner's places in key order.
type fifo struct {
	places []place
	head   int
}

func (f *fifo) len() int     { return len(f.places) - f.head }
func (f *fifo) all() []place { return f.places[f.head:] }
func (f *fifo) push(p place) { f.places = append(f.places, p) }

func (f *fifo) pop() {
	f.head++
	switch {
	case f.head == len(f.places):
		f.places, f.head = nil, 0
	case f.head > 64 && f.head > len(f.places)/2:
		f.places = slices.Clone(f.places[f.head:])
		f.head = 0
	}
}

// scanned is what the scan at start read of one owner.
type scanned struct {
	snapshot []byte
	records  []scannedRecord
}

type scannedRecord struct {
	seq  uint64
	data []byte
}

// sortBySeq brings places into the order of the owner's own sequence numbers: moved records are not in key order.
func sortBySeq(p []place) {
	slices.SortFunc(p, func(a, b place) int {
		switch {
		case a.seq < b.seq:
			return -1
		case a.seq > b.seq:
			return 1
		}
		return 0
	})
}
