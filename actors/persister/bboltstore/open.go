package bboltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/lnactor/lnactor/actors/persister"
)

// Names of the files in a data directory.
const (
	FileName = "store.db"
	PIDName  = "store.pid"

	newName     = "store.db.new"
	compactName = "store.db.compact"
)

const (
	formatVersion = 1
	keyFormat     = "format"
	keyCommits    = "commits"
)

// Options of Open. The zero value is right for a node.
type Options struct {
	// MmapSize is the address space to reserve (default 1 GiB). A file that outgrows it is mapped anew, for which the commit waits for readers.
	MmapSize int
	// LockTimeout is how long to wait for the holder of the directory to go away (default 1 s).
	LockTimeout time.Duration
	// MinFree is how many bytes must be left on the disk to start (default 64 MiB; negative: any).
	MinFree int64
	// CompactBytes is the size from which a file that is at least three quarters empty is compacted at start (default 64 MiB; negative: never).
	CompactBytes int64
	// PageSize overrides that of the system, for a new file.
	PageSize int
	// Taken is called when the directory is taken, before anything in it is looked at or made. An error ends Open.
	Taken func() error
	// NoSync leaves out every sync. It exists for tests that must notice it.
	NoSync bool
}

func (o Options) withDefaults() Options {
	if o.MmapSize <= 0 {
		o.MmapSize = 1 << 30
	}
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	if o.MinFree == 0 {
		o.MinFree = 64 << 20
	}
	if o.CompactBytes == 0 {
		o.CompactBytes = 64 << 20
	}
	return o
}

// Store implements persister.Store on one bbolt file.
type Store struct {
	mu     sync.Mutex
	dir    string
	path   string
	opts   Options
	lock   *os.File
	file   *os.File // bbolt's, to release its lock when bbolt cannot be closed any more
	db     *bolt.DB
	broken error // set once, and for good
	stuck  bool  // a panic may have left bbolt's locks held
	closed bool

	lastKey  uint64
	commits  uint64
	batches  uint64
	syncs    uint64
	bytes    uint64
	fileSize int64
	lostMeta bool
	codec    codec
	arena    []byte // values of the transaction under way
}

var _ persister.Store = (*Store)(nil)

// Open opens the store in a directory, which it makes if need be.
func Open(dir string, opts Options) (_ *Store, err error) {
	s := &Store{dir: dir, path: filepath.Join(dir, FileName), opts: opts.withDefaults()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, persister.Failed("open", dir, err)
	}
	if s.lock, err = acquire(dir, s.opts.LockTimeout); err != nil {
		return nil, err
	}
	if opts.Taken != nil {
		if err := opts.Taken(); err != nil {
			return nil, err
		}
	}
	if err := s.checkSpace(); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	if err := s.open(false); err != nil {
		return nil, err
	}
	if err := s.identify(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Store) checkSpace() error {
	free := freeBytes(s.dir)
	if free < 0 || s.opts.MinFree < 0 || free >= s.opts.MinFree {
		return nil
	}
	return &persister.Error{
		Kind: persister.ErrDiskFull, Op: "open", Path: s.dir,
		Err:  fmt.Errorf("%d MiB left, at least %d MiB are needed", free>>20, s.opts.MinFree>>20),
		Hint: "free some space and start again; acknowledging and closing need space too",
	}
}

// prepare makes sure that there is a complete file, of which bbolt may map every page.
func (s *Store) prepare() error {
	// What a crash left of an unfinished creation or compaction. The finished ones were renamed.
	for _, name := range []string{newName, compactName} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return persister.Failed("open", s.dir, err)
		}
	}
	if _, err := os.Stat(s.path); errors.Is(err, os.ErrNotExist) {
		if err := s.create(); err != nil {
			return persister.Failed("create", s.path, err)
		}
	} else if err != nil {
		return persister.Failed("open", s.path, err)
	}
	found, err := checkFile(s.path)
	if err != nil {
		return err
	}
	s.lostMeta = found.lostMeta
	if s.opts.CompactBytes >= 0 && found.size >= s.opts.CompactBytes && found.used*4 <= found.size {
		if free := freeBytes(s.dir); free < 0 || free > 2*found.used+s.opts.MinFree {
			return s.compact()
		}
	}
	return nil
}

