package simnet

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/ln"
)

// Errors of connecting and of connections that end.
var (
	ErrRefused = errors.New("simnet: connection refused")
	ErrWrongID = errors.New("simnet: another node lives at the address")
	ErrCut     = errors.New("simnet: connection cut")
	ErrClosed  = errors.New("simnet: connection closed by the other side")
)

// Scheduler is the part of *sim.Sim that a network needs.
type Scheduler interface {
	After(d time.Duration, name string, f func()) (cancel func())
	Rand() *rand.Rand
}

// Network connects nodes. Like the scheduler, it is used from one goroutine.
type Network struct {
	// Latency of each message and of each attempt to connect; nil: drawn from 0.1 to 10 ms.
	Latency func() time.Duration

	// Fault is asked before each message is delivered; true cuts the connection instead. Nil: never.
	Fault func(from, to string, msg []byte) (cut bool)

	// OnMessage sees each message that is delivered; nil: nobody does.
	OnMessage func(from, to string, msg []byte)

	scheduler Scheduler
	nodes     map[string]*node
	links     []*link // open ones, oldest first
}

// New makes a network without nodes.
func New(s Scheduler) *Network { return &Network{scheduler: s, nodes: map[string]*node{}} }

// node is the transport of one life of a node.
type node struct {
	net    *Network
	name   string
	id     ln.NodeID
	dead   bool
	accept func(ln.NodeID, peer.Conn)
}

// Node begins a life of a node: connections of an earlier one are gone.
func (n *Network) Node(name string, id ln.NodeID) peer.Transport {
	n.Drop(name)
	t := &node{net: n, name: name, id: id}
	n.nodes[name] = t
	return t
}

// Drop ends a node's life: its connections are gone, and nobody can connect to it.
func (n *Network) Drop(name string) {
	if t := n.nodes[name]; t != nil {
		t.dead = true
		delete(n.nodes, name)
		n.cut(func(l *link) bool { return l.ends[0].node == t || l.ends[1].node == t })
	}
}

// Cut ends all connections between two nodes. What is on its way is lost.
func (n *Network) Cut(a, b string) {
	n.cut(func(l *link) bool {
		x, y := l.ends[0].node.name, l.ends[1].node.name
		return x == a && y == b || x == b && y == a
	})
}

// CutAll ends all connections.
func (n *Network) CutAll() { n.cut(func(*link) bool { return true }) }

// Links is the number of connections.
func (n *Network) Links() int { return len(n.links) }

func (n *Network) cut(which func(*link) bool) {
	for _, l := range slices.Clone(n.links) {
		if which(l) {
			l.cut()
		}
	}
}

func (n *Network) latency() time.Duration {
	if n.Latency != nil {
		return n.Latency()
	}
	return 100*time.Microsecond + time.Duration(n.scheduler.Rand().Int64N(int64(10*time.Millisecond)))
}

// Accept implements peer.Transport.
func (t *node) Accept(accept func(ln.NodeID, peer.Conn)) { t.accept = accept }

// Dial implements peer.Transport. The address is the name of a node.
func (t *node) Dial(to ln.NodeID, address string, done func(peer.Conn, error)) (cancel func()) {
	return t.net.scheduler.After(t.net.latency(), t.name+" connects to "+address, func() {
		if t.dead {
			return
		}
		far := t.net.nodes[address]
		switch {
		case far == nil || far.accept == nil:
			done(nil, ErrRefused)
		case far.id != to:
			done(nil, ErrWrongID)
		default:
			l := newLink(t.net, t, far)
			far.accept(t.id, l.ends[1])
			done(l.ends[0], nil)
		}
	})
}
