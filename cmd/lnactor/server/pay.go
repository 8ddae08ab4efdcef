package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"connectrpc.com/connect"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/internal/invoice"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// Pay is idempotent by id: it looks first, and if another call with the id was faster it looks again.
func (s *service) Pay(ctx context.Context, r *apiv1.PayRequest) (*apiv1.PayResponse, error) {
	if (r.GetBolt11() == "") == (r.GetKeysendPayee() == "") {
		return nil, invalid("neither an invoice nor a payee, or both", "give an invoice, or a node to pay without one")
	}
	var id lnactor.PaymentID
	var err error
	if r.GetId() == "" {
		_, err = rand.Read(id[:])
	} else if id, err = PaymentID(r.GetId()); err == nil {
		if out, err := s.repeated(ctx, id, r); err != nil || out != nil {
			return out, err
		}
	}
	if err != nil {
		return nil, failed(err)
	}
	if err := s.start(ctx, r, id); err != nil {
		if errors.Is(err, lnactor.ErrPaymentIDUsed) {
			if out, err := s.repeated(ctx, id, r); err != nil || out != nil {
				return out, err
			}
		}
		return nil, failed(err)
	}
	p, err := s.cfg.Node.GetPayment(ctx, id)
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.PayResponse{Payment: payment(ctx, &p)}, nil
}

// start begins a payment.
func (s *service) start(ctx context.Context, r *apiv1.PayRequest, id lnactor.PaymentID) error {
	l := r.GetLimits()
	if l.GetMaxParts() > math.MaxUint16 {
		return invalid(fmt.Sprintf("%d parts", l.GetMaxParts()), "a payment has a few dozen at most")
	}
	p := PayParams{ID: id, AmountMsat: r.GetAmountMsat(), MaxParts: int(l.GetMaxParts()), Timeout: time.Duration(l.GetTrySeconds()) * time.Second}
	if l != nil {
		p.MaxFeeMsat, p.MaxPercent = l.MaxFeeMsat, l.MaxFeePercent
	}
	if r.GetKeysendPayee() == "" {
		return s.cfg.Node.StartPayment(ctx, r.GetBolt11(), p)
	}
	payee, err := lnactor.ParseNodeID(r.GetKeysendPayee())
	if err != nil {
		return invalid(fmt.Sprintf("%.80q is not a node", r.GetKeysendPayee()), "a node's key has 66 hexadecimal digits")
	}
	return s.cfg.Node.StartKeysend(ctx, payee, p)
}

// repeated is the answer to a call whose id is in use, nil if it is not. The same id for something else is an error: it is the caller's mistake.
func (s *service) repeated(ctx context.Context, id lnactor.PaymentID, r *apiv1.PayRequest) (*apiv1.PayResponse, error) {
	p, err := s.cfg.Node.GetPayment(ctx, id)
	if errors.Is(err, lnactor.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, failed(err)
	}
	same := p.Payee.String() == r.GetKeysendPayee()
	if r.GetKeysendPayee() == "" {
		req, err := invoice.Decode(r.GetBolt11(), s.cfg.Params, time.Unix(0, 0)) // it may have expired since
		same = err == nil && req.Hash == p.Hash                                  // no refusal: the id's payment is there, whatever this invoice is
	}
	if !same || r.GetAmountMsat() != 0 && r.GetAmountMsat() != p.AmountMsat {
		return nil, problem(connect.CodeAlreadyExists, "payment_id_used", fmt.Sprintf("payment %s is for another invoice or amount", id),
			"an id stands for one payment for ever: choose another one for this invoice")
	}
	return &apiv1.PayResponse{Payment: payment(ctx, &p), RepeatedCall: true}, nil
}

func (s *service) AbandonPayment(ctx context.Context, r *apiv1.AbandonPaymentRequest) (*apiv1.AbandonPaymentResponse, error) {
	id, err := PaymentID(r.GetId())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.AbandonPayment(ctx, id); err != nil {
		return nil, failed(err)
	}
	return &apiv1.AbandonPaymentResponse{}, nil
}

var statuses = map[lnactor.PaymentStatus]apiv1.PaymentStatus{
	lnactor.PaymentPending: apiv1.PaymentStatus_PAYMENT_STATUS_PENDING,
	lnactor.PaymentIsSent:  apiv1.PaymentStatus_PAYMENT_STATUS_SENT,
	lnactor.PaymentFailure: apiv1.PaymentStatus_PAYMENT_STATUS_FAILED,
	lnactor.PaymentUnknown: apiv1.PaymentStatus_PAYMENT_STATUS_UNKNOWN,
}

func payment(ctx context.Context, p *lnactor.Payment) *apiv1.Payment {
	out := &apiv1.Payment{
		Id: p.PaymentID.String(), PaymentHash: p.Hash.String(), AmountMsat: p.AmountMsat, Payee: p.Payee.String(),
		Status: statuses[p.Status], Reason: p.Reason, Lost: p.Lost, Unproven: p.Unproven,
		FeeMsat: p.FeeMsat, Abandoned: p.Abandoned,
	}
	for i := range p.Parts {
		out.Parts = append(out.Parts, part(&p.Parts[i]))
	}
	if p.Preimage != (lnactor.Preimage{}) && scopeOf(ctx) >= Full {
		out.Preimage = p.Preimage.String()
	}
	return out
}

var partStates = map[lnactor.PartState]apiv1.OutboundPartState{
	lnactor.PartPending: apiv1.OutboundPartState_OUTBOUND_PART_STATE_PENDING,
	lnactor.PartClaimed: apiv1.OutboundPartState_OUTBOUND_PART_STATE_CLAIMED,
	lnactor.PartFailed:  apiv1.OutboundPartState_OUTBOUND_PART_STATE_FAILED,
}

func part(p *lnactor.OutboundPart) *apiv1.OutboundPart {
	out := &apiv1.OutboundPart{
		Id: p.ID, ChannelId: p.Channel.String(), AmountMsat: p.AmountMsat, FeeMsat: p.FeeMsat, State: partStates[p.State], Reason: p.Reason,
	}
	for i := range p.Hops {
		h := &p.Hops[i]
		out.Hops = append(out.Hops, &apiv1.RouteHop{
			ShortChannelId: lnwire.NewShortChanIDFromInt(h.SCID).String(), Node: h.To.String(), AmountMsat: h.AmountMsat, Expiry: h.Expiry,
		})
	}
	return out
}
