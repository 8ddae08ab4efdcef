package lnactor

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Finding is something that is not as it should be in a data directory.
type Finding struct {
	Critical bool
	Code     string // a stable word; see docs/operations.md
	Where    string // a file, a bucket and key, a channel
	What     string
	Remedy   string
}

// InspectedChannel is a channel as its log says, without keys: what would have to be computed with them is not there.
type InspectedChannel struct {
	Summary  Channel
	Events   []ln.EventID // not acknowledged, oldest first
	Kinds    []string     // of these events
	HTLCs    []HTLCStanding
	Snapshot bool // there is one; Records are those after it
	Records  int
}

// Inspection is what a data directory holds.
type Inspection struct {
	Dir      string
	NodeID   string // empty: the store was never used
	Network  string
	Commits  uint64
	Bytes    int64
	Channels []InspectedChannel
	Archived int
	Payments int            // under way or with an outcome that was not handled
	Rows     map[string]int // by bucket
	Findings []Finding      // by channel, then as they were found
}

// remedies by code. The data is never changed by looking; what is told here is what a person does.
var remedies = map[string]string{
	"file":          "the file cannot be used at all: keep a copy, check the disk, and restore the newest backup (lnactor restore), which is safe although it is old",
	"root":          "harmless after a power cut; without one the newest commit is lost to a bad disk: then do not start the node but restore a backup, whose channels are unverified",
	"record_lost":   "keep a copy of the data directory, check the disk; the node does not start with it: restore the newest backup (lnactor restore)",
	"record":        "the node will quarantine the channel and watch it on chain: ask the peer to close it; keep a copy of the data directory",
	"gap":           "records are missing: keep a copy of the data directory; the node will quarantine the channel: ask the peer to close it",
	"log":           "the node will quarantine the channel and watch it on chain: ask the peer to close it; keep a copy of the data directory and report it",
	"manager":       "the node does not start with it: keep a copy of the data directory and report it, or restore the newest backup",
	"row":           "what it says is lost: keep a copy of the data directory, check the disk",
	"orphan":        "nothing reads it; report it with a copy of the data directory",
	"twice":         "a channel can't be archived and live: keep a copy of the data directory and report it before the next start",
	"key_index":     "do not open channels with this store: a channel key could be used twice; report it",
	"ack":           "an event was acknowledged that was never made: keep a copy of the data directory and report it",
	"payment":       "it was never sent: the next start fails it, and the payment may be made again",
	"payment_lost":  "the next start looks it up among the outcomes, or fails it: nothing to do",
	"seed":          "bring the seed's file back, or its 24 words: the store can't be used without",
	"rights":        "chmod 600 the file; who has read the seed has the money: then move it",
	"small_file":    "remove the file: the node makes it anew, and finds addresses again by the chain",
	"unverified":    "start the node and connect to the peer, which verifies the channel or proves that the backup was old (docs/backup.md)",
	"proven_behind": "ask the peer to close the channel: what is ours is swept then",
}

// Inspect looks at a data directory without a node and without changing anything: it reads every record and row, checks their checksums, decodes them,
// and folds each log as its owner would at a start. With a channel only that one is listed; all is checked anyway. What is wrong is in Findings; the error
// says that nothing could be looked at. Errors: ErrInUse, ErrRestoreUnfinished, fs.ErrNotExist.
func Inspect(dir string, only *ChannelID) (Inspection, error) {
	in := &inspector{Inspection: Inspection{Dir: dir, Rows: map[string]int{}}, only: only, closed: map[ChannelID]bool{}}
	if err := in.run(); err != nil {
		return in.Inspection, &Error{Op: "inspect", Err: err}
	}
	return in.Inspection, nil
}

type inspector struct {
	Inspection
	only   *ChannelID
	logs   *logs
	closed map[ChannelID]bool
	keys   int64 // the greatest channel key index that was given out, -1 for none
}

func (in *inspector) find(critical bool, code, where string, format string, args ...any) {
	in.Findings = append(in.Findings, Finding{critical, code, where, fmt.Sprintf(format, args...), remedies[code]})
}

