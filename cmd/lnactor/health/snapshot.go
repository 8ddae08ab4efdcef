package health

import (
	"context"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
)

// Node is what a snapshot is taken of.
type Node interface {
	Channels(ctx context.Context) ([]lnactor.Channel, error)
	Quarantined(ctx context.Context) ([]lnactor.ChannelID, error)
	FundsStatus(ctx context.Context) (lnactor.FundsStatus, error)
	FeeHealth() lnactor.FeeHealth
	ChainTip(ctx context.Context) (lnactor.ChainTip, error)
	UnhandledEvents() (oldest uint64, unhandled int)
	AppendStats() *lnactor.AppendStats
	DiskFree() (bytes uint64, ok bool)
	Err() error
}

// Snapshot is a node at a moment.
type Snapshot struct {
	At time.Time

	Channels     []lnactor.Channel
	Quarantined  []lnactor.ChannelID
	SilentSince  time.Time // since when the manager did not tell of channels; zero: it did
	Funds        lnactor.FundsStatus
	Fees         lnactor.FeeHealth
	Tip          lnactor.ChainTip
	ChainErr     error     // of the last question to the source
	ChainLost    time.Time // since when it does not answer; zero: it does
	LagSince     time.Time // since when a channel's monitor is behind; zero: none is
	Lag          uint32    // blocks that the slowest open channel is behind the tip
	UnsyncedFrom time.Time // since when the wallet is not at the tip; zero: it is
	WasSynced    bool      // it was there once

	UnackedEvents   int           // of monitors
	OldestUnacked   time.Duration // for how long this process has seen the oldest of them
	OldestChannel   lnactor.ChannelID
	UnhandledEvents int // of users
	OldestUnhandled time.Duration

	Appends, Batches uint64
	CommitTime       time.Duration // the mean of the commits since the snapshot before; 0: none
	DiskFree         uint64
	DiskKnown        bool
	NodeErr          error
}

// patience bounds each question; the manager, the chain source.
const patience = 3 * time.Second

// Collector takes snapshots. It is safe for concurrent use.
type Collector struct {
	node Node
	now  func() time.Time

	mu   sync.Mutex // held while a snapshot is taken: those who want one meanwhile get the same
	last *Snapshot

	oldest  map[lnactor.ChannelID]seen
	user    seen
	commits uint64
	spent   int64
}

// seen is since when something has been what it is.
type seen struct {
	what  uint64
	since time.Time
}

func (s *seen) note(what uint64, now time.Time) time.Duration {
	if s.what != what {
		*s = seen{what, now}
	}
	if what == 0 {
		return 0
	}
	return now.Sub(s.since)
}

// NewCollector makes a collector; now is the clock, nil: time.Now.
func NewCollector(n Node, now func() time.Time) *Collector {
	if now == nil {
		now = time.Now
	}
	return &Collector{node: n, now: now, oldest: map[lnactor.ChannelID]seen{}}
}

// Snapshot is one that is at most so old, or a new one.
func (c *Collector) Snapshot(ctx context.Context, maxAge time.Duration) *Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil && c.now().Sub(c.last.At) < maxAge {
		return c.last
	}
	c.last = c.take(ctx)
	return c.last
}

func (c *Collector) take(ctx context.Context) *Snapshot {
	ctx = context.WithoutCancel(ctx) // who asked may be gone, others get the same answer
	before := c.last
	if before == nil {
		before = &Snapshot{}
	}
	s := &Snapshot{Fees: c.node.FeeHealth(), NodeErr: c.node.Err()}
	var wg sync.WaitGroup
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		s.Tip, s.ChainErr = c.node.ChainTip(ctx)
	})
	var silent error
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if s.Channels, silent = c.node.Channels(ctx); silent == nil {
			s.Quarantined, silent = c.node.Quarantined(ctx)
		}
	})
	wg.Wait()
	s.Funds, _ = c.node.FundsStatus(ctx) // it is read from memory
	s.At = c.now()
	s.DiskFree, s.DiskKnown = c.node.DiskFree()
	if silent != nil {
		s.Channels, s.Quarantined = before.Channels, before.Quarantined
	}
	s.SilentSince = begun(silent != nil, before.SilentSince, s.At)
	if s.ChainErr != nil {
		s.Tip = before.Tip
	}
	s.ChainLost = begun(s.ChainErr != nil, before.ChainLost, s.At)
	unsynced := !s.Funds.Synced || s.Funds.Height < s.Tip.Height
	s.UnsyncedFrom = begun(unsynced, before.UnsyncedFrom, s.At)
	s.WasSynced = before.WasSynced || !unsynced
	c.events(s)
	s.LagSince = begun(s.Lag >= farBehind, before.LagSince, s.At)
	c.commitTime(s)
	return s
}

// begun keeps the first moment of something that goes on.
func begun(is bool, since, now time.Time) time.Time {
	switch {
	case !is:
		return time.Time{}
	case since.IsZero():
		return now
	}
	return since
}

// events counts what waits in channels, how old it is, and how far the channels have followed the chain.
func (c *Collector) events(s *Snapshot) {
	there := make(map[lnactor.ChannelID]seen, len(s.Channels))
	for i := range s.Channels {
		ch := &s.Channels[i]
		s.UnackedEvents += ch.UnackedEvents
		if s.Tip.Height > ch.Height {
			s.Lag = max(s.Lag, s.Tip.Height-ch.Height)
		}
		if ch.OldestEvent == 0 {
			continue
		}
		mark := c.oldest[ch.Channel]
		if age := mark.note(ch.OldestEvent, s.At); age > s.OldestUnacked {
			s.OldestUnacked, s.OldestChannel = age, ch.Channel
		}
		there[ch.Channel] = mark
	}
	c.oldest = there
	var position uint64
	position, s.UnhandledEvents = c.node.UnhandledEvents()
	s.OldestUnhandled = c.user.note(position, s.At)
}

func (c *Collector) commitTime(s *Snapshot) {
	stats := c.node.AppendStats()
	s.Appends, s.Batches = stats.Appends.Load(), stats.Batches.Load()
	spent := stats.CommitTime.Load()
	if n := s.Batches - c.commits; n > 0 && s.Batches > c.commits {
		s.CommitTime = time.Duration(spent-c.spent) / time.Duration(n) //nolint:gosec // a count of commits
	}
	c.commits, c.spent = s.Batches, spent
}
