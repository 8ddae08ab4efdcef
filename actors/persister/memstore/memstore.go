package memstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// Fault is what a commit does instead of succeeding.
type Fault int

const (
	None        Fault = iota
	FailBefore        // error, nothing of the batch is on disk
	FailAfter         // error, all of it is on disk
	FailEither        // error, and the next crash decides: the ambiguous commit of a real disk
	PanicBefore       // panic, nothing is on disk
	PanicAfter        // panic, all is on disk
	PanicEither       // panic, and the next crash decides
)

// ErrInjected is the cause of an injected failure.
var ErrInjected = errors.New("injected fault")

// Hook is called once per commit, after it was submitted and before it is durable, with the number of the commit since the store was made or
// cloned (from 1). It may call Clone, Crash and CrashStates. If it panics, the batch is on disk or not, as after PanicEither.
type Hook func(n uint64, b *persister.Batch) Fault

// Store implements persister.Store in memory.
type Store struct {
	mu       sync.Mutex
	disk     *state             // survives every crash
	live     *state             // what reads see; the same object as disk unless something is unsynced
	pending  []*persister.Batch // submitted and not durable: a crash leaves a prefix of them
	unsynced bool
	hook     Hook
	n        uint64
	syncs    uint64
	broken   error
	closed   bool
}

var _ persister.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return from(newState()) }

// from starts a process on what a disk holds. Which keys the log once had it does not hold.
func from(s *state) *Store {
	s.lastKey = 0
	if n := len(s.log); n > 0 {
		s.lastKey = s.log[n-1].Key
	}
	return &Store{disk: s, live: s}
}

// OnCommit installs the fault hook; nil removes it. A clone has none.
func (s *Store) OnCommit(h Hook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hook = h
}

// SetUnsynced makes commits return before they are durable: only Sync makes them so. It is for tests of tests.
func (s *Store) SetUnsynced(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsynced = on
}

// Sync makes everything committed so far durable.
func (s *Store) Sync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.syncLocked()
}

func (s *Store) syncLocked() {
	s.disk, s.pending = s.live, nil
	s.syncs++
}

// Clone returns a store with everything that was committed, as if the process had stopped in peace.
func (s *Store) Clone() *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return from(s.live.clone())
}

// Crash returns a store as a crash right now could leave it, chosen at random among the legal states. The old store remains as it is; whoever
// still uses it is a dead process.
func (s *Store) Crash(rnd *rand.Rand) *Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.pending) == 0 {
		return s.crashLocked(0)
	}
	return s.crashLocked(rnd.IntN(len(s.pending) + 1))
}

// CrashStates returns a store for each state that a crash right now could legally leave: none, the first, the first two, ... of the batches
// that were submitted and are not durable.
func (s *Store) CrashStates() []*Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Store
	for n := 0; n <= len(s.pending); n++ {
		all = append(all, s.crashLocked(n))
	}
	return all
}

func (s *Store) crashLocked(n int) *Store {
	disk := s.disk.clone()
	for _, b := range s.pending[:n] {
		disk.apply(b)
	}
	return from(disk)
}

// Commit implements persister.Store.
func (s *Store) Commit(b *persister.Batch) (err error) {
	if err := s.submit(b); err != nil {
		return err
	}
	s.mu.Lock()
	hook, n := s.hook, s.n
	s.mu.Unlock()
	fault := PanicEither
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.settle(fault)
		if fault != None {
			s.broken = persister.Failed("commit", "memory", fmt.Errorf("%w at commit %d", ErrInjected, n))
			err = s.broken
		}
	}()
	fault = s.consult(hook, n, b)
	if fault == PanicBefore || fault == PanicAfter || fault == PanicEither {
		panic(fmt.Errorf("%w: panic at commit %d", ErrInjected, n))
	}
	return nil
}

func (s *Store) consult(h Hook, n uint64, b *persister.Batch) Fault {
	if h == nil {
		return None
	}
	return h(n, b)
}

func (s *Store) submit(b *persister.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if err := s.live.prepare(b); err != nil {
		return err
	}
	s.n++
	s.pending = append(s.pending, keep(b))
	return nil
}

