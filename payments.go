package lnactor

import (
	"context"
	"fmt"
	"time"

	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// InvoiceParams says what an invoice asks for.
type InvoiceParams struct {
	AmountMsat  uint64 // 0: the payer chooses
	Description string
	Expiry      time.Duration // 0: one hour
}

// Invoice is a request for a payment to this node.
type Invoice struct {
	Bolt11    string
	Hash      Hash
	ExpiresAt time.Time
}

// CreateInvoice makes an invoice (BOLT 11). Nothing has to be stored for it: its secret says what was asked, and the preimage derives from the
// seed, so an invoice can be paid although every record of the node was lost.
func (n *Node) CreateInvoice(_ context.Context, p InvoiceParams) (Invoice, error) {
	params := invoice.Params{
		AmountMsat: p.AmountMsat, Description: p.Description, Expiry: p.Expiry,
		Now: n.env.Clock.Now(), Signer: n.invoiceSigner, Chain: n.cfg.Params,
	}
	if _, err := n.cfg.Rand.Read(params.IV[:]); err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	inv, err := invoice.New(n.invoices, params)
	if err != nil {
		return Invoice{}, n.fail("create invoice", err)
	}
	return Invoice{Bolt11: inv.Bolt11, Hash: inv.Hash, ExpiresAt: inv.ExpiresAt}, nil
}

// GetPayment tells where a payment stands. ErrNotFound: no payment has this id.
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

// ClaimPayment claims a payment that PaymentClaimable announced. When it returns, the decision is durable.
func (n *Node) ClaimPayment(ctx context.Context, hash Hash) error { return n.decide(ctx, hash, true) }

// RefusePayment fails a payment that PaymentClaimable announced: the payer has the money back.
func (n *Node) RefusePayment(ctx context.Context, hash Hash) error { return n.decide(ctx, hash, false) }

func (n *Node) decide(ctx context.Context, hash ln.Hash, claim bool) error {
	reply, err := ask[messages.ClaimReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ClaimHeld{Hash: hash, Claim: claim, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.fail("decide about payment", err)
}
