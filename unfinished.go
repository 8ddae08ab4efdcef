package lnactor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/atomicfile"
	"github.com/lnactor/lnactor/internal/backup"
)

// ErrRestoreUnfinished says that a data directory is half restored. A node that started there would be a new one without channels, but with the seed of
// the old one: its peers would close the channels, and it would use channel keys again (rule 1).
var ErrRestoreUnfinished = errors.New("a restore into the data directory is under way or was interrupted")

// unfinished is the directory, within the data directory, where a restore prepares the store. It is there from before anything else is, and until the
// store is in its place.
const unfinished = "restore-unfinished"

// backupTemp begins the names of copies of the store that backups of a running node make in the data directory.
const backupTemp = ".backup-"

// lockWait is how long a restore waits for whoever has the data directory. A start that is refused has it for an instant.
const lockWait = 200 * time.Millisecond

// CheckRestore returns ErrRestoreUnfinished if no node may start in a data directory before a restore has been repeated. Open does it, too; whoever
// makes anything in the directory before asks first.
func CheckRestore(dir string) error {
	stage := filepath.Join(dir, unfinished)
	switch _, err := os.Lstat(stage); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	_, err := os.Lstat(filepath.Join(dir, bboltstore.FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is there, and no store; run 'lnactor restore' with the backup again, or begin with an empty data directory",
			ErrRestoreUnfinished, stage)
	}
	return err
}

// tidy removes what interrupted restores and backups have left, by whoever has taken the directory.
func tidy(dir string) error {
	if err := CheckRestore(dir); err != nil {
		return err
	}
	// The store is in its place, and durably since the stage is removed after that: what a crash left of the stage means nothing.
	if err := os.RemoveAll(filepath.Join(dir, unfinished)); err != nil {
		return err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !strings.HasPrefix(e.Name(), backupTemp) || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// noStore checks that nothing would be overwritten.
func noStore(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, bboltstore.FileName)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%w: %s", ErrStoreExists, dir), err)
	}
	return nil
}

// ownSeed checks that the seed in a directory, if there is one, is that of the backup, if it has one.
func ownSeed(b *backup.File, dir string) error {
	from, ok := b.Reader(seedFile)
	if !ok {
		return nil
	}
	path := filepath.Join(dir, seedFile)
	there, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	content, readErr := io.ReadAll(from)
	if err := errors.Join(err, readErr); err != nil {
		return err
	}
	if !bytes.Equal(there, content) {
		return fmt.Errorf("%w: %s is not the seed of the backup; move it away if you are sure", ErrSeedExists, path)
	}
	return nil
}

// begin makes the stage, or empties that of an interrupted restore, which is never away meanwhile: small files of that restore may be there.
func begin(dir string) (stage string, err error) {
	stage = filepath.Join(dir, unfinished)
	if err := os.Mkdir(stage, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if err := atomicfile.SyncDir(dir); err != nil {
		return "", err
	}
	restoreStep()
	list, err := os.ReadDir(stage)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if err := os.RemoveAll(filepath.Join(stage, e.Name())); err != nil {
			return "", err
		}
	}
	return stage, nil
}
