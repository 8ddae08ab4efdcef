package feed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/atomicfile"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// TestSignature is the example of the specification of Standard Webhooks.
func TestSignature(t *testing.T) {
	key, err := parseSecret(testSecret)
	must(t, err)
	got := Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, bad := range []string{"", "whsec_", "whsec_AAAA", strings.TrimPrefix(testSecret, "whsec_"), testSecret + "!", "whsec_" + strings.Repeat("A", 200)} {
		if _, err := parseSecret(bad); !errors.Is(err, ErrSecret) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := parseSecret(newSecret()); err != nil {
		t.Error(err)
	}
}

func TestURL(t *testing.T) {
	for text, good := range map[string]bool{
		"https://example.com/hook?x=1": true, "http://127.0.0.1:8080/": true, "http://[::1]/": true, "http://localhost:1/x": true,
		"http://example.com": false, "http://127.0.0.1.example.com": false, "ftp://example.com": false, "": false, "https://": false, "//x": false, "https://x\n": false,
	} {
		if err := checkURL(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
	if got := PublicURL("https://me:hush@example.com/T0/secret?token=x"); got != "https://example.com/..." {
		t.Error(got)
	}
}

// endpoint is where a webhook's events go, in memory, so that time can be virtual.
type endpoint struct {
	t  testing.TB
	mu sync.Mutex
	// answer says what the n-th attempt of an event is answered: a status, or 0 for no answer.
	answer func(id string, n int) int
	wait   string // Retry-After
	tried  map[string]int
	got    []string // ids, as they were taken
	times  []time.Time
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	verify(e.t, r, body)
	id := r.Header.Get("Webhook-Id")
	if e.tried == nil {
		e.tried = map[string]int{}
	}
	e.tried[id]++
	e.times = append(e.times, time.Now())
	status := http.StatusNoContent
	if e.answer != nil {
		status = e.answer(id, e.tried[id])
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	if status/100 == 2 {
		e.got = append(e.got, id)
	}
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(strings.NewReader("ok")), Request: r, Header: http.Header{"Retry-After": {e.wait}, "Location": {"https://elsewhere"}},
	}, nil
}

// verify is what a receiver does.
func verify(t testing.TB, r *http.Request, body []byte) {
	key, err := parseSecret(testSecret)
	if err != nil {
		t.Error(err)
	}
	seconds, err := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		t.Error(err)
	}
	var e Entry
	if err := json.Unmarshal(body, &e); err != nil || e.ID != r.Header.Get("Webhook-Id") || e.Seq == 0 || e.Kind != "PaymentSent" {
		t.Errorf("%s: %v", body, err)
	}
	if r.Header.Get("Webhook-Signature") != Sign(key, e.ID, time.Unix(seconds, 0), body) {
		t.Errorf("the signature of %s is wrong", e.ID)
	}
	if r.URL.Host == "elsewhere" {
		t.Error("followed a redirection")
	}
}

func (e *endpoint) taken() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.got)
}

func hookFeed(t *testing.T, e *endpoint, o Options) *Feed {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), Dir)
	}
	e.t, o.Transport = t, e
	f := openFeed(t, o)
	f.Start()
	return f
}

var shop = Webhook{Name: "shop", URL: "https://example.com/token", Secret: testSecret}

func wanted(from, to int) (out []string) {
	for n := from; n < to; n++ {
		out = append(out, ev(n).ID)
	}
	return out
}

