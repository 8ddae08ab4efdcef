package watchdog

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
)

// Core are the actors that are pinged in each round; a monitor is added.
var Core = []string{"node", "actors", "monitors", "persister", "chainwatch", "manager"}

// Node is what is watched.
type Node interface {
	EachActor(f func(lnactor.ActorVitals))
	PingActor(ctx context.Context, name string) error
	RecentMessages(name string) []string
}

// Config is a watchdog's.
type Config struct {
	Node  Node
	Every time.Duration // between the beginnings of two rounds; 0: 10 s
	Limit time.Duration // for how long an actor may not get on; 0: 1 min

	Pet    func()                       // all is well; nil: nobody is told
	Wedged func(actors, notes []string) // once when an actor is found that was not wedged before; nil: nobody is told
	Log    *slog.Logger
}

// Watchdog watches one node.
type Watchdog struct {
	cfg    Config
	stalls map[string]stall // only of actors that had something to do in the last round

	mu     sync.Mutex
	wedged map[string]string // name: what it does
	pinged map[string]bool   // pings under way
	late   map[string]time.Time
}

type stall struct {
	handled uint64
	since   time.Time
}

// New makes a watchdog. Run it.
func New(cfg Config) *Watchdog {
	if cfg.Every <= 0 {
		cfg.Every = 10 * time.Second
	}
	if cfg.Limit <= 0 {
		cfg.Limit = time.Minute
	}
	if cfg.Pet == nil {
		cfg.Pet = func() {}
	}
	if cfg.Wedged == nil {
		cfg.Wedged = func([]string, []string) {}
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Watchdog{cfg: cfg, stalls: map[string]stall{}, wedged: map[string]string{}, pinged: map[string]bool{}, late: map[string]time.Time{}}
}

// For says how to watch for a service manager that waits so long for a sign of life: the report is written well before it acts.
func For(timeout time.Duration) (every, limit time.Duration) { return timeout / 6, timeout / 3 }

// Run watches until the context ends.
func (w *Watchdog) Run(ctx context.Context) {
	tick := time.NewTicker(w.cfg.Every)
	defer tick.Stop()
	for {
		w.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Conditions is a health.Source.
func (w *Watchdog) Conditions() (out []health.Found) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(w.wedged)) {
		out = append(out, health.Found{ID: health.ActorWedged, Subject: name, Cause: w.wedged[name]})
	}
	return out
}

// Wedged tells whether an actor does not get on now.
func (w *Watchdog) Wedged() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.wedged) > 0
}

func (w *Watchdog) round(ctx context.Context) {
	found, suspended, monitor := w.look(time.Now())
	names := slices.Clone(Core)
	if monitor != "" {
		names = append(names, monitor)
	}
	missing := w.ping(ctx, names, suspended)
	if ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	now := time.Now()
	for name, since := range w.late {
		if _, known := found[name]; !known && now.Sub(since) >= w.cfg.Limit {
			found[name] = fmt.Sprintf("answers no ping for %s", now.Sub(since).Round(time.Second))
		}
	}
	fresh, over := changes(w.wedged, found)
	w.wedged = found
	w.mu.Unlock()
	for _, name := range over {
		w.cfg.Log.Info("a wedged actor gets on again", "actor", name)
	}
	if len(fresh) > 0 {
		w.complain(fresh, found)
	}
	if !missing && len(found) == 0 {
		w.cfg.Pet()
	}
}

func changes(before, now map[string]string) (fresh, over []string) {
	for name := range now {
		if _, known := before[name]; !known {
			fresh = append(fresh, name)
		}
	}
	for name := range before {
		if _, still := now[name]; !still {
			over = append(over, name)
		}
	}
	slices.Sort(fresh)
	slices.Sort(over)
	return fresh, over
}

// look compares all actors with what they were in the round before. It also says which are suspended, and draws a monitor.
func (w *Watchdog) look(now time.Time) (found map[string]string, suspended map[string]bool, monitor string) {
	found, suspended = map[string]string{}, map[string]bool{}
	stalls := map[string]stall{}
	monitors := 0
	w.cfg.Node.EachActor(func(v lnactor.ActorVitals) {
		if v.Suspended {
			suspended[v.Name] = true
		} else if strings.HasPrefix(v.Name, "monitor/") {
			if monitors++; rand.IntN(monitors) == 0 { //nolint:gosec // any will do
				monitor = v.Name
			}
		}
		if v.Suspended || !v.Busy && v.Queued == 0 {
			return
		}
		s, known := w.stalls[v.Name]
		if !known || s.handled != v.Handled {
			s = stall{v.Handled, now}
		}
		stalls[v.Name] = s
		if now.Sub(s.since) < w.cfg.Limit {
			return
		}
		doing := "has not begun with the next"
		if recent := w.cfg.Node.RecentMessages(v.Name); v.Busy && len(recent) > 0 {
			doing = "is in " + recent[len(recent)-1]
		}
		found[v.Name] = fmt.Sprintf("has handled no message for %s: %s, %d wait", now.Sub(s.since).Round(time.Second), doing, v.Queued)
	})
	w.stalls = stalls
	return found, suspended, monitor
}

// ping asks and waits for the answers, for as long as a round may take; what is late stays asked. It says whether an answer is missing.
func (w *Watchdog) ping(ctx context.Context, names []string, suspended map[string]bool) (missing bool) {
	wait, cancel := context.WithTimeout(ctx, w.cfg.Every)
	defer cancel()
	answers := make(chan struct{}, len(names))
	open := 0
	w.mu.Lock()
	for _, name := range names {
		if suspended[name] {
			delete(w.late, name) // its supervisor deals with it
			continue
		}
		if w.pinged[name] {
			missing = true
			if w.late[name].IsZero() {
				w.late[name] = time.Now() // it was suspended in between
			}
			continue
		}
		w.pinged[name] = true
		w.late[name] = time.Now()
		open++
		go w.ask(ctx, name, answers)
	}
	w.mu.Unlock()
	for range open {
		select {
		case <-answers:
		case <-wait.Done():
			return true
		}
	}
	return missing
}

// ask waits for one answer. Nobody at the address is no answer: the actor is being started, so it is asked again.
func (w *Watchdog) ask(ctx context.Context, name string, answers chan<- struct{}) {
	for {
		err := w.cfg.Node.PingActor(ctx, name)
		if !lnactor.IsNoActor(err) || ctx.Err() != nil || strings.HasPrefix(name, "monitor/") { // a monitor may have been archived
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(w.cfg.Every / 20):
		}
	}
	w.mu.Lock()
	delete(w.pinged, name)
	delete(w.late, name)
	w.mu.Unlock()
	answers <- struct{}{} // there is room
}

// complain names what was found. The log comes first: a report may take a moment.
func (w *Watchdog) complain(fresh []string, found map[string]string) {
	var notes []string
	for _, name := range slices.SortedFunc(maps.Keys(found), func(a, b string) int { return cmp.Compare(a, b) }) {
		w.cfg.Log.Error("an actor is wedged; the service manager is no longer told that all is well", "actor", name, "what", found[name])
		notes = append(notes, fmt.Sprintf("%s %s", name, found[name]), fmt.Sprintf("%s: last messages %s", name, strings.Join(w.cfg.Node.RecentMessages(name), ", ")))
	}
	w.cfg.Wedged(fresh, notes)
}
