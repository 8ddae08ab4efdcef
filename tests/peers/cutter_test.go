package peers

import (
	"fmt"
	"sync"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/peer"
)

// cutter is the faults of a node of ours: it cuts the connection once, at one message, when it was asked to.
type cutter struct {
	mu    sync.Mutex
	asked map[cut]int // by kind and moment: how often
	next  *cut        // nil: done, or never asked
	after int         // how many such messages are let pass
	harm  func()      // what else is done there
}

// cut is a moment: the nth message of a kind, before or after it.
type cut struct {
	kind lnwire.MessageType
	at   peer.Point
	nth  int // from 1
}

func (c cut) String() string { return fmt.Sprintf("%v %v %d", c.at, c.kind, c.nth) }

// aroundSending are the moments before and after a message of ours.
func aroundSending(kind lnwire.MessageType, nth int) []cut {
	return []cut{{kind, peer.BeforeSend, nth}, {kind, peer.AfterSend, nth}}
}

// aroundReceiving are the moments before and after a message of lnd's.
func aroundReceiving(kind lnwire.MessageType, nth int) []cut {
	return []cut{{kind, peer.BeforeReceive, nth}, {kind, peer.AfterReceive, nth}}
}

// around are the moments before and after a message in either direction.
func around(kind lnwire.MessageType, nth int) []cut {
	return append(aroundSending(kind, nth), aroundReceiving(kind, nth)...)
}

func (c *cutter) arm(m cut) { c.armWith(m, nil) }

// armWith has something else done where the connection is cut.
func (c *cutter) armWith(m cut, harm func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next, c.after, c.harm = &m, m.nth-1, harm
}

// pending tells whether the cut that was asked for has not come yet.
func (c *cutter) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next != nil
}

// count is how many messages of a kind have come to a moment so far.
func (c *cutter) count(kind lnwire.MessageType, at peer.Point) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked[cut{kind: kind, at: at}]
}

// Cut implements peer.Cutter.
func (c *cutter) Cut(_ lnactor.NodeID, at peer.Point, kind lnwire.MessageType) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = map[cut]int{}
	}
	c.asked[cut{kind: kind, at: at}]++
	if c.next == nil || c.next.at != at || c.next.kind != kind {
		return false
	}
	if c.after > 0 {
		c.after--
		return false
	}
	if c.harm != nil {
		c.harm()
	}
	c.next = nil
	return true
}

// Before implements kit.Faults.
func (c *cutter) Before(string, any) {}

// After implements kit.Faults.
func (c *cutter) After(string, any) {}

// cutNow starts something at whose messages the connection is lost, and returns when it was and the nodes are connected again.
func (r *rig) cutNow(c *cutter, m cut, start func()) {
	r.t.Helper()
	c.arm(m)
	start()
	await(r.t, r.ctx, "the cut "+m.String(), func() bool { return !c.pending() })
	r.weDial()
}
