package chaintest

import (
	"slices"
	"testing"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// suite is what the tests share: one backend and, but for those that open
// their own, one source.
type suite struct {
	*Harness
	src chain.Source
}

// Run tests a source: all of the contract, or only the named parts of it. The
// backend is used up: it is reorganised, stopped and started again.
func Run(t *testing.T, h Harness, only ...string) {
	s := &suite{Harness: &h, src: h.Open(t)}
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"Connect", s.connect},
		{"WrongChain", s.wrongChain},
		{"Walk", s.walk},
		{"NotFound", s.notFound},
		{"Owned", s.owned},
		{"Cancel", s.cancel},
		{"Fees", s.fees},
		{"Notify", s.notify},
		{"Reorganise", s.reorganise},
		{"Follow", s.follow},
		{"Broadcast", s.broadcast},
		{"Refused", s.refused},
		{"Concurrent", s.concurrent},
		{"Outage", s.outage},
		{"ReorganisedMeanwhile", s.reorganisedMeanwhile},
	} {
		if len(only) > 0 && !slices.Contains(only, test.name) {
			continue
		}
		if !t.Run(test.name, test.run) {
			return // what follows builds on it
		}
	}
}

// mine adds blocks and waits until the source has them.
func (s *suite) mine(t testing.TB, n int) {
	t.Helper()
	f := Follow(t, s.src)
	s.Backend.Mine(t, n)
	f.Await(t, s.Harness, s.Backend.Tip(t))
}
