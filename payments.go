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

// Payments lists payments of this node: those under way, then up to limit finished ones by id.
func (n *Node) Payments(ctx context.Context, limit int) ([]Payment, error) {
	reply, err := askAgain[messages.PaymentList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListPayments{Limit: limit, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return reply.Payments, n.fail("list payments", err)
}
