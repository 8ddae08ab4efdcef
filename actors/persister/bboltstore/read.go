package bboltstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// read runs a short read transaction. What f returns must be copied: it lives in the mapping.
func (s *Store) read(op string, f func(tx *bolt.Tx) error) error {
	if err := s.usable(); err != nil {
		return err
	}
	panicked, err := protect(func() error { return s.db.View(f) })
	if err == nil {
		return nil
	}
	if panicked {
		s.stuck = true
		s.broken = readPanic(op, s.path, err)
		return s.broken
	}
	return persister.Failed(op, s.path, err)
}

func readPanic(op, path string, err error) error {
	var p *panicError
	if errors.As(err, &p) && !p.fault() {
		return corruptFile(op, path, "", nil, err)
	}
	return persister.Failed(op, path, err)
}

// Scan implements persister.Store.
func (s *Store) Scan(v persister.Visitor) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read("scan", func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(persister.BucketSnapshots)).Cursor()
		for k, value := c.First(); k != nil; k, value = c.Next() {
			snap, err := s.snapshot("scan", k, value)
			if err != nil {
				return err
			}
			v.Snapshot(snap)
		}
		names := make(map[string]messages.Owner) // one string per owner, not per record
		var slabs slab
		c = tx.Bucket([]byte(persister.BucketLog)).Cursor()
		for k, value := c.First(); k != nil; k, value = c.Next() {
			r, err := s.record("scan", k, value, names, slabs.copied)
			if err != nil {
				return err
			}
			v.Record(r)
		}
		return nil
	})
}

// snapshot returns an error only if not even the head verifies; otherwise damage is in Snapshot.Err.
func (s *Store) snapshot(op string, key, value []byte) (persister.Snapshot, error) {
	head, data, err := s.codec.unseal(persister.BucketSnapshots, key, value)
	if len(head) != 8 {
		return persister.Snapshot{}, s.corrupt(op, persister.BucketSnapshots, key, cmpErr(err))
	}
	snap := persister.Snapshot{Owner: messages.Owner(key), Through: binary.BigEndian.Uint64(head)}
	if err != nil {
		snap.Err = s.corrupt(op, persister.BucketSnapshots, key, err)
		return snap, nil
	}
	snap.Data = copied(data)
	return snap, nil
}

// record returns an error only if not even the head verifies; otherwise damage is in Record.Err.
func (s *Store) record(op string, key, value []byte, names map[string]messages.Owner, keep func([]byte) []byte) (persister.Record, error) {
	head, data, err := s.codec.unseal(persister.BucketLog, key, value)
	if len(head) <= 8 || len(key) != 8 {
		return persister.Record{}, s.corrupt(op, persister.BucketLog, key, cmpErr(err))
	}
	owner, ok := names[string(head[8:])]
	if !ok {
		owner = messages.Owner(head[8:])
		if names != nil {
			names[string(owner)] = owner
		}
	}
	r := persister.Record{Key: binary.BigEndian.Uint64(key), Owner: owner, Seq: binary.BigEndian.Uint64(head)}
	if err != nil {
		r.Err = s.corrupt(op, persister.BucketLog, key, err)
		return r, nil
	}
	r.Data = keep(data)
	return r, nil
}

func cmpErr(err error) error {
	if err == nil {
		return errShort
	}
	return err
}

// copied never returns nil: an empty value is not an absent one.
func copied(b []byte) []byte { return append([]byte{}, b...) }

// slab copies many small values with few allocations, for a scan of a million records. A slab is freed when none of its values is in use,
// which is soon: owners decode what they load.
type slab struct{ free []byte }

func (s *slab) copied(b []byte) []byte {
	const size = 64 << 10
	if len(b) > size/16 {
		return copied(b)
	}
	if len(b) > len(s.free) {
		s.free = make([]byte, size)
	}
	n := copy(s.free, b)
	out := s.free[:n:n]
	s.free = s.free[n:]
	return out
}

