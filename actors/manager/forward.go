package manager

import "github.com/lnactor/lnactor/messages"

// onHTLCCommitted: the outbound HTLC of a forward is durable.
func (m *Manager) onHTLCCommitted(messages.HTLCCommitted) {}
