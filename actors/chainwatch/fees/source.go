package fees

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Config says where estimates come from. The zero value asks the chain source alone.
type Config struct {
	// URL answers in the web format. Empty: there is none.
	URL string

	// Fixed is the rate for when nothing estimates; see DefaultFixed. 0: there is none.
	Fixed chain.FeePerKW

	// Ceiling bounds what an estimator can make the node pay. 0: DefaultCeiling.
	Ceiling chain.FeePerKW

	// Refresh is the time between two estimates, MaxAge how old one may become, Timeout how long asking may take. 0: 5 minutes, 30 minutes
	// and 10 seconds.
	Refresh, MaxAge, Timeout time.Duration

	// Dial connects to the URL's host, through Tor for example. Nil: directly, or by the proxy that the environment names.
	Dial Dial

	// Notify is told of every change of the state, in order. It must not block nor call the Source.
	Notify func(Health)

	// Log gets a line for every change of the state; nil discards them.
	Log *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.Refresh, 5*time.Minute)
	set(&c.MaxAge, 30*time.Minute)
	set(&c.Timeout, 10*time.Second)
	if c.Ceiling == 0 {
		c.Ceiling = DefaultCeiling
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	switch {
	case c.Refresh < 0 || c.Timeout < 0:
		return c, fmt.Errorf("%w: negative duration", ErrConfig)
	case c.MaxAge <= c.Refresh:
		return c, fmt.Errorf("%w: estimates that are used for %v but refreshed every %v are stale by design", ErrConfig, c.MaxAge, c.Refresh)
	case c.Ceiling < Floor:
		return c, fmt.Errorf("%w: a ceiling of %d is below the %d that every transaction pays", ErrConfig, c.Ceiling, Floor)
	case c.Fixed != 0 && (c.Fixed < Floor || c.Fixed > c.Ceiling):
		return c, fmt.Errorf("%w: a fixed rate of %d is not in %d..%d", ErrConfig, c.Fixed, Floor, c.Ceiling)
	}
	return c, nil
}

// targets are what a chain source is asked for.
var targets = []int32{1, 2, 3, 6, 12, 24, 144, 1008}

// Source is a chain.Source whose FeeRate combines estimators. Safe for concurrent use.
type Source struct {
	chain.Source
	cfg Config
	web *web

	mu    sync.Mutex
	book  book
	shown State // the state told last; only one goroutine tells

	first   chan struct{} // closed after the first attempt
	closing context.CancelFunc
	done    chan struct{} // closed when the poller has ended; nil: there is none
}

var _ chain.Source = (*Source)(nil)

// New wraps a source and starts to estimate. A source that is Local, with no URL, is asked whenever FeeRate is: then nothing runs beside the caller.
// Errors: ErrConfig.
func New(src chain.Source, cfg Config) (*Source, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Source{Source: src, cfg: cfg, first: make(chan struct{})}
	if cfg.URL != "" {
		if s.web, err = newWeb(cfg.URL, cfg.Dial); err != nil {
			return nil, err
		}
	}
	s.book = book{fixed: cfg.Fixed, hasURL: s.web != nil, refresh: cfg.Refresh, maxAge: cfg.MaxAge, began: now()}
	ctx, cancel := context.WithCancel(context.Background())
	s.closing = cancel
	if s.onDemand() {
		close(s.first)
		return s, nil
	}
	s.done = make(chan struct{})
	go s.poll(ctx)
	return s, nil
}

// Close ends the estimating and waits for it to end. The wrapped source stays open.
func (s *Source) Close() {
	s.closing()
	if s.done != nil {
		<-s.done
	}
}

// Unwrap is the source inside, for what it may offer beyond chain.Source.
func (s *Source) Unwrap() chain.Source { return s.Source }

// FeeRate implements chain.Source from memory. Over a source that is not Local it waits for the first attempt to estimate. The error is an *Error,
// or the context's.
func (s *Source) FeeRate(ctx context.Context, blocks int32) (chain.FeePerKW, error) {
	if err := s.await(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.rate(now(), blocks)
}

// Ready is nil if there is an estimate that is not stale, or a fixed rate: a channel may be opened. Otherwise ErrNoFeeSource or ErrStaleEstimate, as
// an *Error.
func (s *Source) Ready(ctx context.Context) error {
	if err := s.await(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.ready(now())
}

// Health says how far the rates can be relied on.
func (s *Source) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book.health(now())
}

func (s *Source) onDemand() bool { return s.web == nil && s.Source.Local() }

// await returns when there was an attempt to estimate, unless the caller must not be kept waiting.
func (s *Source) await(ctx context.Context) error {
	switch {
	case s.onDemand():
		s.attempt(ctx)
	case !s.Local():
		select {
		case <-s.first:
		case <-s.done:
		case <-ctx.Done():
			return fmt.Errorf("fees: no estimate yet: %w", ctx.Err())
		}
	}
	return nil
}

// poll estimates until the context ends, and tells of changes.
func (s *Source) poll(ctx context.Context) {
	defer close(s.done)
	var due time.Time
	attempted := sync.OnceFunc(func() { close(s.first) })
	for {
		if !now().Before(due) {
			s.attempt(ctx)
			if ctx.Err() != nil {
				return
			}
			s.mu.Lock()
			due = now().Add(s.book.wait())
			s.mu.Unlock()
			attempted()
		}
		t := time.NewTimer(s.tell(due))
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
	}
}

// tell reports a change of the state, and returns the time until the next attempt or until the estimate becomes stale, whichever is first.
func (s *Source) tell(due time.Time) time.Duration {
	s.mu.Lock()
	at := now()
	h := s.book.health(at)
	changed := h.State != s.shown
	s.shown = h.State
	wait := due.Sub(at)
	if h.State == OK && h.Origin != FromFixed {
		wait = min(wait, s.book.stale().Sub(at))
	}
	s.mu.Unlock()

	if changed {
		level := slog.LevelWarn
		if h.State == OK {
			level = slog.LevelInfo
		}
		s.cfg.Log.Log(context.Background(), level, "fee estimates", "state", h.State, "origin", h.Origin, "updated", h.Updated, "err", h.Last)
		if s.cfg.Notify != nil {
			s.cfg.Notify(h)
		}
	}
	return max(wait, 0)
}

// attempt asks the source, and the URL if the source does not know.
func (s *Source) attempt(ctx context.Context) {
	origin := FromChain
	t, err := s.askSource(ctx)
	if len(t) == 0 && s.web != nil {
		bounded, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		origin = FromURL
		var webErr error
		t, webErr = s.web.fetch(bounded, s.cfg.Ceiling)
		cancel()
		err = errors.Join(err, webErr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(t) > 0:
		s.book.took(now(), origin, t)
	case err != nil:
		s.book.failed(err)
	default:
		s.book.silent()
	}
}

// askSource asks for every target. Neither a table nor an error: the source does not estimate.
func (s *Source) askSource(ctx context.Context) (table, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	var quotes []quote
	for _, blocks := range targets {
		rate, err := s.Source.FeeRate(ctx, blocks)
		switch {
		case err == nil:
			quotes = append(quotes, quote{uint32(blocks), rate})
		case errors.Is(err, chain.ErrNoFeeEstimate): // perhaps for this target only
		default:
			return newTable(quotes, Floor, s.cfg.Ceiling), err
		}
	}
	return newTable(quotes, Floor, s.cfg.Ceiling), nil
}

// now is the wall clock.
func now() time.Time { return time.Now().Round(0) }
