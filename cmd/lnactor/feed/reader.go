package feed

import (
	"context"
	"errors"

	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
)

// Reader is one stream of events: a consumer's, or one that nobody remembers. It is for one goroutine.
type Reader struct {
	f     *Feed
	c     *consumer // nil: nobody's
	epoch uint64
	pos   uint64 // of the last event that was delivered
}

// Read begins a stream of a consumer: everything behind its cursor. A consumer that is not there is made, and begins at start; otherwise start counts for
// nothing. An older stream of the consumer ends. Without a name it is a stream from start on that nobody remembers.
func (f *Feed) Read(name, start string) (*Reader, error) {
	if name == "" {
		pos, err := f.position(start)
		return &Reader{f: f, pos: pos}, err
	}
	if err := f.ensure(name, start); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.consumers[name]
	switch {
	case c == nil:
		return nil, ErrNoConsumer
	case c.Webhook != nil:
		return nil, ErrIsWebhook
	case c.Expired != nil:
		return nil, f.expiredLocked(c)
	}
	c.epoch++
	c.streams++
	f.rouseLocked()
	return &Reader{f: f, c: c, epoch: c.epoch, pos: c.Acked}, nil
}

// Peek waits for events behind a consumer's cursor and returns the first of them, without a stream. It makes a consumer as Read does.
func (f *Feed) Peek(ctx context.Context, name, start string, most int) ([]Entry, error) {
	if err := f.ensure(name, start); err != nil {
		return nil, err
	}
	f.mu.Lock()
	c := f.consumers[name]
	if c == nil || c.Webhook != nil {
		f.mu.Unlock()
		if c == nil {
			return nil, ErrNoConsumer
		}
		return nil, ErrIsWebhook
	}
	r := &Reader{f: f, c: c, epoch: c.epoch, pos: c.Acked}
	f.mu.Unlock()
	list, err := r.Next(ctx, most)
	if errors.Is(err, ErrTakenOver) {
		return f.Peek(ctx, name, start, most) // a stream began; that is none of this call's business
	}
	return list, err
}

// Next waits for the next events and returns at most so many. After an error the stream is over.
func (r *Reader) Next(ctx context.Context, most int) ([]Entry, error) {
	for {
		wake, err := r.look()
		if err != nil {
			return nil, err
		}
		list, err := r.f.log.Read(r.pos+1, most)
		switch {
		case errors.Is(err, journal.ErrGone):
			return nil, r.expired()
		case err != nil:
			return nil, err
		case len(list) > 0:
			r.pos = list[len(list)-1].Seq
			return list, nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.f.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// look says whether the stream goes on, and what tells of news.
func (r *Reader) look() (<-chan struct{}, error) {
	f := r.f
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ctx.Err() != nil:
		return nil, ErrClosed
	case r.c == nil:
		return f.wake, nil
	case f.consumers[r.c.Name] != r.c:
		return nil, ErrNoConsumer
	case r.c.epoch != r.epoch:
		return nil, ErrTakenOver
	case r.c.Expired != nil:
		return nil, f.expiredLocked(r.c)
	}
	return f.wake, nil
}

func (r *Reader) expired() error {
	r.f.mu.Lock()
	defer r.f.mu.Unlock()
	if r.c != nil {
		return r.f.expiredLocked(r.c)
	}
	return r.f.expiredLocked(&consumer{record: record{Acked: r.pos}})
}

// Lag is how many events there are behind the last that was delivered.
func (r *Reader) Lag() uint64 {
	_, next := r.f.log.Bounds()
	return next - 1 - r.pos
}

// Close ends the stream.
func (r *Reader) Close() {
	if r.c != nil {
		r.f.mu.Lock()
		defer r.f.mu.Unlock()
		r.c.streams--
	}
}
