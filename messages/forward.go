package messages

import (
	"time"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// HTLCCommitted goes from a monitor to the manager: the outbound HTLC of a forward is durable in the channel (rule 9), so the HTLCAccepted that it
// was made for can be acknowledged. It is a hint: lost, the next report (Own) or the HTLC's outcome says the same.
type HTLCCommitted struct {
	Channel ln.ChannelID
	HTLCID  uint64
	Source  ln.ForwardSource
}

// SetPolicy asks a monitor to make a channel's policy durable. The answer is PolicyReply.
type SetPolicy struct {
	Channel ln.ChannelID
	Policy  facts.Policy
	ReplyTo Addr
}

// PolicyReply answers SetPolicy once the policy is durable, or refused.
type PolicyReply struct{ Err error }

// InterceptHTLC asks the node's interceptor about an HTLC that this node is asked to forward. It is told again at every start of the manager until the
// HTLC is decided; the decision is durable in the monitors, like any other.
type InterceptHTLC struct {
	Channel            ln.ChannelID // inbound
	HTLCID             uint64
	Hash               ln.Hash
	AmountMsat         uint64 // inbound
	CLTVExpiry         uint32 // inbound
	NextSCID           uint64 // where the onion sends it; maybe of no channel of ours
	ForwardMsat        uint64 // what the onion says goes out
	OutgoingCLTVExpiry uint32
	Deadline           uint32 // height at which it is failed when nobody has decided
}

// InterceptAction is what an interceptor decides.
type InterceptAction uint8

// Actions.
const (
	InterceptForward InterceptAction = iota + 1 // as if there was no interceptor; Channel and ForwardMsat change where and how much, if set
	InterceptFail                               // fail it with Code
	InterceptSettle                             // claim it with Preimage
)

// DecideIntercepted is an interceptor's decision about the HTLC of an InterceptHTLC. The answer is InterceptReply, or without ReplyTo the log.
type DecideIntercepted struct {
	Channel     ln.ChannelID // inbound
	HTLCID      uint64
	Action      InterceptAction
	Out         ln.ChannelID // InterceptForward: over this channel of ours; zero: where the onion says
	ForwardMsat uint64       // InterceptForward: so much, at most what the onion says (a skimmed fee); 0: what the onion says
	Code        uint16       // InterceptFail: BOLT 4 code; 0: temporary_channel_failure
	Preimage    ln.Preimage  // InterceptSettle
	ReplyTo     Addr
}

// InterceptReply answers DecideIntercepted.
type InterceptReply struct{ Err error }

// PaymentForwarded: an HTLC that we forwarded was claimed downstream, and the inbound one is ours (claimed from the peer, or on chain). Final.
type PaymentForwarded struct {
	Hash                  ln.Hash
	InChannel, OutChannel ln.ChannelID
	InHTLCID, OutHTLCID   uint64
	InAmountMsat          uint64 // 0 if it is not known: of an HTLC that an older release forwarded
	OutAmountMsat         uint64
	FeeMsat               uint64 // the difference, skimmed fees included
	OnChain               bool   // the preimage came from the chain
	ClaimLost             bool   // the inbound HTLC was gone already: we paid and were not paid. Logged as an error too
}

// HTLCHandlingFailed: an HTLC that we were asked to forward, or that was for us, was failed, here or downstream. Told once it is durable; for insight
// only, so it is left out when too many user events are not handled.
type HTLCHandlingFailed struct {
	Channel    ln.ChannelID // inbound
	HTLCID     uint64
	Hash       ln.Hash
	AmountMsat uint64
	NextSCID   uint64       // where it should have gone, 0 if it was for us
	OutChannel ln.ChannelID // if it was offered there and failed downstream
	Reason     string
}

func (PaymentForwarded) userEvent()   {}
func (HTLCHandlingFailed) userEvent() {}

// AbandonPayment stops the retries of a payment: no new parts are made, and it fails when no part is live. It may still be sent, by parts that are
// live. A payment whose outcome is unknown for good is taken as failed: ask the payee before. The answer is AbandonReply, once that is durable.
type AbandonPayment struct {
	PaymentID ln.PaymentID
	ReplyTo   Addr
}

// AbandonReply answers AbandonPayment.
type AbandonReply struct{ Err error }

// Wake is said by the manager's shell to its core when the time that the core asked for has come.
type Wake struct{ At time.Time }

// InterceptorAddr is the actor that asks the embedder's interceptor.
const InterceptorAddr Addr = "interceptor"

// OwnUpdate tells the manager of a channel_update that the graph made, whenever it makes one, for the failures that carry it (BOLT 4). SCID is what it
// names the channel by; a payer may know the same channel by an alias too.
type OwnUpdate struct {
	Channel ln.ChannelID
	SCID    uint64
	Raw     []byte // with its message type
}

// GetOwnUpdates asks the graph to tell OwnUpdate again for each channel of this node.
type GetOwnUpdates struct{ ReplyTo Addr }

// MayArchive asks the manager whether a monitor may give its log up: an HTLC or an event of another monitor may still name its channel as inbound (rule
// 23). The answer is ArchiveGranted, or none: then it is asked again with the next block.
type MayArchive struct {
	Channel     ln.ChannelID
	Incarnation uint64 // of the monitor
}

// ArchiveGranted answers MayArchive. It stays true: nothing is forwarded from a channel that is resolved.
type ArchiveGranted struct {
	Channel     ln.ChannelID
	Incarnation uint64
}

// InterceptorStarted goes from a new incarnation of the actor at InterceptorAddr to the manager, which tells it again what is not decided.
type InterceptorStarted struct{ Incarnation uint64 }
