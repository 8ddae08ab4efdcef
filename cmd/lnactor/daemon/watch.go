package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	systemd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/cmd/lnactor/crash"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
	"github.com/lnactor/lnactor/cmd/lnactor/metrics"
	"github.com/lnactor/lnactor/cmd/lnactor/server"
	"github.com/lnactor/lnactor/cmd/lnactor/watchdog"
)

// ErrWedged says that the process was stopped while one of its actors did not get on: it was not stopped in order, which loses nothing.
var ErrWedged = errors.New("an actor did not get on, so the node was not stopped in order; nothing durable is lost")

type faultsKey struct{}

// WithFaults has a process that is run under the context crash and hold actors. It is for tests of real processes.
func WithFaults(ctx context.Context, f kit.Faults) context.Context {
	return context.WithValue(ctx, faultsKey{}, f)
}

// FaultsOf is what WithFaults put there.
func FaultsOf(ctx context.Context) kit.Faults {
	f, _ := ctx.Value(faultsKey{}).(kit.Faults)
	return f
}

const (
	healthEvery = 10 * time.Second
	alarmsEvery = time.Second
	// wedgedLimit is how long the stop of a process may take that has an actor which won't stop.
	wedgedLimit = 2 * time.Second
)

// watch is what looks after a node process: crash reports, health, metrics, the watchdog and the service manager.
type watch struct {
	log     *slog.Logger
	crashes *crash.Recorder
	events  *metrics.Events
	pages   *pages // nil: not served

	stopping atomic.Bool
	feed     atomic.Pointer[feed.Feed] // nil: not open yet
	health   *health.Registry          // from up on
	alarms   *health.Book              // from up on
	dog      *watchdog.Watchdog        // from up on
	end      context.CancelFunc
	running  sync.WaitGroup
}

// newWatch begins before the node is opened: its log is the process's.
func newWatch(o Options) *watch {
	w := &watch{events: &metrics.Events{}, end: func() {}}
	w.crashes = crash.New(crash.Config{DataDir: o.Config.Dir, Version: o.Version, Log: o.Log})
	w.log = w.crashes.Log(o.Log)
	return w
}

// up begins to look at a node that was opened.
func (w *watch) up(node *lnactor.Node, o Options, params *chaincfg.Params, more ...health.Source) {
	if report, err := w.crashes.Own(); err != nil {
		w.log.Warn("if the process dies of a panic there will be no report", "error", err)
	} else if report != "" {
		w.log.Error("the process before this one died of a panic; this is the report", "path", report)
	}
	public := params.Name != chaincfg.RegressionNetParams.Name && params.Name != chaincfg.SimNetParams.Name
	w.health = health.New(health.Config{Node: node, Public: public, Log: w.log})
	w.health.Add(w.crashes.Conditions)
	w.alarms = health.OpenBook(o.Config.Dir, w.log)
	w.health.Add(func() []health.Found {
		newest, _ := node.Alarms()
		w.alarms.Note(newest)
		return w.alarms.Conditions()
	})
	w.health.Add(func() []health.Found {
		if w.stopping.Load() {
			return []health.Found{{ID: health.Stopping, Cause: "the process was asked to stop"}}
		}
		return nil
	})
	for _, s := range more {
		w.health.Add(s)
	}
	cfg := watchdog.Config{Node: node, Log: w.log, Wedged: w.wedged}
	if timeout, err := systemd.SdWatchdogEnabled(false); err == nil && timeout > 0 {
		cfg.Every, cfg.Limit = watchdog.For(timeout)
		cfg.Pet = func() { w.tell(systemd.SdNotifyWatchdog) }
		w.log.Info("the service manager waits for signs of life", "at_least_every", timeout)
	}
	w.dog = watchdog.New(cfg)
	w.health.Add(w.dog.Conditions)
	if w.pages != nil {
		w.pages.set(pagesOf(w.health, metrics.Handler(metrics.Config{
			Node: node, Health: w.health, Crashes: w.crashes.Counts, Events: w.events, Consumers: w.consumers, Version: o.Version, Network: params.Name, Chain: o.Config.Chain(),
		})))
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.end = cancel
	w.running.Go(func() { w.health.Watch(ctx, healthEvery) })
	w.running.Go(func() { w.noteAlarms(ctx, node) })
}

// noteAlarms writes down soon what is raised: a process that is killed tells of it no more.
func (w *watch) noteAlarms(ctx context.Context, node *lnactor.Node) {
	tick := time.NewTicker(alarmsEvery)
	defer tick.Stop()
	var noted uint64
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		if newest, raised := node.Alarms(); raised != noted {
			w.alarms.Note(newest)
			noted = raised
		}
	}
}

