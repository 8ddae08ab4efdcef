package lnactor

import (
	"context"
	"fmt"

	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/messages"
)

// Why an invoice was not cancelled.
var (
	ErrInvoiceHeld = manager.ErrInvoiceHeld
	ErrInvoicePaid = manager.ErrInvoicePaid
)

// Received is a payment to this node, or an invoice that was cancelled.
type Received = messages.Received

// ReceivedState is where a payment to this node, or its invoice, stands.
type ReceivedState = messages.ReceivedState

// States of what was received.
const (
	ReceivedHeld     = messages.ReceivedHeld
	ReceivedClaimed  = messages.ReceivedClaimed
	InvoiceCancelled = messages.InvoiceCancelled
)

// Received lists payments to this node and cancelled invoices, the newest first, at most limit (0: 100). next is the page behind it, nil if there is
// none; nil asks for the first. Nothing is recorded of an invoice until it is paid or cancelled, whether the node made its preimage or not, so one that
// nobody paid is not listed.
func (n *Node) Received(ctx context.Context, page []byte, limit int) (list []Received, next []byte, err error) {
	reply, err := askAgain[messages.ReceivedList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListReceived{After: page, Limit: limit, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return reply.Payments, reply.Next, n.fail("list received payments", err)
}

// GetReceived tells what became of an invoice of this node. ErrNotFound: nobody has paid all of it yet.
func (n *Node) GetReceived(ctx context.Context, hash Hash) (Received, error) {
	reply, err := askAgain[messages.ReceivedReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.GetReceived{Hash: hash, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	if err == nil && !reply.Known {
		err = fmt.Errorf("payment of invoice %s: %w", hash, ErrNotFound)
	}
	return reply.Payment, n.fail("get received payment", err)
}

// CancelInvoice refuses all payments of an invoice from now on, and fails parts that wait for others. When it returns, that is durable; it may be
// repeated. ErrInvoiceHeld: a payment waits for ClaimPayment or RefusePayment. ErrInvoicePaid: it is ours.
func (n *Node) CancelInvoice(ctx context.Context, hash Hash) error {
	reply, err := ask[messages.CancelReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.CancelInvoice{Hash: hash, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.fail("cancel invoice", err)
}
