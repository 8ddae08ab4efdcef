package fees

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const good = `{"fee_by_block_target": {"2": 20000, "6": 8000}, "min_relay_feerate": 1000}`

func newFetcher(t *testing.T, h http.HandlerFunc) *web {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w, err := newWeb(srv.URL+"/fees?key=secret", nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestFetch(t *testing.T) {
	w := newFetcher(t, func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.RequestURI() != "/fees?key=secret" {
			t.Errorf("asked for %s", r.URL.RequestURI())
		}
		fmt.Fprint(rw, good)
	})
	tab, err := w.fetch(t.Context(), DefaultCeiling)
	if err != nil || tab.rate(6) != 2000 {
		t.Fatal(tab, err)
	}
}

func TestFetchFailures(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		status int
		err    error
	}{
		"garbage": {func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "busy") }, 0, ErrBadEstimate},
		"empty":   {func(http.ResponseWriter, *http.Request) {}, 0, ErrBadEstimate},
		"huge": {func(rw http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(rw, good, strings.Repeat(" ", bodyLimit))
		}, 0, ErrTooLarge},
		"endless": {func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := fmt.Fprint(rw, strings.Repeat(" ", 1<<16)); err != nil {
					return
				}
			}
		}, 0, ErrTooLarge},
		"slow": {func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-release:
			}
		}, 0, context.DeadlineExceeded},
		"slow body": {func(rw http.ResponseWriter, r *http.Request) {
			fmt.Fprint(rw, good[:10])
			rw.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-release:
			}
		}, 0, context.DeadlineExceeded},
		"internal error": {func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, good, 500) }, 500, nil},
		"not found":      {http.NotFound, 404, nil},
		"circle":         {func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, r.URL.String(), 302) }, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			tab, err := newFetcher(t, c.answer).fetch(ctx, DefaultCeiling)
			var fe *FetchError
			if tab != nil || !errors.As(err, &fe) || fe.Status != c.status || c.err != nil && !errors.Is(err, c.err) {
				t.Fatalf("%v %v", tab, err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

func TestFetchFollowsRedirectButNotToPlainHTTP(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, good) }))
	defer plain.Close()
	w := newFetcher(t, func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, plain.URL, 302) })
	if _, err := w.fetch(t.Context(), DefaultCeiling); err != nil {
		t.Error(err)
	}

	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, 302))
	defer secure.Close()
	w, err := newWeb(secure.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.tls = secure.Client().Transport.(*http.Transport).TLSClientConfig
	if _, err := w.fetch(t.Context(), DefaultCeiling); !errors.Is(err, errDowngrade) {
		t.Errorf("%v", err)
	}
}

func TestFetchUnreachable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	w, err := newWeb(srv.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	var fe *FetchError
	if _, err := w.fetch(t.Context(), DefaultCeiling); !errors.As(err, &fe) || fe.Status != 0 {
		t.Errorf("%v", err)
	}
}

func TestBadURL(t *testing.T) {
	for _, u := range []string{"example.com/fees", "file:///etc/passwd", "https://", "://secret", "http://secret:pass word@h/%zz"} {
		_, err := newWeb(u, nil)
		if !errors.Is(err, ErrConfig) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", u, err)
		}
	}
}
