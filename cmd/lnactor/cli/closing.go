package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

const untilClosedHelp = "wait until the transaction that closes it is in a block, for --timeout at most"

const closeLong = `Starts a cooperative close: no new payments, and once none is in flight the money goes to the
wallet. It returns when the close has begun, and may be repeated: with --until-closed it shows
what is waited for. The close goes on in the node, also over restarts, whoever waits for it.`

const forceCloseLong = `Broadcasts our commitment transaction and claims what is ours, as time locks allow. It costs
more and takes longer than 'lnactor close'. It can't be undone. It returns when the close has
begun, and may be repeated: with --until-closed it shows what is waited for. The close goes on
in the node, also over restarts, whoever waits for it.`

func closeCommand() *cobra.Command {
	return newClose("close CHANNEL_ID", "Close a channel together with the peer", closeLong, "  lnactor close 5f3a...\n  lnactor close 5f3a... --until-closed --timeout 1h",
		nil, func(ctx context.Context, n *node, id string) (proto.Message, error) {
			return n.CloseChannel(ctx, &apiv1.CloseChannelRequest{ChannelId: id})
		})
}

func forceCloseCommand() *cobra.Command {
	var sure bool
	return newClose("force-close CHANNEL_ID", "Close a channel without the peer", forceCloseLong, "  lnactor force-close 5f3a... --yes\n  lnactor force-close 5f3a... --yes --until-closed --timeout 1h",
		func(cmd *cobra.Command) { cmd.Flags().BoolVar(&sure, "yes", false, "yes, without the peer") },
		func(ctx context.Context, n *node, id string) (proto.Message, error) {
			if !sure {
				return nil, &usageError{errors.New("a close without the peer can't be undone"), "try 'lnactor close' first, or say --yes"}
			}
			return n.ForceCloseChannel(ctx, &apiv1.ForceCloseChannelRequest{ChannelId: id})
		})
}

func newClose(use, short, long, example string, flags func(*cobra.Command), begin func(ctx context.Context, n *node, id string) (proto.Message, error)) *cobra.Command {
	var wait bool
	return newCall(call[proto.Message]{
		use: use, short: short, long: long, example: example, args: wants("CHANNEL_ID"),
		flags: func(cmd *cobra.Command) {
			if flags != nil {
				flags(cmd)
			}
			cmd.Flags().BoolVar(&wait, "until-closed", false, untilClosedHelp)
		},
		make: func(ctx context.Context, n *node, args []string) (proto.Message, error) {
			answer, err := begin(ctx, n, args[0])
			switch {
			case !wait:
				return answer, err
			case err != nil && !n.closes(ctx, args[0]):
				return nil, err
			}
			return n.untilClosed(ctx, args[0])
		},
		show: func(p *page, a proto.Message) {
			switch a := a.(type) {
			case *apiv1.Channel:
				p.row("closed by", a.GetClosingTxid())
				if b := a.GetBalance(); b.GetSpendableAt() > 0 {
					p.row("waits", fmt.Sprintf("%s, some of it until block %s", sat(b.GetAwaiting()), digits(uint64(b.GetSpendableAt()))))
				}
			case *apiv1.ClosedChannel:
				p.row("closed by", a.GetClosingTxid())
				p.row("at block", digits(uint64(a.GetHeight())))
			default:
				p.row("closing; the same command with --until-closed shows what is waited for, 'lnactor channels' how far it is")
			}
		},
	})
}

// stillClosing is the end of the waiting.
type stillClosing struct{ what string }

func (e *stillClosing) Error() string {
	return fmt.Sprintf("no longer waiting; the close goes on in the node (%s)", e.what)
}
func (e *stillClosing) Unwrap() error { return errStopped }

