package server

import (
	"context"
	"fmt"
	"math"

	"github.com/lnactor/lnactor"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

func (s *service) SetPolicy(ctx context.Context, r *apiv1.SetPolicyRequest) (*apiv1.SetPolicyResponse, error) {
	id, err := channelID(r.GetChannelId())
	if err != nil {
		return nil, err
	}
	if r.GetCltvDelta() > math.MaxUint16 {
		return nil, invalid(fmt.Sprintf("a cltv_delta of %d", r.GetCltvDelta()), "it is a number of blocks, such as 80")
	}
	p, err := s.policyOf(ctx, id)
	if err != nil {
		return nil, err
	}
	if p = change(p, s.cfg.Node.Forwarding(), r); p.Or(s.cfg.Node.Forwarding()) == s.cfg.Node.Forwarding() {
		p = lnactor.ForwardingPolicy{} // as it would be anyway: it follows the node's
	}
	if err := s.cfg.Node.SetPolicy(ctx, id, p); err != nil {
		return nil, failed(err)
	}
	return &apiv1.SetPolicyResponse{Policy: policy(p.Or(s.cfg.Node.Forwarding())), IsDefault: p.IsDefault()}, nil
}

// policyOf is the policy that a channel has of its own, by the manager, which hears of a change before its caller does.
func (s *service) policyOf(ctx context.Context, id lnactor.ChannelID) (lnactor.ForwardingPolicy, error) {
	list, err := s.cfg.Node.Channels(ctx)
	if err != nil {
		return lnactor.ForwardingPolicy{}, failed(err)
	}
	for i := range list {
		if list[i].Channel == id {
			return list[i].Policy, nil
		}
	}
	return lnactor.ForwardingPolicy{}, failed(&lnactor.Error{Op: "set policy", Channel: id, Err: lnactor.ErrNotFound})
}

// change makes the policy that is asked for out of the channel's own and the node's.
func change(p, node lnactor.ForwardingPolicy, r *apiv1.SetPolicyRequest) lnactor.ForwardingPolicy {
	if r.GetUseDefault() || p.IsDefault() {
		p = node
		p.MaxDustExposureMsat = 0 // goes on to follow the node's
	}
	set(&p.BaseMsat, r.BaseMsat)
	set(&p.PropMillionths, r.Ppm)
	if r.CltvDelta != nil {
		p.CLTVDelta = uint16(r.GetCltvDelta()) //nolint:gosec // checked
	}
	set(&p.HTLCMinimumMsat, r.MinHtlcMsat)
	set(&p.HTLCMaximumMsat, r.MaxHtlcMsat)
	set(&p.MaxInFlightMsat, r.MaxInFlightMsat)
	set(&p.MaxDustExposureMsat, r.MaxDustMsat)
	return p
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func policy(p lnactor.ForwardingPolicy) *apiv1.Policy {
	return &apiv1.Policy{
		BaseMsat: p.BaseMsat, Ppm: p.PropMillionths, CltvDelta: uint32(p.CLTVDelta), MinHtlcMsat: p.HTLCMinimumMsat, MaxHtlcMsat: p.HTLCMaximumMsat,
		MaxInFlightMsat: p.MaxInFlightMsat, MaxDustMsat: p.MaxDustExposureMsat,
	}
}

func (s *service) ListPolicies(ctx context.Context, r *apiv1.ListPoliciesRequest) (*apiv1.ListPoliciesResponse, error) {
	var only lnactor.ChannelID
	if r.GetChannelId() != "" {
		id, err := channelID(r.GetChannelId())
		if err != nil {
			return nil, err
		}
		only = id
	}
	list, err := s.cfg.Node.Policies(ctx)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListPoliciesResponse{}
	for i := range list {
		if p := &list[i]; only == (lnactor.ChannelID{}) || p.Channel == only {
			out.Channels = append(out.Channels, policies(p))
		}
	}
	if only != (lnactor.ChannelID{}) && len(out.Channels) == 0 {
		return nil, failed(&lnactor.Error{Op: "list policies", Channel: only, Err: lnactor.ErrNotFound})
	}
	return out, nil
}

func policies(p *lnactor.OwnPolicies) *apiv1.ChannelPolicies {
	out := &apiv1.ChannelPolicies{
		ChannelId: p.Channel.String(), Peer: p.Peer.String(), Announced: p.Announced, Policy: policy(p.Policy), IsDefault: p.Default,
		Ours: told(p.Ours), Theirs: told(p.Theirs),
	}
	if p.SCID != 0 {
		out.ShortChannelId = fmt.Sprintf("%dx%dx%d", p.SCID>>40, p.SCID>>16&0xffffff, p.SCID&0xffff)
	}
	return out
}

func told(p lnactor.ChannelPolicy) *apiv1.PolicyUpdate {
	if !p.Known {
		return &apiv1.PolicyUpdate{Unknown: true}
	}
	return &apiv1.PolicyUpdate{
		Disabled: p.Disabled, BaseMsat: p.BaseMsat, Ppm: p.PropMillionths, CltvDelta: uint32(p.CLTVDelta), MinHtlcMsat: p.MinMsat, MaxHtlcMsat: p.MaxMsat,
		Timestamp: int64(p.Timestamp),
	}
}
