package channel

import (
	"errors"
	"fmt"

	"github.com/lnactor/lnactor/internal/ln"
)

// Reasons for which an add is refused. They are inside an *AddError.
var (
	ErrPeerNotConnected    = errors.New("the peer is not connected: try again when it is")
	ErrChannelNotOpen      = errors.New("the channel is not open yet: wait for ChannelReady")
	ErrUnburied            = errors.New("a reorganisation took the channel's funding transaction out: wait until it is as deep again, or use another channel")
	ErrClosing             = errors.New("the channel is closing: use another one")
	ErrQueueFull           = errors.New("too many HTLCs wait for the next commitment: try again")
	ErrInvalidAdd          = errors.New("the HTLC is malformed")
	ErrBelowMinimum        = errors.New("the amount is below the counterparty's htlc_minimum_msat")
	ErrInsufficientBalance = errors.New("the balance above the channel reserve does not cover the amount")
	ErrFeeUnaffordable     = errors.New("the funder could not pay the fee of a commitment with this HTLC")
	ErrTooManyHTLCs        = errors.New("the counterparty accepts no more HTLCs at a time")
	ErrInFlightLimit       = errors.New("more value would be in flight than the counterparty or the channel's policy allows")
	ErrAboveMaximum        = errors.New("the amount is above the most that the channel's policy allows for one HTLC")
	ErrDustExposure        = errors.New("too much value would be in HTLCs without an output")
	ErrExpiresSoon         = errors.New("the HTLC waited for a commitment until too few blocks were left before its expiry: try again")
	ErrRecalled            = errors.New("the HTLC waited too long for a commitment: the peer does not acknowledge the last one, or takes few at a time")
)

// Reasons for which a close is refused, in messages.CloseReply.
var (
	ErrBadScript     = errors.New("not a script that BOLT 2 allows in shutdown, or not the one announced as upfront_shutdown_script")
	ErrAlreadyClosed = errors.New("the channel is closed already")
)

// AddError says why an HTLC was not committed. Why is one of the sentinels above.
type AddError struct {
	Channel    ln.ChannelID
	AmountMsat uint64
	LimitMsat  uint64 // what was available or asked for, 0 where the reason has no amount
	Why        error
}

// Error implements error.
func (e *AddError) Error() string {
	if e.LimitMsat != 0 {
		return fmt.Sprintf("channel %s: htlc of %d msat: %v (limit %d msat)", e.Channel, e.AmountMsat, e.Why, e.LimitMsat)
	}
	return fmt.Sprintf("channel %s: htlc of %d msat: %v", e.Channel, e.AmountMsat, e.Why)
}

// Unwrap makes errors.Is work for the reason.
func (e *AddError) Unwrap() error { return e.Why }

// protocolError is a breach of BOLT 2 by the peer: the channel fails.
type protocolError struct{ text string }

func (e *protocolError) Error() string { return e.text }

func broken(format string, args ...any) error {
	return &protocolError{fmt.Sprintf(format, args...)}
}

// warned is a breach for which BOLT 2 asks no more than a warning: the connection ends, the channel lives on.
type warned struct{ text string }

func (e *warned) Error() string { return e.text }

func warn(format string, args ...any) error {
	return &warned{fmt.Sprintf(format, args...)}
}
