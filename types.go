package lnactor

import (
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/fees"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

// Identifiers. All print as hexadecimal.
type (
	// NodeID is a node's compressed public key.
	NodeID = ln.NodeID
	// ChannelID identifies a channel (BOLT 2).
	ChannelID = ln.ChannelID
	// PaymentID is the caller's idempotency key of a payment.
	PaymentID = ln.PaymentID
	// Hash is a payment hash.
	Hash = ln.Hash
	// Preimage is a proof of payment.
	Preimage = ln.Preimage
)

// ParseNodeID reads 66 hexadecimal digits.
func ParseNodeID(s string) (NodeID, error) { return ln.ParseNodeID(s) }

// ParseChannelID reads 64 hexadecimal digits.
func ParseChannelID(s string) (ChannelID, error) { return ln.ParseChannelID(s) }

// What the node tells about itself.
type (
	// Channel is a channel as its monitor sees it.
	Channel = messages.ChannelSummary
	// Phase is where a channel stands in its life.
	Phase = messages.Phase
	// Payment is an outbound payment.
	Payment = messages.PaymentInfo
	// PaymentStatus is where a payment stands.
	PaymentStatus = messages.PaymentStatus
	// OutboundPart is an HTLC of a payment.
	OutboundPart = messages.OutboundPart
	// PartState is where a part of a payment stands.
	PartState = messages.PartState
	// Peer is a node that we are or want to be connected to.
	Peer = messages.PeerInfo
	// ChainSource is a view of the chain; see package regtest for the embedded one.
	ChainSource = chain.Source

	// FeeHealth is the state of the fee estimates.
	FeeHealth = fees.Health
	// ForceClosed says why this node closed a channel alone.
	ForceClosed = facts.ForceClosed
	// SupervisionEvent tells of crashes and restarts of actors.
	SupervisionEvent = supervisor.Event
)

// Phases of a channel.
const (
	PhaseFunding     = messages.PhaseFunding
	PhaseOpen        = messages.PhaseOpen
	PhaseClosing     = messages.PhaseClosing
	PhaseMutualClose = messages.PhaseMutualClose
	PhaseForceClosed = messages.PhaseForceClosed
	PhaseBehind      = messages.PhaseBehind
	PhaseClosed      = messages.PhaseClosed
	PhaseUnverified  = messages.PhaseUnverified
	PhaseUnburied    = messages.PhaseUnburied
)

// Statuses of a payment.
const (
	PaymentPending = messages.PaymentPending
	PaymentIsSent  = messages.PaymentIsSent
	PaymentFailure = messages.PaymentIsFailed
	PaymentUnknown = messages.PaymentUnknown
)

// States of a part.
const (
	PartPending = messages.PartPending
	PartClaimed = messages.PartClaimed
	PartFailed  = messages.PartFailed
)

// Event is a user event. Kind is one of the types below.
type Event = messages.UserEvent

// PaymentPart is an HTLC of a payment to us.
type PaymentPart = messages.PaymentPart

// CustomRecord is what a payer's application said in the onion.
type CustomRecord = messages.CustomRecord

// Kinds of events.
type (
	PaymentSent      = messages.PaymentSent
	PaymentFailed    = messages.PaymentFailed
	PaymentClaimable = messages.PaymentClaimable
	PaymentClaimed   = messages.PaymentClaimed
	ChannelPending   = messages.ChannelPending
	ChannelReady     = messages.ChannelReady
	ChannelClosed    = messages.ChannelClosed
)

// Causes of ChannelClosed.
const (
	ClosedByUs           = messages.ClosedByUs
	ClosedMutually       = messages.ClosedMutually
	ClosedByPeer         = messages.ClosedByPeer
	ClosedByRevoked      = messages.ClosedByRevoked
	ClosedByUnknownSpend = messages.ClosedByUnknownSpend
)
