// Package backup is the file format of a backup: a tar archive that any tar program lists, with a checksum over all of it.
//
// # Format
//
// The first entry is backup.json, which says what the archive holds (Header). Each other entry is a file of the data directory under its relative name.
// The last entry, SHA256, holds the SHA-256 of every byte before it, in hexadecimal, and a line feed; it is made in one way only. So each bit of the
// file is either covered by the sum or compared with what it must be, and a file that is cut anywhere has no last entry.
//
// A checksum finds damage, not malice: whoever can write the file can make another. Keep backups where nobody else writes.
//
// # Errors
//
// All are *Error, with the path, and of one of three kinds: ErrForeign (not a backup at all), ErrDamaged (cut, changed), ErrVersion (made by a newer
// release). What Open returns was verified to the last byte.
package backup
