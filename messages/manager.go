package messages

import (
	"time"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
)

// API -> manager.

// Pay starts a payment. The answer PayReply comes once the payment and its first parts are durable (rule 14), or refused: then nothing was recorded
// and the id is unused. Parts that fail are made anew over other routes until the deadline. The outcome comes as one user event.
type Pay struct {
	PaymentID         ln.PaymentID
	Hash              ln.Hash
	AmountMsat        uint64
	Payee             ln.NodeID
	Secret            [32]byte // payment_secret of the invoice
	Metadata          []byte   // payment_metadata of the invoice
	MinFinalCLTVDelta uint32
	Bolt11            string // for the record
	Hints             [][]route.Hint
	MPP               bool         // the payee takes parts
	Keysend           *ln.Preimage // a payment without an invoice: Hash is its hash, Secret drawn by the payer
	MaxFeeMsat        uint64       // of all parts together
	MaxParts          int          // 0: 16 if MPP
	Deadline          time.Time    // no part is made after it; zero: 60 s after the start
	ReplyTo           Addr
}

// PayReply answers Pay.
type PayReply struct{ Err error }

// GetPayment asks for a payment that this node made. The answer is PaymentReply.
type GetPayment struct {
	PaymentID ln.PaymentID
	ReplyTo   Addr
}

// PaymentReply answers GetPayment; Known is false for an id that was never used.
type PaymentReply struct {
	Known   bool
	Payment PaymentInfo
	Err     error
}

// ListPayments asks for payments: the first page has those under way, then finished ones in the order of their ids, the others only finished ones, at
// most Limit (0: 100) of those each. The answer is PaymentList. A payment that finishes between two pages may be on both.
type ListPayments struct {
	After   []byte // Next of the page before; empty: the first one
	Limit   int
	ReplyTo Addr
}

// PaymentList answers ListPayments.
type PaymentList struct {
	Payments []PaymentInfo
	Next     []byte // of the page after it; empty: there is none
	Err      error
}

// PaymentInfo is an outbound payment.
type PaymentInfo struct {
	PaymentID  ln.PaymentID
	Hash       ln.Hash
	AmountMsat uint64
	Payee      ln.NodeID
	Status     PaymentStatus
	Preimage   ln.Preimage // when sent, or lost
	Reason     string      // when failed; when unknown for good: why
	Lost       bool        // failed, and claimed by the payee all the same: see PaymentLost
	FeeMsat    uint64      // of the parts that are under way or were claimed
	MaxFeeMsat uint64      // while pending
	Deadline   time.Time   // while pending: no part is made after it
	Abandoned  bool
	Unproven   bool           // failed by a person's word: see PaymentFailed
	Parts      []OutboundPart // all that were made, by id
}

// OutboundPart is an HTLC of a payment, or one that was asked for.
type OutboundPart struct {
	ID         uint64
	Channel    ln.ChannelID
	AmountMsat uint64 // that arrives
	FeeMsat    uint64
	State      PartState
	Reason     string      // when failed
	Hops       []route.Hop // empty if the record of it was lost
}

// PartState is where a part stands.
type PartState uint8

// Part states.
const (
	PartPending PartState = iota + 1
	PartClaimed
	PartFailed
)

var partNames = [...]string{"", "pending", "claimed", "failed"}

// String is the state in a word.
func (s PartState) String() string {
	if int(s) < len(partNames) {
		return partNames[s]
	}
	return "invalid"
}

// PaymentStatus is where a payment stands.
type PaymentStatus uint8

// Payment statuses.
const (
	PaymentPending  PaymentStatus = iota + 1 // its outcome is open
	PaymentIsSent                            // the payee has the money, we have the preimage
	PaymentIsFailed                          // the payee can never claim it
	// PaymentUnknown: neither paid again nor given up. A channel may hold it that is quarantined, or restored and not verified; or, with a Reason, it may
	// have been claimed after the backup was made that the node goes on from, which nobody here will find out: AbandonPayment takes it as failed.
	PaymentUnknown
)

var statusNames = [...]string{"", "pending", "sent", "failed", "unknown"}

// String is the status in a word.
func (s PaymentStatus) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "invalid"
}

// ListChannels asks for ChannelList.
type ListChannels struct{ ReplyTo Addr }

// ChannelList answers ListChannels: by channel id. A channel whose monitor has not reported yet is missing; Loading counts those.
type ChannelList struct {
	Channels    []ChannelSummary
	Loading     int
	Quarantined []ln.ChannelID
}

// ListClosed asks for archived channels by channel id, at most Limit (0: 100). The answer is ClosedList.
type ListClosed struct {
	After   []byte // Next of the page before; empty: the first one
	Limit   int
	ReplyTo Addr
}

// ClosedList answers ListClosed.
type ClosedList struct {
	Channels []ClosedChannel
	Next     []byte // of the page after it; empty: there is none
	Err      error
}

// ClosedChannel is what is kept of an archived channel: all of its money went where it belongs, deep in the chain.
type ClosedChannel struct {
	Channel      ln.ChannelID
	Peer         ln.NodeID
	FundingTxid  [32]byte
	FundingIndex uint32
	CapacitySat  uint64
	ClosingTxid  [32]byte
	Spend        facts.SpendKind // whose transaction that is
	Height       uint32          // of its block
	SweptSat     uint64          // what came back to the wallet, before the fees of the sweeping transactions
	LostSat      uint64          // what the counterparty took: paid HTLCs, and what it was faster with
	FeesSat      uint64          // of the commitment if we were the funder, and what was too small to claim
}

// RequestOpen asks the manager to open a channel. The answer is OpenReply.
type RequestOpen struct {
	Peer            ln.NodeID
	CapacitySat     uint64
	PushMsat        uint64
	FeePerKw        uint32
	FundingFeePerKw uint32
	Announce        bool
	ReplyTo         Addr
}

// StartOpening asks Monitors to start a negotiation under OpeningAddr: Request is an OpenChannel or an AcceptChannel, First (if not nil) the
// peer's open_channel.
type StartOpening struct {
	TemporaryID ln.ChannelID
	Request     any
	First       *PeerMsg
}

// AwaitReady asks the manager to answer ManagerReady once every monitor has reported or is quarantined.
type AwaitReady struct{ ReplyTo Addr }

// ManagerReady answers AwaitReady.
type ManagerReady struct{ Quarantined int }

// ClaimHeld decides about a payment announced by PaymentClaimable: claim it, or fail it. The answer is ClaimReply, once the decision is durable.
type ClaimHeld struct {
	Hash     ln.Hash
	Claim    bool
	Preimage *ln.Preimage // needed if PaymentClaimable.PreimageUnknown
	ReplyTo  Addr
}

// ClaimReply answers ClaimHeld.
type ClaimReply struct{ Err error }

// OpeningEnded tells the manager that a negotiation is over, however it ended: the peer may begin another one.
type OpeningEnded struct {
	Peer        ln.NodeID
	TemporaryID ln.ChannelID
}

// MonitorsStarted goes from a new incarnation of Monitors to the manager, which says ManagerHello again if it still waits for the list.
type MonitorsStarted struct{ Incarnation uint64 }

// EventsStarted goes from a new incarnation of the actor at EventsAddr to the manager, which tells it again all that is not handled: what was in
// the hands of the dead one may be lost.
type EventsStarted struct{ Incarnation uint64 }

// FundsStarted goes from a new incarnation of the actor at FundsAddr to the manager, which hands it all outputs again that are not swept.
type FundsStarted struct{ Incarnation uint64 }
