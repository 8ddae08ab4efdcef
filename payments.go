package lnactor

import (
	"context"
	"fmt"

	"github.com/lnactor/lnactor/messages"
)

// GetPayment tells where a payment stands. One that is about to begin is waited for. ErrNotFound: no payment has this id.
func (n *Node) GetPayment(ctx context.Context, id PaymentID) (Payment, error) {
	reply, err := askAgain[messages.PaymentReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.GetPayment{PaymentID: id, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	if err == nil && !reply.Known {
		err = fmt.Errorf("payment %s: %w", id, ErrNotFound)
	}
	return reply.Payment, n.fail("get payment", err)
}

// Payments lists payments of this node: on the first page those under way, on all up to limit (0: 100) finished ones by id. next is the page behind it,
// nil if there is none; nil asks for the first. A payment that finishes between two pages may be on both.
func (n *Node) Payments(ctx context.Context, page []byte, limit int) (list []Payment, next []byte, err error) {
	reply, err := askAgain[messages.PaymentList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListPayments{After: page, Limit: limit, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return reply.Payments, reply.Next, n.fail("list payments", err)
}