// untilClosed follows a close that has begun. The node may restart meanwhile.
func (n *node) untilClosed(ctx context.Context, id string) (proto.Message, error) {
	w := waiter{w: n.cmd.ErrOrStderr(), began: time.Now()}
	defer w.end()
	var away time.Time
	what := "it has begun"
	for {
		now, done, err := n.closing(ctx, id)
		switch {
		case err == nil && done != nil:
			return done, nil
		case err == nil:
			what, away = now, time.Time{}
		case ctx.Err() != nil:
		case away.IsZero():
			away = time.Now()
		case time.Since(away) > patience, !temporary(err):
			return nil, err
		}
		w.show("channel " + short16(id) + ": " + what)
		select {
		case <-ctx.Done():
			if n.cmd.Context().Err() != nil {
				return nil, &stillClosing{what}
			}
			return nil, &apiError{
				code: connect.CodeDeadlineExceeded, reason: "deadline", text: "the channel is not closed yet: " + what,
				hint: "the close goes on in the node; repeat the command to wait on, with more --timeout",
			}
		case <-time.After(lookAgain):
		}
	}
}

// closes tells whether a channel is being closed or was, so that it does not matter that it can't be begun any more.
func (n *node) closes(ctx context.Context, id string) bool {
	list, err := n.ListChannels(ctx, &apiv1.ListChannelsRequest{})
	if err != nil {
		return false
	}
	for _, c := range list.GetChannels() {
		if c.GetChannelId() == id {
			return slices.Contains([]string{"closing", "mutual-close", "force-closed", "closed"}, c.GetPhase())
		}
	}
	return n.longClosed(ctx, id) != nil
}

// temporary tells of an error of a look that another look may not have.
func temporary(err error) bool {
	var local *apiError
	return !errors.As(err, &local) && connect.CodeOf(err) != connect.CodePermissionDenied
}

// closing looks once: what is waited for, or the channel once the transaction that closes it is in a block.
func (n *node) closing(ctx context.Context, id string) (what string, done proto.Message, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	list, err := n.ListChannels(ctx, &apiv1.ListChannelsRequest{})
	if err != nil {
		return "", nil, err
	}
	if slices.Contains(list.GetQuarantined(), id) {
		return "", nil, &apiError{
			code: connect.CodeFailedPrecondition, reason: "quarantined", text: "the channel is quarantined: it is watched on chain, and does not go on by itself",
			hint: "see 'lnactor doctor'",
		}
	}
	i := slices.IndexFunc(list.GetChannels(), func(c *apiv1.Channel) bool { return c.GetChannelId() == id })
	if i < 0 {
		if c := n.longClosed(ctx, id); c != nil {
			return "", c, nil
		}
		return "the node does not show it at the moment", nil, nil
	}
	c := list.GetChannels()[i]
	htlcs := c.GetOutboundHtlcs() + c.GetInboundHtlcs()
	switch phase := c.GetPhase(); {
	case phase == "closed":
		return "", c, nil
	case phase == "mutual-close", phase == "force-closed":
		return "its transaction waits for a block", nil, nil
	case !n.connected(ctx, c.GetPeer()):
		return "the peer is not connected, and has to be", nil, nil
	case htlcs > 0:
		return fmt.Sprintf("%d HTLCs have to end first ('lnactor htlcs explain')", htlcs), nil, nil
	default:
		return "the peer has to agree to the closing transaction", nil, nil
	}
}

// longClosed is a channel whose end on chain is complete, nil if it is none.
func (n *node) longClosed(ctx context.Context, id string) *apiv1.ClosedChannel {
	for page := ""; ; {
		a, err := n.ListClosedChannels(ctx, &apiv1.ListClosedChannelsRequest{Limit: 10000, Page: page})
		if err != nil {
			return nil
		}
		for _, c := range a.GetChannels() {
			if c.GetChannelId() == id {
				return c
			}
		}
		if page = a.GetNextPage(); page == "" {
			return nil
		}
	}
}

// connected tells whether a peer is; if that can't be found out, that is not what is waited for.
func (n *node) connected(ctx context.Context, id string) bool {
	a, err := n.ListPeers(ctx, &apiv1.ListPeersRequest{})
	return err != nil || slices.ContainsFunc(a.GetPeers(), func(p *apiv1.Peer) bool { return p.GetNodeId() == id && p.GetConnected() })
}
