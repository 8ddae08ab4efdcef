package lnactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/atomicfile"
	"github.com/lnactor/lnactor/internal/backup"
	"github.com/lnactor/lnactor/messages"
)

// Why a backup was refused, or a restore. See package internal/backup for the format.
var (
	ErrNotBackup     = backup.ErrForeign
	ErrBackupDamaged = backup.ErrDamaged
	ErrBackupVersion = backup.ErrVersion
	ErrStoreExists   = errors.New("the data directory has a store already, which is never overwritten")
)

// BackupHeader says what a backup holds.
type BackupHeader = backup.Header

// BackupEntry is a file in a backup.
type BackupEntry = backup.Entry

// BackupOptions are the particulars of a backup. The zero value is one of the node alone, without its seed.
type BackupOptions struct {
	// Seed takes the seed file along. If that has no passphrase, the backup is the money.
	Seed bool
	// Files are more files and directories to take along, relative to the data directory, as far as they are there. They are copied after the store, in
	// this order, each once.
	Files []string
	// Omit are files among them that are left out, relative to the data directory.
	Omit []string
	// Software that makes the backup, for its header.
	Software string
}

// backupSpare is what must be left on the disk of the data directory while a backup is made: the node needs it.
const backupSpare = 128 << 20

// Backup writes a backup of the running node: the store as of one commit, and the small files. While it runs
// it needs as much room in the data directory as the store has.
//
// A backup is old with the next payment. Who restores one gets unverified channels: see RestoreBackup.
func (n *Node) Backup(ctx context.Context, w io.Writer, o BackupOptions) (BackupHeader, error) {
	const op = "backup"
	s, ok := n.store.(*bboltstore.Store)
	if !ok {
		return BackupHeader{}, n.fail(op, fmt.Errorf("%w: the node keeps everything in memory", ErrConfig))
	}
	list, err := askAgain[messages.ChannelList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListChannels{ReplyTo: to}
	})
	if err != nil {
		return BackupHeader{}, n.fail(op, err)
	}
	h, err := writeBackup(s, n.cfg.Dir, w, o, len(list.Channels)+len(list.Quarantined)+list.Loading, true)
	return h, n.fail(op, err)
}

// BackupDir writes a backup of a data directory that no node uses.
func BackupDir(dir string, w io.Writer, o BackupOptions) (h BackupHeader, err error) {
	s, err := bboltstore.OpenReadOnly(dir)
	if err != nil {
		return h, &Error{Op: "backup", Err: err}
	}
	logs, err := readLogs(s)
	if err == nil {
		h, err = writeBackup(s, dir, w, o, len(logs.channels()), false)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		err = &Error{Op: "backup", Err: err}
	}
	return h, err
}

func writeBackup(s *bboltstore.Store, dir string, to io.Writer, o BackupOptions, channels int, running bool) (h BackupHeader, err error) {
	h = BackupHeader{Channels: channels, Created: time.Now().UTC().Truncate(time.Second), Software: o.Software}
	if err := describe(s, &h); err != nil {
		return h, err
	}
	w, err := copyStore(s, dir, to, &h, running)
	if err != nil {
		return h, err
	}
	// The other files come after the store: an index of the wallet in it is never larger than the one in the file.
	files := append([]string{walletFile, peersFile}, o.Files...)
	if o.Seed {
		files = append(files, seedFile)
	}
	added := map[string]bool{}
	for _, name := range o.Omit {
		added[filepath.ToSlash(name)] = true
	}
	for _, name := range files {
		if err := addFiles(w, dir, name, added); err != nil {
			return h, err
		}
	}
	return h, w.Close()
}

