package peer

import "github.com/lnactor/lnactor/internal/ln"

// Transport makes connections for one node. Callbacks may come on any goroutine, also before the call returns, and must return at once.
type Transport interface {
	// Dial connects to a node and proves that it is that node. It returns at once; done is called once, with a connection or an error.
	// After cancel it may still be called with a connection, for the caller to close.
	Dial(to ln.NodeID, address string, done func(Conn, error)) (cancel func())

	// Accept sets who is given the connections that others make; nil refuses them. Each is authenticated as the node named.
	Accept(accept func(from ln.NodeID, c Conn))
}

// Conn is an encrypted and authenticated connection that carries whole messages (BOLT 8). A connection that nobody starts closes itself after
// a while, since the message that hands it over may be lost (rule 3).
type Conn interface {
	// Start begins to read: window messages, and one more for each that Grant allows. recv gets them in order and, when the connection is
	// over, an error as its last call; after Close it may get nothing more.
	Start(window int, recv func(msg []byte, err error))
	Grant(n int)

	// Send queues a message, which it keeps, and returns at once. A peer that does not read its messages loses the connection.
	Send(msg []byte)

	// Backlog is the number of bytes that are queued.
	Backlog() int

	// Close ends the connection once what is queued is written, or very soon. It returns at once and may be repeated.
	Close()
}
