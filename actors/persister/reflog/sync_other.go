//go:build !linux

package reflog

import "os"

func datasync(f *os.File) error { return f.Sync() }