// copyStore begins the backup with the store. Of a running node it is copied to a file first: as long as a copy is being made, a commit that grows the
// file much waits, and whoever reads the backup may be slow.
func copyStore(s *bboltstore.Store, dir string, to io.Writer, h *BackupHeader, running bool) (w *backup.Writer, err error) {
	begin := func(size int64, commits uint64, write func(io.Writer) error) error {
		h.Commits = commits
		if w, err = backup.NewWriter(to, *h); err != nil {
			return err
		}
		return w.Add(bboltstore.FileName, size, write)
	}
	if !running {
		err = s.Copy(begin)
		return w, err
	}
	f, err := os.CreateTemp(dir, backupTemp+"*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	var size int64
	var commits uint64
	err = s.Copy(func(n int64, c uint64, write func(io.Writer) error) error {
		size, commits = n, c
		if free := bboltstore.FreeBytes(dir); free >= 0 && free < size+backupSpare {
			return fmt.Errorf("%w: %d MiB are left, and the copy takes %d", ErrDiskFull, free>>20, size>>20)
		}
		return write(f)
	})
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = begin(size, commits, func(to io.Writer) error { _, err := io.Copy(to, f); return err })
	}
	return w, err
}

// describe fills in whose store it is.
func describe(s *bboltstore.Store, h *BackupHeader) error {
	row, found, err := s.Get(messages.BucketNode, identityKey)
	if err != nil {
		return err
	}
	if len(row.Value) == len(NodeID{})+chainhash.HashSize && found {
		genesis := chainhash.Hash(row.Value[len(NodeID{}):])
		h.NodeID, h.Genesis = NodeID(row.Value[:len(NodeID{})]).String(), genesis.String()
		h.Network = networkOf(genesis)
	}
	return nil
}

// networkOf names the chain that begins with a block, empty for one that is not known.
func networkOf(genesis chainhash.Hash) string {
	for _, p := range []*chaincfg.Params{
		&chaincfg.MainNetParams, &chaincfg.TestNet3Params, &chaincfg.RegressionNetParams, &chaincfg.SimNetParams, &chaincfg.SigNetParams,
	} {
		if *p.GenesisHash == genesis {
			return p.Name
		}
	}
	return ""
}

// addFiles takes a file along, or all files of a directory, but for those that were added. What is not there is left out. A file that grows meanwhile is
// taken as long as it was.
func addFiles(w *backup.Writer, dir, name string, added map[string]bool) error {
	return filepath.WalkDir(filepath.Join(dir, name), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // never made, or gone meanwhile
		case err != nil:
			return err
		case !d.Type().IsRegular():
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); added[rel] {
			return nil
		}
		added[rel] = true
		return addFile(w, path, rel)
	})
}

func addFile(w *backup.Writer, path, name string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing to lose
	info, err := f.Stat()
	if err != nil {
		return err
	}
	return w.Add(name, info.Size(), func(to io.Writer) error {
		_, err := io.CopyN(to, f, info.Size())
		return err
	})
}

// OpenBackup verifies a backup, to the last byte, and says what is in it.
func OpenBackup(path string) (BackupHeader, []BackupEntry, error) {
	f, b, err := openBackup(path)
	if err != nil {
		return BackupHeader{}, nil, &Error{Op: "read backup", Err: err}
	}
	return b.Header, b.Entries, f.Close()
}

func openBackup(path string) (*os.File, *backup.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	var b *backup.File
	if err == nil {
		b, err = backup.Open(f, info.Size())
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, errors.Join(err, f.Close()))
	}
	return f, b, nil
}

// AddSeed adds the seed file of a data directory to a backup that has none, in place. Until it returns the file is no backup.
func AddSeed(path, dir string) error {
	err := addSeed(path, dir)
	if err != nil {
		err = &Error{Op: "backup", Err: err}
	}
	return err
}

func addSeed(path, dir string) error {
	r, b, err := openBackup(path)
	if err != nil {
		return err
	}
	defer r.Close() // read only: nothing to lose
	if slices.ContainsFunc(b.Entries, func(e BackupEntry) bool { return e.Name == seedFile }) {
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Truncate(b.End())
	if err == nil {
		_, err = f.Seek(b.End(), io.SeekStart)
	}
	if err == nil {
		w := b.Extend(f)
		err = errors.Join(addFiles(w, dir, seedFile, map[string]bool{}), w.Close())
	}
	return errors.Join(err, f.Sync(), f.Close(), atomicfile.SyncDir(filepath.Dir(path)))
}
