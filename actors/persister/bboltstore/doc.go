// Package bboltstore is the persister.Store of a single machine: one bbolt file, used as a log.
//
// # Layout
//
// A data directory holds store.db and store.pid. Buckets of store.db:
//
//   - log: key = 8 bytes, big endian, ascending over all owners; head = sequence number, owner. Keys that only ascend let bbolt fill pages and
//     touch few of them (FillPercent 1.0), several times faster than a bucket or a key prefix per channel.
//   - snapshots: key = owner; head = the sequence number through which the snapshot speaks.
//   - meta: format, and commits: the number of commits over the life of the data, by which a rolled back store can be told.
//   - one bucket per name of messages.Row, as named in package messages.
//
// Every value is an envelope (envelope.go) with a version and CRC-32C over bucket, key and value, since bbolt has no checksums on its pages.
//
// # Durability
//
// One Commit is one bbolt transaction: two fdatasyncs, first the pages, then the root. An error or panic within it poisons the Store.
// The file is created, and compacted, under another name and then renamed, with the directory synced, so store.db is complete whenever it is
// there. Before bbolt opens the file it is read once in sequence, which warms the page cache, and its page tree is checked, since bbolt meets
// a bad page with a panic on a goroutine where nobody can recover it.
//
// # Errors
//
// All errors are *persister.Error: in use (another process holds store.pid), disk full (refuses to start), corrupt, failed.
package bboltstore
