package bboltstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"

	bolt "go.etcd.io/bbolt"

	"github.com/lnactor/lnactor/actors/persister"
)

// Commit implements persister.Store: one bbolt transaction per batch (group commit).
func (s *Store) Commit(b *persister.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return err
	}
	if err := b.Check(s.lastKey); err != nil {
		return err // our own code's word, before anything was tried: no harm done
	}
	before := s.db.Stats().TxStats
	panicked, err := protect(func() error {
		tx, err := s.db.Begin(true) // not Update: after a panic it rolls back, and waits for ever for locks of its own
		if err != nil {
			return err
		}
		if err := s.write(tx, b); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	})
	if err != nil {
		// The data may be on disk or not, and bbolt's memory may disagree with it. A sync must not be tried again: the kernel may have
		// dropped the pages it could not write and report success.
		s.stuck = s.stuck || panicked
		s.broken = commitError(s.path, err)
		return s.broken
	}
	s.account(b, before)
	return nil
}

func commitError(path string, err error) error {
	e := persister.Failed("commit", path, err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		e.Kind = persister.ErrDiskFull
		e.Hint = "free some space and restart the node"
	}
	return e
}

func (s *Store) account(b *persister.Batch, before bolt.TxStats) {
	s.commits++
	s.batches++
	if n := len(b.Append); n > 0 {
		s.lastKey = b.Append[n-1].Key
	} else if n := len(b.Moves); n > 0 {
		s.lastKey = b.Moves[n-1].To
	}
	after := s.db.Stats().TxStats
	s.bytes += uint64(after.GetPageAlloc()-before.GetPageAlloc()) + uint64(s.db.Info().PageSize) // pages, then the root
	s.syncs += 2
	if info, err := s.file.Stat(); err == nil && info.Size() > s.fileSize {
		s.fileSize = info.Size()
		s.syncs++ // the file grew
	}
}

func (s *Store) write(tx *bolt.Tx, b *persister.Batch) error {
	s.arena = s.arena[:0]
	if err := s.writeLog(tx, b); err != nil {
		return err
	}
	snapshots := tx.Bucket([]byte(persister.BucketSnapshots))
	for _, o := range b.Forget {
		if err := snapshots.Delete([]byte(o)); err != nil {
			return err
		}
	}
	for i := range b.Snapshots {
		snap := &b.Snapshots[i]
		key := []byte(snap.Owner)
		var head [8]byte
		binary.BigEndian.PutUint64(head[:], snap.Through)
		if err := snapshots.Put(key, s.seal(persister.BucketSnapshots, key, head[:], snap.Data)); err != nil {
			return err
		}
	}
	if err := s.writeRows(tx, b); err != nil {
		return err
	}
	return s.putMeta(tx, keyCommits, s.commits+1)
}

func (s *Store) writeLog(tx *bolt.Tx, b *persister.Batch) error {
	log := tx.Bucket([]byte(persister.BucketLog))
	log.FillPercent = 1.0 // keys only ascend; it is not stored, so it is set in each transaction
	var key [8]byte
	for _, m := range b.Moves {
		binary.BigEndian.PutUint64(key[:], m.From)
		value := log.Get(key[:])
		if value == nil {
			return fmt.Errorf("%w: move of key %d, which is not in the log", persister.ErrBadBatch, m.From)
		}
		head, data, err := s.codec.unseal(persister.BucketLog, key[:], value)
		if err != nil {
			return s.corrupt("move", persister.BucketLog, key[:], err)
		}
		var to [8]byte
		binary.BigEndian.PutUint64(to[:], m.To)
		moved := s.seal(persister.BucketLog, to[:], head, data)
		if err := log.Put(to[:], moved); err != nil {
			return err
		}
		if err := log.Delete(key[:]); err != nil {
			return err
		}
	}
	var head []byte
	for i := range b.Append {
		r := &b.Append[i]
		binary.BigEndian.PutUint64(key[:], r.Key)
		head = append(binary.BigEndian.AppendUint64(head[:0], r.Seq), r.Owner...)
		if err := log.Put(key[:], s.seal(persister.BucketLog, key[:], head, r.Data)); err != nil {
			return err
		}
	}
	for _, k := range b.Trim {
		binary.BigEndian.PutUint64(key[:], k)
		if err := log.Delete(key[:]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeRows(tx *bolt.Tx, b *persister.Batch) error {
	var bucket *bolt.Bucket
	name := ""
	for i := range b.Rows {
		r := &b.Rows[i]
		if r.Bucket != name {
			var err error
			if bucket, err = tx.CreateBucketIfNotExists([]byte(r.Bucket)); err != nil {
				return err
			}
			name = r.Bucket
		}
		if r.Value == nil {
			if err := bucket.Delete(r.Key); err != nil {
				return err
			}
			continue
		}
		if err := bucket.Put(r.Key, s.seal(r.Bucket, r.Key, nil, r.Value)); err != nil {
			return err
		}
	}
	return nil
}

// seal makes an envelope that stays valid for the transaction, as bbolt wants its values. When the arena grows, the earlier ones keep the old
// one alive.
func (s *Store) seal(bucket string, key, head, data []byte) []byte {
	at := len(s.arena)
	s.arena = s.codec.seal(s.arena, bucket, key, head, data)
	return s.arena[at:len(s.arena):len(s.arena)]
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

// protect turns panics into errors, memory faults included: bbolt reads the file through a mapping, where a bad disk or a truncated file is a
// SIGBUS and not an error.
func protect(f func() error) (panicked bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			panicked = true
			err = &panicError{reason: r, stack: debug.Stack()}
		}
	}()
	return false, f()
}

type panicError struct {
	reason any
	stack  []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.reason) }

func (e *panicError) Unwrap() error {
	err, _ := e.reason.(error)
	return err
}

// fault says whether the panic was an access to memory that could not be read.
func (e *panicError) fault() bool {
	var r runtime.Error
	if !errors.As(e.Unwrap(), &r) {
		return false
	}
	_, ok := r.(interface{ Addr() uintptr })
	return ok
}
