package lnactor_test

import (
	"syscall"
	"time"
)

// threadTime is what the calling thread has used of the processors; the caller must be locked to it.
func threadTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
