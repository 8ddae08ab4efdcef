package lnactor

import (
	"context"
	"errors"
	"strings"

	"github.com/lnactor/lnactor/actors/chainwatch/fees"
	"github.com/lnactor/lnactor/actors/channel"
	"github.com/lnactor/lnactor/actors/channel/opening"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/userevents"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

// Why a node stops or does not start. Node.Err and Open return them wrapped.
var (
	ErrStoreFailed = persister.ErrStoreFailed // reading or writing failed; the command exits with 74
	ErrDiskFull    = persister.ErrDiskFull    // an ErrStoreFailed
	ErrCorrupt     = persister.ErrCorrupt     // durable data does not decode or verify; the command exits with 65
	ErrInUse       = persister.ErrInUse       // another process has the data directory; the command exits with 75
	ErrClosed      = errors.New("the node is closed")
	ErrConfig      = errors.New("bad configuration")
)

// Why a call was refused.
var (
	ErrPaymentIDUsed    = manager.ErrPaymentIDUsed
	ErrBusy             = manager.ErrBusy
	ErrNoChannel        = manager.ErrNoChannel
	ErrBalance          = manager.ErrBalance
	ErrAmount           = manager.ErrAmount
	ErrNoRoute          = route.ErrNoPath
	ErrSelfPayment      = route.ErrSelf // the payee is this node
	ErrPaymentOver      = manager.ErrPaymentOver
	ErrDeadline         = manager.ErrDeadline
	ErrAbandoned        = manager.ErrAbandoned
	ErrStarting         = manager.ErrStarting
	ErrNotHeld          = manager.ErrNotHeld
	ErrNotIntercepted   = manager.ErrNotIntercepted
	ErrInterception     = manager.ErrInterception
	ErrNotForwarded     = manager.ErrNotForwarded
	ErrPartAway         = manager.ErrPartAway
	ErrPreimage         = manager.ErrPreimage
	ErrOpeningLost      = manager.ErrOpeningLost
	ErrRejected         = opening.ErrRejected // the peer's or our own terms of a channel
	ErrPeerGone         = opening.ErrPeerGone
	ErrInvoiceExpired   = invoice.ErrExpired
	ErrInvoiceMalformed = invoice.ErrMalformed
	ErrWrongNetwork     = invoice.ErrWrongNetwork
	ErrNoFeeSource      = fees.ErrNoFeeSource   // nothing estimates fees: no channel is opened
	ErrStaleFees        = fees.ErrStaleEstimate // nor on an estimate that is too old
	ErrNotFound         = errors.New("not found")
	ErrNotConnected     = errors.New("not connected to the peer")
	ErrChannelEnded     = monitor.ErrNoPolicy
	ErrAlreadyClosed    = channel.ErrAlreadyClosed
)

// RouteLimitError says that there are routes, but none within the limits of a payment, and what the best of them would have cost.
type RouteLimitError = route.LimitError

// InsufficientFundsError says how much the wallet lacks for a channel.
type InsufficientFundsError = wallet.InsufficientFundsError

// Error is the error of every method. Use errors.Is with the sentinels above.
type Error struct {
	Op      string       // the method, such as "pay"
	Channel ln.ChannelID // zero if no channel is concerned
	Hint    string       // what to do, may be empty
	Err     error
}

// Error says what was tried, why it failed and what to do.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Channel != (ln.ChannelID{}) {
		b.WriteString(" channel " + e.Channel.String())
	}
	b.WriteString(": " + e.Err.Error())
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fail wraps what went wrong in an operation.
func (n *Node) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	var fault messages.Fault
	hint := ""
	switch {
	case errors.Is(err, userevents.ErrClosed):
		err = n.closedError()
	case errors.As(err, &fault):
		hint = "a part of the node crashed over the call and restarts; whether it had an effect is not known: look before you repeat it"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		hint = "no answer in time; the call may still have its effect"
	}
	return &Error{Op: op, Hint: hint, Err: err}
}

func (n *Node) closedError() error {
	select {
	case <-n.done:
		if err := n.Err(); err != nil {
			return errors.Join(ErrClosed, err)
		}
	default:
	}
	return ErrClosed
}
