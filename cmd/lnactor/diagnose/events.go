package diagnose

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
)

// reading bounds how long the feed of events is read: at its limit it has some 300 MB.
const reading = 30 * time.Second

// events: each line of the feed verifies, none is missing, and consumers and webhooks fit to it. Health watches only what is read anyway.
func (c Config) events(ctx context.Context) Check {
	const name = "events"
	if c.Dir == "" {
		return Check{name, Unknown, "there is no data directory, and no feed of events", ""}
	}
	wait, cancel := context.WithTimeout(ctx, reading)
	defer cancel()
	in, err := feed.Inspect(wait, filepath.Join(c.Dir, feed.Dir))
	switch {
	case errors.Is(err, lnactor.ErrNotFound):
		return Check{name, Unknown, "there is no feed of events yet", ""}
	case errors.Is(err, context.DeadlineExceeded):
		return Check{name, Unknown, fmt.Sprintf("reading all events takes more than %s", reading), "read them without the node: lnactor inspect, on a copy of the data directory"}
	case err != nil:
		return unknown(name, err)
	case len(in.Problems) > 0:
		var what []string
		for _, p := range in.Problems[:min(len(in.Problems), 5)] {
			what = append(what, p.Error())
		}
		return Check{name, Critical, strings.Join(what, "; "), "look at payments and channels themselves for what happened then, keep a copy of the directory, and look at the disk (docs/events.md)"}
	case len(in.Expired) > 0:
		return Check{
			name, Critical, "over the limit, so that their reads fail: " + strings.Join(in.Expired, ", "),
			"find out why they did not acknowledge, then say where they go on: lnactor events consumer set",
		}
	}
	return Check{name, Good, fmt.Sprintf("%d events and %d consumers, all of them whole", in.Journal.Events, in.Consumers), ""}
}
