package peer

import (
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/messages"
)

// Effect is something that the core wants done. Effects are carried out in order.
type Effect interface{ effect() }

// Write sends a message in a session. An Optional one is left out if the peer does not read what it was sent already.
type Write struct {
	Session  uint64
	Msg      lnwire.Message
	Optional bool
}

// Close ends the connection of a session, after what was written before.
type Close struct {
	Session uint64
	Why     string
}

// Tell is a message to an actor of the node.
type Tell messages.Delivery

// Dial starts an attempt to connect; its outcome goes to DialDone. There is at most one.
type Dial struct {
	Attempt uint64
	Address string
}

// CancelDial gives up the attempt.
type CancelDial struct{}

// Arm starts a timer, in place of an earlier one of its kind. Seq goes to Tick when it fires.
type Arm struct {
	Timer  Timer
	Seq    uint64
	After  time.Duration
	Spread bool // by chance, down to half
}

// Attempted tells how the attempt to connect that was asked for ended: nil when the session is up.
type Attempted struct{ Err error }

// Note is for the log.
type Note struct{ Text string }

func (Write) effect()      {}
func (Close) effect()      {}
func (Tell) effect()       {}
func (Dial) effect()       {}
func (CancelDial) effect() {}
func (Arm) effect()        {}
func (Attempted) effect()  {}
func (Note) effect()       {}

// Timer is a kind of timer.
type Timer int

// Timers of a peer.
const (
	TimerRedial Timer = iota // time to dial again
	TimerInit                // the peer's init is overdue
	TimerIdle                // look whether the peer is alive
	TimerStable              // the session has lasted
	timers
)
