package bboltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// OpenReadOnly opens the store of a directory that nobody uses, to look at it: nothing is written, not even a lock, so that it works on a file system
// that cannot be written. All pages are checked first. The Store refuses every Commit.
func OpenReadOnly(dir string) (_ *Store, err error) {
	s := &Store{dir: dir, path: filepath.Join(dir, FileName), opts: Options{}.withDefaults()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.release())
		}
	}()
	if _, err := os.Stat(s.path); errors.Is(err, fs.ErrNotExist) {
		return nil, &persister.Error{
			Kind: persister.ErrStoreFailed, Op: "open", Path: s.path, Err: fs.ErrNotExist,
			Hint: "no node has run with this data directory; is it the right one?",
		}
	} else if err != nil {
		return nil, persister.Failed("open", s.path, err)
	}
	if s.lock, err = share(dir); err != nil {
		return nil, err
	}
	found, err := checkFile(s.path)
	if err != nil {
		return nil, err
	}
	s.lostMeta = found.lostMeta
	if err := s.open(true); err != nil {
		return nil, err
	}
	return s, s.identify()
}

// Buckets lists the names of all buckets, in order.
func (s *Store) Buckets() (names []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.read("list buckets", func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
			names = append(names, string(name))
			return nil
		})
	})
	return names, err
}

// VisitRows gives every row of a bucket to f in key order, with an *Error of kind ErrCorrupt for one that does not verify.
func (s *Store) VisitRows(bucket string, f func(row messages.Row, damage error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read("read rows", func(tx *bolt.Tx) error {
		b := rowsBucket(tx, bucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(k, v []byte) error {
			row, err := s.row(bucket, k, v)
			if err != nil {
				row = messages.Row{Bucket: bucket, Key: copied(k)}
			}
			f(row, err)
			return nil
		})
	})
}

// VisitLog gives every snapshot and every record to v as Scan does, but goes on behind one whose owner cannot be told: that is given to lost.
func (s *Store) VisitLog(v persister.Visitor, lost func(error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read("scan", func(tx *bolt.Tx) error {
		err := tx.Bucket([]byte(persister.BucketSnapshots)).ForEach(func(k, value []byte) error {
			snap, err := s.snapshot("scan", k, value)
			if err != nil {
				lost(err)
				return nil
			}
			v.Snapshot(snap)
			return nil
		})
		if err != nil {
			return err
		}
		names := make(map[string]messages.Owner)
		return tx.Bucket([]byte(persister.BucketLog)).ForEach(func(k, value []byte) error {
			r, err := s.record("scan", k, value, names, copied)
			if err != nil {
				lost(fmt.Errorf("log: %w", err))
				return nil
			}
			v.Record(r)
			return nil
		})
	})
}
