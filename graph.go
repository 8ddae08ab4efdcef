package lnactor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/graph"
	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/atomicfile"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// PublicInfo is what a node tells everybody of itself.
type PublicInfo struct {
	Alias     string // at most 32 bytes of text
	Color     [3]byte
	Addresses []string // host:port where it can be reached, each with an IP address
}

// ForwardingPolicy is what a channel asks for forwarding over it, and the limits that the node keeps in it. What the two sides agreed on at the
// opening, such as the reserve, is not among it: it can't be changed (BOLT 2).
type ForwardingPolicy = facts.Policy

// Bounds of ForwardingPolicy.CLTVDelta.
const (
	MinCLTVDelta = facts.MinCLTVDelta
	MaxCLTVDelta = facts.MaxCLTVDelta
)

// ChannelPolicy is what one side of a channel has told others that it asks for.
type ChannelPolicy = messages.ChannelPolicy

// PolicyError says which part of a ForwardingPolicy is out of its bounds.
type PolicyError = facts.PolicyError

func (p PublicInfo) check() error {
	if len(p.Alias) > 32 {
		return fmt.Errorf("%w: Public.Alias has %d bytes, at most 32 fit", ErrConfig, len(p.Alias))
	}
	_, err := p.addresses()
	return err
}

func (p PublicInfo) addresses() ([]net.Addr, error) {
	var out []net.Addr
	for _, a := range p.Addresses {
		ap, err := netip.ParseAddrPort(a)
		if err != nil || ap.Port() == 0 {
			return nil, fmt.Errorf("%w: Public.Addresses has %q, which is no IP address with a port", ErrConfig, a)
		}
		out = append(out, net.TCPAddrFromAddrPort(ap))
	}
	return out, nil
}

// graphConfig is all that the graph needs of the node.
func (n *Node) graphConfig(key *btcec.PrivateKey) *graph.Config {
	addresses, _ := n.cfg.Public.addresses() // checked when the node was opened
	cfg := &graph.Config{
		Self: n.id, Chain: *n.cfg.Params.GenesisHash, Times: n.cfg.gossip, Policy: n.cfg.Forwarding,
		Node: graph.Node{Alias: n.cfg.Public.Alias, Color: n.cfg.Public.Color, Addresses: addresses, Features: peer.Features()},
		Sign: func(digest [32]byte) (lnwire.Sig, error) {
			return lnwire.NewSigFromSignature(ecdsa.Sign(key, digest[:]))
		},
	}
	if n.cfg.Dir != "" {
		path := filepath.Join(n.cfg.Dir, graphFile)
		cfg.Load = func() ([]byte, error) {
			raw, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, nil
			}
			return raw, err
		}
		cfg.Save = func(raw []byte) error { return atomicfile.Write(path, raw) }
	}
	return cfg
}

// GraphSummary counts what the node knows of the network.
type GraphSummary = messages.GraphSummary

// GraphChannel is a public channel of the network.
type GraphChannel = messages.GraphChannel

// OwnPolicies are what both sides of a channel of this node ask for.
type OwnPolicies = messages.OwnPolicies

// Graph counts what the node knows of the network by gossip (BOLT 7). It is a cache: another node knows a little more or less.
func (n *Node) Graph(ctx context.Context) (GraphSummary, error) {
	s, err := askAgain[messages.GraphSummary](ctx, n, messages.GraphAddr, func(to messages.Addr) any { return messages.GetGraph{ReplyTo: to} })
	return s, n.fail("graph", err)
}

// GraphChannels lists public channels by short channel id, the first limit (0: 100) after one.
func (n *Node) GraphChannels(ctx context.Context, after uint64, limit int) ([]GraphChannel, error) {
	l, err := askAgain[messages.GraphList](ctx, n, messages.GraphAddr, func(to messages.Addr) any {
		return messages.ListGraph{After: after, Limit: limit, ReplyTo: to}
	})
	return l.Channels, n.fail("list graph", err)
}

// SetPolicy changes what a channel asks for forwarding over it, and its limits, from now on: it is durable when SetPolicy returns. Others are told with a
// new channel_update; those who have not heard of it yet are refused. The zero policy brings Config.Forwarding back. Errors: *PolicyError, ErrNotFound.
func (n *Node) SetPolicy(ctx context.Context, id ChannelID, p ForwardingPolicy) error {
	const op = "set policy"
	if err := n.known(ctx, op, id); err != nil {
		return err
	}
	reply, err := askAgain[messages.PolicyReply](ctx, n, messages.MonitorAddr(id), func(to messages.Addr) any {
		return messages.SetPolicy{Channel: id, Policy: p, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.channelError(op, id, err)
}

// Forwarding is the policy of channels that have none of their own: Config.Forwarding with its defaults.
func (n *Node) Forwarding() ForwardingPolicy { return n.cfg.Forwarding }

// Policies lists what both sides of this node's channels ask for, by channel id. A channel is missing until it has told of itself.
func (n *Node) Policies(ctx context.Context) ([]OwnPolicies, error) {
	l, err := askAgain[messages.PolicyList](ctx, n, messages.GraphAddr, func(to messages.Addr) any { return messages.ListPolicies{ReplyTo: to} })
	return l.Channels, n.fail("list policies", err)
}
