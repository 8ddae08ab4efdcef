//go:build !unix

package bboltstore

import (
	"os"
	"time"
)

// acquire leaves it to bbolt to lock its file.
func acquire(string, time.Duration) (*os.File, error) { return nil, nil }

func freeBytes(string) int64 { return -1 }

func unlock(*os.File) {}

func share(string) (*os.File, error) { return nil, nil }

// Holder can't be told here.
func Holder(string) int { return 0 }
