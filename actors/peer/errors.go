package peer

import "errors"

// Errors of connecting, for the user.
var (
	ErrNoAnswer    = errors.New("peer: the peer did not finish the handshake in time; is it a Lightning node, and not overloaded?")
	ErrClosed      = errors.New("peer: the connection was closed")
	ErrMisbehaved  = errors.New("peer: the peer broke the protocol")
	ErrUnsupported = errors.New("peer: the peer and this node have no common set of features")
	ErrChain       = errors.New("peer: the peer is on another chain; check the network of both nodes")
)

// malformedError is a message that BOLT 1 lets us drop the connection for. The text is sent to the peer.
type malformedError struct{ text string }

func (e *malformedError) Error() string { return e.text }
