package peer

import (
	"encoding/binary"
	"errors"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// Point is a moment in the life of a message at which a fault may cut the connection.
type Point int

// Points at which the connection may be cut.
const (
	BeforeSend    Point = iota // the peer never gets the message
	AfterSend                  // the peer gets it, and nothing after it
	BeforeReceive              // it came and is dropped unread
	AfterReceive               // it is handled, and what answers it is not sent
)

func (p Point) String() string {
	if p < BeforeSend || p > AfterReceive {
		return "nowhere"
	}
	return [...]string{"before sending", "after sending", "before receiving", "after receiving"}[p]
}

// Cutter cuts connections, for tests: Cut is asked about every message at each point of its way, on the goroutine of the peer's actor, and the
// connection is lost there if it says so. A node's kit.Faults may be a Cutter too.
type Cutter interface {
	Cut(peer ln.NodeID, at Point, kind lnwire.MessageType) bool
}

var errCut = errors.New("peer: cut by a fault that was asked for")

// cut loses the connection of a session here, if there is a fault for it.
func (s *shell) cut(session uint64, at Point, raw []byte) bool {
	if s.cfg.Cutter == nil || len(raw) < lnwire.MessageTypeSize || !s.cfg.Cutter.Cut(s.id, at, lnwire.MessageType(binary.BigEndian.Uint16(raw))) {
		return false
	}
	if c := s.life.conns[session]; c != nil {
		delete(s.life.conns, session)
		c.Close()
	}
	s.core.Lost(session, errCut)
	return true
}
