package feed

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lnactor/lnactor/internal/atomicfile"
)

// NameFile holds the name of this feed, which goes with each event that it writes. It is no part of a backup: what is restored has none, gets another one, and
// gives positions behind the copy's end again under that. So (feed, seq) never names two events, however often one copy is restored.
const NameFile = "feed"

// nameBytes are enough for names never to meet.
const nameBytes = 6

// NewName has the feed of a data directory take another name when it is opened next, before a journal is restored into it: an old name beside that
// journal could give one position to two events.
func NewName(dir string) error {
	dir = filepath.Join(dir, Dir)
	err := os.Remove(filepath.Join(dir, NameFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, atomicfile.SyncDir(dir))
}

// name reads the feed's name, or makes one. It is on disk before any event has it.
func (f *Feed) name() (string, error) {
	raw, err := os.ReadFile(f.path(NameFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", storeFailed(err)
	}
	name := strings.TrimSpace(string(raw))
	if b, err := hex.DecodeString(name); err == nil && len(b) == nameBytes {
		return name, nil
	}
	// Not there, or not one: another name harms nobody.
	var b [nameBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	name = hex.EncodeToString(b[:])
	if err := os.MkdirAll(f.o.Dir, 0o700); err != nil {
		return "", storeFailed(err)
	}
	if err := atomicfile.Write(f.path(NameFile), []byte(name+"\n")); err != nil {
		return "", storeFailed(err)
	}
	return name, nil
}
