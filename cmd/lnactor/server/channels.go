package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"strconv"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

func nodeID(text string) (lnactor.NodeID, error) {
	id, err := lnactor.ParseNodeID(text)
	if err == nil {
		_, err = btcec.ParsePubKey(id[:])
	}
	if err != nil {
		return id, invalid(fmt.Sprintf("%.80q is not a node id", text), "a node id is a public key: 66 hexadecimal digits that begin with 02 or 03")
	}
	return id, nil
}

func channelID(text string) (lnactor.ChannelID, error) {
	id, err := lnactor.ParseChannelID(text)
	if err != nil {
		return id, invalid(fmt.Sprintf("%.80q is not a channel id", text), "a channel id has 64 hexadecimal digits; lnactor channels shows them")
	}
	return id, nil
}

func (s *service) Connect(ctx context.Context, r *apiv1.ConnectRequest) (*apiv1.ConnectResponse, error) {
	id, err := nodeID(r.GetNodeId())
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(r.GetAddress())
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || host == "" || perr != nil || n == 0 {
		return nil, invalid(fmt.Sprintf("%.100q is not host:port", r.GetAddress()), "such as 192.0.2.7:9735")
	}
	if id == s.cfg.Node.ID() {
		return nil, invalid("that is this node itself", "give the id of another node")
	}
	if err := s.cfg.Node.Connect(ctx, id, r.GetAddress()); err != nil {
		return nil, failed(err)
	}
	return &apiv1.ConnectResponse{}, nil
}

func (s *service) Disconnect(ctx context.Context, r *apiv1.DisconnectRequest) (*apiv1.DisconnectResponse, error) {
	id, err := nodeID(r.GetNodeId())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.Disconnect(ctx, id); err != nil {
		return nil, failed(err)
	}
	return &apiv1.DisconnectResponse{}, nil
}

func (s *service) ListPeers(ctx context.Context, _ *apiv1.ListPeersRequest) (*apiv1.ListPeersResponse, error) {
	peers, err := s.cfg.Node.Peers(ctx)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListPeersResponse{}
	for _, p := range peers {
		out.Peers = append(out.Peers, &apiv1.Peer{NodeId: p.Peer.String(), Address: p.Address, Connected: p.Connected, Inbound: p.Inbound})
	}
	return out, nil
}

func (s *service) OpenChannel(ctx context.Context, r *apiv1.OpenChannelRequest) (*apiv1.OpenChannelResponse, error) {
	id, err := nodeID(r.GetNodeId())
	if err != nil {
		return nil, err
	}
	switch {
	case r.GetCapacitySat() == 0 || r.GetCapacitySat() > 21_000_000*1e8:
		return nil, invalid(fmt.Sprintf("a capacity of %d sat", r.GetCapacitySat()), "give capacity_sat")
	case r.GetPushMsat()/1000 > r.GetCapacitySat():
		return nil, invalid("more is to be pushed than the channel holds", "push less")
	}
	channel, err := s.cfg.Node.OpenChannel(ctx, lnactor.OpenParams{
		Peer: id, CapacitySat: r.GetCapacitySat(), PushMsat: r.GetPushMsat(), FeePerKw: r.GetFeePerKw(), Announce: r.GetAnnounce(),
	})
	if err != nil {
		return nil, failed(err)
	}
	return &apiv1.OpenChannelResponse{ChannelId: channel.String()}, nil
}

func (s *service) CloseChannel(ctx context.Context, r *apiv1.CloseChannelRequest) (*apiv1.CloseChannelResponse, error) {
	id, err := channelID(r.GetChannelId())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.CloseChannel(ctx, id); err != nil {
		return nil, failed(err)
	}
	return &apiv1.CloseChannelResponse{}, nil
}

func (s *service) ForceCloseChannel(ctx context.Context, r *apiv1.ForceCloseChannelRequest) (*apiv1.ForceCloseChannelResponse, error) {
	id, err := channelID(r.GetChannelId())
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Node.ForceCloseChannel(ctx, id); err != nil {
		return nil, failed(err)
	}
	return &apiv1.ForceCloseChannelResponse{}, nil
}

