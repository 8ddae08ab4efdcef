// Package journal is an append-only log of events in files of JSON lines, read by position and bounded in size.
//
// # Files
//
// A segment NNNNNNNNNNNNNNNNNNNN.jsonl (the number is the position of its first event) holds one event a line, oldest first:
//
//	{"feed":"...","seq":17,"id":"...","time":"...","kind":"PaymentSent","data":{...},"synced":16,"crc32c":"1f2e3d4c"}
//
// so that grep and jq read it, also while a process appends. seq is the event's position: dense, ascending from 1, never used twice with the same feed, which
// is Options.Feed. synced is the last
// position that was on disk before the line was written. crc32c covers the line up to itself. A full segment gets an .index beside it, a cache of where
// its lines begin and of the ids in it; it is made anew if it is not there or does not verify. Files have mode 0600, the directory 0700.
//
// # Durability
//
// Append returns when its events are on disk: written, synced, and, for a new file, its directory synced. One call is one write and one sync, however many
// events it brings. Nothing can be read before it is on disk. An event whose id is in the journal is not appended again, so that whoever hands events over
// may do it again after a crash (rule 24).
//
// A failed write or sync leaves unknown what is on disk, so it is final: every later Append fails with the same lnactor.ErrStoreFailed. After a
// restart the disk decides.
//
// # What a crash leaves, and what rots
//
// At Open the last segment is read. What a crash cut off or left unwritten is at its end, after everything that was synced, and is cut: it was never
// acknowledged. A bad line that a later good line's synced covers had been on disk: that is damage, not a crash. Nothing is cut then; Read fails with a
// *MissingError at exactly that position and works beyond it. The same holds for damage in older segments, for a segment that was removed by hand, and for
// damage that appears later. What the last line says of itself nothing else proves: damage there looks like a crash.
//
// A Journal is safe for concurrent use. Reading opens the file anew and holds no lock, so that a slow disk or a slow reader delays no Append.
package journal
