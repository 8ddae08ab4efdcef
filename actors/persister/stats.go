package persister

import (
	"math"
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

	Latency   Histogram // seconds from the first append of a batch until it is durable
	BatchSize Histogram // appends per batch
}

// Bounds of the histograms: each bucket but the last holds what is at most its bound.
var (
	LatencyBounds = [...]float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5}
	BatchBounds   = [...]float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096}
)

// Histogram is written by one goroutine and read by any. Its zero value is empty.
type Histogram struct {
	Buckets [len(LatencyBounds) + 1]atomic.Uint64 // not cumulative
	Sum     atomic.Uint64                         // bits of a float64
}

// Observe takes in a value.
func (h *Histogram) Observe(v float64, bounds *[len(LatencyBounds)]float64) {
	i := 0
	for i < len(bounds) && v > bounds[i] {
		i++
	}
	h.Buckets[i].Add(1)
	h.Sum.Store(math.Float64bits(math.Float64frombits(h.Sum.Load()) + v))
}

// batch counts a commit; waited is for how long its first append was not durable.
func (s *Stats) batch(c *core, appends int, took, waited time.Duration) {
	s.Latency.Observe(waited.Seconds(), &LatencyBounds)
	s.BatchSize.Observe(float64(appends), &BatchBounds)
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
