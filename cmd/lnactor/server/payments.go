package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/lnactor/lnactor"
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
	page, err := listPage(r.GetPage(), paymentsPage)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Node.Payments(ctx, page, limit)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListPaymentsResponse{NextPage: hex.EncodeToString(next)}
	for i := range list {
		out.Payments = append(out.Payments, payment(ctx, &list[i]))
	}
	return out, nil
}
