package neutrino

import "slices"

type subscriber struct{ notify func() }

// Subscribe implements chain.Source. It also hints when a peer has come.
func (s *Source) Subscribe(notify func()) (cancel func()) {
	sub := &subscriber{notify: notify}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subs = append(s.subs, sub)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.subs = slices.DeleteFunc(s.subs, func(other *subscriber) bool { return other == sub })
	}
}

// hint calls under the lock, so that nobody is told after he has cancelled.
func (s *Source) hint() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		sub.notify()
	}
}
