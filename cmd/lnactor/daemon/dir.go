package daemon

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/lnactor/lnactor"
)

// prepareDir makes the data directory and finds out whether it can be written. Whatever is first to write there would else say so in its own words.
func prepareDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return dirError(dir, err)
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return dirError(dir, err)
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return dirError(dir, err)
	}
	return nil
}

// dirError tells a disk that fails from a wrong path and from missing rights, which only a change of the configuration mends.
func dirError(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: data directory %s: %w (mount it so that it can be written; if nobody changed that, look at the disk: a file system becomes read-only when its disk fails)",
			lnactor.ErrStoreFailed, dir, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: data directory %s: %w", lnactor.ErrDiskFull, dir, err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w: data directory %s: %w", lnactor.ErrStoreFailed, dir, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: data directory %s: %w (the user that runs the node needs the right to write there)", lnactor.ErrConfig, dir, err)
	}
	return fmt.Errorf("%w: data directory: %w", lnactor.ErrConfig, err)
}
