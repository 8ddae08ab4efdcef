package feed

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lnactor/lnactor/cmd/lnactor/feed/journal"
)

// State is how a consumer fares, in one word.
type State string

// States.
const (
	CaughtUp State = "caught up" // it has acknowledged everything
	Reading  State = "reading"   // a stream is open, or the webhook delivers
	Waiting  State = "waiting"   // there are events and nobody reads
	Failing  State = "failing"   // the endpoint did not take an event; it is tried again
	Blocked  State = "blocked"   // as failing, and the list of dead letters is full
	Stopped  State = "stopped"   // a webhook that is no longer in the configuration
	Damaged  State = "damaged"   // its next event can't be read
	Expired  State = "expired"   // it lags over the limit
)

// States are all of them.
var States = []State{CaughtUp, Reading, Waiting, Failing, Blocked, Stopped, Damaged, Expired}

// Status is a consumer as operators see it.
type Status struct {
	Name        string
	State       State
	Created     time.Time
	Acked       uint64    // position, and id
	AckedID     string    // empty: nothing since it was made or moved
	Lag         uint64    // events that it has not acknowledged
	Oldest      time.Time // when the oldest of those was written; zero: there is none, or it can't be read
	Streams     int
	URL         string // of a webhook; see PublicURL
	Configured  bool
	Attempts    int // of the event that is delivered now
	Error       string
	Retry       time.Time
	DeadLetters int
}

// Consumers are all consumers, by name.
func (f *Feed) Consumers() []Status {
	f.mu.Lock()
	_, next := f.log.Bounds()
	var out []Status
	for _, name := range slices.Sorted(maps.Keys(f.consumers)) {
		c := f.consumers[name]
		s := Status{
			Name: name, Created: c.Created, Acked: c.Acked, AckedID: c.AckedID, Streams: c.streams, DeadLetters: len(c.dead),
			Attempts: c.failing.attempts, Error: c.failing.err, Retry: c.failing.retry,
		}
		if next-1 > c.Acked {
			s.Lag = next - 1 - c.Acked
		}
		if c.Webhook != nil {
			s.URL, s.Configured = c.Webhook.URL, c.Webhook.Configured
		}
		switch {
		case c.Expired != nil:
			s.State = Expired
		case c.Webhook != nil && c.Webhook.Stopped:
			s.State = Stopped
		case c.failing.blocked:
			s.State = Blocked
		case c.failing.attempts > 0:
			s.State = Failing
		case s.Lag == 0:
			s.State = CaughtUp
		case c.streams > 0 || c.pump != nil:
			s.State = Reading
		default:
			s.State = Waiting
		}
		out = append(out, s)
	}
	f.mu.Unlock()
	for i := range out {
		f.look(&out[i])
	}
	return out
}

// look reads a consumer's next event.
func (f *Feed) look(s *Status) {
	if s.Lag == 0 {
		return
	}
	list, err := f.log.Read(s.Acked+1, 1)
	var missing *journal.MissingError
	switch {
	case err == nil && len(list) == 1:
		s.Oldest = list[0].Time
	case errors.As(err, &missing) && s.State != Expired && s.State != Stopped:
		s.State, s.Error = Damaged, missing.Error()
	}
}

// Condition is something that an operator should know.
type Condition struct {
	Code     string // stable, such as "consumer_expired"
	Critical bool   // otherwise a warning
	Consumer string // empty: the feed as a whole
	Text     string
	Remedy   string
}

// Conditions are what is not as it should be, in a fixed order.
func (f *Feed) Conditions() (out []Condition) {
	f.mu.Lock()
	logErr, saveErr := f.logErr, f.saveErr
	f.mu.Unlock()
	add := func(critical bool, code, consumer, remedy, format string, args ...any) {
		out = append(out, Condition{Code: code, Critical: critical, Consumer: consumer, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	}
	const disk = "make room on the disk or replace it, and start the node again"
	switch {
	case logErr != nil:
		add(true, "feed_failed", "", disk, "%v", logErr)
	case saveErr != nil:
		add(true, "feed_failed", "", disk, "acknowledgements fail: %v", saveErr)
	}
	if f.lost != nil {
		add(true, "events_damaged", "", "put a copy of the file in its place, or move it away; then start the node again", "no consumer is served: %v", f.lost)
	}
	for _, r := range f.refused {
		add(false, "webhook_failing", r.name, fmt.Sprintf("mend that, or name the webhook otherwise (lnactor events consumer remove %s makes its name free); then start the node again", r.name),
			"webhook %s of the configuration could not be made: %v", r.name, r.err)
	}
	for _, m := range f.log.Damage() {
		add(true, "events_damaged", "", "look at the payments and channels themselves for what happened then; a consumer that stops there is moved on by: lnactor events consumer set", "%v", m)
	}
	now := f.o.Now()
	for _, s := range f.Consumers() {
		age := time.Duration(0)
		if !s.Oldest.IsZero() {
			age = now.Sub(s.Oldest)
		}
		move := fmt.Sprintf("find out why nobody read; then: lnactor events consumer set %s --start beginning", s.Name)
		switch {
		case s.State == Expired:
			add(true, "consumer_expired", s.Name, move, "consumer %s lags by %d events, over the limit of %d events or %v; its reads fail", s.Name, s.Lag, f.o.MaxEvents, f.o.MaxAge)
		case s.State == Damaged:
			add(true, "consumer_stopped", s.Name, fmt.Sprintf("lnactor events consumer set %s --start ID, with the id of the first event after the damage (lnactor events)", s.Name), "consumer %s can't go on: %s", s.Name, s.Error)
		case s.State == Blocked:
			add(true, "webhook_blocked", s.Name, fmt.Sprintf("mend the endpoint; then: lnactor events retry %s", s.Name), "webhook %s has %d dead letters, which are the most; it waits: %s", s.Name, s.DeadLetters, s.Error)
		case s.State == Stopped:
			add(false, "webhook_stopped", s.Name, fmt.Sprintf("take it into the configuration again, or: lnactor events consumer remove %s", s.Name), "webhook %s is no longer in the configuration; %d events wait for it", s.Name, s.Lag)
		case s.Attempts >= 3:
			add(false, "webhook_failing", s.Name, "look at the endpoint; the attempts go on", "webhook %s: %d attempts failed, the last: %s", s.Name, s.Attempts, s.Error)
		case s.Lag > f.o.MaxEvents/2 || age > f.o.MaxAge/2:
			add(false, "consumer_lagging", s.Name, fmt.Sprintf("find out why it does not acknowledge, or: lnactor events consumer remove %s", s.Name), "consumer %s lags by %d events, the oldest of %s; at %d events or %v it is expired", s.Name, s.Lag, s.Oldest.Format(time.RFC3339), f.o.MaxEvents, f.o.MaxAge)
		}
		if s.DeadLetters > 0 && s.State != Blocked {
			add(false, "dead_letters", s.Name, fmt.Sprintf("lnactor events dead-letters %s, then events retry or events discard", s.Name), "webhook %s has %d dead letters", s.Name, s.DeadLetters)
		}
	}
	return out
}