func (s *Store) boltOptions() *bolt.Options {
	return &bolt.Options{
		Timeout:         s.opts.LockTimeout,
		NoFreelistSync:  true,
		FreelistType:    bolt.FreelistMapType,
		InitialMmapSize: s.opts.MmapSize,
		PageSize:        s.opts.PageSize,
		NoSync:          s.opts.NoSync,
	}
}

// create makes an empty store under another name. A crash leaves either no store.db or a whole one.
func (s *Store) create() error {
	path := filepath.Join(s.dir, newName)
	opts := s.boltOptions()
	opts.InitialMmapSize = 0
	db, err := bolt.Open(path, 0o600, opts)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{persister.BucketLog, persister.BucketSnapshots, persister.BucketMeta} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		return s.putMeta(tx, keyFormat, formatVersion)
	})
	if err != nil {
		_ = db.Close()
		return err
	}
	if err := db.Close(); err != nil {
		return err
	}
	return s.install(path)
}

// install puts a complete file in the place of store.db.
func (s *Store) install(path string) error {
	if err := syncFile(path); err != nil {
		return err
	}
	if err := os.Rename(path, s.path); err != nil {
		return err
	}
	return syncFile(s.dir)
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func (s *Store) open(readOnly bool) error {
	opts := s.boltOptions()
	opts.ReadOnly = readOnly
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		s.file = f
		return f, err
	}
	_, err := protect(func() (err error) {
		s.db, err = bolt.Open(s.path, 0o600, opts)
		return err
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return inUse(s.dir, 0)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return corruptFile("open", s.path, "", nil, err)
	}
	return persister.Failed("open", s.path, err)
}

// identify reads what the store knows about itself.
func (s *Store) identify() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return persister.Failed("open", s.path, err)
	}
	s.fileSize = info.Size()
	return s.read("open", func(tx *bolt.Tx) error {
		for _, name := range []string{persister.BucketLog, persister.BucketSnapshots, persister.BucketMeta} {
			if tx.Bucket([]byte(name)) == nil {
				return s.corrupt("open", name, nil, errors.New("bucket is missing"))
			}
		}
		format, err := s.getMeta(tx, keyFormat)
		if err != nil {
			return err
		}
		if format != formatVersion {
			return s.corrupt("open", persister.BucketMeta, []byte(keyFormat), fmt.Errorf("%w %d, want %d", errVersion, format, formatVersion))
		}
		if s.commits, err = s.getMeta(tx, keyCommits); err != nil {
			return err
		}
		if k, _ := tx.Bucket([]byte(persister.BucketLog)).Cursor().Last(); len(k) == 8 {
			s.lastKey = binary.BigEndian.Uint64(k)
		}
		return nil
	})
}

func (s *Store) putMeta(tx *bolt.Tx, name string, value uint64) error {
	b := tx.Bucket([]byte(persister.BucketMeta))
	return b.Put([]byte(name), s.codec.seal(nil, persister.BucketMeta, []byte(name), nil, binary.BigEndian.AppendUint64(nil, value)))
}

// getMeta returns 0 for a number that was never written.
func (s *Store) getMeta(tx *bolt.Tx, name string) (uint64, error) {
	v := tx.Bucket([]byte(persister.BucketMeta)).Get([]byte(name))
	if v == nil {
		return 0, nil
	}
	_, data, err := s.codec.unseal(persister.BucketMeta, []byte(name), v)
	if err == nil && len(data) != 8 {
		err = errShort
	}
	if err != nil {
		return 0, s.corrupt("open", persister.BucketMeta, []byte(name), err)
	}
	return binary.BigEndian.Uint64(data), nil
}

// Close implements persister.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return s.release()
}

func (s *Store) release() (err error) {
	switch {
	case s.stuck && s.file != nil:
		unlock(s.file) // bbolt may hold its own locks for ever; this at least lets go of the file
		err = s.file.Close()
	case s.db != nil:
		err = s.db.Close()
	}
	if s.lock != nil {
		_ = s.lock.Truncate(0) // no holder any more
		if e := s.lock.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return persister.Failed("close", s.path, err)
	}
	return nil
}
