package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// Commands about peers.
func peerCommands() []*cobra.Command {
	return []*cobra.Command{
		newCall(call[*apiv1.ConnectResponse]{
			use: "connect NODE_ID@HOST:PORT", short: "Connect to a node", args: wants("NODE_ID@HOST:PORT"),
			long:    "Connects to a node, and again whenever the connection is lost, until 'lnactor disconnect'.\nWith an error the attempts go on.",
			example: "  lnactor connect 03ab...@192.0.2.7:9735",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.ConnectResponse, error) {
				id, address, ok := strings.Cut(args[0], "@")
				if !ok {
					return nil, &usageError{fmt.Errorf("%q has no @", args[0]), "give NODE_ID@HOST:PORT; 'lnactor info' shows it on the other node"}
				}
				return n.Connect(ctx, &apiv1.ConnectRequest{NodeId: id, Address: address})
			},
			show: func(p *page, _ *apiv1.ConnectResponse) { p.row("connected") },
		}),
		newCall(call[*apiv1.DisconnectResponse]{
			use: "disconnect NODE_ID", short: "End the connection to a node", args: wants("NODE_ID"),
			long: "Ends the connection to a node, and the attempts. Channels stay open.", example: "  lnactor disconnect 03ab...",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.DisconnectResponse, error) {
				id, _, _ := strings.Cut(args[0], "@")
				return n.Disconnect(ctx, &apiv1.DisconnectRequest{NodeId: id})
			},
			show: func(p *page, _ *apiv1.DisconnectResponse) { p.row("disconnected") },
		}),
		newCall(call[*apiv1.ListPeersResponse]{
			use: "peers", short: "List the nodes that this one is or wants to be connected to", example: "  lnactor peers",
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListPeersResponse, error) {
				return n.ListPeers(ctx, &apiv1.ListPeersRequest{})
			},
			show: func(p *page, a *apiv1.ListPeersResponse) {
				if len(a.GetPeers()) == 0 {
					p.none("peers")
					return
				}
				p.row("NODE", "ADDRESS", "CONNECTED", "INBOUND")
				for _, q := range a.GetPeers() {
					p.row(q.GetNodeId(), or(q.GetAddress(), "-"), yes(q.GetConnected()), yes(q.GetInbound()))
				}
			},
		}),
	}
}

