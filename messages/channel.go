package messages

import (
	"github.com/lnactor/lnactor/internal/ln"
)

// Manager -> channel.

// AddHTLC offers an outbound HTLC. The channel commits to it with its next commitment_signed, or answers NotCommitted. It may be lost: the
// next report of the monitor then lacks it, and the manager decides (see Fence).
type AddHTLC struct {
	Fence      uint64 // the last one that the manager drew for this channel; any other is refused without an answer
	AmountMsat uint64
	Hash       ln.Hash
	CLTVExpiry uint32
	Onion      []byte // 1366 bytes
	Source     ln.Source
}

// RecallHTLC takes back an AddHTLC of a part of ours that is in no commitment yet: the channel answers it with NotCommitted, and says nothing to one of an HTLC
// that is, or that it does not know.
type RecallHTLC struct {
	Fence     uint64 // as in AddHTLC
	PaymentID ln.PaymentID
	PartID    uint64
}

// NotCommitted answers AddHTLC: the HTLC is in no commitment and never will be.
type NotCommitted struct {
	Channel ln.ChannelID
	Fence   uint64
	Source  ln.Source
	Down    bool // nothing but the absence of the peer was in the way: ChannelLink tells when it is back
	Why     error
}

// ChannelLink tells the manager whether the peer is connected, the channel re-established and not being closed. It is told
// again behind every fence. Only a hint: what counts is what the channel says to AddHTLC.
type ChannelLink struct {
	Channel ln.ChannelID
	Up      bool
}

// CloseChannel asks for a cooperative close.
type CloseChannel struct {
	Script   []byte // where our money goes
	FeePerKw uint32 // aimed at; 0 for the channel's estimate
	ReplyTo  Addr   // gets CloseReply when shutdown is durable or refused; may be empty
}

// CloseReply answers CloseChannel and ForceCloseChannel. Nil: the close is durably under way.
type CloseReply struct{ Err error }

// UpdateFee asks the funder's channel to change the commitment fee rate.
type UpdateFee struct{ FeePerKw uint32 }

// CommitmentFee tells channels the fee rate that the commitments which this node pays should have. From the wallet's actor, which hears the estimates:
// through Monitors to all channels whenever the rate has changed by much, and in answer to AskCommitmentFee.
type CommitmentFee struct{ FeePerKw uint32 }

// AskCommitmentFee asks for the rate, from a channel that starts. There is no answer as long as there is no estimate; with the first one all are told.
type AskCommitmentFee struct{ Channel ln.ChannelID }

// Manager -> opening.

// OpenChannel starts the negotiation of a channel that we fund. KeyIndex is durable (rule 1).
type OpenChannel struct {
	TemporaryID     ln.ChannelID
	Peer            ln.NodeID
	KeyIndex        uint32
	CapacitySat     uint64
	PushMsat        uint64
	FeePerKw        uint32 // of the commitment
	FundingFeePerKw uint32
	Announce        bool
	ReplyTo         Addr // gets OpenReply
}

// AcceptChannel starts the negotiation of a channel that the peer funds: the open_channel message comes as the first PeerMsg. KeyIndex is durable (rule 1).
type AcceptChannel struct {
	TemporaryID ln.ChannelID
	Peer        ln.NodeID
	KeyIndex    uint32
}

// OpenReply answers OpenChannel: the channel is durable and its funding transaction handed to the chain, or Err.
type OpenReply struct {
	Channel      ln.ChannelID
	FundingTxid  [32]byte
	FundingIndex uint32
	Err          error
}
