package daemon

import (
	"github.com/lnactor/lnactor/cmd/lnactor/feed"
	"github.com/lnactor/lnactor/cmd/lnactor/health"
)

// addFeed has the registry know what the feed of events finds.
func (w *watch) addFeed(f *feed.Feed) {
	w.health.Add(func() (out []health.Found) {
		for _, c := range f.Conditions() {
			out = append(out, health.Found{ID: c.Code, Subject: c.Consumer, Cause: c.Text, Remedy: c.Remedy})
		}
		return out
	})
}
