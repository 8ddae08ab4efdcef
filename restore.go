package lnactor

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/atomicfile"
	"github.com/lnactor/lnactor/internal/backup"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// Why something was refused of a channel that was restored from a backup, or is damaged.
var (
	ErrUnverified  = monitor.ErrUnverified
	ErrVerified    = monitor.ErrVerified
	ErrBehind      = monitor.ErrBehind
	ErrQuarantined = monitor.ErrQuarantined
)

const (
	// keysAhead is how many channel keys are given up at least, at a restore and where a new store meets a seed that is not new: the node may have
	// opened channels after the backup was made, or with the store that is gone, and a key that is used twice lets one peer rob the other channel
	// (rule 1). Up to an eighth of the keys that are left are given up on top, at random: the same backup may be restored twice, and the first restore
	// has used keys of its own. Some hundred restores leave no keys.
	keysAhead = 1 << 20
	keyShare  = 8
	keysEnd   = 1 << 31 // BIP 32: keys of channels are not hardened

	// seqsAhead and seqsRange are by how much the numbers of events jump, and by how much that differs between two restores (S8).
	seqsAhead = 1 << 32
	seqsRange = 1 << 48

	// addressesAhead is how many addresses of the wallet are: those given away after the backup must be watched, and not be given again.
	addressesAhead = 1000
)

// Restored says what a restore has made.
type Restored struct {
	Backup     BackupHeader
	Channels   []ChannelID         // unverified from now on, unless their end was decided before the backup
	Unreadable map[ChannelID]error // the node will quarantine them; they are marked all the same, and nothing of these is broadcast either
	Files      []string            // written beside the store
	Kept       []string            // were there already, and were not overwritten
	Seed       bool                // the data directory has a seed
}

// RestoreBackup makes a store in a data directory that has none, from a backup. Every channel in it is unverified, which is durable before any node can
// start with it: nothing of it is broadcast, not even at the deadline of an HTLC, nor signed, until the peer's channel_reestablish shows that the backup
// is current. If the peer proves the opposite, the node waits for the peer to close, and sweeps. TrustRestored overrides it, channel by channel.
//
// The node that the backup was made of must never run again. A crash leaves a marked store, or none; then no node starts there before the restore was
// repeated. Errors: ErrNotBackup, ErrBackupDamaged, ErrBackupVersion, ErrStoreExists, ErrSeedExists, ErrInUse, ErrCorrupt.
func RestoreBackup(path, dir string) (Restored, error) {
	r, err := restoreBackup(path, dir)
	if err != nil {
		err = &Error{Op: "restore", Err: err}
	}
	return r, err
}

// restoreStep is told before each step that leaves something on disk. Tests crash there.
var restoreStep = func() {}

// restoreRand is what makes two restores of one backup differ.
var restoreRand io.Reader = rand.Reader

func restoreBackup(path, dir string) (r Restored, err error) {
	f, b, err := openBackup(path)
	if err != nil {
		return r, err
	}
	defer f.Close() // read only: nothing to lose
	store, ok := b.Reader(bboltstore.FileName)
	if !ok {
		return r, fmt.Errorf("%w: it holds no store", ErrBackupDamaged)
	}
	r.Backup = b.Header
	restoreStep()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	if err := noStore(dir); err != nil {
		return r, err
	}
	// Until the end no node starts there, and no other restore: it would make another store, or put one in place that is not marked yet.
	lock, err := bboltstore.Take(dir, lockWait)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	if err := noStore(dir); err != nil {
		return r, err
	}
	if err := ownSeed(b, dir); err != nil {
		return r, err
	}
	restoreStep()
	stage, err := begin(dir)
	if err != nil {
		return r, err
	}
	restoreStep()
	if err := extract(store, filepath.Join(stage, bboltstore.FileName)); err != nil {
		return r, err
	}
	restoreStep()
	if err := mark(stage, &r); err != nil {
		return r, err
	}
	restoreStep()
	if err := restoreFiles(b, dir, &r); err != nil {
		return r, err
	}
	restoreStep()
	// The store is last, and complete: before this line a node refuses to start because of the stage, after it all is as it must be.
	if err := install(stage, dir); err != nil {
		return r, err
	}
	_, err = os.Lstat(filepath.Join(dir, seedFile))
	r.Seed = err == nil
	return r, nil
}