// ReadLog implements persister.Store.
func (s *Store) ReadLog(keys []uint64) (out []persister.Record, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out = make([]persister.Record, 0, len(keys))
	err = s.read("read log", func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(persister.BucketLog))
		names := make(map[string]messages.Owner)
		for _, k := range keys {
			key := logKey(k)
			value := b.Get(key)
			if value == nil {
				return s.corrupt("read log", persister.BucketLog, key, fmt.Errorf("record is missing"))
			}
			r, err := s.record("read log", key, value, names, copied)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ReadSnapshot implements persister.Store.
func (s *Store) ReadSnapshot(o messages.Owner) (snap persister.Snapshot, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.read("read snapshot", func(tx *bolt.Tx) error {
		value := tx.Bucket([]byte(persister.BucketSnapshots)).Get([]byte(o))
		if value == nil {
			return nil
		}
		ok = true
		snap, err = s.snapshot("read snapshot", []byte(o), value)
		return err
	})
	return snap, ok && err == nil, err
}

// Get implements persister.Store.
func (s *Store) Get(bucket string, key []byte) (messages.Row, bool, error) {
	return s.one(bucket, func(c *bolt.Cursor) ([]byte, []byte) {
		k, v := c.Seek(key)
		if !bytes.Equal(k, key) {
			return nil, nil
		}
		return k, v
	})
}

// Last implements persister.Store.
func (s *Store) Last(bucket string, prefix []byte) (messages.Row, bool, error) {
	return s.one(bucket, func(c *bolt.Cursor) ([]byte, []byte) {
		k, v := c.Last()
		if after := successor(prefix); after != nil {
			if at, _ := c.Seek(after); at != nil {
				k, v = c.Prev()
			} else {
				k, v = c.Last()
			}
		}
		if k == nil || !bytes.HasPrefix(k, prefix) {
			return nil, nil
		}
		return k, v
	})
}

// successor is the least key above all keys that begin with prefix, nil if there is none.
func successor(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			next := slices.Clone(prefix[:i+1])
			next[i]++
			return next
		}
	}
	return nil
}

func (s *Store) one(bucket string, seek func(*bolt.Cursor) ([]byte, []byte)) (row messages.Row, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.read("read rows", func(tx *bolt.Tx) error {
		b := rowsBucket(tx, bucket)
		if b == nil {
			return nil
		}
		k, v := seek(b.Cursor())
		if k == nil {
			return nil
		}
		ok = true
		row, err = s.row(bucket, k, v)
		return err
	})
	return row, ok && err == nil, err
}

// Range implements persister.Store.
func (s *Store) Range(bucket string, prefix, after []byte, limit int) (rows []messages.Row, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.read("read rows", func(tx *bolt.Tx) error {
		b := rowsBucket(tx, bucket)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		from := prefix
		if bytes.Compare(after, from) > 0 {
			from = after
		}
		for k, v := c.Seek(from); k != nil && len(rows) < limit && bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if len(after) > 0 && bytes.Equal(k, after) {
				continue
			}
			row, err := s.row(bucket, k, v)
			if err != nil {
				return err
			}
			rows = append(rows, row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

func rowsBucket(tx *bolt.Tx, name string) *bolt.Bucket {
	if persister.ReservedBucket(name) {
		return nil
	}
	return tx.Bucket([]byte(name))
}

func (s *Store) row(bucket string, key, value []byte) (messages.Row, error) {
	_, data, err := s.codec.unseal(bucket, key, value)
	if err != nil {
		return messages.Row{}, s.corrupt("read rows", bucket, key, err)
	}
	return messages.Row{Bucket: bucket, Key: copied(key), Value: copied(data)}, nil
}

// Stats implements persister.Store.
func (s *Store) Stats() persister.StoreStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return persister.StoreStats{
		Commits: s.commits, Batches: s.batches, Syncs: s.syncs, BytesWritten: s.bytes,
		FileBytes: s.fileSize, FreeBytes: freeBytes(s.dir), LostMeta: s.lostMeta,
	}
}
