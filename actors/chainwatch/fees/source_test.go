package fees

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// estimator is a chain source that can do nothing but estimate.
type estimator struct {
	chain.Source
	local bool

	mu    sync.Mutex
	rates map[int32]chain.FeePerKW
	err   error
	asked int
}

func (e *estimator) Local() bool { return e.local }

func (e *estimator) set(rates map[int32]chain.FeePerKW, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rates, e.err = rates, err
}

func (e *estimator) FeeRate(_ context.Context, blocks int32) (chain.FeePerKW, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked++
	if e.err != nil {
		return 0, e.err
	}
	if rate, ok := e.rates[blocks]; ok {
		return rate, nil
	}
	return 0, chain.ErrNoFeeEstimate
}

// site is a web server on pipes, so that virtual time passes while everybody waits.
type site struct {
	srv *httptest.Server
	in  chan net.Conn

	mu    sync.Mutex
	body  string // empty: status 503
	down  bool
	asked int
}

func newSite(t *testing.T) *site {
	s := &site{in: make(chan net.Conn), body: good}
	s.srv = httptest.NewUnstartedServer(s)
	_ = s.srv.Listener.Close()
	s.srv.Listener = &pipes{in: s.in, closed: make(chan struct{})}
	s.srv.Start()
	t.Cleanup(s.srv.Close)
	return s
}

func (s *site) set(body string, down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.down = body, down
}

func (s *site) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *site) ServeHTTP(rw http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.body == "" {
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	fmt.Fprint(rw, s.body)
}

func (s *site) dial(context.Context, string, string) (net.Conn, error) {
	s.mu.Lock()
	s.asked++
	down := s.down
	s.mu.Unlock()
	if down {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	s.in <- theirs
	return ours, nil
}

// hang is a network that never answers.
func hang(ctx context.Context, _, _ string) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

type pipes struct {
	in     chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.in:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

func start(t *testing.T, src chain.Source, cfg Config) *Source {
	t.Helper()
	s, err := New(src, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func wantRate(t *testing.T, s *Source, blocks int32, want chain.FeePerKW) {
	t.Helper()
	if got, err := s.FeeRate(t.Context(), blocks); err != nil || got != want {
		t.Errorf("rate for %d blocks: %d, %v; want %d", blocks, got, err, want)
	}
}

func wantHealth(t *testing.T, s *Source, state State, origin Origin) {
	t.Helper()
	if h := s.Health(); h.State != state || h.Origin != origin {
		t.Errorf("health %+v, want %v from %v", h, state, origin)
	}
}

func TestSourceFirstThenURLThenFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newSite(t)
		src := &estimator{rates: map[int32]chain.FeePerKW{2: 9000, 6: 4000, 144: 100}}
		s := start(t, src, Config{URL: web.srv.URL, Dial: web.dial, Fixed: 300})
		wantRate(t, s, 1, 9000)
		wantRate(t, s, 6, 4000)
		wantRate(t, s, 1000, Floor)
		wantHealth(t, s, OK, FromChain)
		if n := web.count(); n != 0 {
			t.Errorf("the URL was asked %d times although the source estimates", n)
		}

		src.set(nil, chain.ErrUnreachable)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantRate(t, s, 6, 2000)
		wantHealth(t, s, OK, FromURL)

		src.set(map[int32]chain.FeePerKW{6: 5000}, nil)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantRate(t, s, 6, 5000)
		wantHealth(t, s, OK, FromChain)
	})
}

// The life of an estimate by URL: fresh, the server goes away, stale, the server comes back.
func TestStaleAndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newSite(t)
		var told []State
		s := start(t, &estimator{}, Config{URL: web.srv.URL, Dial: web.dial, Notify: func(h Health) { told = append(told, h.State) }})
		wantRate(t, s, 6, 2000)
		began := time.Now()
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}

		web.set("", false)
		time.Sleep(30*time.Minute - time.Second)
		synctest.Wait()
		wantHealth(t, s, OK, FromURL)
		time.Sleep(time.Second)
		synctest.Wait()
		wantHealth(t, s, Stale, FromURL)
		if since := s.Health().Since; !since.Equal(began.Add(30 * time.Minute)) {
			t.Errorf("stale since %v", since)
		}
		if len(told) != 1 || told[0] != Stale {
			t.Errorf("told %v at the very moment", told)
		}
		wantRate(t, s, 6, 2000) // old, but better than nothing
		err := s.Ready(t.Context())
		var fe *FetchError
		if !errors.Is(err, ErrStaleEstimate) || !errors.Is(err, chain.ErrNoFeeEstimate) || !errors.As(err, &fe) || fe.Status != 503 {
			t.Errorf("ready: %v", err)
		}

		web.set(good, true) // now it does not even answer
		time.Sleep(24 * time.Hour)
		wantHealth(t, s, Stale, FromURL)

		web.set(`{"fee_by_block_target": {"6": 40000}}`, false)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantHealth(t, s, OK, FromURL)
		wantRate(t, s, 6, 10_000)
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if len(told) != 2 || told[1] != OK {
			t.Errorf("told %v", told)
		}
	})
}

func TestMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newSite(t)
		web.set(good, true)
		s := start(t, &estimator{}, Config{URL: web.srv.URL, Dial: web.dial})
		if _, err := s.FeeRate(t.Context(), 6); !errors.Is(err, ErrNoFeeSource) || !errors.Is(err, chain.ErrNoFeeEstimate) {
			t.Error(err)
		}
		if err := s.Ready(t.Context()); !errors.Is(err, ErrNoFeeSource) {
			t.Error(err)
		}
		wantHealth(t, s, Missing, FromNothing)
		web.set(good, false)
		time.Sleep(15 * time.Second) // not a whole refresh: the first failure is asked again soon
		synctest.Wait()
		wantHealth(t, s, OK, FromURL)
	})
}

// Failures are asked again with a growing wait, which ends at the refresh.
func TestBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newSite(t)
		web.set("", false)
		start(t, &estimator{}, Config{URL: web.srv.URL, Dial: web.dial})
		synctest.Wait()
		for i, wait := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			time.Sleep(wait - time.Nanosecond)
			synctest.Wait()
			if n := web.count(); n != i+1 {
				t.Fatalf("attempt %d came early, after %v", n, wait)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			if n := web.count(); n != i+2 {
				t.Fatalf("%d attempts, none after %v", n, wait)
			}
		}
	})
}

// A light client on mainnet without a URL.
func TestNothingConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &estimator{}, Config{})
		if err := s.Ready(t.Context()); !errors.Is(err, ErrNoFeeSource) {
			t.Error(err)
		}
		wantHealth(t, s, Missing, FromNothing)
	})
}

func TestFixed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &estimator{}, Config{Fixed: 1234})
		wantRate(t, s, 6, 1234)
		wantHealth(t, s, OK, FromFixed)
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// The fixed rate is the operator's word for when estimates fail; a condition shows all the same, and a stale estimate is not undercut.
func TestFixedBesideAnURLThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web := newSite(t)
		web.set("", false)
		s := start(t, &estimator{}, Config{URL: web.srv.URL, Dial: web.dial, Fixed: 1500})
		wantRate(t, s, 6, 1500)
		wantHealth(t, s, Missing, FromFixed)
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		web.set(`{"fee_by_block_target": {"6": 8000, "100": 1000}}`, false)
		time.Sleep(time.Minute)
		synctest.Wait()
		wantRate(t, s, 100, Floor)
		web.set("", false)
		time.Sleep(time.Hour)
		wantHealth(t, s, Stale, FromURL)
		wantRate(t, s, 6, 2000)
		wantRate(t, s, 100, 1500)
		if err := s.Ready(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A local source without a URL is asked in the caller's turn: nothing runs beside it, and its answers count at once.
func TestLocal(t *testing.T) {
	src := &estimator{local: true, rates: map[int32]chain.FeePerKW{6: 700}}
	s, err := New(src, Config{Fixed: Floor})
	if err != nil {
		t.Fatal(err)
	}
	if src.asked != 0 {
		t.Error("asked before anybody wanted to know")
	}
	wantRate(t, s, 6, 700)
	src.set(map[int32]chain.FeePerKW{6: 800}, nil)
	wantRate(t, s, 6, 800)
	if !s.Local() || s.Unwrap() != chain.Source(src) {
		t.Error("the wrapper hides the source")
	}
	s.Close()
}

// Before the first attempt has ended FeeRate waits, and gives up with its context.
func TestWaitsForFirstAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &estimator{}, Config{URL: "http://fees.example/", Dial: hang})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.FeeRate(ctx, 6); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		began := time.Now()
		if _, err := s.FeeRate(t.Context(), 6); !errors.Is(err, ErrNoFeeSource) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if took := time.Since(began); took != 9*time.Second {
			t.Errorf("the attempt took %v more, want 10 s in all", took)
		}
	})
}

func TestCloseDuringAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, &estimator{}, Config{URL: "http://fees.example/", Dial: hang})
		synctest.Wait()
		began := time.Now()
		s.Close()
		s.Close()
		if time.Since(began) != 0 {
			t.Error("Close waited for the server")
		}
		if _, err := s.FeeRate(t.Context(), 6); !errors.Is(err, ErrNoFeeSource) {
			t.Error(err)
		}
	})
}

func TestBadConfig(t *testing.T) {
	for _, cfg := range []Config{
		{URL: "ftp://host"}, {Refresh: time.Hour}, {MaxAge: time.Minute}, {Refresh: -1}, {Ceiling: 10}, {Fixed: 10}, {Fixed: DefaultCeiling + 1},
	} {
		if s, err := New(&estimator{}, cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v, %v", cfg, s, err)
		}
	}
}

// A host that takes the connection and then says nothing in the TLS handshake: nothing of the attempt outlives it.
func TestSilentHostLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				for buf := make([]byte, 512); ; {
					if _, err := theirs.Read(buf); err != nil {
						return
					}
				}
			}()
			return ours, nil
		}
		s := start(t, &estimator{}, Config{URL: "https://fees.example/", Dial: silent})
		if err := s.Ready(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		s.Close()
	}) // would panic over goroutines that are left
}
