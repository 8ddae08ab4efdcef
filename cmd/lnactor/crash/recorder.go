package crash

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"maps"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
	"github.com/lnactor/lnactor/internal/redact"
	"github.com/lnactor/lnactor/supervisor"
)

const (
	remembered   = 50 // events, log lines
	pending      = 16 // reports that wait to be written
	crashedFor   = 24 * time.Hour
	restartedFor = 10 * time.Minute
	manyRestarts = 3
	maxActors    = 1024 // whose restarts are remembered
)

// Recorder takes in what happens to actors. It is safe for concurrent use.
type Recorder struct {
	dir, version string
	log          *slog.Logger
	now          func() time.Time
	lines        lines

	mu       sync.Mutex
	events   []string
	restarts map[string]uint64 // by kind of actor
	crashes  map[string]uint64 // by kind of actor
	recent   map[string][]time.Time
	last     map[string]fault // by actor
	repeats  map[uint64]int
	newest   string // report
	closed   bool

	queue   chan Report
	writing sync.WaitGroup // of reports that are queued
	done    chan struct{}
}

type fault struct {
	at     time.Time
	cause  string
	report string
}

// Config is a recorder's.
type Config struct {
	DataDir string // empty: nothing is written
	Version string
	Log     *slog.Logger     // is told where a report is
	Now     func() time.Time // nil: time.Now
}

// New makes a recorder; nothing is on disk before the first report. Close it.
func New(c Config) *Recorder {
	r := &Recorder{
		version: c.Version, log: c.Log, now: c.Now, restarts: map[string]uint64{}, crashes: map[string]uint64{},
		recent: map[string][]time.Time{}, last: map[string]fault{}, repeats: map[uint64]int{},
		queue: make(chan Report, pending), done: make(chan struct{}),
	}
	if c.DataDir != "" {
		r.dir = filepath.Join(c.DataDir, DirName)
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	go r.work()
	return r
}

// Dir is where the reports are, empty if none are written.
func (r *Recorder) Dir() string { return r.dir }

// Close writes what waits.
func (r *Recorder) Close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.queue)
	}
	r.mu.Unlock()
	<-r.done
}

// Observe is lnactor.Config.Observe.
func (r *Recorder) Observe(e lnactor.SupervisionEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if _, ok := e.(supervisor.ChildStarted); ok {
		return // thousands at a start
	}
	r.events = append(r.events, now.UTC().Format(time.RFC3339Nano)+" "+describe(e))
	if len(r.events) > remembered {
		r.events = append(r.events[:0], r.events[len(r.events)-remembered:]...)
	}
	switch e := e.(type) {
	case supervisor.ChildRestarted:
		r.restarts[lnactor.ActorKind(string(e.Child))]++
		if e.Child == e.With { // not those that were restarted with it
			r.noteRestart(string(e.Child), now)
		}
	case supervisor.ChildFailed:
		name := string(e.Child)
		r.crashes[lnactor.ActorKind(name)]++
		if len(r.last) < maxActors || !r.last[name].at.IsZero() {
			r.last[name] = fault{at: now, cause: redact.Text(e.Reason.Error()), report: r.last[name].report}
		}
		if e.Stack != nil {
			r.report(Report{
				Time: now, What: "an actor panicked; it is restarted", Actor: name, Message: e.Message + " (lost)", Reason: e.Reason.Error(),
				Recent: e.Recent, Notes: []string{fmt.Sprintf("failures, decaying: %.1f", e.Failures)}, Stack: redact.Stack(e.Stack),
			})
		}
	}
}

func (r *Recorder) noteRestart(name string, now time.Time) {
	if len(r.recent) >= maxActors && r.recent[name] == nil {
		return
	}
	times := append(r.recent[name], now)
	r.recent[name] = times[max(0, len(times)-manyRestarts):]
}

