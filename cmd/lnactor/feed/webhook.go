package feed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/lnactor/lnactor"
)

const (
	postTimeout  = 30 * time.Second // of one attempt
	firstBackOff = time.Second      // doubles with each failure
	lastBackOff  = 15 * time.Minute
)

// hook is what makes a consumer a webhook. Its secret is in a file of its own.
type hook struct {
	URL        string `json:"url"`
	Configured bool   `json:"configured,omitempty"` // it is one of the configuration
	Stopped    bool   `json:"stopped,omitempty"`    // it was one of the configuration
}

// failing is how a webhook's delivery goes. It is not on disk: after a restart attempts count anew.
type failing struct {
	attempts int
	err      string
	retry    time.Time
	blocked  bool // the list of dead letters is full
}

// pump delivers a webhook's events, one after the other.
type pump struct {
	stop context.CancelFunc
	done chan struct{}
}

func newClient(t http.RoundTripper) *http.Client {
	if t == nil {
		own := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // of the standard library
		own.MaxIdleConnsPerHost, own.ResponseHeaderTimeout = 1, postTimeout
		t = own
	}
	return &http.Client{
		Transport: t, Timeout: postTimeout,
		// A signed message goes to whom it was configured for and nobody else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// startPump starts a webhook's deliveries. It needs the lock.
func (f *Feed) startPump(c *consumer) {
	if !f.running || c.Webhook == nil || c.Webhook.Stopped || c.Expired != nil || c.pump != nil {
		return
	}
	ctx, stop := context.WithCancel(f.ctx)
	p := &pump{stop, make(chan struct{})}
	c.pump, c.failing = p, failing{}
	r := &Reader{f: f, c: c, epoch: c.epoch, pos: c.Acked}
	f.wg.Go(func() {
		defer close(p.done)
		defer stop()
		f.run(ctx, r)
		f.mu.Lock()
		defer f.mu.Unlock()
		if c.pump == p {
			c.pump = nil
		}
	})
}

func (f *Feed) stopPump(c *consumer) {
	if c.pump != nil {
		c.pump.stop()
		c.pump = nil
	}
}

func (f *Feed) restartPump(c *consumer) {
	f.stopPump(c)
	f.startPump(c)
}

// run delivers until the stream ends: the webhook was changed or removed, is expired, reached damage, or the feed is closed.
func (f *Feed) run(ctx context.Context, r *Reader) {
	for pause := firstBackOff; ; pause = min(2*pause, lastBackOff) {
		list, err := r.Next(ctx, 16)
		if errors.Is(err, lnactor.ErrStoreFailed) && sleep(ctx, pause) {
			continue // a read that failed may work later
		}
		if err != nil {
			if ctx.Err() == nil {
				f.o.Log.Warn("a webhook has come to a stop", "consumer", r.c.Name, "error", err)
			}
			return
		}
		pause = firstBackOff
		for i := range list {
			if !f.deliver(ctx, r, &list[i]) {
				return
			}
		}
	}
}

// deliver has one event acknowledged by the endpoint, or buried, and then its cursor on disk (rule 24). It reports whether the stream goes on.
func (f *Feed) deliver(ctx context.Context, r *Reader, e *Entry) bool {
	for attempt := 1; ; attempt++ {
		if _, err := r.look(); err != nil {
			return false // expired, moved or removed while it failed
		}
		after, err := f.post(ctx, r.c, e)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return false
		}
		pause := max(backOff(attempt), after)
		if attempt >= f.o.Attempts {
			buried, berr := f.bury(r.c, DeadLetter{Entry: *e, Attempts: attempt, Error: err.Error(), Time: f.o.Now().UTC()})
			if buried {
				f.o.Log.Error("a webhook's endpoint did not take an event; it is on the list of dead letters", "consumer", r.c.Name, "event_id", e.ID, "error", err)
				break
			}
			if berr != nil {
				err = berr
			}
		}
		f.note(r.c, attempt, err, pause)
		if !sleep(ctx, pause) {
			return false
		}
	}
	f.note(r.c, 0, nil, 0)
	for attempt := 1; ; attempt++ {
		err := f.advance(r.c, r.epoch, e.Seq, e.ID)
		if err == nil {
			return true
		}
		if !errors.Is(err, lnactor.ErrStoreFailed) {
			return false // moved, removed or expired meanwhile
		}
		f.o.Log.Error("a cursor could not be written; it is tried again", "consumer", r.c.Name, "error", err)
		if !sleep(ctx, backOff(attempt)) {
			return false
		}
	}
}

// note keeps how a delivery goes.
func (f *Feed) note(c *consumer, attempts int, err error, pause time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.failing = failing{attempts: attempts}
	if err != nil {
		c.failing.err, c.failing.retry = err.Error(), f.o.Now().Add(pause).UTC()
		c.failing.blocked = attempts >= f.o.Attempts
	}
}

// backOff is how long to wait after so many failures: twice as long each time, within bounds, and never in step with others.
func backOff(attempt int) time.Duration {
	d := lastBackOff
	if attempt < 20 {
		d = min(d, firstBackOff<<(attempt-1))
	}
	return d - time.Duration(rand.Int64N(int64(d)/5+1)) //nolint:gosec // no secret
}

// sleep waits; it reports false if the context ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// post sends an event once. After an error it says how long the endpoint asked to wait, if it did.
func (f *Feed) post(ctx context.Context, c *consumer, e *Entry) (after time.Duration, err error) {
	f.mu.Lock()
	target := c.Webhook.URL
	f.mu.Unlock()
	key, err := f.secret(c.Name)
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(e)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	if err != nil {
		return 0, ErrURL
	}
	now := f.o.Now()
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "lnactor")
	r.Header.Set("Webhook-Id", e.ID)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", Sign(key, e.ID, now, body))
	resp, err := f.client.Do(r)
	if err != nil {
		// The URL, which may hold a secret, is not for logs and lists.
		if inner := (*url.Error)(nil); errors.As(err, &inner) {
			err = inner.Err
		}
		return 0, fmt.Errorf("%w: %w", ErrNotTaken, err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if resp.StatusCode/100 == 2 {
		return 0, nil
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		after = min(time.Duration(s)*time.Second, lastBackOff)
	}
	return after, fmt.Errorf("%w: it answered %d", ErrNotTaken, resp.StatusCode)
}
