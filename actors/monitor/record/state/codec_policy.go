package state

import (
	"github.com/lnactor/lnactor/actors/monitor/record/take"
	"github.com/lnactor/lnactor/internal/facts"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

// Policy writes a channel's policy.
func Policy(p *facts.Policy) *pb.Policy {
	return &pb.Policy{
		BaseMsat: p.BaseMsat, PropMillionths: p.PropMillionths, CltvDelta: uint32(p.CLTVDelta), HtlcMinimumMsat: p.HTLCMinimumMsat,
		HtlcMaximumMsat: p.HTLCMaximumMsat, MaxInFlightMsat: p.MaxInFlightMsat, MaxDustExposureMsat: p.MaxDustExposureMsat,
	}
}

// ReadPolicy is the inverse of Policy.
func ReadPolicy(r *take.Reader, p *pb.Policy) facts.Policy {
	return facts.Policy{
		BaseMsat: p.GetBaseMsat(), PropMillionths: p.GetPropMillionths(), CLTVDelta: r.U16("cltv_delta", p.GetCltvDelta()),
		HTLCMinimumMsat: p.GetHtlcMinimumMsat(), HTLCMaximumMsat: p.GetHtlcMaximumMsat(), MaxInFlightMsat: p.GetMaxInFlightMsat(),
		MaxDustExposureMsat: p.GetMaxDustExposureMsat(),
	}
}