// Wedged reports actors that do not get on, with the stacks of all goroutines.
func (r *Recorder) Wedged(actors, notes []string, stacks []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(Report{
		Time: r.now(), What: "an actor does not get on; the watchdog is no longer petted", Actor: strings.Join(actors, ", "), Notes: notes,
		Stack: redact.Stack(stacks),
	})
}

// report queues a report, unless there were enough of that fault.
func (r *Recorder) report(p Report) {
	if r.closed || r.dir == "" {
		return
	}
	key := fnv.New64a()
	fmt.Fprintf(key, "%s\n%s\n", p.What, lnactor.ActorKind(p.Actor))
	if p.Message != "" { // the stacks of a wedge are those of the whole process
		key.Write(p.Stack) // hash.Hash never fails
	}
	n := r.repeats[key.Sum64()] + 1
	if len(r.repeats) < maxActors || n > 1 {
		r.repeats[key.Sum64()] = n
	}
	if n > Repeats {
		return
	}
	p.Events = append([]string(nil), r.events...)
	p.Log = r.lines.list()
	r.writing.Add(1)
	select {
	case r.queue <- p:
	default:
		r.writing.Done()
		r.log.Warn("a crash report is left out: too many at once", "actor", p.Actor)
	}
}

func (r *Recorder) work() {
	defer close(r.done)
	for p := range r.queue {
		r.write(p)
		r.writing.Done()
	}
}

func (r *Recorder) write(p Report) {
	path, err := p.write(r.dir, r.version)
	if err != nil {
		r.log.Error("a crash report can't be written", "actor", p.Actor, "error", err)
		return
	}
	r.mu.Lock()
	r.newest = path
	if f, ok := r.last[p.Actor]; ok {
		f.report = path
		r.last[p.Actor] = f
	}
	r.mu.Unlock()
	r.log.Error("a crash report was written", "actor", p.Actor, "path", path)
}

// Newest is the last report that was written, empty if there is none of this process.
func (r *Recorder) Newest() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.newest
}

// Counts are the restarts and the crashes since the process started, by kind of actor.
func (r *Recorder) Counts() (restarts, crashes map[string]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.restarts), maps.Clone(r.crashes)
}

// Conditions is a health.Source.
func (r *Recorder) Conditions() (out []health.Found) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for name, f := range r.last {
		if now.Sub(f.at) >= crashedFor {
			delete(r.last, name)
			continue
		}
		where := ""
		if f.report != "" {
			where = "; the report: " + f.report
		}
		out = append(out, health.Found{ID: health.ActorCrashed, Subject: name, Cause: f.cause + where})
	}
	for name, times := range r.recent {
		switch {
		case now.Sub(times[len(times)-1]) >= restartedFor:
			delete(r.recent, name)
		case len(times) == manyRestarts && now.Sub(times[0]) < restartedFor:
			out = append(out, health.Found{ID: health.ActorRestarts, Subject: name, Cause: fmt.Sprintf("restarted %d times since %s", manyRestarts, times[0].UTC().Format(time.RFC3339))})
		}
	}
	return out
}

func describe(e lnactor.SupervisionEvent) string {
	switch e := e.(type) {
	case supervisor.ChildFailed:
		return fmt.Sprintf("%s failed over %s: %v", e.Child, e.Message, e.Reason)
	case supervisor.ChildRestarted:
		return fmt.Sprintf("%s restarts with %s after %s, restart %d", e.Child, e.With, e.Backoff, e.Restart)
	case supervisor.ChildQuarantined:
		return fmt.Sprintf("%s is quarantined with %s: %v", e.Child, e.With, e.Reason)
	case supervisor.ChildRetried:
		return fmt.Sprintf("%s is out of quarantine", e.Child)
	case supervisor.GaveUpOn:
		return fmt.Sprintf("supervision gave up: %v", e.Err)
	case supervisor.ChildStopped:
		return fmt.Sprintf("%s stopped", e.Child)
	}
	return fmt.Sprintf("%T", e)
}
