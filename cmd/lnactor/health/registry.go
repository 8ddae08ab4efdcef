package health

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Condition is what an operator should know.
type Condition struct {
	Kind
	Subject string
	Cause   string
	Since   time.Time
}

type key struct{ id, subject string }

// Source is another part of the process that finds conditions. One that does not answer in time, because a disk hangs, is taken to have found what it
// found before.
type Source func() []Found

type source struct {
	find    Source
	last    []Found
	pending chan []Found // nil: it is not being asked
}

// sourcePatience is how long sources are waited for, all together.
const sourcePatience = time.Second

func (s *source) ask(limit <-chan struct{}) []Found {
	if s.pending == nil {
		answer := make(chan []Found, 1)
		s.pending = answer
		go func() { answer <- s.find() }()
	}
	select {
	case s.last = <-s.pending:
		s.pending = nil
	case <-limit:
	}
	return s.last
}

// Registry is the one place where it is known what is not as it should be. It is safe for concurrent use.
type Registry struct {
	collector *Collector
	public    bool
	log       *slog.Logger
	now       func() time.Time

	mu      sync.Mutex
	sources []*source
	known   map[key]*Condition
	ordered []Condition
}

// Config is a registry's.
type Config struct {
	Node   Node // nil: no snapshots are judged
	Public bool // blocks come by themselves, so a source without new ones is stalled
	Log    *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// New makes a registry.
func New(c Config) *Registry {
	r := &Registry{public: c.Public, log: c.Log, now: c.Now, known: map[key]*Condition{}}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	if c.Node != nil {
		r.collector = NewCollector(c.Node, c.Now)
	}
	return r
}

// Add adds a source.
func (r *Registry) Add(s Source) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sources = append(r.sources, &source{find: s})
}

// MaxAge of what is told: whoever asks within it gets the same answer.
const MaxAge = 2 * time.Second

// Snapshot is the newest, nil if there is no node.
func (r *Registry) Snapshot(ctx context.Context) *Snapshot {
	if r.collector == nil {
		return nil
	}
	return r.collector.Snapshot(ctx, MaxAge)
}

// Conditions are all there are now, the worst first.
func (r *Registry) Conditions(ctx context.Context) []Condition {
	var found []Found
	if s := r.Snapshot(ctx); s != nil {
		found = Judge(s, r.public)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	limit, cancel := context.WithTimeout(context.Background(), sourcePatience)
	defer cancel()
	for _, s := range r.sources {
		found = append(found, s.ask(limit.Done())...)
	}
	return slices.Clone(r.take(found))
}

// take compares what is found with what was.
func (r *Registry) take(found []Found) []Condition {
	now := r.now()
	there := map[key]bool{}
	for _, f := range found {
		kind, ok := KindOf(f.ID)
		if !ok {
			r.log.Error("a condition of no known kind", "condition", f.ID, "cause", f.Cause)
			continue
		}
		k := key{f.ID, f.Subject}
		there[k] = true
		c := r.known[k]
		if c == nil {
			c = &Condition{Kind: kind, Subject: f.Subject, Since: now}
			r.known[k] = c
			level := slog.LevelWarn
			if kind.Severity == Critical {
				level = slog.LevelError
			}
			r.log.Log(context.Background(), level, "condition begins", "condition", f.ID, "subject", f.Subject, "cause", f.Cause, "remedy", kind.Remedy)
		}
		if c.Cause = f.Cause; f.Remedy != "" {
			c.Remedy = f.Remedy
		}
	}
	r.ordered = r.ordered[:0]
	for k, c := range r.known {
		if there[k] {
			r.ordered = append(r.ordered, *c)
			continue
		}
		delete(r.known, k)
		r.log.Info("condition is over", "condition", k.id, "subject", k.subject, "after", now.Sub(c.Since).Round(time.Second))
	}
	slices.SortFunc(r.ordered, func(a, b Condition) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(rank[a.ID], rank[b.ID]), cmp.Compare(a.Subject, b.Subject))
	})
	return r.ordered
}

// Watch looks again and again until the context ends, so that beginnings are noticed when nobody asks.
func (r *Registry) Watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select { // first of all: at once after the start not everything is up
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.Conditions(ctx)
	}
}

// Alive tells whether a restart of the process would not help.
func Alive(conditions []Condition) bool {
	return !slices.ContainsFunc(conditions, func(c Condition) bool { return c.Dead })
}

// Ready tells whether the node can be given work.
func Ready(conditions []Condition) bool {
	return !slices.ContainsFunc(conditions, func(c Condition) bool { return c.Dead || c.Unready })
}
