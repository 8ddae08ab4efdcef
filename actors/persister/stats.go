package persister

import (
	"sync/atomic"
	"time"
)

// Stats counts what a persister does. All fields may be read at any time; they survive a restart of the actor.
//
// Queued is the back-pressure signal: what came in and is not durable yet, apart from what still waits in the mailbox. Sources that look at it
// should also look at their own windows, since a mailbox has no limit.
type Stats struct {
	Queued      atomic.Int64 // appends
	QueuedBytes atomic.Int64
	Appends     atomic.Uint64 // accepted, since the start of the process
	Refused     atomic.Uint64
	Batches     atomic.Uint64 // commits; Appends/Batches is the mean batch size
	LastBatch   atomic.Int64  // appends in the last one
	CommitTime  atomic.Int64  // nanoseconds spent in commits; divided by Batches it is the mean latency
	LastCommit  atomic.Int64  // nanoseconds that the last commit took
	SlowCommit  atomic.Int64  // nanoseconds of the slowest
	Records     atomic.Int64  // in the log, dead ones included
	LiveBytes   atomic.Int64  // of records in the log that a restart must read
	DeadBytes   atomic.Int64  // of records in the log that wait to be trimmed
}

func (s *Stats) batch(c *core, appends int, took time.Duration) {
	s.Batches.Add(1)
	s.LastBatch.Store(int64(appends))
	s.CommitTime.Add(int64(took))
	s.LastCommit.Store(int64(took))
	s.SlowCommit.Store(max(s.SlowCommit.Load(), int64(took)))
	s.log(c)
}

func (s *Stats) log(c *core) {
	s.Records.Store(int64(c.log.len()))
	s.LiveBytes.Store(int64(c.live))
	s.DeadBytes.Store(int64(c.dead))
}

func (s *Stats) queue(c *core) {
	s.Queued.Store(int64(len(c.queue)))
	s.QueuedBytes.Store(int64(c.queuedBytes))
}
