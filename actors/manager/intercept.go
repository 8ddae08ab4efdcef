package manager

// intercept asks the interceptor about an HTLC.
func (m *Manager) intercept(f *forward) { m.offer(f) }
