package messages

import (
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// ReceivedState is where a payment to this node, or its invoice, stands.
type ReceivedState uint8

// States. An invoice that nobody paid, and that was not cancelled, is not recorded anywhere.
const (
	ReceivedHeld     ReceivedState = iota + 1 // all parts are here; it waits for ClaimHeld
	ReceivedClaimed                           // it is ours, or about to be
	InvoiceCancelled                          // nobody can pay it
)

// Received is a payment to this node, or an invoice that was cancelled.
type Received struct {
	Hash       ln.Hash
	State      ReceivedState
	AmountMsat uint64    // of all parts, as far as it is known
	Parts      int       // HTLCs
	At         time.Time // when it was complete, or cancelled; zero if that is not known any more
	Deadline   uint32    // height at which one that is held fails by itself; 0: it is not held, or its parts are not here yet after a restart
}

// GetReceived looks up what became of an invoice. The answer is ReceivedReply.
type GetReceived struct {
	Hash    ln.Hash
	ReplyTo Addr
}

// ReceivedReply answers GetReceived. Not known: nobody paid it yet.
type ReceivedReply struct {
	Known   bool
	Payment Received
	Err     error
}

// ListReceived lists payments to this node, the newest first. The answer is ReceivedList.
type ListReceived struct {
	After   []byte // Next of the page before; empty: the first one
	Limit   int    // 0: 100
	ReplyTo Addr
}

// ReceivedList answers ListReceived.
type ReceivedList struct {
	Payments []Received
	Next     []byte // of the page after it; empty: there is none
	Err      error
}

// CancelInvoice refuses all payments of a hash from now on. The answer is CancelReply, once that is durable. It may be repeated.
type CancelInvoice struct {
	Hash    ln.Hash
	ReplyTo Addr
}

// CancelReply answers CancelInvoice.
type CancelReply struct{ Err error }
