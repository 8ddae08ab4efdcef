package manager

import (
	"errors"
	"fmt"

	"github.com/lnactor/lnactor/internal/ln"
)

// Refusals. Nothing was recorded and the payment id is still unused, but for ErrPaymentIDUsed.
var (
	ErrPaymentIDUsed = errors.New("this payment id was used before; look the payment up, or choose another id for another payment")
	ErrBusy          = errors.New("too many payments are under way, or too many events wait to be handled; handle events, then try again")
	ErrNoChannel     = errors.New("no usable channel; open one, or wait until it is ready and its peer connected")
	ErrBalance       = errors.New("not enough outbound balance in the channels")
	ErrAmount        = errors.New("the amount must be positive and at most the channel's limits")
	ErrInvoice       = errors.New("the invoice asks for something that no payment can have")
	ErrStarting      = errors.New("the node is starting and does not know all its channels yet; try again")
	ErrNotHeld       = errors.New("no payment with this hash waits to be claimed")
	ErrInvoiceHeld   = errors.New("a payment of this invoice waits to be claimed or refused; refuse it instead")
	ErrInvoicePaid   = errors.New("this invoice is paid")
	ErrPartAway      = errors.New("a part of this payment is in a quarantined channel; claim it when that is back, or refuse it")
	ErrPreimage      = errors.New("this payment can be claimed with its preimage only")
	ErrOpenings      = errors.New("too many channels are being opened with this peer; wait for one to be finished")
	ErrOpenRate      = errors.New("too many channels were opened lately; try again in some minutes")
	ErrNoKeys        = errors.New("no channel keys are left: close the channels and begin with a new seed")
	ErrOpeningLost   = errors.New("the part of the node that opens channels crashed; whether this one was opened is not known: look at the channels before you try again")
	ErrNoPayment     = errors.New("no payment has this id")
	ErrPaymentOver   = errors.New("the payment has its outcome")
	ErrDeadline      = errors.New("the time for this payment was over before it began; nothing was sent")
	ErrAbandoned     = errors.New("the payment was abandoned before it began")
	// ErrNotIntercepted: the interceptor decided too late, or about an HTLC that it was not asked about.
	ErrNotIntercepted = errors.New("no HTLC of this name waits for the interceptor")
	ErrInterception   = errors.New("an interceptor can't decide this")
	// ErrNotForwarded: what the interceptor decided could not be done, and the HTLC was failed.
	ErrNotForwarded = errors.New("the HTLC was failed instead")
	ErrRecords      = errors.New("a durable record cannot be read")
)

// errTooFar is for our log only: the payer learns no more than of any HTLC that pays nothing of ours.
var errTooFar = errors.New("the HTLC would be locked for too long")

// BalanceError is ErrBalance with figures.
type BalanceError struct {
	Payee    ln.NodeID
	NeedMsat uint64
	HaveMsat uint64 // in the best channel
}

func (e *BalanceError) Error() string {
	return fmt.Sprintf("%v: %d msat needed, %d msat in the best one (payee %s)", ErrBalance, e.NeedMsat, e.HaveMsat, e.Payee)
}

// Unwrap returns ErrBalance.
func (e *BalanceError) Unwrap() error { return ErrBalance }
