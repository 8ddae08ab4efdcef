// Package record is the durable form of a ChannelMonitor: records of its log, its snapshot, and keyed rows.
//
// Writing never fails and reading never panics, whatever the bytes: what does not decode is a *CorruptError that names the record. Reading
// what was written gives an equal value, and writing it again the same bytes (S10); Check tests that for one value.
//
// Only the codec.go files of this package and of those below it know the generated types.
package record
