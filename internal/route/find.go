package route

import (
	"time"

	"github.com/lnactor/lnactor/internal/graph"
)

// Find returns routes that together deliver the amount, at most MaxParts, largest first as they were found. Errors: ErrSelf, ErrRequest, ErrBalance,
// ErrNoPath, *LimitError.
func (f *Finder) Find(g *graph.Graph, mem *Memory, r *Request, now time.Time) ([]Route, error) {
	q, err := r.withDefaults()
	if err != nil {
		return nil, err
	}
	var total uint64
	for i := range q.Local {
		total += min(q.Local[i].SendMsat, maxMoney)
	}
	if total < q.AmountMsat {
		return nil, ErrBalance
	}
	s := &search{Finder: f, v: newView(g, &q), q: &q, mem: mem, now: now}
	s.self, s.target = s.v.index(q.Self), s.v.index(q.Target)
	routes, err := s.find()
	if err != nil && mem != nil {
		// Rather than not to try at all, over what failed a moment ago: it may be the only way there is, and it may work again. What the same payment
		// has seen fail is in the request.
		s.desperate = true
		if again, worse := s.find(); worse == nil {
			return again, nil
		}
	}
	return routes, err
}

// find splits the amount until there is a route for each part.
func (s *search) find() ([]Route, error) {
	q := s.q
	s.used = map[Edge]uint64{}
	var routes []Route
	left, fees := q.AmountMsat, uint64(0)
	for part := left; left > 0; {
		found, err := s.part(part, q.MaxFeeMsat-fees)
		if err != nil {
			// Halving, as lnd does: what is left needs another part, so there must be room for it.
			if len(routes)+2 > q.MaxParts || part/2 < q.MinPart {
				return nil, err
			}
			part /= 2
			continue
		}
		for _, h := range found.Hops {
			s.used[Edge{h.SCID, h.From}] += h.AmountMsat
		}
		routes = append(routes, *found)
		fees += found.FeeMsat
		left -= part
		part = left
	}
	return routes, nil
}

// part finds one route within the limits.
func (s *search) part(amount, maxFee uint64) (*Route, error) {
	var broken *LimitError
	for s.goal = byCost; s.goal < goals; s.goal++ {
		r := s.run(amount)
		if r == nil {
			break
		}
		delay := r.Hops[0].Expiry - s.q.Height
		if r.FeeMsat <= maxFee && delay <= s.q.MaxDelay {
			return r, nil
		}
		broken = &LimitError{FeeMsat: r.FeeMsat, Delay: delay, Hops: len(r.Hops)}
	}
	if broken != nil {
		return nil, broken
	}
	return nil, ErrNoPath
}
