package server

import (
	"context"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
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
