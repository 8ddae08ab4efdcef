package messages

import (
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// EventsAddr is the actor that hands user events to whoever embeds the node.
const EventsAddr Addr = "events"

// UserEvents carries user events from the manager, in order. Each comes at least once until it is handled, and again with every new incarnation
// of the manager; the ID is stable, so that a consumer that remembers ids handles each exactly once.
type UserEvents struct {
	Incarnation uint64 // of the manager; a larger one than before begins a new list
	Events      []UserEvent
}

// UserEvent is one event for the user.
type UserEvent struct {
	ID   string
	Kind UserEventKind
}

// UserEventHandled tells the manager that the user handled the event: only now may what caused it be acknowledged (rule 24).
type UserEventHandled struct{ ID string }

// UserEventKind is the closed set of user events.
type UserEventKind interface{ userEvent() }

// PaymentSent: a payment of ours reached the payee. Final.
type PaymentSent struct {
	PaymentID  ln.PaymentID
	Hash       ln.Hash
	Preimage   ln.Preimage // the proof of payment
	AmountMsat uint64
	FeeMsat    uint64 // paid to nodes on the way, on top; 0 too if the record of the payment was lost
}

// PaymentFailed: a payment of ours can never be claimed any more. Final. What a reorganisation deeper than 6 blocks may make of that is PaymentLost.
// Unproven is the exception: its outcome was unknown (PaymentUnknown, after a restore) and it was abandoned, which is a person's word that it was not
// made. It may have been claimed.
type PaymentFailed struct {
	PaymentID  ln.PaymentID
	Hash       ln.Hash
	AmountMsat uint64
	Reason     string
	Unproven   bool
}

// PaymentClaimable: somebody paid us, all parts are here, and ClaimHeld has to decide; only if the node or the invoice was set to ask. It is failed by
// itself when Deadline, a block height, comes, or when a part is gone.
type PaymentClaimable struct {
	Hash            ln.Hash
	AmountMsat      uint64 // of all parts
	Deadline        uint32
	Parts           []PaymentPart  // by channel and HTLC
	Records         []CustomRecord // of the payer's application, by type
	PreimageUnknown bool           // the hash was given to the node: ClaimHeld has to bring the preimage
}

// PaymentPart is an HTLC of a payment to us.
type PaymentPart struct {
	Channel    ln.ChannelID
	HTLCID     uint64
	AmountMsat uint64
}

// CustomRecord is what a payer's application said in the onion. Types are 65536 and higher; of an even type the application has to know what it means,
// or refuse the payment (BOLT 1).
type CustomRecord struct {
	Type  uint64
	Value []byte
}

// PaymentLost: a payment that PaymentFailed was told of was claimed by the payee on chain after all. That takes a reorganisation deeper than 6 blocks.
// The payment stays failed, for whoever acted on that, but the money is gone. Once a payment.
type PaymentLost struct {
	PaymentID  ln.PaymentID
	Hash       ln.Hash
	Preimage   ln.Preimage // the proof of payment
	AmountMsat uint64      // of the HTLC
	Channel    ln.ChannelID
	HTLCID     uint64
}

// PaymentClaimed: a payment to us is ours: its preimage is durable, and the HTLCs are claimed with it from the peers, or on chain where a channel is
// closed. Should that fail for a part, ClaimLost follows.
type PaymentClaimed struct {
	Hash       ln.Hash
	AmountMsat uint64       // of all parts
	Channel    ln.ChannelID // of the first part
	HTLCID     uint64
	Parts      []PaymentPart  // by channel and HTLC
	Records    []CustomRecord // of the payer's application, by type
}

// ClaimLost: a part of a payment that PaymentClaimed told of, or an HTLC that an interceptor settled, did not come in: its channel was closed and the HTLC
// ended without our preimage, because it timed out first, was too small for an output, or was in no commitment that confirmed. The payer has that money
// back, and may have the preimage.
type ClaimLost struct {
	Hash       ln.Hash
	AmountMsat uint64 // of the part
	Channel    ln.ChannelID
	HTLCID     uint64
}

// ChannelPending: a channel was made and its funding transaction waits for confirmations.
type ChannelPending struct {
	Channel      ln.ChannelID
	Peer         ln.NodeID
	FundingTxid  [32]byte
	FundingIndex uint32
}

// ChannelReady: a channel can be used.
type ChannelReady struct {
	Channel ln.ChannelID
	Peer    ln.NodeID
}

// ChannelClosed: a channel has ended or is about to: we decided to broadcast, or the funding output was spent. Once a channel, with the cause known
// first: that the counterparty's commitment confirmed instead of ours, or that a reorganisation put another transaction in, is in
// ChannelSummary.Spent and in the end in ChannelResolved.
type ChannelClosed struct {
	Channel ln.ChannelID
	Peer    ln.NodeID
	Cause   ClosedBy
	Force   *facts.ForceClosed // when Cause is ClosedByUs: why
	Txid    [32]byte           // of the confirmed spend, zero while there is none
}

// ChannelResolved: all money of a closed channel went where it belongs, deep in the chain, and the channel is archived.
type ChannelResolved struct{ Closed ClosedChannel }

// ClosedBy says how a channel ended.
type ClosedBy uint8

// Causes.
const (
	ClosedByUs           ClosedBy = iota + 1 // we decided to broadcast our commitment
	ClosedMutually                           // the cooperative close confirmed
	ClosedByPeer                             // the counterparty's commitment confirmed
	ClosedByRevoked                          // a revoked commitment of the counterparty confirmed
	ClosedByUnknownSpend                     // something else spent the funding output
)

func (PaymentSent) userEvent()      {}
func (PaymentFailed) userEvent()    {}
func (PaymentClaimable) userEvent() {}
func (PaymentClaimed) userEvent()   {}
func (PaymentLost) userEvent()      {}
func (ClaimLost) userEvent()        {}
func (ChannelPending) userEvent()   {}
func (ChannelReady) userEvent()     {}
func (ChannelClosed) userEvent()    {}
func (ChannelResolved) userEvent()  {}