// TestWebhook: events come in order, signed, each until it was taken, and the cursor follows.
func TestWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{answer: func(id string, n int) int {
			switch id {
			case "id/2":
				return []int{0, 500, 302, 429, 204}[n-1]
			case "id/3":
				return 200
			}
			return 204
		}}
		o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
		f := hookFeed(t, e, o)
		defer f.Close()
		add(t, f, 0, 2)
		must(t, f.SetWebhook(shop))
		synctest.Wait()
		add(t, f, 2, 5)
		synctest.Wait()
		if s := f.Consumers()[0]; s.State != Failing || s.Attempts != 1 || s.Lag != 3 || !strings.Contains(s.Error, "refused") || strings.Contains(s.Error, "token") {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(e.taken(), wanted(0, 5)) || e.tried["id/2"] != 5 {
			t.Fatalf("%v, tried %v", e.taken(), e.tried)
		}
		if s := f.Consumers()[0]; s.State != CaughtUp || s.Acked != 5 || s.Attempts != 0 || s.Error != "" {
			t.Errorf("%+v", s)
		}
		for i, want := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if d := e.times[3+i].Sub(e.times[2+i]); d < want*4/5 || d > want {
				t.Errorf("pause %d: %v, want about %v", i, d, want)
			}
		}
		if err := f.Ack("shop", "id/4"); !errors.Is(err, ErrIsWebhook) {
			t.Error(err)
		}
		if _, err := f.Read("shop", ""); !errors.Is(err, ErrIsWebhook) {
			t.Error(err)
		}
		if _, err := f.Peek(t.Context(), "shop", "", 1); !errors.Is(err, ErrIsWebhook) {
			t.Error(err)
		}
		f.Close()
		f = hookFeed(t, e, o) // after a restart nothing comes again
		defer f.Close()
		add(t, f, 5, 6)
		synctest.Wait()
		if !slices.Equal(e.taken(), wanted(0, 6)) {
			t.Errorf("%v", e.taken())
		}
	})
}

// TestWebhookCrash: what was taken and whose cursor is not on disk comes again; nothing is left out.
func TestWebhookCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
		f := hookFeed(t, e, o)
		must(t, f.SetWebhook(shop))
		add(t, f, 0, 2)
		synctest.Wait()
		hookWrite(t, func(string, []byte) error { return errors.New("no space left") })
		add(t, f, 2, 4)
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Equal(e.taken(), wanted(0, 3)) {
			t.Fatalf("%v: it went on without its cursor being on disk", e.taken())
		}
		f.Close() // the disk knows of two
		writeFile = atomicfile.Write
		f = hookFeed(t, e, o)
		defer f.Close()
		synctest.Wait()
		if want := append(wanted(0, 3), wanted(2, 4)...); !slices.Equal(e.taken(), want) {
			t.Errorf("%v", e.taken())
		}
	})
}

// TestRetryAfter: an endpoint may ask for a longer pause.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{wait: "60", answer: func(_ string, n int) int { return []int{503, 204}[n-1] }}
		f := hookFeed(t, e, Options{})
		defer f.Close()
		must(t, f.SetWebhook(shop))
		add(t, f, 0, 1)
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if len(e.taken()) != 0 {
			t.Error("it did not wait")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(e.taken()) != 1 {
			t.Error("it did not try again")
		}
	})
}

