package cli

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// Commands about the node as a whole.
func nodeCommands() []*cobra.Command {
	var wait time.Duration
	var uri bool
	return []*cobra.Command{
		newCall(call[*apiv1.GetInfoResponse]{
			use: "info", short: "Show who the node is and where its chain stands",
			example: "  lnactor info\n  lnactor info --wait 30s\n  lnactor connect -d alice $(lnactor info -d bob --uri)\n  lnactor info --json | jq -r .nodeId",
			flags: func(cmd *cobra.Command) {
				cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for a node that starts")
				cmd.Flags().BoolVar(&uri, "uri", false, "print NODE_ID@HOST:PORT and nothing else")
			},
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.GetInfoResponse, error) {
				for began := time.Now(); ; {
					a, err := n.GetInfo(ctx, &apiv1.GetInfoRequest{})
					switch {
					case err != nil && connect.CodeOf(err) == connect.CodeUnavailable && time.Since(began) < wait && ctx.Err() == nil:
						time.Sleep(lookAgain)
					case err == nil && uri && a.GetListenAddress() == "":
						return nil, &apiError{
							code: connect.CodeFailedPrecondition, reason: "not_listening", text: "peers can't connect to this node",
							hint: "start it with --listen, such as --listen 127.0.0.1:9736",
						}
					default:
						return a, err
					}
				}
			},
			show: func(p *page, a *apiv1.GetInfoResponse) {
				if uri {
					p.row(a.GetNodeId() + "@" + a.GetListenAddress())
					return
				}
				p.row("node", a.GetNodeId())
				p.row("network", a.GetNetwork())
				if a.GetListenAddress() != "" {
					p.row("peers at", a.GetNodeId()+"@"+a.GetListenAddress())
				}
				p.row("chain", fmt.Sprintf("%s, block %s, synced: %s", a.GetChain(), digits(uint64(a.GetHeight())), yes(a.GetSynced())))
				p.row("connected", a.GetPeers())
				p.row("channels", a.GetChannels())
				p.row("version", a.GetVersion())
			},
		}),
		newCall(call[*apiv1.GetBalancesResponse]{
			use: "balance", short: "Show the node's money",
			example: "  lnactor balance\n  lnactor balance --json | jq -r .channelsMsat",
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.GetBalancesResponse, error) {
				return n.GetBalances(ctx, &apiv1.GetBalancesRequest{})
			},
			show: func(p *page, a *apiv1.GetBalancesResponse) {
				p.row("on chain", sat(a.GetConfirmedSat()))
				p.row("unconfirmed", sat(a.GetUnconfirmedSat()))
				p.row("reserved", sat(a.GetReservedSat()))
				p.row("in channels", msat(a.GetChannelsMsat()))
				p.row("on the way out", msat(a.GetOutboundMsat()))
				p.row("on the way in", msat(a.GetInboundMsat()))
				p.row("closing", sat(a.GetClosingSat()))
				p.row("contested", sat(a.GetContestedSat()))
			},
		}),
		newCall(call[*apiv1.StopNodeResponse]{
			use: "stop", short: "Stop the node in order",
			long:    "Stops the node in order. It returns when the stop has begun.",
			example: "  lnactor stop -d alice",
			make: func(ctx context.Context, n *node, _ []string) (*apiv1.StopNodeResponse, error) {
				return n.StopNode(ctx, &apiv1.StopNodeRequest{})
			},
			show: func(p *page, _ *apiv1.StopNodeResponse) { p.row("the node is stopping") },
		}),
	}
}

// regtestCommand groups what is there only on the embedded chain.
func regtestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "regtest", Short: "Drive the embedded chain", Args: noArgs,
		Long: "Drives the embedded regtest chain, on the node that runs it.", Example: "  lnactor regtest mine 6",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newCall(call[*apiv1.MineResponse]{
			use: "mine BLOCKS", short: "Add blocks", args: wants("BLOCKS"),
			long: "Adds blocks; the first takes the transactions that wait.", example: "  lnactor regtest mine 3",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.MineResponse, error) {
				blocks, err := parseNumber(args[0])
				if err != nil {
					return nil, err
				}
				return n.regtest.Mine(ctx, &apiv1.MineRequest{Blocks: blocks})
			},
			show: func(p *page, a *apiv1.MineResponse) { p.row("block", digits(uint64(a.GetHeight()))) },
		}),
		newCall(call[*apiv1.FundResponse]{
			use: "fund ADDRESS AMOUNT", short: "Pay coins out of nothing to an address", args: wants("ADDRESS", "AMOUNT"),
			long:    "Pays coins out of nothing to an address. A block confirms them: lnactor regtest mine 1.",
			example: "  lnactor regtest fund $(lnactor address) 5000000\n  lnactor regtest fund bcrt1q... 0.05btc",
			make: func(ctx context.Context, n *node, args []string) (*apiv1.FundResponse, error) {
				amount, err := parseSat(args[1])
				if err != nil {
					return nil, err
				}
				return n.regtest.Fund(ctx, &apiv1.FundRequest{Address: args[0], AmountSat: amount})
			},
			show: func(p *page, a *apiv1.FundResponse) { p.row("transaction", a.GetTxid()) },
		}),
	)
	return cmd
}
