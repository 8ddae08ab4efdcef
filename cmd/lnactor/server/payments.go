package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/invoice"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// longestKey bounds the text that a payment's id is made of.
const longestKey = 255

// PaymentID is the id that a text stands for: itself as 64 hexadecimal digits, or the SHA-256 of any other.
func PaymentID(text string) (id lnactor.PaymentID, err error) {
	switch {
	case text == "":
		return id, invalid("no payment id", "give the id that the payment was made with")
	case len(text) > longestKey:
		return id, invalid(fmt.Sprintf("a payment id of %d bytes", len(text)), fmt.Sprintf("%d bytes are the most", longestKey))
	}
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == len(id) {
		return lnactor.PaymentID(raw), nil
	}
	return sha256.Sum256([]byte(text)), nil
}

func paymentHash(text string) (hash lnactor.Hash, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return hash, invalid(fmt.Sprintf("%.80q is not a payment hash", text), "a payment hash has 64 hexadecimal digits")
	}
	return lnactor.Hash(raw), nil
}

func (s *service) CreateInvoice(ctx context.Context, r *apiv1.CreateInvoiceRequest) (*apiv1.CreateInvoiceResponse, error) {
	inv, err := s.cfg.Node.CreateInvoice(ctx, lnactor.InvoiceParams{
		AmountMsat: r.GetAmountMsat(), Description: r.GetDescription(), Expiry: time.Duration(r.GetExpirySeconds()) * time.Second,
	})
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.CreateInvoiceResponse{Bolt11: inv.Bolt11, PaymentHash: inv.Hash.String(), ExpiresAt: inv.ExpiresAt.Unix()}, nil
}

func (s *service) DecodeInvoice(_ context.Context, r *apiv1.DecodeInvoiceRequest) (*apiv1.DecodeInvoiceResponse, error) {
	// An expired invoice can be looked at, so it is read as of a time before all of them.
	req, err := invoice.Decode(r.GetBolt11(), s.cfg.Params, time.Unix(0, 0))
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.DecodeInvoiceResponse{
		Payee: hex.EncodeToString(req.Destination.SerializeCompressed()), PaymentHash: req.Hash.String(),
		AmountMsat: req.AmountMsat, Description: req.Description, ExpiresAt: req.ExpiresAt.Unix(),
	}, nil
}

func (s *service) GetPayment(ctx context.Context, r *apiv1.GetPaymentRequest) (*apiv1.GetPaymentResponse, error) {
	id, err := PaymentID(r.GetId())
	if err != nil {
		return nil, err
	}
	p, err := s.cfg.Node.GetPayment(ctx, id)
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.GetPaymentResponse{Payment: payment(ctx, &p)}, nil
}

func (s *service) ListPayments(ctx context.Context, r *apiv1.ListPaymentsRequest) (*apiv1.ListPaymentsResponse, error) {
	limit, err := listLimit(r.GetLimit())
	if err != nil {
		return nil, err
	}
	list, err := s.cfg.Node.Payments(ctx, limit)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListPaymentsResponse{}
	for i := range list {
		out.Payments = append(out.Payments, payment(ctx, &list[i]))
	}
	return out, nil
}

func (s *service) ClaimPayment(ctx context.Context, r *apiv1.ClaimPaymentRequest) (*apiv1.ClaimPaymentResponse, error) {
	hash, err := paymentHash(r.GetPaymentHash())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.ClaimPayment(ctx, hash); err != nil {
		return nil, failed(err)
	}
	return &apiv1.ClaimPaymentResponse{}, nil
}

func (s *service) RefusePayment(ctx context.Context, r *apiv1.RefusePaymentRequest) (*apiv1.RefusePaymentResponse, error) {
	hash, err := paymentHash(r.GetPaymentHash())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.RefusePayment(ctx, hash); err != nil {
		return nil, failed(err)
	}
	return &apiv1.RefusePaymentResponse{}, nil
}