// Commands about channels.
func channelCommands() []*cobra.Command {
	var push string
	var feePerKw uint32
	var untilOpen, public bool
	closed := &apiv1.ListClosedChannelsRequest{}
	return []*cobra.Command{
		newCall(call[*apiv1.OpenChannelResponse]{
			use: "open NODE_ID AMOUNT", short: "Open a channel", args: wants("NODE_ID", "AMOUNT"),
			long: "Opens a channel to a connected node and funds it from the wallet. What follows an @ in NODE_ID is not looked at. It\ncan be used when its funding transaction has confirmed; " +
				"'lnactor channels' shows it as open then.",
			look:    "see 'lnactor channels' before you repeat it",
			example: "  lnactor open 03ab... 1000000\n  lnactor open 03ab... 0.01btc --push 1000\n  lnactor open 03ab... 1000000 --public",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().StringVar(&push, "push", "0", "amount given to the peer at once")
				cmd.Flags().Uint32Var(&feePerKw, "fee-per-kw", 0, "satoshis per 1000 weight units (default: an estimate)")
				cmd.Flags().BoolVar(&public, "public", false, "tell everybody of the channel, so that others route over it")
			},
			make: func(ctx context.Context, n *node, args []string) (*apiv1.OpenChannelResponse, error) {
				capacity, err := parseSat(args[1])
				if err != nil {
					return nil, err
				}
				pushed, err := parseMsat(push)
				if err != nil {
					return nil, err
				}
				id, _, _ := strings.Cut(args[0], "@")
				return n.OpenChannel(ctx, &apiv1.OpenChannelRequest{NodeId: id, CapacitySat: capacity, PushMsat: pushed, FeePerKw: feePerKw, Announce: public})
			},
			show: func(p *page, a *apiv1.OpenChannelResponse) { p.row("channel", a.GetChannelId()) },
		}),
		closeCommand(), forceCloseCommand(),
		newCall(call[*apiv1.SetChannelFeeResponse]{
			use: "set-fee CHANNEL_ID FEE_PER_KW", short: "Ask for another fee rate of the commitments", args: wants("CHANNEL_ID", "FEE_PER_KW"),
			long: "Asks for another fee rate of a channel's commitment transactions, in satoshis per 1000 weight\nunits, as the funder of the channel may. " +
				"The channel proposes it when it can.",
			example: "  lnactor set-fee 5f3a... 1000",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.SetChannelFeeResponse, error) {
				fee, err := parseNumber(args[1])
				if err != nil {
					return nil, err
				}
				return n.SetChannelFee(ctx, &apiv1.SetChannelFeeRequest{ChannelId: args[0], FeePerKw: fee})
			},
			show: func(p *page, _ *apiv1.SetChannelFeeResponse) { p.row("asked for") },
		}),
		with(newCall(call[*apiv1.ListChannelsResponse]{
			use: "channels", short: "List the channels", example: "  lnactor channels\n  lnactor channels --until-open\n  lnactor channels --json | jq '.channels[] | select(.phase==\"open\")'",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().BoolVar(&untilOpen, "until-open", false, "wait until no channel is being opened any more, for --timeout at most")
			},
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListChannelsResponse, error) {
				w := waiter{w: n.cmd.ErrOrStderr(), began: time.Now()}
				defer w.end()
				for {
					a, err := n.ListChannels(ctx, &apiv1.ListChannelsRequest{})
					if err != nil || !untilOpen || !slices.ContainsFunc(a.GetChannels(), func(c *apiv1.Channel) bool { return c.GetPhase() == "funding" }) {
						return a, err
					}
					w.show("channels wait for confirmations")
					select {
					case <-ctx.Done():
						if n.cmd.Context().Err() != nil {
							return nil, errStopped
						}
						return nil, &apiError{
							code: connect.CodeDeadlineExceeded, reason: "deadline", text: "a channel is still being opened",
							hint: "its funding transaction needs confirmations, and the peer must be connected",
						}
					case <-time.After(lookAgain):
					}
				}
			},
			show: showChannels,
		}), policyCommand(), trustCommand()),
		newCall(call[*apiv1.ListClosedChannelsResponse]{
			use: "closed", short: "List the channels whose end on chain is complete", example: "  lnactor closed --limit 10\n  lnactor closed --page 5e1c...",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().Uint32Var(&closed.Limit, "limit", 0, "how many (default 100)")
				cmd.Flags().StringVar(&closed.Page, "page", "", "go on where the list before ended, by the page that it named")
			},
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.ListClosedChannelsResponse, error) {
				return n.ListClosedChannels(ctx, closed)
			},
			show: func(p *page, a *apiv1.ListClosedChannelsResponse) {
				if len(a.GetChannels()) == 0 {
					p.none("closed channels")
					return
				}
				p.row("CHANNEL", "CLOSED", "HEIGHT", "SWEPT", "PAID OR LOST", "FEES")
				for _, c := range a.GetChannels() {
					p.row(c.GetChannelId(), c.GetClosedBy(), c.GetHeight(), sat(c.GetSweptSat()), sat(c.GetLostSat()), sat(c.GetFeesSat()))
				}
				if a.GetNextPage() != "" {
					p.row("more: lnactor closed --page " + a.GetNextPage())
				}
			},
		}),
	}
}

// with adds commands below one that does something by itself.
func with(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(below...)
	return cmd
}

func showChannels(p *page, a *apiv1.ListChannelsResponse) {
	if len(a.GetChannels())+len(a.GetQuarantined()) == 0 {
		p.none("channels")
		return
	}
	p.row("CHANNEL", "PHASE", "CAPACITY", "OURS", "THEIRS", "IN FLIGHT", "PEER")
	for _, c := range a.GetChannels() {
		phase := c.GetPhase()
		if phase == "funding" {
			phase = fmt.Sprintf("funding, %d conf", c.GetConfirmations())
		}
		p.row(c.GetChannelId(), phase, sat(c.GetCapacitySat()), msat(c.GetLocalMsat()), msat(c.GetRemoteMsat()),
			c.GetOutboundHtlcs()+c.GetInboundHtlcs(), c.GetPeer())
	}
	for _, id := range a.GetQuarantined() {
		p.row(id, "quarantined: see 'lnactor doctor'")
	}
}
