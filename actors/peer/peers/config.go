package peers

import (
	"errors"

	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/ln"
)

// Config is what the actor needs. Session and Transport are mandatory.
type Config struct {
	Session   peer.Config
	Transport peer.Transport

	// Lasting lists the nodes to be connected to, at each start. Nil: none.
	Lasting func() []Lasting
	// Remember and Forget tell the owner of the node what Lasting should list. They are called on the actor's goroutine, the answer to the
	// user comes after them. Nil: addresses are lost when the node stops.
	Remember func(Lasting) error
	Forget   func(ln.NodeID) error

	MaxStrangers int // inbound peers with neither a lasting connection nor a channel; 256 if 0
}

// Lasting is a node with the address to connect to.
type Lasting struct {
	Peer    ln.NodeID
	Address string // host:port
}

// Errors of ConnectPeer.
var (
	ErrSelf         = errors.New("peers: this is the id of this node itself")
	ErrNodeID       = errors.New("peers: not a node id; want a compressed public key")
	ErrAddress      = errors.New("peers: not an address; want host:port")
	ErrCrashed      = errors.New("peers: the session crashed; it is started again and goes on connecting")
	ErrDisconnected = errors.New("peers: disconnected on request")
)
