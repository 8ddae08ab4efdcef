package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/config"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// mostAtOnce bounds how many events one sync takes in.
const mostAtOnce = 256

// FeedOptions are the feed's, as the configuration has them.
func FeedOptions(c *config.Config) (feed.Options, error) {
	o := feed.Options{
		Dir: filepath.Join(c.Dir, feed.Dir), MaxEvents: uint64(c.Number("events.max-events")), MaxAge: c.Duration("events.max-age"),
		Attempts: int(c.Number("events.webhook-attempts")),
	}
	secret := ""
	if path := c.Text("events.webhook-secret-file"); path != "" {
		raw, err := ReadSecret(path)
		if err != nil {
			return o, err
		}
		secret = strings.TrimSpace(string(raw))
	}
	for _, text := range c.List("events.webhooks") {
		w, err := feed.ParseWebhook(text)
		if err != nil {
			return o, fmt.Errorf("%w: events.webhooks: %w", lnactor.ErrConfig, err)
		}
		w.Secret = secret
		o.Webhooks = append(o.Webhooks, w)
	}
	return o, nil
}

// follow writes the node's events to the feed until the node stops, and starts what reads it.
func (p *process) follow(stop func()) error {
	o, err := FeedOptions(p.Config)
	if err != nil {
		return err
	}
	o.Log = p.Log
	if p.feed, err = feed.Open(o); err != nil {
		return err
	}
	p.feed.Start()
	p.watch.addFeed(p.feed)
	ended := make(chan error, 1)
	go func() {
		err := p.drain()
		if err != nil {
			p.Log.Error("the feed of events can't be written; the node stops", "error", err)
			stop()
		}
		ended <- err
	}()
	// Closed before the node in order, but it ends by the node's end.
	node := p.closers[len(p.closers)-1]
	p.closers[len(p.closers)-1] = func(ctx context.Context) error {
		return errors.Join(node(ctx), <-ended, p.feed.Close())
	}
	return nil
}

// drain takes what events there are, has them on disk with one sync, and only then acknowledges each (rule 24). While it writes, others gather: batches grow
// with load, and a lone event waits for nothing.
func (p *process) drain() error {
	nothing, cancel := context.WithCancel(context.Background())
	cancel() // what is there is taken, and nothing waited for
	for {
		var held []*lnactor.Delivery
		d, err := p.node.Next(context.Background())
		for err == nil {
			held = append(held, d)
			if len(held) == mostAtOnce {
				break
			}
			d, err = p.node.Next(nothing)
		}
		if len(held) == 0 {
			return nil // the node has stopped
		}
		list := make([]lnactor.Event, len(held))
		for i := range held {
			list[i] = held[i].Event
		}
		added, err := p.feed.Append(list)
		if err != nil {
			return err // none is acknowledged: all come again
		}
		for _, d := range held {
			d.Ack()
		}
		for i := range added {
			p.watch.events.Count(added[i].Kind)
			p.Log.Info("event", "event_id", added[i].ID, "kind", added[i].Kind)
		}
	}
}