// extract writes a file of the backup, which was verified, and has it on disk.
func extract(from io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Sync(), f.Close())
}

// install gives the store its name. A link, unlike a rename, fails when the name is taken.
func install(stage, dir string) error {
	to := filepath.Join(dir, bboltstore.FileName)
	if err := atomicfile.SyncDir(stage); err != nil {
		return err
	}
	restoreStep()
	if err := os.Link(filepath.Join(stage, bboltstore.FileName), to); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrStoreExists, dir)
	} else if err != nil {
		return err
	}
	restoreStep()
	if err := atomicfile.SyncDir(dir); err != nil {
		return err
	}
	restoreStep()
	return os.RemoveAll(stage)
}

// mark makes every channel unverified, in one transaction, with the keys that are given up.
func mark(stage string, r *Restored) (err error) {
	s, err := bboltstore.Open(stage, bboltstore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	logs, err := readLogs(s)
	if err != nil {
		return err
	}
	var batch persister.Batch
	key := logs.lastKey
	r.Unreadable = map[ChannelID]error{}
	for _, id := range logs.channels() {
		owner := messages.Owner(id[:])
		jump, err := draw(seqsRange)
		if err != nil {
			return err
		}
		record, err := logs.mark(s, owner, seqsAhead+jump)
		if err != nil {
			// Another release may be able to read it, or a repair: it must find the mark.
			r.Unreadable[id], record = err, monitor.MarkUnread(seqsAhead+jump)
		} else {
			r.Channels = append(r.Channels, id)
		}
		key++
		batch.Append = append(batch.Append, persister.Record{Key: key, Owner: owner, Seq: logs.owners[owner].seq + 1, Data: record})
	}
	if batch.Rows, err = giveUpKeys(s, "given up at a restore"); err != nil {
		return err
	}
	if batch.Empty() {
		return nil
	}
	restoreStep()
	return s.Commit(&batch)
}

// giveUpKeys is the row that has the next channel take a key that no other life of the seed has used.
func giveUpKeys(s persister.Store, why string) ([]messages.Row, error) {
	last, found, err := s.Last(messages.BucketKeys, nil)
	if err != nil {
		return nil, err
	}
	next := uint64(keysAhead)
	if found && len(last.Key) == 4 {
		next += uint64(binary.BigEndian.Uint32(last.Key))
	}
	if next+keysAhead >= keysEnd {
		return nil, fmt.Errorf("%w: no channel keys are left after so many restores: close the channels and begin with a new seed", ErrConfig)
	}
	more, err := draw((keysEnd - next) / keyShare)
	if err != nil {
		return nil, err
	}
	next += more
	return []messages.Row{{Bucket: messages.BucketKeys, Key: binary.BigEndian.AppendUint32(nil, uint32(next)), Value: []byte(why)}}, nil
}

// draw is a random number below n, which is small: some are a little likelier than others.
func draw(n uint64) (uint64, error) {
	var b [8]byte
	_, err := io.ReadFull(restoreRand, b[:])
	return binary.BigEndian.Uint64(b[:]) % n, err
}

// restoreFiles writes what stands beside the store. The seed must be the right one if there is one; of the rest, what somebody put there is kept.
func restoreFiles(b *backup.File, dir string, r *Restored) error {
	if err := ownSeed(b, dir); err != nil {
		return err
	}
	for _, e := range b.Entries {
		if e.Name == bboltstore.FileName {
			continue
		}
		from, _ := b.Reader(e.Name)
		content, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(e.Name))
		_, err = os.Lstat(path)
		switch {
		case err == nil && e.Name != walletFile:
			r.Kept = append(r.Kept, e.Name)
			continue
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		}
		if e.Name == walletFile {
			if content, err = skipAddresses(content); err != nil {
				return err
			}
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		restoreStep()
		if err := atomicfile.Write(path, content); err != nil {
			return err
		}
		r.Files = append(r.Files, e.Name)
	}
	return nil
}

func skipAddresses(content []byte) ([]byte, error) {
	var next wallet.Indexes
	if err := json.Unmarshal(content, &next); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, walletFile, err)
	}
	next.Receive, next.Change = next.Receive+addressesAhead, next.Change+addressesAhead
	out, err := json.Marshal(next)
	return append(out, '\n'), err
}
