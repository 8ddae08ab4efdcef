//go:build unix

package bboltstore

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lnactor/lnactor/actors/persister"
)

// acquire takes the directory for this process. The lock is on store.pid and not only on store.db, since that one is replaced when it is
// created and compacted. The kernel drops the lock with the process, however it ends.
func acquire(dir string, timeout time.Duration) (*os.File, error) {
	path := filepath.Join(dir, PIDName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, persister.Failed("lock", path, err)
	}
	const pause = 50 * time.Millisecond
	for waited := time.Duration(0); ; waited += pause {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, persister.Failed("lock", path, err)
		}
		if waited >= timeout {
			pid := readPID(f)
			_ = f.Close()
			return nil, inUse(dir, pid)
		}
		time.Sleep(pause)
	}
	if err := f.Truncate(0); err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
		if err != nil {
			_ = f.Close()
			return nil, persister.Failed("lock", path, err)
		}
	}
	return f, nil
}

// share keeps the directory from being taken by a process that writes, without writing itself. There may be nothing to lock.
func share(dir string) (*os.File, error) {
	path := filepath.Join(dir, PIDName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, persister.Failed("lock", path, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	pid := readPID(f)
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, inUse(dir, pid)
	}
	return nil, persister.Failed("lock", path, err)
}

// Holder is the process that has the directory, 0 if none has or that can't be told.
func Holder(dir string) int {
	f, err := share(dir)
	if f != nil {
		_ = f.Close() // and with it the lock
	}
	var held *persister.Error
	if errors.As(err, &held) {
		return held.PID
	}
	return 0
}

func readPID(f *os.File) int {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b)))
	if err != nil {
		return 0
	}
	return pid
}

// freeBytes is what is left on the disk for us, -1 if that cannot be told.
func freeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize) //nolint:unconvert // Bsize is 32 bits wide on other systems
}

// unlock is needed where a mapping keeps the file alive after its descriptor was closed, and with it the lock.
func unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }
