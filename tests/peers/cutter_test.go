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
	next  *cut // nil: done, or never asked
	after int  // how many such messages are let pass
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

func (c *cutter) arm(m cut) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next, c.after = &m, m.nth-1
}

// pending tells whether the cut that was asked for has not come yet.
func (c *cutter) pending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next != nil
}

// Cut implements peer.Cutter.
func (c *cutter) Cut(_ lnactor.NodeID, at peer.Point, kind lnwire.MessageType) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.next == nil || c.next.at != at || c.next.kind != kind {
		return false
	}
	if c.after > 0 {
		c.after--
		return false
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
