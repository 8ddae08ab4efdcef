package lnactor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

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
	// unfinished is the directory, within the data directory, where a restore prepares the store. What a crash leaves there means nothing.
	unfinished = "restore-unfinished"

	// keysAhead is how many channel keys are given up at a restore: the node may have opened channels after the backup was made, and a key that is used
	// twice lets one peer rob the other channel (rule 1).
	keysAhead = 1 << 20

	// addressesAhead is how many addresses of the wallet are: those given away after the backup must be watched, and not be given again.
	addressesAhead = 1000
)

// Restored says what a restore has made.
type Restored struct {
	Backup     BackupHeader
	Channels   []ChannelID         // unverified from now on, unless their end was decided before the backup
	Unreadable map[ChannelID]error // the node will quarantine them; nothing of these is broadcast either
	Files      []string            // written beside the store
	Kept       []string            // were there already, and were not overwritten
	Seed       bool                // the data directory has a seed
}

// RestoreBackup makes a store in a data directory that has none, from a backup. Every channel in it is unverified, which is durable before any node can
// start with it: nothing of it is broadcast, not even at the deadline of an HTLC, nor signed, until the peer's channel_reestablish shows that the backup
// is current. If the peer proves the opposite, the node waits for the peer to close, and sweeps. TrustRestored overrides it, channel by channel.
//
// The node that the backup was made of must never run again. A crash leaves no store, or a marked one. Errors: ErrNotBackup, ErrBackupDamaged,
// ErrBackupVersion, ErrStoreExists, ErrSeedExists, ErrInUse, ErrCorrupt.
func RestoreBackup(path, dir string) (Restored, error) {
	r, err := restoreBackup(path, dir)
	if err != nil {
		err = &Error{Op: "restore", Err: err}
	}
	return r, err
}

// restoreStep is told before each step that leaves something on disk. Tests crash there.
var restoreStep = func() {}

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
	if _, err := os.Lstat(filepath.Join(dir, bboltstore.FileName)); !errors.Is(err, fs.ErrNotExist) {
		return r, errors.Join(fmt.Errorf("%w: %s", ErrStoreExists, dir), err)
	}
	stage := filepath.Join(dir, unfinished)
	if err := os.RemoveAll(stage); err != nil {
		return r, err
	}
	restoreStep()
	if err := os.Mkdir(stage, 0o700); err != nil {
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
	// The store is last, and complete: before this line there is nothing that a node could start with, after it all is as it must be.
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
	return errors.Join(atomicfile.SyncDir(dir), os.RemoveAll(stage))
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
		record, err := logs.mark(s, owner)
		if err != nil {
			r.Unreadable[id] = err
			continue
		}
		key++
		batch.Append = append(batch.Append, persister.Record{Key: key, Owner: owner, Seq: logs.owners[owner].seq + 1, Data: record})
		r.Channels = append(r.Channels, id)
	}
	if batch.Rows, err = giveUpKeys(s); err != nil {
		return err
	}
	if batch.Empty() {
		return nil
	}
	restoreStep()
	return s.Commit(&batch)
}

func giveUpKeys(s persister.Store) ([]messages.Row, error) {
	last, found, err := s.Last(messages.BucketKeys, nil)
	if err != nil {
		return nil, err
	}
	next := uint64(keysAhead)
	if found && len(last.Key) == 4 {
		next += uint64(binary.BigEndian.Uint32(last.Key))
	}
	const hardened = 1 << 31 // BIP 32: keys of channels are below
	if next >= hardened {
		return nil, fmt.Errorf("%w: no channel keys are left after so many restores: close the channels and begin with a new seed", ErrConfig)
	}
	return []messages.Row{{Bucket: messages.BucketKeys, Key: binary.BigEndian.AppendUint32(nil, uint32(next)), Value: []byte("given up at a restore")}}, nil
}

// restoreFiles writes what stands beside the store. The seed must be the right one if there is one; of the rest, what somebody put there is kept.
func restoreFiles(b *backup.File, dir string, r *Restored) error {
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
		there, err := os.ReadFile(path)
		switch {
		case err == nil && e.Name == seedFile && !bytes.Equal(there, content):
			return fmt.Errorf("%w: %s is not the seed of the backup; move it away if you are sure", ErrSeedExists, path)
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

// logs is where the records of each owner are.
type logs struct {
	lastKey uint64
	owners  map[messages.Owner]*ownerLog
}

type ownerLog struct {
	seq     uint64 // of the last record
	through uint64 // of the snapshot
	keys    []uint64
	damage  error
}

func readLogs(s persister.Store) (*logs, error) {
	l := &logs{owners: map[messages.Owner]*ownerLog{}}
	return l, s.Scan(l)
}

func (l *logs) of(o messages.Owner) *ownerLog {
	if l.owners[o] == nil {
		l.owners[o] = &ownerLog{}
	}
	return l.owners[o]
}

// Snapshot implements persister.Visitor.
func (l *logs) Snapshot(s persister.Snapshot) {
	o := l.of(s.Owner)
	o.through, o.damage = s.Through, errors.Join(o.damage, s.Err)
	o.seq = max(o.seq, s.Through)
}

// Record implements persister.Visitor.
func (l *logs) Record(r persister.Record) {
	l.lastKey = max(l.lastKey, r.Key)
	o := l.of(r.Owner)
	if r.Seq <= o.through {
		return // the snapshot speaks for it
	}
	o.seq, o.damage = max(o.seq, r.Seq), errors.Join(o.damage, r.Err)
	o.keys = append(o.keys, r.Key)
}

// channels are the owners that are channels, in order.
func (l *logs) channels() (ids []ChannelID) {
	for o := range l.owners {
		if o != messages.OwnerManager && len(o) == len(ChannelID{}) {
			ids = append(ids, ChannelID([]byte(o)))
		}
	}
	slices.SortFunc(ids, func(a, b ChannelID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// read gives what a monitor would load.
func (l *logs) read(s persister.Store, owner messages.Owner) (snapshot []byte, records [][]byte, err error) {
	o := l.owners[owner]
	if o.damage != nil {
		return nil, nil, o.damage
	}
	snap, found, err := s.ReadSnapshot(owner)
	if err == nil && found {
		snapshot, err = snap.Data, snap.Err
	}
	if err != nil {
		return nil, nil, err
	}
	list, err := s.ReadLog(o.keys)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(list, func(a, b persister.Record) int { return int(int64(a.Seq) - int64(b.Seq)) })
	for i := range list {
		if list[i].Err != nil {
			return nil, nil, list[i].Err
		}
		records = append(records, list[i].Data)
	}
	return snapshot, records, nil
}

// mark makes the record that marks a channel.
func (l *logs) mark(s persister.Store, owner messages.Owner) ([]byte, error) {
	snapshot, records, err := l.read(s, owner)
	if err != nil {
		return nil, err
	}
	return monitor.MarkRestored(snapshot, records)
}