func (in *inspector) run() error {
	s, err := bboltstore.OpenReadOnly(in.Dir)
	if errors.Is(err, persister.ErrCorrupt) {
		in.find(true, "file", filepath.Join(in.Dir, bboltstore.FileName), "%v", err)
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		if half := CheckRestore(in.Dir); half != nil { // says why there is none, and what to do
			err = half
		}
	}
	if err != nil {
		return err
	}
	defer s.Close() //nolint:errcheck // read only
	stats := s.Stats()
	in.Commits, in.Bytes, in.keys = stats.Commits, stats.FileBytes, -1
	if stats.LostMeta {
		in.find(false, "root", bboltstore.FileName, "one of the two roots is damaged: the newest commit may be lost")
	}
	var h BackupHeader
	if err := describe(s, &h); err != nil {
		in.find(true, "row", messages.BucketNode, "%v", err)
	}
	in.NodeID, in.Network = h.NodeID, h.Network
	in.readLogs(s)
	if err := in.rows(s); err != nil {
		return err
	}
	for _, id := range in.logs.channels() {
		in.channel(s, id)
	}
	in.manager(s)
	in.files()
	slices.SortStableFunc(in.Findings, func(a, b Finding) int {
		return cmp.Compare(btoi(b.Critical), btoi(a.Critical))
	})
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// readLogs notes where each owner's records are, and what can't be told whose it is.
func (in *inspector) readLogs(s *bboltstore.Store) {
	in.logs = &logs{owners: map[messages.Owner]*ownerLog{}}
	if err := s.VisitLog(in.logs, func(err error) { in.find(true, "record_lost", bboltstore.FileName, "%v", err) }); err != nil {
		in.find(true, "file", bboltstore.FileName, "%v", err)
	}
	for o := range in.logs.owners {
		if o != messages.OwnerManager && len(o) != len(ChannelID{}) {
			in.find(false, "orphan", fmt.Sprintf("owner %q", string(o)), "a log of nobody")
		}
	}
}

// channel folds a channel's log as its monitor would.
func (in *inspector) channel(s *bboltstore.Store, id ChannelID) {
	where := "channel " + id.String()
	owner := messages.Owner(id[:])
	l := in.logs.owners[owner]
	if in.closed[id] {
		in.find(true, "twice", where, "it has a log, and a row that says it is archived")
	}
	if l.damage != nil {
		in.find(true, "record", where, "%v", l.damage)
		return
	}
	if n := uint64(len(l.keys)); l.seq != l.through+n {
		in.find(true, "gap", where, "%d records after number %d, and the last is number %d", n, l.through, l.seq)
		return
	}
	snapshot, records, err := in.logs.read(s, owner)
	if err != nil {
		in.find(true, "record", where, "%v", err)
		return
	}
	m, err := monitor.Read(snapshot, records)
	if err != nil {
		in.find(true, "log", where, "%v", err)
		return
	}
	in.acks(where, snapshot, records)
	sum := m.Summary()
	if sum.Channel != id {
		in.find(true, "log", where, "its records are of channel %s", sum.Channel)
		return
	}
	if int64(sum.KeyIndex) > in.keys {
		in.find(true, "key_index", where, "it uses channel key %d, and %d is the last that was given out", sum.KeyIndex, in.keys)
	}
	if sum.Unverified && sum.Spent == nil {
		in.find(false, "unverified", where, "it was restored from a backup, and its peer %s has not shown that it is current: nothing of it is broadcast or signed", sum.Peer)
	}
	if sum.Behind && sum.Spent == nil {
		in.find(false, "proven_behind", where, "its peer %s has proven that its records are old: nothing of it is broadcast", sum.Peer)
	}
	if in.only != nil && *in.only != id {
		return
	}
	c := InspectedChannel{Summary: sum, HTLCs: m.ExplainAll(), Snapshot: snapshot != nil, Records: len(records)}
	for _, e := range m.Unacknowledged() {
		c.Events = append(c.Events, ln.EventID{Channel: id, Seq: e.Seq})
		c.Kinds = append(c.Kinds, fmt.Sprintf("%T", e.Kind)[len("facts."):])
	}
	in.Channels = append(in.Channels, c)
}

// acks checks that what was acknowledged had been made.
func (in *inspector) acks(where string, snapshot []byte, records [][]byte) {
	last := uint64(0)
	if snapshot != nil {
		if s, err := record.ReadSnapshot(snapshot); err == nil {
			last = s.LastSeq
		}
	}
	for _, b := range records {
		r, err := record.Read(b)
		if err != nil {
			return // found before
		}
		for _, u := range r.Updates {
			if u, ok := u.(facts.Restored); ok {
				last += u.Jump()
			}
		}
		for _, e := range r.Events {
			last = max(last, e.Seq)
		}
		for _, seq := range r.Acked {
			if seq > last {
				in.find(true, "ack", where, "record %d acknowledges event %d, and the last is %d", r.Index, seq, last)
			}
		}
	}
}

// rows decodes every row, and looks for those of channels that are not there.
func (in *inspector) rows(s *bboltstore.Store) error {
	buckets, err := s.Buckets()
	if err != nil {
		return err
	}
	// Closed channels first: other rows are judged by them.
	slices.SortFunc(buckets, func(a, b string) int {
		return cmp.Or(-cmp.Compare(btoi(a == messages.BucketClosed), btoi(b == messages.BucketClosed)), cmp.Compare(a, b))
	})
	for _, bucket := range buckets {
		if persister.ReservedBucket(bucket) {
			continue
		}
		err := s.VisitRows(bucket, func(row messages.Row, damage error) {
			in.Rows[bucket]++
			if damage == nil {
				damage = in.row(row)
			}
			if damage != nil {
				in.find(true, "row", fmt.Sprintf("bucket %s, key %x", bucket, row.Key), "%v", damage)
			}
		})
		if err != nil {
			in.find(true, "file", "bucket "+bucket, "%v", err)
		}
	}
	in.Archived = len(in.closed)
	return nil
}

func (in *inspector) row(row messages.Row) error {
	if ours, err := manager.CheckRow(row); ours {
		return err
	}
	switch row.Bucket {
	case messages.BucketKeys:
		if len(row.Key) != 4 {
			return fmt.Errorf("a channel key index of %d bytes", len(row.Key))
		}
		in.keys = max(in.keys, int64(binary.BigEndian.Uint32(row.Key)))
		return nil
	case messages.BucketNode:
		return nil // found by describe
	case messages.BucketOutcomes, messages.BucketFates, messages.BucketRevoked, messages.BucketClosed:
	default:
		in.find(false, "orphan", fmt.Sprintf("bucket %s, key %x", row.Bucket, row.Key), "a bucket that this release does not know")
		return nil
	}
	decoded, err := record.ReadRow(row)
	if err != nil {
		return err
	}
	where := fmt.Sprintf("bucket %s, key %x", row.Bucket, row.Key)
	switch r := decoded.(type) {
	case *record.Closed:
		in.closed[r.Channel] = true
		if !bytes.Equal(row.Key, r.Channel[:]) {
			return fmt.Errorf("the record is of channel %s", r.Channel)
		}
	case *record.Revoked:
		if in.logs.owners[messages.Owner(r.Channel[:])] == nil {
			in.find(false, "orphan", where, "of channel %s, which has no log", r.Channel)
		}
	case *record.Fate:
		in.known(where, r.Channel)
	case *record.Outcome:
		in.known(where, r.Channel)
	}
	return nil
}

// known: a row that outlives its channel's log has the channel among the archived.
func (in *inspector) known(where string, id ChannelID) {
	if in.logs.owners[messages.Owner(id[:])] == nil && !in.closed[id] {
		in.find(false, "orphan", where, "of channel %s, which has no log and is not archived", id)
	}
}

// manager folds the manager's log, and looks for payments that nothing stands behind.
func (in *inspector) manager(s *bboltstore.Store) {
	const where = "manager"
	if in.logs.owners[messages.OwnerManager] == nil {
		return // never used
	}
	if l := in.logs.owners[messages.OwnerManager]; l.damage == nil && l.seq != l.through+uint64(len(l.keys)) {
		in.find(true, "gap", where, "%d records after number %d, and the last is number %d", len(l.keys), l.through, l.seq)
		return
	}
	snapshot, records, err := in.logs.read(s, messages.OwnerManager)
	var state manager.State
	if err == nil {
		state, err = manager.DecodeState(snapshot, records)
	}
	if err != nil {
		in.find(true, "manager", where, "%v", err)
		return
	}
	in.Payments = len(state.Payments)
	ids := make([]PaymentID, 0, len(state.Payments))
	for id := range state.Payments {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b PaymentID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		p := state.Payments[id]
		if p.Outcome != nil {
			continue
		}
		if len(p.Parts) == 0 {
			in.find(false, "payment", "payment "+id.String(), "it is under way and has no part")
		}
		for _, part := range p.Parts {
			if in.logs.owners[messages.Owner(part.Channel[:])] == nil {
				in.find(false, "payment_lost", "payment "+id.String(), "part %d is in channel %s, which has no log", part.ID, part.Channel)
			}
		}
	}
}

// files looks at what stands beside the store.
func (in *inspector) files() {
	seed := filepath.Join(in.Dir, seedFile)
	if _, err := os.Lstat(seed); errors.Is(err, fs.ErrNotExist) && in.NodeID != "" {
		in.find(true, "seed", seed, "it is missing, and the store belongs to node %s", in.NodeID)
	}
	for _, name := range []string{seedFile, bboltstore.FileName} {
		path := filepath.Join(in.Dir, name)
		if info, err := os.Lstat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			in.find(true, "rights", path, "others can read or change it: its mode is %#o", info.Mode().Perm())
		}
	}
	for _, name := range []string{walletFile, peersFile} {
		path := filepath.Join(in.Dir, name)
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var v any
		if err == nil {
			err = json.Unmarshal(b, &v)
		}
		if err != nil {
			in.find(false, "small_file", path, "%v", err)
		}
	}
}
