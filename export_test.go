package lnactor

import (
	"context"

	"github.com/lnactor/lnactor/actors/graph"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/messages"
)

// WrapSigner lets tests see what is signed.
func (c *Config) WrapSigner(wrap func(chankeys.Signer) chankeys.Signer) { c.signer = wrap }

// SetGossip makes gossip faster or slower.
func (c *Config) SetGossip(t graph.Times) { c.gossip = t }

// OpenPublic is OpenChannel for a channel that is announced.
func (n *Node) OpenPublic(ctx context.Context, p OpenParams) (ChannelID, error) {
	reply, err := ask[messages.OpenReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.RequestOpen{
			Peer: p.Peer, CapacitySat: p.CapacitySat, PushMsat: p.PushMsat, FeePerKw: 253, FundingFeePerKw: 253, Announce: true, ReplyTo: to,
		}
	})
	if err == nil {
		err = reply.Err
	}
	return reply.Channel, err
}
