package simnet

import (
	"slices"
	"time"

	"github.com/lnactor/lnactor/actors/peer"
)

// takeUp is how long a connection waits to be started.
const takeUp = 30 * time.Second

// link is a connection with its two ends.
type link struct {
	net  *Network
	ends [2]*end
	gone bool
}

// end is one side's view: a peer.Conn.
type end struct {
	link *link
	node *node
	far  *end

	inbox   [][]byte // sent by the far end
	over    error    // after the inbox
	recv    func([]byte, error)
	credit  int
	busy    bool // a delivery is scheduled
	closed  bool // by its owner
	unused  func()
	backlog int // bytes in the far end's inbox
}

var _ peer.Conn = (*end)(nil)

func newLink(n *Network, from, to *node) *link {
	l := &link{net: n}
	a, b := &end{link: l, node: from}, &end{link: l, node: to}
	a.far, b.far = b, a
	l.ends = [2]*end{a, b}
	n.links = append(n.links, l)
	for _, e := range l.ends {
		e.unused = n.scheduler.After(takeUp, e.node.name+" did not take a connection up", e.Close)
	}
	return l
}

// Start implements peer.Conn.
func (e *end) Start(window int, recv func([]byte, error)) {
	e.unused()
	e.recv = recv
	e.credit += window
	e.schedule()
}

// Grant implements peer.Conn.
func (e *end) Grant(n int) {
	e.credit += n
	e.schedule()
}

// Send implements peer.Conn.
func (e *end) Send(msg []byte) {
	if e.closed || e.link.gone || e.far.over != nil {
		return
	}
	e.far.inbox = append(e.far.inbox, msg)
	e.backlog += len(msg)
	e.far.schedule()
}

// Backlog implements peer.Conn.
func (e *end) Backlog() int { return e.backlog }

// Close implements peer.Conn: the far end gets what was sent, and then the end.
func (e *end) Close() {
	if e.closed {
		return
	}
	e.unused()
	e.closed = true
	e.inbox, e.recv = nil, nil
	if e.far.over == nil {
		e.far.over = ErrClosed
	}
	if e.far.closed {
		e.link.remove()
	}
	e.far.schedule()
}

// schedule has the next message delivered, or the end. One delivery at a time keeps the order.
func (e *end) schedule() {
	if e.busy || e.closed || e.recv == nil || len(e.inbox) == 0 && e.over == nil || len(e.inbox) > 0 && e.credit == 0 {
		return
	}
	e.busy = true
	n := e.link.net
	n.scheduler.After(n.latency(), e.far.node.name+" to "+e.node.name, func() {
		e.busy = false
		e.deliver()
	})
}

func (e *end) deliver() {
	if e.closed || e.recv == nil {
		return
	}
	if len(e.inbox) == 0 {
		if e.over != nil {
			recv := e.recv
			e.closed, e.recv = true, nil
			e.link.remove()
			recv(nil, e.over)
		}
		return
	}
	if e.credit == 0 {
		return
	}
	n, msg := e.link.net, e.inbox[0]
	if n.Fault != nil && n.Fault(e.far.node.name, e.node.name, msg) {
		e.link.cut()
		return
	}
	e.inbox = e.inbox[1:]
	e.far.backlog -= len(msg)
	e.credit--
	if n.OnMessage != nil {
		n.OnMessage(e.far.node.name, e.node.name, msg)
	}
	e.recv(slices.Clone(msg), nil)
	e.schedule()
}

// cut ends the connection for both; what is on its way is lost.
func (l *link) cut() {
	if l.gone {
		return
	}
	l.remove()
	for _, e := range l.ends {
		if e.closed {
			continue
		}
		e.inbox, e.over = nil, ErrCut
		e.schedule()
	}
}

// remove takes the connection off the network's books.
func (l *link) remove() {
	l.gone = true
	l.net.links = slices.DeleteFunc(l.net.links, func(other *link) bool { return other == l })
}
