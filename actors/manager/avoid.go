package manager

import (
	"time"

	"github.com/lnactor/lnactor/internal/route"
)

// patience is how often a channel is tried again that failed a part for a reason that may pass: never while it is avoided, which takes twice as long each
// time, and not at all once the tries are used up.
type patience struct {
	first, last time.Duration
	tries       int
}

var (
	// withOurs: a refusal of an own channel costs nobody anything, and ends with what the channel waits for.
	withOurs = patience{first: firstPause, last: lastPause, tries: maxAttempts}
	// withOthers makes a payment with nothing but one way to go, which does not carry it, four attempts in seven seconds.
	withOthers = patience{first: time.Second, last: 30 * time.Second, tries: 4}
)

// avoidance is what the parts of a payment have seen of one direction of a channel.
type avoidance struct {
	most  uint64    // that it carries
	until time.Time // zero: for as long as the payment lasts
	tries int       // that ended for a reason that may pass
	with  patience  // of these tries
}

func (p *payment) avoidanceOf(e route.Edge) *avoidance {
	a := p.avoided[e]
	if a == nil {
		a = &avoidance{most: ^uint64(0)}
		if p.avoided == nil {
			p.avoided = map[route.Edge]*avoidance{}
		}
		p.avoided[e] = a
	}
	return a
}

// avoid takes note of the most that a channel carries, for good.
func (p *payment) avoid(e route.Edge, most uint64) {
	a := p.avoidanceOf(e)
	a.most, a.until, a.tries = min(a.most, most), time.Time{}, max(a.tries, 1)
}

// avoidAWhile is avoid for a reason that may pass. Parts that fail while the channel is avoided were under way, or are smaller: they are no further try.
// While other parts are live the tries are never used up: the payee holds those for a minute at least, and has nothing of them without the rest.
func (p *payment) avoidAWhile(e route.Edge, most uint64, now time.Time, with patience) {
	a := p.avoidanceOf(e)
	a.most = min(a.most, most)
	if a.tries > 0 && !a.passed(now) {
		return
	}
	if a.tries > 0 && a.with != with { // what our own channel refused is no try of the peer behind it
		a.tries = 0
	}
	a.with = with
	a.tries++
	a.until = time.Time{}
	if a.tries < with.tries || len(p.parts) > 0 {
		a.until = now.Add(min(with.first<<min(a.tries-1, 10), with.last))
	}
}

func (a *avoidance) passed(now time.Time) bool { return !a.until.IsZero() && !now.Before(a.until) }

// limits are what channels carry at most as far as the payment knows, for a search.
func (p *payment) limits(now time.Time) map[route.Edge]uint64 {
	var out map[route.Edge]uint64
	for e, a := range p.avoided {
		if a.passed(now) {
			continue
		}
		if out == nil {
			out = map[route.Edge]uint64{}
		}
		out[e] = a.most
	}
	return out
}

// clears is when the next channel may be tried again; false if there is none that will be.
func (p *payment) clears(now time.Time) (at time.Time, ok bool) {
	for _, a := range p.avoided { // a minimum does not depend on the order
		if now.Before(a.until) && (!ok || a.until.Before(at)) {
			at, ok = a.until, true
		}
	}
	return at, ok
}