func (s *service) SetChannelFee(ctx context.Context, r *apiv1.SetChannelFeeRequest) (*apiv1.SetChannelFeeResponse, error) {
	id, err := channelID(r.GetChannelId())
	if err != nil {
		return nil, err
	}
	if r.GetFeePerKw() < 253 {
		return nil, invalid(fmt.Sprintf("a fee rate of %d", r.GetFeePerKw()), "253 satoshis per 1000 weight units are the least")
	}
	if err := s.cfg.Node.SetChannelFee(ctx, id, r.GetFeePerKw()); err != nil {
		return nil, failed(err)
	}
	return &apiv1.SetChannelFeeResponse{}, nil
}

func (s *service) ListChannels(ctx context.Context, _ *apiv1.ListChannelsRequest) (*apiv1.ListChannelsResponse, error) {
	list, err := s.cfg.Node.Channels(ctx)
	if err != nil {
		return nil, failed(err)
	}
	quarantined, err := s.cfg.Node.Quarantined(ctx)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListChannelsResponse{}
	for i := range list {
		out.Channels = append(out.Channels, channel(&list[i]))
	}
	for _, id := range quarantined {
		out.Quarantined = append(out.Quarantined, id.String())
	}
	return out, nil
}

func channel(c *lnactor.Channel) *apiv1.Channel {
	out := &apiv1.Channel{
		ChannelId: c.Channel.String(), Peer: c.Peer.String(), Phase: c.Phase.String(), Funding: outpoint(c.FundingTxid, c.FundingIndex),
		CapacitySat: c.CapacitySat, Funder: c.HolderIsFunder, LocalMsat: c.HolderMsat, RemoteMsat: c.CounterpartyMsat,
		OutboundMsat: c.OutboundMsat, InboundMsat: c.InboundMsat, OutboundHtlcs: count(c.OutboundHTLCs), InboundHtlcs: count(c.InboundHTLCs),
		FeePerKw: c.FeePerKw, Confirmations: c.Confirmations, UnackedEvents: count(c.UnackedEvents), Announce: c.Announce,
		Balance: &apiv1.ChannelBalance{
			Available: c.Balance.Available, InHtlcs: c.Balance.InHTLCs, Awaiting: c.Balance.Awaiting, Contested: c.Balance.Contested,
			Swept: c.Balance.Swept, Fees: c.Balance.Fees, Lost: c.Balance.Lost, Total: c.Balance.Total, SpendableAt: c.Balance.SpendableAt,
		},
	}
	if c.Spent != nil {
		out.ClosingTxid = c.Spent.Txid.String()
	}
	return out
}

func outpoint(txid [32]byte, index uint32) string {
	return wire.OutPoint{Hash: chainhash.Hash(txid), Index: index}.String()
}

// closers says whose transaction closed a channel.
var closers = map[lnactor.SpendKind]string{
	lnactor.SpendHolder: "ours", lnactor.SpendCounterparty: "theirs", lnactor.SpendRevoked: "revoked",
	lnactor.SpendMutualClose: "mutual", lnactor.SpendUnknown: "unknown",
}

func (s *service) ListClosedChannels(ctx context.Context, r *apiv1.ListClosedChannelsRequest) (*apiv1.ListClosedChannelsResponse, error) {
	limit, err := listLimit(r.GetLimit())
	if err != nil {
		return nil, err
	}
	page, err := listPage(r.GetPage(), closedPage)
	if err != nil {
		return nil, err
	}
	list, next, err := s.cfg.Node.ClosedChannels(ctx, page, limit)
	if err != nil {
		return nil, failed(err)
	}
	out := &apiv1.ListClosedChannelsResponse{NextPage: hex.EncodeToString(next)}
	for _, c := range list {
		out.Channels = append(out.Channels, &apiv1.ClosedChannel{
			ChannelId: c.Channel.String(), Peer: c.Peer.String(), Funding: outpoint(c.FundingTxid, c.FundingIndex), CapacitySat: c.CapacitySat,
			ClosingTxid: chainhash.Hash(c.ClosingTxid).String(), ClosedBy: closers[c.Spend], Height: c.Height,
			SweptSat: c.SweptSat, LostSat: c.LostSat, FeesSat: c.FeesSat,
		})
	}
	return out, nil
}

// mostListed bounds an answer.
const mostListed = 10_000

func listLimit(n uint32) (int, error) {
	switch {
	case n == 0:
		return 100, nil
	case n > mostListed || n > math.MaxInt32:
		return 0, invalid(fmt.Sprintf("a limit of %d", n), fmt.Sprintf("%d is the most", mostListed))
	}
	return int(n), nil
}
