// Package reflog is the yardstick for the persister: the least that a durable log can do. It appends to a plain file with group commit, one
// write and one fdatasync per batch, and knows nothing of owners, snapshots, trimming or reading back. It is for benchmarks only.
package reflog

import (
	"os"
	"sync"
)

// Log is an append-only file with one committer.
type Log struct {
	f *os.File

	mu     sync.Mutex
	wake   *sync.Cond
	buf    []byte
	done   []func()
	closed bool
	ended  chan struct{}

	Batches uint64 // read it after Close
	Bytes   uint64
	Err     error
}

// Create makes the file and starts the committer.
func Create(path string) (*Log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l := &Log{f: f, ended: make(chan struct{})}
	l.wake = sync.NewCond(&l.mu)
	go l.commit()
	return l, nil
}

// Append calls done, on the committer's goroutine, once data is durable. done may call Append.
func (l *Log) Append(data []byte, done func()) {
	l.mu.Lock()
	l.buf = append(l.buf, data...)
	l.done = append(l.done, done)
	l.mu.Unlock()
	l.wake.Signal()
}

func (l *Log) commit() {
	defer close(l.ended)
	var buf []byte
	var done []func()
	for {
		l.mu.Lock()
		for len(l.done) == 0 && !l.closed {
			l.wake.Wait()
		}
		if len(l.done) == 0 {
			l.mu.Unlock()
			return
		}
		buf, l.buf = l.buf, buf[:0]
		done, l.done = l.done, done[:0]
		l.mu.Unlock()
		if _, l.Err = l.f.Write(buf); l.Err != nil {
			return
		}
		if l.Err = datasync(l.f); l.Err != nil {
			return
		}
		l.Batches++
		l.Bytes += uint64(len(buf))
		for _, f := range done {
			f()
		}
	}
}

// Close waits for what was appended.
func (l *Log) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wake.Signal()
	<-l.ended
	if l.Err != nil {
		_ = l.f.Close()
		return l.Err
	}
	return l.f.Close()
}