// TestDeadLetters: what is not taken again and again is set aside, durably, and seen; the rest goes on; it can be sent again or discarded.
func TestDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Bool
		bad.Store(true)
		e := &endpoint{answer: func(id string, _ int) int {
			if bad.Load() && (id == "id/1" || id == "id/2" || id == "id/4") {
				return 400
			}
			return 204
		}}
		o := Options{Dir: filepath.Join(t.TempDir(), Dir), Attempts: 4}
		f := hookFeed(t, e, o)
		must(t, f.SetWebhook(shop))
		add(t, f, 0, 6)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if c := f.Conditions(); len(c) != 1 || c[0].Code != "webhook_failing" {
			t.Errorf("%+v", c)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if !slices.Equal(e.taken(), []string{"id/0", "id/3", "id/5"}) || e.tried["id/1"] != 4 {
			t.Fatalf("%v, tried %v", e.taken(), e.tried)
		}
		if c := f.Conditions(); len(c) != 1 || c[0].Code != "dead_letters" {
			t.Errorf("%+v", c)
		}
		f.Close()
		f = hookFeed(t, e, o)
		defer f.Close()
		list, err := f.DeadLetters("shop")
		if err != nil || len(list) != 3 || list[0].Entry.ID != "id/1" || list[0].Attempts != 4 || !strings.Contains(list[0].Error, "400") ||
			string(list[0].Entry.Data) == "" || list[0].Time.IsZero() {
			t.Fatalf("%+v %v", list, err)
		}
		if n, err := f.Retry(t.Context(), "shop", nil); n != 0 || err == nil {
			t.Error(n, err)
		}
		bad.Store(false)
		if _, err := f.Retry(t.Context(), "shop", []string{"id/1", "id/9"}); !errors.Is(err, ErrNoEvent) {
			t.Error(err)
		}
		if n, err := f.Retry(t.Context(), "shop", []string{"id/2"}); n != 1 || err != nil {
			t.Error(n, err)
		}
		if n, err := f.Discard("shop", []string{"id/1"}); n != 1 || err != nil {
			t.Error(n, err)
		}
		if n, err := f.Retry(t.Context(), "shop", nil); n != 1 || err != nil {
			t.Error(n, err)
		}
		if got := e.taken(); !slices.Equal(got, []string{"id/0", "id/3", "id/5", "id/2", "id/4"}) {
			t.Errorf("%v", got)
		}
		if list, err := f.DeadLetters("shop"); err != nil || len(list) != 0 || len(f.Conditions()) != 0 {
			t.Errorf("%v %v", list, err)
		}
		must(t, f.Set("other", End))
		for name, want := range map[string]error{"other": ErrNotWebhook, "none": ErrNoConsumer} {
			_, err := f.DeadLetters(name)
			_, err2 := f.Retry(t.Context(), name, nil)
			_, err3 := f.Discard(name, nil)
			for _, err := range []error{err, err2, err3} {
				if !errors.Is(err, want) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		must(t, f.Remove("shop"))
		for _, path := range []string{f.deadPath("shop"), f.SecretFile("shop")} {
			if _, err := os.Stat(path); err == nil {
				t.Errorf("%s is left", path)
			}
		}
	})
}

// TestDeadLettersFull: when the list is full the webhook waits, with an alarm; it forgets nothing.
func TestDeadLettersFull(t *testing.T) {
	old := maxDead
	maxDead = 20
	t.Cleanup(func() { maxDead = old })
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Bool
		bad.Store(true)
		e := &endpoint{answer: func(string, int) int {
			if bad.Load() {
				return 500
			}
			return 200
		}}
		o := Options{Dir: filepath.Join(t.TempDir(), Dir), Attempts: 1}
		f := hookFeed(t, e, o)
		defer f.Close()
		must(t, f.SetWebhook(shop))
		add(t, f, 0, maxDead+3)
		time.Sleep(time.Hour)
		synctest.Wait()
		c := f.Conditions()
		if len(c) != 1 || c[0].Code != "webhook_blocked" || !c[0].Critical || f.Consumers()[0].Acked != uint64(maxDead) {
			t.Fatalf("%+v %+v", c, f.Consumers())
		}
		bad.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if !slices.Equal(e.taken(), wanted(maxDead, maxDead+3)) {
			t.Errorf("%v", e.taken())
		}
	})
}

// TestWebhookExpires: an endpoint that is dead for too long is expired as any other consumer, and goes on where it is told to.
func TestWebhookExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad atomic.Bool
		bad.Store(true)
		e := &endpoint{answer: func(string, int) int {
			if bad.Load() {
				return 0
			}
			return 200
		}}
		f := hookFeed(t, e, Options{MaxEvents: 100})
		defer f.Close()
		must(t, f.SetWebhook(shop))
		add(t, f, 0, 100)
		add(t, f, 100, 101)
		synctest.Wait()
		if s := f.Consumers()[0]; s.State != Expired {
			t.Errorf("%+v", s)
		}
		bad.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if len(e.taken()) != 0 {
			t.Errorf("%v", e.taken())
		}
		must(t, f.Set("shop", "id/90"))
		synctest.Wait()
		if !slices.Equal(e.taken(), wanted(90, 101)) {
			t.Errorf("%v", e.taken())
		}
	})
}