// settle decides about the batch submitted last.
func (s *Store) settle(f Fault) {
	last := len(s.pending) - 1
	switch f {
	case FailBefore, PanicBefore:
		s.pending = s.pending[:last]
		return
	case FailEither, PanicEither:
		return
	}
	if !s.unsynced && last == 0 {
		s.disk.apply(s.pending[0]) // live is the same object
		s.pending = nil
		s.syncs++
		return
	}
	if s.live == s.disk {
		s.live = s.disk.clone()
	}
	s.live.apply(s.pending[last])
	if !s.unsynced || f == FailAfter || f == PanicAfter {
		s.syncLocked()
	}
}

// keep copies what the batch's owner may use again.
func keep(b *persister.Batch) *persister.Batch {
	return &persister.Batch{
		Epoch: b.Epoch, Moves: slices.Clone(b.Moves), Append: slices.Clone(b.Append), Trim: slices.Clone(b.Trim),
		Forget: slices.Clone(b.Forget), Snapshots: slices.Clone(b.Snapshots), Rows: slices.Clone(b.Rows),
	}
}

func (s *Store) usable() error {
	if s.broken != nil {
		return s.broken
	}
	if s.closed {
		return persister.ErrClosed
	}
	return nil
}

// Scan implements persister.Store.
func (s *Store) Scan(v persister.Visitor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	owners := make([]messages.Owner, 0, len(s.live.snapshots))
	for o := range s.live.snapshots {
		owners = append(owners, o)
	}
	slices.Sort(owners)
	for _, o := range owners {
		v.Snapshot(s.live.snapshots[o])
	}
	for _, r := range s.live.log {
		v.Record(r)
	}
	return nil
}

// ReadLog implements persister.Store.
func (s *Store) ReadLog(keys []uint64) ([]persister.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	out := make([]persister.Record, 0, len(keys))
	for _, k := range keys {
		i, ok := s.live.find(k)
		if !ok {
			return nil, &persister.Error{Kind: persister.ErrCorrupt, Op: "read", Bucket: persister.BucketLog, Err: fmt.Errorf("no record with key %d", k)}
		}
		out = append(out, s.live.log[i])
	}
	return out, nil
}

// ReadSnapshot implements persister.Store.
func (s *Store) ReadSnapshot(o messages.Owner) (persister.Snapshot, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	snap, ok := s.live.snapshots[o]
	return snap, ok, s.usable()
}

// Get implements persister.Store.
func (s *Store) Get(bucket string, key []byte) (messages.Row, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := s.live.rows[bucket]
	i, ok := search(rows, string(key))
	if !ok {
		return messages.Row{}, false, s.usable()
	}
	return rows[i].row(bucket), true, s.usable()
}

// Range implements persister.Store.
func (s *Store) Range(bucket string, prefix, after []byte, limit int) ([]messages.Row, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live.prefix(bucket, string(prefix), string(after), limit), s.usable()
}

// Last implements persister.Store.
func (s *Store) Last(bucket string, prefix []byte) (messages.Row, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.live.last(bucket, string(prefix))
	return r, ok, s.usable()
}

// Stats implements persister.Store.
func (s *Store) Stats() persister.StoreStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return persister.StoreStats{Commits: s.live.commits, Batches: s.n, Syncs: s.syncs, FreeBytes: -1}
}

// Close implements persister.Store. What was committed stays, for Clone and Crash.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return nil
}

// Buckets lists the buckets of keyed rows, for tests that look at everything or remove what the manager owns.
func (s *Store) Buckets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.live.rows))
	for b := range s.live.rows {
		names = append(names, b)
	}
	slices.Sort(names)
	return names
}

// Drop removes owners and whole buckets at once, durably. It is the test hook for losing the manager's records (S18).
func (s *Store) Drop(owners []messages.Owner, buckets []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = s.live.clone()
	for _, o := range owners {
		delete(s.live.snapshots, o)
		s.live.log = slices.DeleteFunc(s.live.log, func(r persister.Record) bool { return r.Owner == o })
	}
	for _, b := range buckets {
		delete(s.live.rows, b)
	}
	s.syncLocked()
}
