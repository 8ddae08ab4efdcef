package lnactor

import (
	"context"
	"errors"
	"fmt"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// Connect makes a lasting connection to a node: it is made again whenever it is lost, until Disconnect. It returns once the first attempt has
// ended; with an error the attempts go on.
func (n *Node) Connect(ctx context.Context, id NodeID, address string) error {
	reply, err := ask[messages.ConnectReply](ctx, n, messages.PeersAddr, func(to messages.Addr) any {
		return messages.ConnectPeer{Peer: id, Address: address, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.fail("connect", err)
}

// Disconnect ends the connection to a node and its attempts. Channels stay open.
func (n *Node) Disconnect(ctx context.Context, id NodeID) error {
	reply, err := ask[messages.ConnectReply](ctx, n, messages.PeersAddr, func(to messages.Addr) any {
		return messages.DisconnectPeer{Peer: id, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.fail("disconnect", err)
}

// Peers lists the nodes that we are or want to be connected to.
func (n *Node) Peers(ctx context.Context) ([]Peer, error) {
	reply, err := askAgain[messages.PeerList](ctx, n, messages.PeersAddr, func(to messages.Addr) any {
		return messages.ListPeers{ReplyTo: to}
	})
	return reply.Peers, n.fail("list peers", err)
}

// OpenParams describe a channel to open.
type OpenParams struct {
	Peer        NodeID // connected
	CapacitySat uint64
	PushMsat    uint64 // given to the peer at once
	FeePerKw    uint32 // of the funding and the commitment transactions; 0: an estimate
	Announce    bool   // tell everybody of it, so that others route over it; it can't be changed later
}

// OpenChannel opens a channel and funds it from the wallet. It returns when the channel is durable and its funding transaction handed to the chain;
// ChannelReady tells when it can be used. With an error nothing was opened and no coin is bound, but for errors of the context, messages.Fault
// and ErrOpeningLost: then look at Channels before you call it again, since every call opens a channel. It waits for as long as the context lets it, for
// a peer that does not answer too: give it a deadline.
func (n *Node) OpenChannel(ctx context.Context, p OpenParams) (ChannelID, error) {
	const op = "open channel"
	fee, err := n.openingFee(ctx, p.FeePerKw)
	if err != nil {
		return ChannelID{}, n.fail(op, err)
	}
	peers, err := n.Peers(ctx)
	if err != nil {
		return ChannelID{}, err
	}
	connected := false
	for _, q := range peers {
		connected = connected || q.Peer == p.Peer && q.Connected
	}
	if !connected {
		return ChannelID{}, &Error{Op: op, Err: fmt.Errorf("%w %s", ErrNotConnected, p.Peer), Hint: "connect to it first"}
	}
	reply, err := ask[messages.OpenReply](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.RequestOpen{
			Peer: p.Peer, CapacitySat: p.CapacitySat, PushMsat: p.PushMsat, FeePerKw: fee, FundingFeePerKw: fee, Announce: p.Announce, ReplyTo: to,
		}
	})
	if err == nil {
		err = reply.Err
	}
	return reply.Channel, n.fail(op, err)
}

// feeTarget is the number of blocks within which the transactions of a channel that opens or closes should confirm.
const feeTarget = 6

// openingFee is the one given, or a fresh estimate: a channel is not opened on a stale one, since its commitments would carry it.
func (n *Node) openingFee(ctx context.Context, given uint32) (uint32, error) {
	if given != 0 {
		return given, nil
	}
	if err := n.fees.Ready(ctx); err != nil {
		return 0, fmt.Errorf("%w; set Config.FeeURL or Config.FeePerKw, or give a fee rate", err)
	}
	return n.feeRate(ctx)
}

// feeRate is an estimate, a stale one if need be: what has begun must go on.
func (n *Node) feeRate(ctx context.Context) (uint32, error) {
	rate, err := n.fees.FeeRate(ctx, feeTarget)
	return uint32(rate), err //nolint:gosec // estimates have a ceiling
}

// FeeHealth says where fee rates come from and how far they can be relied on.
func (n *Node) FeeHealth() FeeHealth { return n.fees.Health() }

// CloseChannel starts a cooperative close (BOLT 2): no new payments, and once none is in flight the money goes to the wallet. It returns when the
// start is durable; ChannelClosed tells when the closing transaction has confirmed. It may be repeated: ErrAlreadyClosed says that the channel has ended.
func (n *Node) CloseChannel(ctx context.Context, id ChannelID) error {
	const op = "close channel"
	if err := n.known(ctx, op, id); err != nil {
		return err
	}
	script, err := n.wallet.NewScript()
	if err != nil {
		return n.channelError(op, id, err)
	}
	fee, err := n.feeRate(ctx)
	if err != nil {
		return n.channelError(op, id, err)
	}
	reply, err := askAgain[messages.CloseReply](ctx, n, messages.ChannelAddr(id), func(to messages.Addr) any {
		return messages.CloseChannel{Script: script, FeePerKw: fee, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.channelError(op, id, err)
}

// ForceCloseChannel broadcasts the holder's commitment transaction and claims what is ours of it, as time locks and the chain allow. It returns when
// the decision is durable; ChannelClosed tells of it, Channel.Balance where the money is, and ChannelResolved when all of it is where it belongs.
func (n *Node) ForceCloseChannel(ctx context.Context, id ChannelID) error {
	const op = "force-close channel"
	if err := n.known(ctx, op, id); err != nil {
		return err
	}
	reply, err := askAgain[messages.CloseReply](ctx, n, messages.MonitorAddr(id), func(to messages.Addr) any {
		return messages.ForceCloseChannel{Reason: facts.CloseByUser, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.channelError(op, id, err)
}

// SetChannelFee asks for another fee rate of the commitment transactions, as the funder of the channel may (BOLT 2, update_fee). It returns at once:
// the channel proposes the fee when it can, or not at all if the funder could not pay it.
func (n *Node) SetChannelFee(ctx context.Context, id ChannelID, feePerKw uint32) error {
	if err := n.known(ctx, "set channel fee", id); err != nil {
		return err
	}
	n.env.Tell(messages.ChannelAddr(id), messages.UpdateFee{FeePerKw: feePerKw})
	return nil
}

// known refuses ids of no channel, which nobody would answer for.
func (n *Node) known(ctx context.Context, op string, id ChannelID) error {
	list, err := n.Channels(ctx)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.Channel == id {
			return nil
		}
	}
	return n.channelError(op, id, ErrNotFound)
}

func (n *Node) channelError(op string, id ChannelID, err error) error {
	var e *Error
	if err := n.fail(op, err); errors.As(err, &e) {
		e.Channel = id
		return e
	}
	return nil
}

// ChannelBalance is where the holder's money in a channel is, in satoshis.
type ChannelBalance = messages.ChannelBalance

// FundingSpent is the transaction that closed a channel.
type FundingSpent = facts.FundingSpent

// SpendKind says whose transaction closed a channel.
type SpendKind = facts.SpendKind

// Kinds of spends.
const (
	SpendUnknown      = facts.SpendUnknown
	SpendHolder       = facts.SpendHolder
	SpendCounterparty = facts.SpendCounterparty
	SpendRevoked      = facts.SpendRevoked
	SpendMutualClose  = facts.SpendMutualClose
)

// ClosedChannel is what is kept of a channel whose end on chain is complete.
type ClosedChannel = messages.ClosedChannel

// Channels lists the channels whose monitors have loaded, by id. One that was closed stays, in PhaseClosed and with the transaction that closed it in
// Spent, until all of its money is where it belongs, deep in the chain; then it is among ClosedChannels.
func (n *Node) Channels(ctx context.Context) ([]Channel, error) {
	reply, err := askAgain[messages.ChannelList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListChannels{ReplyTo: to}
	})
	return reply.Channels, n.fail("list channels", err)
}

// ClosedChannels lists the channels whose end on chain is complete, by id, at most limit of them (0: 100). next is the page that follows, empty if there
// are no more; an empty page is the first.
func (n *Node) ClosedChannels(ctx context.Context, page []byte, limit int) (list []ClosedChannel, next []byte, err error) {
	reply, err := askAgain[messages.ClosedList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListClosed{After: page, Limit: limit, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return reply.Channels, reply.Next, n.fail("list closed channels", err)
}

// Quarantined lists the channels that stay down until an operator looks at them; payments that they may hold wait.
func (n *Node) Quarantined(ctx context.Context) ([]ChannelID, error) {
	reply, err := askAgain[messages.ChannelList](ctx, n, messages.ManagerAddr, func(to messages.Addr) any {
		return messages.ListChannels{ReplyTo: to}
	})
	return reply.Quarantined, n.fail("list channels", err)
}

// Balance is the node's money.
type Balance struct {
	ConfirmedSat   uint64 // on chain, spendable
	UnconfirmedSat uint64 // on chain, waiting for a block
	ReservedSat    uint64 // on chain, bound by a channel that is being opened
	ChannelsMsat   uint64 // in channels, without HTLCs under way, before commitment fees
	OutboundMsat   uint64 // in HTLCs that we offered
	InboundMsat    uint64 // in HTLCs that were offered to us
	ClosingSat     uint64 // of closed channels: ours, and waiting for confirmations, for a delay or for the sweep into the wallet
	ContestedSat   uint64 // of closed channels: ours or the counterparty's, see ChannelBalance
}

// Balance adds up the wallet, the open channels and what is to come from closed ones.
func (n *Node) Balance(ctx context.Context) (Balance, error) {
	list, err := n.Channels(ctx)
	if err != nil {
		return Balance{}, err
	}
	w := n.wallet.Balance()
	b := Balance{ConfirmedSat: uint64(w.Confirmed), UnconfirmedSat: uint64(w.Unconfirmed), ReservedSat: uint64(w.Reserved)}
	for _, c := range list {
		if c.Phase == PhaseClosed {
			b.ClosingSat += c.Balance.Available + c.Balance.Awaiting
			b.ContestedSat += c.Balance.InHTLCs + c.Balance.Contested
			continue
		}
		b.ChannelsMsat += c.HolderMsat
		b.OutboundMsat += c.OutboundMsat
		b.InboundMsat += c.InboundMsat
	}
	return b, nil
}

// TrustRestored takes a channel that was restored from a backup for current, at the risk of all the money in it: if anything happened in the channel
// after the backup was made, a close by this node forfeits it. It returns when that is durable. Errors: ErrVerified, ErrBehind, ErrQuarantined.
func (n *Node) TrustRestored(ctx context.Context, id ChannelID) error {
	const op = "trust restored channel"
	if err := n.known(ctx, op, id); err != nil {
		return err
	}
	reply, err := askAgain[messages.CloseReply](ctx, n, messages.MonitorAddr(id), func(to messages.Addr) any {
		return messages.TrustRestored{Channel: id, ReplyTo: to}
	})
	if err == nil {
		err = reply.Err
	}
	return n.channelError(op, id, err)
}