// ready tells the service manager, and begins to watch: from now on it waits for signs of life.
func (w *watch) ready(running Running) {
	w.tell(systemd.SdNotifyReady + "\nSTATUS=node " + running.NodeID)
	ctx, cancel := context.WithCancel(context.Background())
	end := w.end
	w.end = func() { cancel(); end() }
	w.running.Go(func() { w.dog.Run(ctx) })
}

// stop is said before anything is stopped. It tells how long the stop may take.
func (w *watch) stop(limit time.Duration) time.Duration {
	w.stopping.Store(true)
	w.tell(systemd.SdNotifyStopping)
	w.end()
	if w.isWedged() {
		return min(limit, wedgedLimit)
	}
	return limit
}

func (w *watch) isWedged() bool { return w.dog != nil && w.dog.Wedged() }

// close is said when all else is closed, or was given up. Whatever hangs, it returns soon.
func (w *watch) close() {
	if w.pages != nil {
		_ = w.pages.server.Close() // it is closed already, unless something hung
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		w.crashes.Close()
		w.running.Wait()
	}()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

// tell says something to the service manager, if there is one.
func (w *watch) tell(state string) {
	if _, err := systemd.SdNotify(false, state); err != nil {
		w.log.Warn("the service manager can't be told", "error", err)
	}
}

// wedged reports what the watchdog found.
func (w *watch) wedged(actors, notes []string) {
	const most = 4 << 20
	stacks := make([]byte, 1<<20)
	for {
		n := runtime.Stack(stacks, true)
		if n < len(stacks) || len(stacks) >= most {
			stacks = stacks[:n]
			break
		}
		stacks = make([]byte, 2*len(stacks))
	}
	w.crashes.Wedged(actors, notes, stacks)
}

// ops is for the API.
func (w *watch) ops(node *lnactor.Node) *server.Ops {
	return &server.Ops{
		Health: w.health, Actors: node.Actors, Recent: node.RecentMessages, CrashDir: w.crashes.Dir(), Report: w.crashes.Newest,
		Ack: func(id lnactor.ChannelID) (int, error) { return w.alarms.Ack(id, time.Now()) },
	}
}

// pages serves /metrics, /healthz and /readyz.
type pages struct {
	server  *http.Server
	address string
	handler atomic.Pointer[http.Handler]
}

// servePages begins at once: while the node starts it is alive, and not ready.
func (w *watch) servePages(address string) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return startError(fmt.Errorf("monitoring.listen: %w", err))
	}
	w.pages = &pages{address: l.Addr().String()}
	w.pages.set(startingPages())
	w.pages.server = &http.Server{
		Handler:           http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { (*w.pages.handler.Load()).ServeHTTP(rw, r) }),
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		w.log.Warn("whoever reaches this address sees metrics and health: monitoring.listen is not on loopback", "address", w.pages.address)
	}
	w.running.Go(func() {
		if err := w.pages.server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			w.log.Error("metrics and health are no longer served", "address", w.pages.address, "error", err)
		}
	})
	return nil
}

func (p *pages) set(h http.Handler) { p.handler.Store(&h) }

func (p *pages) close(context.Context) error { return p.server.Close() }

func startingPages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, `{"ok":true,"conditions":[]}`) })
	starting := func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the node is starting", http.StatusServiceUnavailable)
	}
	mux.HandleFunc("GET /readyz", starting)
	mux.HandleFunc("GET /metrics", starting)
	return mux
}

func pagesOf(r *health.Registry, scrape http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", r.Handler(health.Alive))
	mux.Handle("/readyz", r.Handler(health.Ready))
	mux.Handle("GET /metrics", scrape)
	return mux
}
