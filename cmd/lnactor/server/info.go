package server

import (
	"context"
	"fmt"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/fees"
)

// service implements the Node service. Its methods are those of the schema, one for each.
type service struct {
	cfg     Config
	lasting context.Context // ends when the server does
	streams chan struct{}   // a place for each that is open
}

func (s *service) GetInfo(ctx context.Context, _ *apiv1.GetInfoRequest) (*apiv1.GetInfoResponse, error) {
	status, err := s.cfg.Node.FundsStatus(ctx)
	if err != nil {
		return nil, failed(err)
	}
	peers, err := s.cfg.Node.Peers(ctx)
	if err != nil {
		return nil, failed(err)
	}
	channels, err := s.cfg.Node.Channels(ctx)
	if err != nil {
		return nil, failed(err)
	}
	connected := 0
	for _, p := range peers {
		if p.Connected {
			connected++
		}
	}
	return &apiv1.GetInfoResponse{
		NodeId: s.cfg.Node.ID().String(), Network: s.cfg.Params.Name, ListenAddress: s.cfg.Node.ListenAddress(), Version: s.cfg.Version,
		Height: status.Height, Synced: status.Synced, Chain: s.cfg.Source, Peers: count(connected), Channels: count(len(channels)),
	}, nil
}

// count is a length as the schema has it.
func count(n int) uint32 { return uint32(n) } //nolint:gosec // lengths of lists in memory

func (s *service) Health(ctx context.Context, _ *apiv1.HealthRequest) (*apiv1.HealthResponse, error) {
	status, err := s.cfg.Node.FundsStatus(ctx)
	if err != nil {
		return nil, failed(err)
	}
	quarantined, err := s.cfg.Node.Quarantined(ctx)
	if err != nil {
		return nil, failed(err)
	}
	channels, err := s.cfg.Node.Channels(ctx)
	if err != nil {
		return nil, failed(err)
	}
	fee := s.cfg.Node.FeeHealth()
	out := &apiv1.HealthResponse{
		FeeState: fee.State.String(), FeeOrigin: fee.Origin.String(), FeePerKw: status.FeePerKw,
		ReserveWantedSat: status.ReserveWantedSat, ReserveHaveSat: status.ReserveHaveSat,
		Height: status.Height, Synced: status.Synced, Sweeps: count(len(status.Sweeps)),
	}
	for _, id := range quarantined {
		out.Quarantined = append(out.Quarantined, id.String())
	}
	out.Conditions = conditions(status, fee, quarantined, channels)
	out.Ok = len(out.Conditions) == 0
	return out, nil
}

// conditions are what is not as it should be, the worst first.
func conditions(st lnactor.FundsStatus, fee lnactor.FeeHealth, quarantined []lnactor.ChannelID, channels []lnactor.Channel) []*apiv1.Condition {
	var critical, warnings []*apiv1.Condition
	for _, id := range quarantined {
		critical = append(critical, &apiv1.Condition{
			Code: "channel_quarantined", ChannelId: id.String(), Text: "the channel's part of the node failed again and again and stays down; payments that it may hold wait",
			Remedy: "keep a copy of the data directory, read the log from the first failure on, and start the node again with a release that fixes it",
		})
	}
	for _, c := range st.Starving {
		critical = append(critical, &apiv1.Condition{
			Code: "claim_starving", ChannelId: c.Channel.String(), Text: fmt.Sprintf("a claim on chain lacks coins for its fee since block %d: %d sat", c.Since, c.NeedSat),
			Remedy: "pay coins to an address of the wallet (lnactor address)",
		})
	}
	if st.Invalid > 0 {
		critical = append(critical, &apiv1.Condition{
			Code: "sweep_invalid", Text: fmt.Sprintf("%d outputs can't be swept: a fault of this program", st.Invalid),
			Remedy: "keep the data directory and report it",
		})
	}
	for _, c := range channels {
		if c.Phase == lnactor.PhaseBehind {
			critical = append(critical, &apiv1.Condition{
				Code: "channel_behind", ChannelId: c.Channel.String(), Text: "the peer has proven that our state of the channel is old; nothing of it is broadcast",
				Remedy: "ask the peer to close the channel; what is ours is swept then",
			})
		}
	}
	if !st.Synced {
		warnings = append(warnings, &apiv1.Condition{
			Code: "not_synced", Text: fmt.Sprintf("the wallet follows the chain up to block %d, which is not the tip", st.Height),
			Remedy: "wait; if the height stays the same, look at the chain backend",
		})
	}
	if fee.State != fees.OK {
		warnings = append(warnings, &apiv1.Condition{
			Code: "fee_estimates", Text: "fee estimates: " + fee.State.String(), Remedy: "set fee-url or fee-per-kw, or look at the chain backend",
		})
	}
	if len(channels) > 0 && st.ReserveTooSmall() {
		warnings = append(warnings, &apiv1.Condition{
			Code: "reserve_too_small", Text: fmt.Sprintf("the channels may need %d sat for fees, the wallet has %d", st.ReserveWantedSat, st.ReserveHaveSat),
			Remedy: "pay coins to an address of the wallet (lnactor address)",
		})
	}
	for _, c := range critical {
		c.Severity = apiv1.Severity_SEVERITY_CRITICAL
	}
	for _, c := range warnings {
		c.Severity = apiv1.Severity_SEVERITY_WARNING
	}
	return append(critical, warnings...)
}

func (s *service) GetBalances(ctx context.Context, _ *apiv1.GetBalancesRequest) (*apiv1.GetBalancesResponse, error) {
	b, err := s.cfg.Node.Balance(ctx)
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.GetBalancesResponse{
		ConfirmedSat: b.ConfirmedSat, UnconfirmedSat: b.UnconfirmedSat, ReservedSat: b.ReservedSat,
		ChannelsMsat: b.ChannelsMsat, OutboundMsat: b.OutboundMsat, InboundMsat: b.InboundMsat,
		ClosingSat: b.ClosingSat, ContestedSat: b.ContestedSat,
	}, nil
}

func (s *service) StopNode(context.Context, *apiv1.StopNodeRequest) (*apiv1.StopNodeResponse, error) {
	s.cfg.Log.Info("asked to stop by an API call")
	s.cfg.Stop()
	return &apiv1.StopNodeResponse{}, nil
}
