package bboltstore

import (
	"io"

	bolt "go.etcd.io/bbolt"

	"github.com/lnactor/lnactor/actors/persister"
)

// Copy gives the whole file as of one commit, while others go on: f is told its size and the number of that commit, and calls write once. A commit that
// has to map more of the file waits until f returns, and pages that are freed meanwhile are not used again, so f should be quick.
func (s *Store) Copy(f func(size int64, commits uint64, write func(io.Writer) error) error) error {
	tx, commits, err := s.beginCopy()
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // read only
	return f(tx.Size(), commits, func(w io.Writer) error {
		// It reads the file, not the mapping.
		if _, err := tx.WriteTo(w); err != nil {
			return persister.Failed("copy", s.path, err)
		}
		return nil
	})
}

func (s *Store) beginCopy() (tx *bolt.Tx, commits uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, 0, err
	}
	if tx, err = s.db.Begin(false); err != nil {
		return nil, 0, persister.Failed("copy", s.path, err)
	}
	if commits, err = s.getMeta(tx, keyCommits); err != nil {
		_ = tx.Rollback()
		return nil, 0, err
	}
	return tx, commits, nil
}
