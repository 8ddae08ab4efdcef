package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// closer is a node that shows a channel in one state after the other, for a second each; nil: it is away.
type closer struct {
	api.NodeClient
	began     time.Time
	states    []*apiv1.ListChannelsResponse
	connected bool
	archived  string
}

func (c *closer) ListChannels(context.Context, *apiv1.ListChannelsRequest) (*apiv1.ListChannelsResponse, error) {
	if c.began.IsZero() {
		c.began = time.Now()
	}
	i := min(int(time.Since(c.began)/time.Second), len(c.states)-1)
	if c.states[i] == nil {
		return nil, connect.NewError(connect.CodeUnavailable, io.EOF)
	}
	return c.states[i], nil
}

func (c *closer) ListPeers(context.Context, *apiv1.ListPeersRequest) (*apiv1.ListPeersResponse, error) {
	return &apiv1.ListPeersResponse{Peers: []*apiv1.Peer{{NodeId: "bob", Connected: c.connected}}}, nil
}

// ListClosedChannels has the channel on its second page.
func (c *closer) ListClosedChannels(_ context.Context, r *apiv1.ListClosedChannelsRequest) (*apiv1.ListClosedChannelsResponse, error) {
	if r.GetPage() == "" {
		return &apiv1.ListClosedChannelsResponse{NextPage: "2"}, nil
	}
	return &apiv1.ListClosedChannelsResponse{Channels: []*apiv1.ClosedChannel{{ChannelId: c.archived, ClosingTxid: "cd"}}}, nil
}

func inPhase(phase string, htlcs uint32) *apiv1.ListChannelsResponse {
	c := &apiv1.Channel{ChannelId: "ch", Peer: "bob", Phase: phase, OutboundHtlcs: htlcs}
	if phase == "closed" {
		c.ClosingTxid = "ab"
	}
	return &apiv1.ListChannelsResponse{Channels: []*apiv1.Channel{{ChannelId: "other", Phase: "closed", ClosingTxid: "ff"}, c}}
}

// TestUntilClosed: the waiting ends with the transaction in a block, goes on while the node is away for a while, and says what it ended before.
func TestUntilClosed(t *testing.T) {
	gone := &apiv1.ListChannelsResponse{}
	for _, test := range []struct {
		name   string
		node   *closer
		txid   string
		exit   int
		errors string
	}{
		{"closes", &closer{connected: true, states: []*apiv1.ListChannelsResponse{inPhase("closing", 1), inPhase("closing", 0), inPhase("mutual-close", 0), inPhase("closed", 0)}}, "ab", ExitOK, ""},
		{"closed long ago", &closer{archived: "ch", states: []*apiv1.ListChannelsResponse{gone}}, "cd", ExitOK, ""},
		{"a restart", &closer{states: []*apiv1.ListChannelsResponse{inPhase("force-closed", 0), nil, gone, inPhase("force-closed", 0), inPhase("closed", 0)}}, "ab", ExitOK, ""},
		{"the node does not come back", &closer{states: []*apiv1.ListChannelsResponse{inPhase("closing", 0), nil}}, "", ExitUnreachable, ""},
		{"HTLCs", &closer{connected: true, states: []*apiv1.ListChannelsResponse{inPhase("closing", 3)}}, "", ExitFault, "3 HTLCs have to end first"},
		{"no peer", &closer{states: []*apiv1.ListChannelsResponse{inPhase("closing", 3)}}, "", ExitFault, "the peer is not connected"},
		{"the peer", &closer{connected: true, states: []*apiv1.ListChannelsResponse{inPhase("closing", 0)}}, "", ExitFault, "the peer has to agree"},
		{"no block", &closer{states: []*apiv1.ListChannelsResponse{inPhase("force-closed", 3)}}, "", ExitFault, "waits for a block"},
		{"quarantined", &closer{states: []*apiv1.ListChannelsResponse{inPhase("closing", 0), {Quarantined: []string{"ch"}}}}, "", ExitFault, "quarantined"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, test.node)
				n.cmd.SetErr(io.Discard)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				done, err := n.untilClosed(ctx, "ch")
				err = n.explain(err)
				if exitCode(err) != test.exit || err != nil && !strings.Contains(err.Error(), test.errors) {
					t.Fatalf("exit code %d: %v", exitCode(err), err)
				}
				txid := ""
				switch c := done.(type) {
				case *apiv1.Channel:
					txid = c.GetClosingTxid()
				case *apiv1.ClosedChannel:
					txid = c.GetClosingTxid()
				}
				if txid != test.txid {
					t.Errorf("closed by %q", txid)
				}
			})
		})
	}
}

// TestUntilClosedInterrupted: an interrupt ends the waiting, and says that the close goes on.
func TestUntilClosedInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, &closer{connected: true, states: []*apiv1.ListChannelsResponse{inPhase("closing", 2)}})
		n.cmd.SetErr(io.Discard)
		ctx, interrupt := context.WithCancel(t.Context())
		n.cmd.SetContext(ctx)
		time.AfterFunc(time.Second, interrupt)
		_, err := n.untilClosed(ctx, "ch")
		if exitCode(err) != ExitInterrupted || !errors.Is(err, errStopped) || !strings.Contains(err.Error(), "the close goes on in the node (2 HTLCs have to end first") {
			t.Errorf("exit code %d: %v", exitCode(err), err)
		}
		var out strings.Builder
		if !complainJSON(&out, err) || !strings.Contains(out.String(), `"reason":"interrupted"`) {
			t.Error(out.String())
		}
	})
}

// TestClosesAlready: a close that can't be begun any more, because it was, is waited for all the same.
func TestClosesAlready(t *testing.T) {
	for phase, want := range map[string]bool{"funding": false, "open": false, "closing": true, "mutual-close": true, "force-closed": true, "closed": true} {
		n := newNode(t, &closer{states: []*apiv1.ListChannelsResponse{inPhase(phase, 0)}})
		if n.closes(t.Context(), "ch") != want {
			t.Errorf("%s: %v", phase, !want)
		}
	}
	gone := &closer{archived: "ch", states: []*apiv1.ListChannelsResponse{{}}}
	if n := newNode(t, gone); !n.closes(t.Context(), "ch") || n.closes(t.Context(), "nobody's") {
		t.Error("archived")
	}
}
