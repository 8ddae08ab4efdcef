package manager

import (
	"fmt"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

func paymentToPB(r PaymentRecord) *pb.PaymentRecord {
	return &pb.PaymentRecord{
		Version: version, Id: r.ID[:], Hash: r.Hash[:], AmountMsat: r.AmountMsat, Payee: r.Payee[:], Bolt11: text(r.Bolt11),
		Parts: partsToPB(r.Parts), Outcome: outcomeToPB(r.Outcome), Terms: termsToPB(r.Terms), Abandoned: r.Abandoned,
	}
}

func partsToPB(parts []PartRecord) []*pb.PaymentPart {
	var out []*pb.PaymentPart
	for _, p := range parts {
		m := &pb.PaymentPart{
			Id: p.ID, ChannelId: p.Channel[:], AmountMsat: p.AmountMsat, FeeMsat: p.FeeMsat, State: uint32(p.State), Reason: text(p.Reason),
		}
		for _, h := range p.Hops {
			m.Hops = append(m.Hops, &pb.RouteHop{Scid: h.SCID, To: h.To[:], AmountMsat: h.AmountMsat, Expiry: h.Expiry})
		}
		out = append(out, m)
	}
	return out
}

func termsToPB(t *Terms) *pb.PaymentTerms {
	if t == nil {
		return nil
	}
	m := &pb.PaymentTerms{
		Secret: t.Secret[:], Metadata: t.Metadata, HasMetadata: t.Metadata != nil, MinFinalCltvDelta: t.MinFinalCLTVDelta,
		MaxFeeMsat: t.MaxFeeMsat, MaxParts: uint32(t.MaxParts), Deadline: t.Deadline.UnixNano(), //nolint:gosec // bounded when it was taken
	}
	if t.Keysend != nil {
		m.Keysend = t.Keysend[:]
	}
	for _, hint := range t.Hints {
		h := &pb.RouteHint{}
		for _, hop := range hint {
			h.Hops = append(h.Hops, &pb.HintHop{
				Node: hop.Node[:], Scid: hop.SCID, BaseMsat: hop.BaseMsat, PropMillionths: hop.PropMillionths, CltvDelta: uint32(hop.CLTVDelta),
			})
		}
		m.Hints = append(m.Hints, h)
	}
	return m
}

func paymentFromPB(m *pb.PaymentRecord) (PaymentRecord, error) {
	if v := m.GetVersion(); v != version {
		return PaymentRecord{}, fmt.Errorf("%w: payment has version %d, this release reads %d", ErrRecords, v, version)
	}
	r := PaymentRecord{AmountMsat: m.GetAmountMsat(), Bolt11: m.GetBolt11(), Abandoned: m.GetAbandoned()}
	if err := fixed("payment id", r.ID[:], m.GetId()); err != nil {
		return r, err
	}
	if err := fixed("payment hash", r.Hash[:], m.GetHash()); err != nil {
		return r, err
	}
	if err := fixed("payee", r.Payee[:], m.GetPayee()); err != nil {
		return r, err
	}
	var err error
	if r.Parts, err = partsFromPB(m.GetParts()); err != nil {
		return r, err
	}
	if r.Terms, err = termsFromPB(m.GetTerms()); err != nil {
		return r, err
	}
	r.Outcome, err = outcomeFromPB(m.GetOutcome())
	return r, err
}

func partsFromPB(parts []*pb.PaymentPart) ([]PartRecord, error) {
	var out []PartRecord
	for _, p := range parts {
		r := PartRecord{
			ID: p.GetId(), AmountMsat: p.GetAmountMsat(), FeeMsat: p.GetFeeMsat(), State: messages.PartState(p.GetState()), Reason: p.GetReason(), //nolint:gosec // three values
		}
		if err := fixed("channel id", r.Channel[:], p.GetChannelId()); err != nil {
			return nil, err
		}
		for i, h := range p.GetHops() {
			hop := route.Hop{SCID: h.GetScid(), AmountMsat: h.GetAmountMsat(), Expiry: h.GetExpiry()}
			if err := fixed("node of a route", hop.To[:], h.GetTo()); err != nil {
				return nil, err
			}
			if i > 0 {
				hop.From = r.Hops[i-1].To
			} // else it is this node
			r.Hops = append(r.Hops, hop)
		}
		out = append(out, r)
	}
	return out, nil
}

func termsFromPB(m *pb.PaymentTerms) (*Terms, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // no terms are a value
	}
	t := &Terms{
		MinFinalCLTVDelta: m.GetMinFinalCltvDelta(), MaxFeeMsat: m.GetMaxFeeMsat(), MaxParts: int(m.GetMaxParts()), Deadline: time.Unix(0, m.GetDeadline()),
	}
	if err := fixed("payment secret", t.Secret[:], m.GetSecret()); err != nil {
		return nil, err
	}
	if m.GetHasMetadata() {
		t.Metadata = append([]byte{}, m.GetMetadata()...)
	}
	if len(m.GetKeysend()) > 0 {
		t.Keysend = new(ln.Preimage)
		if err := fixed("keysend preimage", t.Keysend[:], m.GetKeysend()); err != nil {
			return nil, err
		}
	}
	for _, hint := range m.GetHints() {
		var hops []route.Hint
		for _, hop := range hint.GetHops() {
			h := route.Hint{
				SCID: hop.GetScid(), BaseMsat: hop.GetBaseMsat(), PropMillionths: hop.GetPropMillionths(), CLTVDelta: uint16(hop.GetCltvDelta()), //nolint:gosec // written from one
			}
			if err := fixed("node of a hint", h.Node[:], hop.GetNode()); err != nil {
				return nil, err
			}
			hops = append(hops, h)
		}
		t.Hints = append(t.Hints, hops)
	}
	return t, nil
}
