package persister

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of Error. Test with errors.Is; package cmd maps them to exit codes.
var (
	// ErrStoreFailed: the store could not read or write, and a commit may or may not be on disk. Exit code 74.
	ErrStoreFailed = errors.New("store failed")
	// ErrDiskFull is an ErrStoreFailed: too little space is left to start, or a commit found none.
	ErrDiskFull = fmt.Errorf("%w: disk full", ErrStoreFailed)
	// ErrCorrupt: durable data does not decode or verify. Exit code 65.
	ErrCorrupt = errors.New("stored data is corrupt")
	// ErrInUse: another process holds the directory. Exit code 75.
	ErrInUse = errors.New("data directory is in use")
	// ErrClosed: the store was closed before.
	ErrClosed = errors.New("store is closed")
	// ErrBadBatch: a batch broke the contract of Store; nothing of it was tried.
	ErrBadBatch = errors.New("bad batch")
	// ErrRefused: an Append that was not even tried. Every messages.Refused carries it, unless the store has failed.
	ErrRefused = errors.New("append refused")
)

// Error is what went wrong with a store, where, and what to do about it.
type Error struct {
	Kind   error  // ErrStoreFailed, ErrDiskFull, ErrCorrupt or ErrInUse
	Op     string // what was tried, such as "commit"
	Path   string // the file or directory
	Bucket string // of corrupt data, where known
	Key    []byte // of corrupt data, where known
	PID    int    // of ErrInUse: the holder, 0 if unknown
	Hint   string // what to do
	Err    error  // the cause, may be nil
}

// Error says what, where, why and what to do, in this order.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", e.Op, e.Kind)
	if e.Path != "" {
		fmt.Fprintf(&b, ": %s", e.Path)
	}
	if e.Bucket != "" {
		fmt.Fprintf(&b, ": bucket %s", e.Bucket)
	}
	if len(e.Key) > 0 {
		fmt.Fprintf(&b, " key %x", e.Key)
	}
	if e.PID != 0 {
		fmt.Fprintf(&b, ": held by process %d", e.PID)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// Unwrap lets errors.Is find both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

func refusal(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}

// Failed makes an *Error of kind ErrStoreFailed, or returns err if it is an *Error already.
func Failed(op, path string, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{
		Kind: ErrStoreFailed, Op: op, Path: path, Err: err,
		Hint: "restart the node once the disk works again; what was committed is decided by the disk",
	}
}
