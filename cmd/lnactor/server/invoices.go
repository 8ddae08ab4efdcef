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

// hex32 reads 64 digits.
func hex32(what, text string) (out [32]byte, err error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(out) {
		return out, invalid(fmt.Sprintf("%.80q is not a %s", text, what), "a "+what+" has 64 hexadecimal digits")
	}
	return [32]byte(raw), nil
}

func paymentHash(text string) (lnactor.Hash, error) {
	h, err := hex32("payment hash", text)
	return lnactor.Hash(h), err
}

func (s *service) CreateInvoice(ctx context.Context, r *apiv1.CreateInvoiceRequest) (*apiv1.CreateInvoiceResponse, error) {
	p := lnactor.InvoiceParams{
		AmountMsat: r.GetAmountMsat(), Description: r.GetDescription(), Expiry: time.Duration(r.GetExpirySeconds()) * time.Second,
		Hold: r.GetHold(), Private: r.GetPrivate(),
	}
	if p.MinFinalCLTVDelta = uint16(min(r.GetMinFinalCltvDelta(), 1<<16-1)); r.GetDescriptionHash() != "" { //nolint:gosec // bounded
		h, err := hex32("description hash", r.GetDescriptionHash())
		if err != nil {
			return nil, err
		}
		p.DescriptionHash = &h
	}
	if r.GetPaymentHash() != "" {
		h, err := paymentHash(r.GetPaymentHash())
		if err != nil {
			return nil, err
		}
		p.Hash = &h
	}
	inv, err := s.cfg.Node.CreateInvoice(ctx, p)
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.CreateInvoiceResponse{
		Bolt11: inv.Bolt11, PaymentHash: inv.Hash.String(), ExpiresAt: inv.ExpiresAt.Unix(), RouteHints: uint32(inv.Hints), //nolint:gosec // a few
		Unreachable: inv.Unreachable,
	}, nil
}

func (s *service) DecodeInvoice(_ context.Context, r *apiv1.DecodeInvoiceRequest) (*apiv1.DecodeInvoiceResponse, error) {
	// An expired invoice can be looked at, so it is read as of a time before all of them.
	req, err := invoice.Decode(r.GetBolt11(), s.cfg.Params, time.Unix(0, 0))
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.DecodeInvoiceResponse{
		Payee: hex.EncodeToString(req.Destination.SerializeCompressed()), PaymentHash: req.Hash.String(),
		AmountMsat: req.AmountMsat, Description: req.Description, ExpiresAt: req.ExpiresAt.Unix(),
		MinFinalCltvDelta: req.MinFinalCLTVDelta, Mpp: req.MPP,
	}
	if req.DescriptionHash != nil {
		out.DescriptionHash = hex.EncodeToString(req.DescriptionHash[:])
	}
	for _, hops := range req.RouteHints {
		hint := &apiv1.RouteHint{}
		for _, h := range hops {
			hint.Hops = append(hint.Hops, &apiv1.HopHint{
				Node: hex.EncodeToString(h.NodeID.SerializeCompressed()), ShortChannelId: h.ChannelID, FeeBaseMsat: h.FeeBaseMSat,
				FeeMillionths: h.FeeProportionalMillionths, CltvDelta: uint32(h.CLTVExpiryDelta),
			})
		}
		out.RouteHints = append(out.RouteHints, hint)
	}
	return out, nil
}

func (s *service) ClaimPayment(ctx context.Context, r *apiv1.ClaimPaymentRequest) (*apiv1.ClaimPaymentResponse, error) {
	if r.GetPreimage() != "" {
		return s.claimWith(ctx, r)
	}
	hash, err := paymentHash(r.GetPaymentHash())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.ClaimPayment(ctx, hash); err != nil {
		return nil, failed(err)
	}
	return &apiv1.ClaimPaymentResponse{}, nil
}

func (s *service) claimWith(ctx context.Context, r *apiv1.ClaimPaymentRequest) (*apiv1.ClaimPaymentResponse, error) {
	preimage, err := hex32("preimage", r.GetPreimage())
	if err != nil {
		return nil, err
	}
	if r.GetPaymentHash() != "" {
		hash, err := paymentHash(r.GetPaymentHash())
		if err != nil {
			return nil, err
		}
		if sha256.Sum256(preimage[:]) != [32]byte(hash) {
			return nil, invalid("the preimage is of another payment hash", "leave the payment hash out")
		}
	}
	if err := s.cfg.Node.ClaimPaymentWith(ctx, lnactor.Preimage(preimage)); err != nil {
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
