package daemon

import (
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
)

// addFeed has the registry know what the feed of events finds.
func (w *watch) addFeed(f *feed.Feed) {
	w.feed.Store(f)
	w.health.Add(func() (out []health.Found) {
		for _, c := range f.Conditions() {
			out = append(out, health.Found{ID: c.Code, Subject: c.Consumer, Cause: c.Text, Remedy: c.Remedy})
		}
		return out
	})
}

// consumers are those of the feed, once it is open.
func (w *watch) consumers() []feed.Status {
	if f := w.feed.Load(); f != nil {
		return f.Consumers()
	}
	return nil
}