// TestConfigured: webhooks of the configuration are made, changed, and stopped when they are no longer there, and keep their cursors.
func TestConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{}
		o := Options{Dir: filepath.Join(t.TempDir(), Dir), Webhooks: []Webhook{shop}}
		f := hookFeed(t, e, o)
		add(t, f, 0, 2)
		synctest.Wait()
		if err := f.SetWebhook(shop); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
		if err := f.Remove("shop"); !errors.Is(err, ErrConfigured) {
			t.Error(err)
		}
		f.Close()
		o.Webhooks = nil
		f = hookFeed(t, e, o)
		add(t, f, 2, 4)
		synctest.Wait()
		if c := f.Conditions(); len(c) != 1 || c[0].Code != "webhook_stopped" || f.Consumers()[0].Lag != 2 {
			t.Errorf("%+v", c)
		}
		f.Close()
		o.Webhooks = []Webhook{{Name: "shop", URL: "http://localhost/new"}}
		f = hookFeed(t, e, o)
		synctest.Wait()
		if !slices.Equal(e.taken(), wanted(0, 4)) || len(f.Conditions()) != 0 {
			t.Errorf("%v %+v", e.taken(), f.Conditions())
		}
		f.Close()
		for _, bad := range []Webhook{{Name: "X", URL: shop.URL}, {Name: "x", URL: "http://example.com"}, {Name: "x", URL: shop.URL, Secret: "hush"}} {
			o.Webhooks = []Webhook{bad}
			if _, err := Open(o); !errors.Is(err, lnactor.ErrConfig) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%+v: %v", bad, err)
			}
		}
	})
}

// TestLostConsumers: a webhook whose cursor was lost begins anew, and has its dead letters.
func TestLostConsumers(t *testing.T) {
	o := Options{Dir: filepath.Join(t.TempDir(), Dir)}
	f := openFeed(t, o)
	add(t, f, 0, 3)
	must(t, f.SetWebhook(Webhook{Name: "shop", URL: shop.URL, Start: End}))
	c, err := f.hookOf("shop")
	must(t, err)
	if buried, err := f.bury(c, DeadLetter{Entry: Entry{ID: "id/1"}}); !buried || err != nil {
		t.Fatal(err)
	}
	f.Close()
	must(t, os.Remove(filepath.Join(o.Dir, ConsumersFile)))
	o.Webhooks = []Webhook{{Name: "shop", URL: shop.URL}}
	f = openFeed(t, o)
	if s := f.Consumers(); len(s) != 1 || s[0].Lag != 3 || s[0].DeadLetters != 1 {
		t.Errorf("%+v", s)
	}
}

// TestSecretMade: a webhook without a secret gets one, in a file for its owner alone, and keeps it.
func TestSecretMade(t *testing.T) {
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	must(t, f.SetWebhook(Webhook{Name: "a", URL: shop.URL}))
	first, err := os.ReadFile(f.SecretFile("a"))
	must(t, err)
	if _, err := parseSecret(string(first)); err != nil {
		t.Error(err)
	}
	if info, _ := os.Stat(f.SecretFile("a")); info.Mode().Perm() != 0o600 {
		t.Error(info.Mode())
	}
	must(t, f.SetWebhook(Webhook{Name: "a", URL: shop.URL}))
	if second, _ := os.ReadFile(f.SecretFile("a")); string(second) != string(first) {
		t.Error("another secret")
	}
	must(t, f.Set("b", ""))
	if err := f.SetWebhook(Webhook{Name: "b", URL: shop.URL}); !errors.Is(err, ErrNotWebhook) {
		t.Error(err)
	}
}

// TestEndpoint is a webhook with a real server.
func TestEndpoint(t *testing.T) {
	got := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		verify(t, r, body)
		got <- r.Header.Get("Webhook-Id")
		fmt.Fprint(w, "thanks")
	}))
	defer server.Close()
	f := openFeed(t, Options{Dir: filepath.Join(t.TempDir(), Dir)})
	f.Start()
	must(t, f.SetWebhook(Webhook{Name: "shop", URL: server.URL, Secret: testSecret}))
	add(t, f, 0, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for n := range 3 {
		select {
		case id := <-got:
			if id != ev(n).ID {
				t.Errorf("got %s, want %d", id, n)
			}
		case <-ctx.Done():
			t.Fatal("nothing came")
		}
	}
	f.Close()
}
