package monitor

import (
	"errors"
	"fmt"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

var (
	// ErrBehind refuses to close: the peer proved that our commitment is old, and broadcasting it would forfeit the channel (rule 18). The peer
	// has to close.
	ErrBehind = errors.New("proven to be behind the peer: it has to close the channel, ours would be a revoked state")

	// ErrUnverified refuses to close: see package facts.
	ErrUnverified = facts.ErrUnverified

	// ErrVerified refuses to trust a channel that nobody doubts.
	ErrVerified = errors.New("the channel is not in doubt: it was not restored from a copy, or its peer has verified it")

	// ErrQuarantined refuses what a quarantined channel can't do: the commitment to broadcast may be an old one.
	ErrQuarantined = errors.New("the channel is quarantined: its records are damaged, and broadcasting an old commitment would forfeit it")

	// ErrNoPolicy refuses a policy for what carries nothing any more.
	ErrNoPolicy = errors.New("the channel has ended: nothing is forwarded over it any more")

	// ErrBusy refuses a request of a monitor that still loads: ask again.
	ErrBusy = errors.New("the channel's monitor still loads: ask again")

	// ErrNoChannel says that a monitor was started for a channel without records: nothing of it became durable, so it never was.
	ErrNoChannel = errors.New("no record of the channel is durable: it was never made")

	// ErrNotDecidable refuses a decision about an HTLC that may still vanish.
	ErrNotDecidable = errors.New("the htlc is not irrevocably committed")

	// ErrWrongPreimage refuses a decision.
	ErrWrongPreimage = errors.New("the preimage does not hash to the htlc's payment hash")

	// ErrEnded says why an update was dropped: the channel ended, nothing is signed or revoked any more (rule 18).
	ErrEnded = errors.New("the channel has ended: dropped what signs or revokes")
)

// errOtherRow is about a row that decodes, and is of something else than its key says.
var errOtherRow = errors.New("the row is of another commitment")

// GapError says that an update of the channel is not the next one (S11). Nothing was changed.
type GapError struct {
	Channel   ln.ChannelID
	Want, Got uint64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("channel %s: update %d came where %d should", e.Channel, e.Got, e.Want)
}

// ReplayError says that the durable records do not follow from each other.
type ReplayError struct {
	Index uint64 // of the record
	Err   error
}

func (e *ReplayError) Error() string { return fmt.Sprintf("record %d: %v", e.Index, e.Err) }

func (e *ReplayError) Unwrap() error { return e.Err }

// QuarantineError stops a monitor until an operator looks at it: going on, or restarting, cannot help. Nothing more is signed for the channel.
type QuarantineError struct {
	Channel ln.ChannelID
	Err     error
}

func (e *QuarantineError) Error() string {
	return fmt.Sprintf("channel %s is quarantined: %v (keep the data; see docs/durability.md)", e.Channel, e.Err)
}

func (e *QuarantineError) Unwrap() error { return e.Err }

// Quarantine tells a supervisor not to restart.
func (e *QuarantineError) Quarantine() bool { return true }
