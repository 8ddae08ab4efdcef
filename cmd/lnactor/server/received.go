package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/invoice"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// Keys of the store, by which pages of lists are named.
const (
	receivedPage = 40
	paymentsPage = 32
	closedPage   = 32
)

// listPage is the page that a name stands for, nil for the first.
func listPage(name string, length int) ([]byte, error) {
	page, err := hex.DecodeString(name)
	if err != nil || len(page) != 0 && len(page) != length {
		return nil, invalid(fmt.Sprintf("%.80q is not a page", name), "give next_page of the answer before, or nothing")
	}
	return page, nil
}

func (s *service) ListReceived(ctx context.Context, r *apiv1.ListReceivedRequest) (*apiv1.ListReceivedResponse, error) {
	limit, err := listLimit(r.GetLimit())
	if err != nil {
		return nil, err
	}
	page, err := listPage(r.GetPage(), receivedPage)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Node.Received(ctx, page, limit)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListReceivedResponse{NextPage: hex.EncodeToString(next)}
	for i := range list {
		out.Payments = append(out.Payments, received(&list[i]))
	}
	return out, nil
}

func (s *service) GetReceived(ctx context.Context, r *apiv1.GetReceivedRequest) (*apiv1.GetReceivedResponse, error) {
	hash, err := s.ownInvoice(r.GetPaymentHash(), r.GetBolt11())
	if err != nil {
		return nil, err
	}
	got, err := s.cfg.Node.GetReceived(ctx, hash)
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.GetReceivedResponse{Payment: received(&got)}, nil
}

func (s *service) CancelInvoice(ctx context.Context, r *apiv1.CancelInvoiceRequest) (*apiv1.CancelInvoiceResponse, error) {
	hash, err := s.ownInvoice(r.GetPaymentHash(), r.GetBolt11())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.CancelInvoice(ctx, hash); err != nil {
		return nil, failed(err)
	}
	return &apiv1.CancelInvoiceResponse{}, nil
}

// ownInvoice is the payment hash that is meant, by itself or by an invoice of this node.
func (s *service) ownInvoice(hash, bolt11 string) (lnactor.Hash, error) {
	switch {
	case bolt11 == "":
		return paymentHash(hash)
	case hash != "":
		return lnactor.Hash{}, invalid("a payment hash and an invoice", "give one of them")
	}
	req, err := invoice.Decode(bolt11, s.cfg.Params, time.Unix(0, 0)) // it may have expired
	if err != nil {
		return lnactor.Hash{}, failed(err)
	}
	if self := s.cfg.Node.ID(); [33]byte(req.Destination.SerializeCompressed()) != [33]byte(self) {
		return lnactor.Hash{}, invalid("the invoice is of another node", "only an invoice that this node made can be looked up or cancelled here")
	}
	return req.Hash, nil
}

func received(r *lnactor.Received) *apiv1.ReceivedPayment {
	out := &apiv1.ReceivedPayment{PaymentHash: r.Hash.String(), AmountMsat: r.AmountMsat, Parts: uint32(r.Parts), Deadline: r.Deadline} //nolint:gosec // a few
	if !r.At.IsZero() {
		out.At = r.At.Unix()
	}
	switch r.State {
	case lnactor.ReceivedHeld:
		out.State = apiv1.ReceivedState_RECEIVED_STATE_HELD
	case lnactor.ReceivedClaimed:
		out.State = apiv1.ReceivedState_RECEIVED_STATE_CLAIMED
	case lnactor.InvoiceCancelled:
		out.State = apiv1.ReceivedState_RECEIVED_STATE_CANCELLED
	}
	return out
}
