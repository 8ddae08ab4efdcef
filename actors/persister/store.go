package persister

import (
	"fmt"

	"github.com/lnactor/lnactor/messages"
)

// Buckets that a Store keeps for itself; rows must not name them.
const (
	BucketLog       = "log"
	BucketSnapshots = "snapshots"
	BucketMeta      = "meta"
)

// Limits of single values. They keep a record from breaking what the stores can hold.
const (
	MaxOwner  = 255
	MaxBucket = 255
	MaxKey    = 4096
)

// Record is one entry of the log.
type Record struct {
	Key   uint64 // position in the log; ascending over all owners, never reused while the record before it exists
	Owner messages.Owner
	Seq   uint64 // the owner's own count, from 1 without gaps; the order of an owner's records
	Data  []byte // opaque
	Err   error  // only from Scan and ReadLog: Data does not verify and is nil; Owner and Seq do
}

// Snapshot replaces all records of its owner up to and including Through.
type Snapshot struct {
	Owner   messages.Owner
	Through uint64
	Data    []byte
	Err     error // only from Scan and ReadSnapshot: Data does not verify and is nil; Owner and Through do
}

// Move rewrites the log record From under the key To, with the same owner, sequence number and data.
type Move struct{ From, To uint64 }

// Batch is one transaction. The fields are applied in the order in which they stand here.
type Batch struct {
	// Epoch is the lease epoch of the committer. A store with several possible committers compares it in the same transaction and writes
	// nothing when it was overtaken (rule 25). Stores with one holder by construction ignore it.
	Epoch     uint64
	Moves     []Move           // ascending To
	Append    []Record         // ascending Key, above every key of Moves and every key in the log
	Trim      []uint64         // keys to delete from the log, ascending
	Forget    []messages.Owner // delete these owners' snapshots; their records are in Trim
	Snapshots []Snapshot       // at most one per owner
	Rows      []messages.Row   // in order: of two with the same key the later one counts
}

// Empty says whether committing the batch would change nothing.
func (b *Batch) Empty() bool {
	return len(b.Moves) == 0 && len(b.Append) == 0 && len(b.Trim) == 0 && len(b.Forget) == 0 && len(b.Snapshots) == 0 && len(b.Rows) == 0
}

// Check reports what in the batch breaks the contract, given the greatest key that the log ever held. Stores call it before they write.
func (b *Batch) Check(lastKey uint64) error {
	for i := range b.Moves {
		if b.Moves[i].To <= lastKey {
			return fmt.Errorf("%w: move to key %d, which is not above %d", ErrBadBatch, b.Moves[i].To, lastKey)
		}
		lastKey = b.Moves[i].To
	}
	for i := range b.Append {
		r := &b.Append[i]
		if r.Key <= lastKey {
			return fmt.Errorf("%w: append with key %d, which is not above %d", ErrBadBatch, r.Key, lastKey)
		}
		if r.Owner == "" || len(r.Owner) > MaxOwner || r.Seq == 0 {
			return fmt.Errorf("%w: append with owner %q and sequence number %d", ErrBadBatch, r.Owner, r.Seq)
		}
		lastKey = r.Key
	}
	for i := range b.Snapshots {
		if s := &b.Snapshots[i]; s.Owner == "" || len(s.Owner) > MaxOwner {
			return fmt.Errorf("%w: snapshot with owner %q", ErrBadBatch, s.Owner)
		}
	}
	for i := range b.Rows {
		if err := checkRow(&b.Rows[i]); err != nil {
			return fmt.Errorf("%w: %w", ErrBadBatch, err)
		}
	}
	return nil
}

func checkRow(r *messages.Row) error {
	switch {
	case ReservedBucket(r.Bucket):
		return fmt.Errorf("row in bucket %q: want a name of 1 to %d bytes that is not one of the store's own", r.Bucket, MaxBucket)
	case len(r.Key) == 0 || len(r.Key) > MaxKey:
		return fmt.Errorf("row in bucket %q with a key of %d bytes: want 1 to %d", r.Bucket, len(r.Key), MaxKey)
	}
	return nil
}

// ReservedBucket says whether rows may not be kept in a bucket of this name.
func ReservedBucket(name string) bool {
	return name == "" || len(name) > MaxBucket || name == BucketLog || name == BucketSnapshots || name == BucketMeta
}

// Visitor receives what Scan finds. What it is given is its own to keep.
type Visitor interface {
	Snapshot(Snapshot)
	Record(Record)
}

// StoreStats counts what a store did since it was opened.
type StoreStats struct {
	Commits      uint64 // over the life of the data, not of the process: the commit counter that shows a store rolled back
	Batches      uint64 // commits since opening
	Syncs        uint64
	BytesWritten uint64
	FileBytes    int64
	FreeBytes    int64 // left on the disk, -1 if unknown
	LostMeta     bool  // one of the two roots was unreadable at open: a torn write, or the newest commit is lost to a bad disk
}

// Store is where a node's durable data lives. One committer uses it; all methods may be called from any goroutine, one at a time.
//
// After Commit returned nil the batch survives any crash; until then a crash leaves all of it or nothing. Once a commit failed or panicked the
// store refuses everything with the same error: the data may be on disk or not, and only a new process that opens it anew may find out.
//
// The interface is small enough for a replicated store: a transaction per batch that compares the epoch, one pass over everything at start,
// and reads by owner and key.
type Store interface {
	// Scan visits all snapshots, then all records in ascending key order. A record that does not verify but whose owner is certain is visited
	// with Err set; anything worse ends the scan with an *Error of kind ErrCorrupt.
	Scan(Visitor) error
	// Commit applies the batch atomically and durably. It keeps no reference to the batch.
	Commit(*Batch) error
	// ReadLog returns the records with these keys, in the order asked for. A missing key is corruption.
	ReadLog(keys []uint64) ([]Record, error)
	// ReadSnapshot returns the owner's snapshot, and false if it has none.
	ReadSnapshot(messages.Owner) (Snapshot, bool, error)
	// Get returns the row with this key, and false if there is none.
	Get(bucket string, key []byte) (messages.Row, bool, error)
	// Range returns up to limit rows whose key begins with prefix and is greater than after, in key order.
	Range(bucket string, prefix, after []byte, limit int) ([]messages.Row, error)
	// Last returns the row with the greatest key that begins with prefix, and false if there is none.
	Last(bucket string, prefix []byte) (messages.Row, bool, error)
	Stats() StoreStats
	// Close releases the store. It is not needed for durability.
	Close() error
}
