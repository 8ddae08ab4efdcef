package peer

import "github.com/lnactor/lnactor/internal/ln"

// What the actor above all sessions and the actor of a session say to each other.

// Connect asks for a lasting connection to an address. N grows with each.
type Connect struct {
	N       uint64
	Address string
	Later   bool // a delay first: nobody waits, and many peers may be connected at once
}

// Adopt hands over a connection that the peer made. N grows with each. Without a connection it stands for one that was lost.
type Adopt struct {
	N    uint64
	Conn Conn
}

// Dispose closes a connection that is lost on its way: the peer would wait for our init until its patience ends.
func (a Adopt) Dispose() {
	if a.Conn != nil {
		a.Conn.Close()
	}
}

// Status tells where a session stands, whenever that changes.
type Status struct {
	Peer      ln.NodeID
	Connected bool
	Inbound   bool
	Idle      bool   // it can be forgotten, if Adopted is the last one
	Adopted   uint64 // N of the last Adopt
}

// Outcome tells how an attempt to connect ended.
type Outcome struct {
	Peer ln.NodeID
	N    uint64 // of the last Connect
	Err  error
}
