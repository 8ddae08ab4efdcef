package bboltstore

import (
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"github.com/lnactor/lnactor/actors/persister"
)

// compact copies the file without its free pages and puts the copy in its place. bbolt never gives space back, and a restart reads all of the
// file. A crash leaves the old file or the new one, which hold the same.
func (s *Store) compact() error {
	path := filepath.Join(s.dir, compactName)
	_, err := protect(func() error {
		opts := s.boltOptions()
		src, err := bolt.Open(s.path, 0o600, opts)
		if err != nil {
			return err
		}
		defer src.Close() //nolint:errcheck // read only
		to := *opts
		to.InitialMmapSize = 0
		to.PageSize = src.Info().PageSize
		to.NoSync = true // install syncs it as a whole
		dst, err := bolt.Open(path, 0o600, &to)
		if err != nil {
			return err
		}
		if err := bolt.Compact(dst, src, 4<<20); err != nil {
			_ = dst.Close()
			return err
		}
		if err := dst.Close(); err != nil {
			return err
		}
		return s.install(path)
	})
	if err != nil {
		return persister.Failed("compact", s.path, err)
	}
	return nil
}
