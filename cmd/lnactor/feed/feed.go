package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
)

// Dir is the feed's directory in the data directory.
const Dir = "events"

// Options say how a feed is kept. Only Dir is needed.
type Options struct {
	Dir string // its own directory

	MaxEvents uint64        // 0: 1,000,000
	MaxAge    time.Duration // 0: 30 days

	Webhooks  []Webhook         // of the configuration
	Attempts  int               // of a webhook's delivery before it is a dead letter; 0: 60, some 12 hours
	Transport http.RoundTripper // to endpoints; nil: one of its own

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil discards
}

// Entry is an event as consumers have it.
type Entry = journal.Entry

// Feed is the journal with its consumers. Make it by Open.
type Feed struct {
	o      Options
	log    *journal.Journal
	client *http.Client

	saving sync.Mutex // held while the consumers are written; before mu

	mu        sync.Mutex
	consumers map[string]*consumer
	version   uint64        // of the consumers in memory
	saved     uint64        // and on disk
	saveErr   error         // of the last attempt to write them
	logErr    error         // of appending, final
	lost      error         // consumers can't be read; set by Open
	refused   []refused     // webhooks of the configuration that could not be made; set by Open
	tooOld    uint64        // what is before it is over MaxAge
	wake      chan struct{} // closed and replaced when readers should look again

	ctx     context.Context // of everything that runs
	stop    context.CancelFunc
	running bool
	wg      sync.WaitGroup
}

// Open opens or makes the feed. Nothing runs yet; see Start.
func Open(o Options) (*Feed, error) {
	if o.MaxEvents == 0 {
		o.MaxEvents = 1_000_000
	}
	if o.MaxAge == 0 {
		o.MaxAge = 30 * 24 * time.Hour
	}
	if o.Attempts == 0 {
		o.Attempts = 60
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	f := &Feed{o: o, consumers: map[string]*consumer{}, wake: make(chan struct{}), client: newClient(o.Transport)}
	f.ctx, f.stop = context.WithCancel(context.Background())
	if err := f.open(); err != nil {
		f.stop()
		if f.log != nil {
			err = errors.Join(err, f.log.Close())
		}
		return nil, err
	}
	return f, nil
}

func (f *Feed) open() error {
	last, err := f.load()
	if errors.Is(err, lnactor.ErrCorrupt) {
		// Events are kept all the same, and the node runs: what it guards is worth more than who reads of it. But no cursor is guessed.
		f.lost, f.consumers = err, map[string]*consumer{}
		f.o.Log.Error("the consumers of events can't be read: none is served", "error", err)
	} else if err != nil {
		return err
	}
	name, err := f.name()
	if err != nil {
		return err
	}
	// What a consumer has acknowledged was there, so its position is never given to another event, whatever became of the journal.
	f.log, err = journal.Open(f.o.Dir, journal.Options{Feed: name, After: last, Segment: segmentSize(f.o.MaxEvents), Log: f.o.Log})
	if err != nil {
		return err
	}
	if f.lost == nil {
		if err := f.configure(); err != nil {
			return err
		}
	}
	return f.maintain(true)
}

// segmentSize keeps the journal within a sixteenth of its limit, roughly, and the number of files small.
func segmentSize(limit uint64) int {
	return int(min(max(limit/16, 64), 16<<10)) //nolint:gosec // bounded
}

// Start starts the webhooks and the look for what is over the limit. It returns at once; Close ends them.
func (f *Feed) Start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running || f.ctx.Err() != nil {
		return
	}
	f.running = true
	for _, c := range f.consumers {
		f.startPump(c)
	}
	f.wg.Go(func() {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-f.ctx.Done():
				return
			case <-tick.C:
				if err := f.maintain(true); err != nil {
					f.o.Log.Error("the feed's limit could not be kept; it is tried again", "error", err)
				}
			}
		}
	})
}

// Close ends all reading with ErrClosed, the webhooks and the journal.
func (f *Feed) Close() error {
	f.mu.Lock()
	f.running = false // nothing is started any more
	f.mu.Unlock()
	f.stop()
	f.wg.Wait()
	return f.log.Close()
}

// Append makes events durable; only then may they be acknowledged to the node (rule 24). One call is one sync. It reports which were new. An error is
// final: what is on disk is not known until the next start.
func (f *Feed) Append(list []lnactor.Event) ([]Entry, error) {
	fresh := make([]journal.New, len(list))
	for i, ev := range list {
		kind, data, err := describe(ev.Kind)
		if err != nil {
			return nil, fmt.Errorf("event %s: %w", ev.ID, err)
		}
		fresh[i] = journal.New{ID: ev.ID, Kind: kind, Data: data}
	}
	added, err := f.log.Append(fresh, f.o.Now())
	if err != nil {
		f.mu.Lock()
		f.logErr = err
		f.mu.Unlock()
		return nil, err
	}
	if len(added) > 0 {
		// That the limit could not be kept is no reason not to take the event.
		if err := f.maintain(false); err != nil {
			f.o.Log.Error("the feed's limit could not be kept; it is tried again", "error", err)
		}
		f.rouse()
	}
	return added, nil
}

// rouse has all readers look again.
func (f *Feed) rouse() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rouseLocked()
}

func (f *Feed) rouseLocked() {
	close(f.wake)
	f.wake = make(chan struct{})
}

// horizonLocked is the oldest position within the limit.
func (f *Feed) horizonLocked() uint64 {
	first, next := f.log.Bounds()
	h := max(first, f.tooOld)
	if next > f.o.MaxEvents {
		h = max(h, next-f.o.MaxEvents)
	}
	return min(h, next)
}

// maintain expires consumers that are over the limit, and only then removes what is over it. With age it looks at the clock, too.
func (f *Feed) maintain(age bool) error {
	if age {
		old, err := f.log.Since(f.o.Now().Add(-f.o.MaxAge))
		if err != nil {
			return err
		}
		f.mu.Lock()
		f.tooOld = max(f.tooOld, old)
		f.mu.Unlock()
	}
	now := f.o.Now().UTC()
	f.mu.Lock()
	horizon := f.horizonLocked()
	_, next := f.log.Bounds()
	expired := false
	for _, c := range f.consumers {
		if c.Expired == nil && c.Acked+1 < horizon {
			expired = true
			c.Expired = &now
			f.version++
			f.o.Log.Error("a consumer of events lags over the limit and is expired; nothing is skipped: it has to be told where it goes on",
				"consumer", c.Name, "lag", next-1-c.Acked)
		}
	}
	if expired {
		f.rouseLocked()
	}
	v := f.version
	f.mu.Unlock()
	// The mark is on disk before what it is about is removed.
	if expired {
		if err := f.persist(v); err != nil {
			return err
		}
	}
	return f.log.Drop(horizon)
}

// path of one of the feed's files.
func (f *Feed) path(name string) string { return filepath.Join(f.o.Dir, name) }
