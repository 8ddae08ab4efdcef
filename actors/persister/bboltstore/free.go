package bboltstore

// FreeBytes is how much can still be written on the disk of a directory, negative if that can't be found out.
func FreeBytes(dir string) int64 { return freeBytes(dir) }
