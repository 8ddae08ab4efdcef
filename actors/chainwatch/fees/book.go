package fees

import (
	"fmt"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// State says how far FeeRate can be relied on.
type State uint8

const (
	// OK: there is a fresh estimate, or a fixed rate and nothing that estimates.
	OK State = iota
	// Stale: the estimate is older than it may be; FeeRate still goes by it.
	Stale
	// Missing: nothing was ever estimated, although something should be.
	Missing
)

// String names the state for logs and health pages.
func (s State) String() string {
	switch s {
	case OK:
		return "ok"
	case Stale:
		return "stale"
	case Missing:
		return "missing"
	default:
		return fmt.Sprintf("state %d", uint8(s))
	}
}

// Origin says whose rates FeeRate gives.
type Origin uint8

const (
	// FromNothing: there are none.
	FromNothing Origin = iota
	// FromChain: the chain source estimates.
	FromChain
	// FromURL: the fee URL estimates.
	FromURL
	// FromFixed: the configured rate.
	FromFixed
)

// String names the origin for logs and health pages.
func (o Origin) String() string {
	switch o {
	case FromNothing:
		return "none"
	case FromChain:
		return "chain source"
	case FromURL:
		return "fee url"
	case FromFixed:
		return "fixed rate"
	default:
		return fmt.Sprintf("origin %d", uint8(o))
	}
}

// Health is what the node shows about its fee estimates.
type Health struct {
	State State

	// Since is when the state began; zero while it is OK.
	Since time.Time

	// Origin is where the rates come from that FeeRate gives now, and Updated when they came; zero for fixed ones.
	Origin  Origin
	Updated time.Time

	// Last is why the last attempt failed; nil: it did not.
	Last error
}

// book keeps the last estimate and judges its age. It is pure: instants are inputs. Wall time counts, since a suspended machine's monotonic
// clock stands still while fees move on.
type book struct {
	fixed           chain.FeePerKW
	hasURL          bool
	refresh, maxAge time.Duration

	began    time.Time
	table    table
	origin   Origin
	updated  time.Time
	last     error
	failures int
}

// took notes an estimate.
func (b *book) took(now time.Time, origin Origin, t table) {
	b.table, b.origin, b.updated = t, origin, now
	b.last, b.failures = nil, 0
}

// silent notes that nothing estimates: the source says so, and there is no URL.
func (b *book) silent() {
	b.last, b.failures = nil, 0
}

// failed notes an attempt in vain. What is known stays.
func (b *book) failed(err error) {
	b.last = err
	b.failures++
}

// firstRetry is the wait after the first failure; it doubles up to the refresh.
const firstRetry = 15 * time.Second

// wait is how long to wait before the next attempt.
func (b *book) wait() time.Duration {
	if b.failures == 0 {
		return b.refresh
	}
	d := firstRetry
	for i := 1; i < b.failures && d < b.refresh; i++ {
		d *= 2
	}
	return min(d, b.refresh)
}

// stale is when the estimate becomes stale.
func (b *book) stale() time.Time { return b.updated.Add(b.maxAge) }

func (b *book) health(now time.Time) Health {
	h := Health{Origin: b.origin, Updated: b.updated, Last: b.last}
	switch {
	case len(b.table) == 0 && b.fixed != 0:
		h.Origin = FromFixed
		if b.hasURL {
			h.State, h.Since = Missing, b.began
		}
	case len(b.table) == 0:
		h.State, h.Since = Missing, b.began
	case now.Before(b.stale()):
	default:
		h.State, h.Since = Stale, b.stale()
	}
	return h
}

// ready tells whether rates may be relied on for what could as well be done later.
func (b *book) ready(now time.Time) error {
	h := b.health(now)
	if h.State == OK || b.fixed != 0 {
		return nil
	}
	return &Error{State: h.State, Since: h.Since, Last: h.Last}
}

// rate is the best rate there is.
func (b *book) rate(now time.Time, blocks int32) (chain.FeePerKW, error) {
	switch {
	case len(b.table) == 0 && b.fixed != 0:
		return b.fixed, nil
	case len(b.table) == 0:
		return 0, &Error{State: Missing, Since: b.began, Last: b.last}
	case now.Before(b.stale()):
		return b.table.rate(blocks), nil
	default:
		return max(b.table.rate(blocks), b.fixed), nil
	}
}
