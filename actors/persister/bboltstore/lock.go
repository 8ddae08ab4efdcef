package bboltstore

import (
	"os"
	"time"

	"github.com/lnactor/lnactor/actors/persister"
)

// Lock is a directory that is taken without its store being open.
type Lock struct{ file *os.File }

// Take takes a directory, which must be there, as Open does: nobody else opens a store in it until Release, nor makes one.
func Take(dir string, timeout time.Duration) (*Lock, error) {
	f, err := acquire(dir, timeout)
	if err != nil {
		return nil, err
	}
	return &Lock{f}, nil
}

// Release gives the directory back.
func (l *Lock) Release() error {
	if l.file == nil {
		return nil
	}
	_ = l.file.Truncate(0) // no holder any more
	if err := l.file.Close(); err != nil {
		return persister.Failed("unlock", l.file.Name(), err)
	}
	return nil
}
