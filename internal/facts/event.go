package facts

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/ln"
)

// Event is a MonitorEvent: a fact of a channel whose effect somewhere else must not be lost. It is written with the fact that caused it, emitted
// until it is acknowledged, and its Seq never names another one (S8).
type Event struct {
	Seq  uint64
	Kind EventKind
}

// EventKind is the closed set of what an event can say.
type EventKind interface{ eventKind() }

// Claimed: the preimage of an own outbound HTLC is known. Final.
type Claimed struct {
	HTLCID     uint64
	Hash       ln.Hash
	Source     ln.Source
	AmountMsat uint64
	Preimage   ln.Preimage
	OnChain    bool
}

// Failed: an own outbound HTLC can never be claimed any more; with OutcomeUnknown that is not certain.
type Failed struct {
	HTLCID     uint64
	Hash       ln.Hash
	Source     ln.Source
	AmountMsat uint64
	Resolution Resolution // Reason or Malformed; neither is set when Local says why
	Local      FailCode
}

// FailCode is a reason for a failure that did not come from the counterparty.
type FailCode uint8

// Reasons.
const (
	FailedByPeer    FailCode = iota // Resolution says why
	OnChainTimeout                  // the deciding transaction on chain is irrevocable
	InboundExpiring                 // not final: given up to save the inbound channel of a forward (the 3-block rule)
	OutcomeUnknown                  // what closed the channel is newer than our records: nobody can say whether it was claimed before
)

// HTLCAccepted: an inbound HTLC is irrevocably committed and waits for a decision.
type HTLCAccepted struct {
	HTLCID     uint64
	AmountMsat uint64
	Hash       ln.Hash
	CLTVExpiry uint32
	Onion      []byte

	// OverDust: too much would be in HTLCs without an output if this one were kept: it is to be failed (BOLT 2, bounding exposure to trimmed HTLCs).
	OverDust bool

	// Unburied: the funding transaction left the chain and is not deep again, so what this HTLC pays may be worth nothing: it is to be failed.
	Unburied bool
}

// CommitmentTxConfirmed: the funding output was spent by a confirmed transaction. Again when a reorganisation puts another spender in.
type CommitmentTxConfirmed struct {
	Txid   chainhash.Hash
	Height uint32
	Spend  SpendKind
}

// SpendKind says whose transaction spent the funding output.
type SpendKind uint8

// Kinds of spends.
const (
	SpendUnknown SpendKind = iota
	SpendHolder
	SpendCounterparty
	SpendRevoked
	SpendMutualClose
)

// HolderForceClosed: we decided to broadcast the holder commitment.
type HolderForceClosed struct {
	Reason CloseReason
	Detail string
}

// CloseReason says why a channel was closed by us alone.
type CloseReason uint8

// Reasons to close.
const (
	CloseByUser CloseReason = iota + 1
	CloseByProtocolError
	CloseByPeerError
	CloseByHTLCDeadline
	CloseByReorganisation // the transaction that closed the channel left the chain and did not come back
	CloseByFundingTimeout // the peer did not fund the channel in time: nothing is broadcast
)

// SpendableOutputs: these outputs are the holder's alone, for good; the wallet takes them.
type SpendableOutputs struct{ Outputs []SpendableOutput }

// SpendableOutput is an output with all that it takes to spend it.
type SpendableOutput struct {
	Output        wire.OutPoint
	ValueSat      uint64
	Kind          SpendableKind
	KeyIndex      uint32 // of the channel
	WitnessScript []byte
	Sequence      uint32   // of the input that spends it: its relative lock time, in blocks (BIP 68)
	Point         [33]byte // per-commitment point of the commitment; of delayed outputs only
}

// SpendableKind says which key spends the output.
type SpendableKind uint8

// Kinds (BOLT 3).
const (
	SpendableDelayed  SpendableKind = iota + 1 // to_local, or the output of an HTLC transaction of ours, after to_self_delay
	SpendableToRemote                          // to_remote of the counterparty's commitment
	SpendableAnchor                            // our anchor; anybody may take it after 16 blocks
)

// ChannelPending: the channel is durable, its funding transaction awaits confirmations.
type ChannelPending struct{}

// ChannelReady: both sides sent channel_ready.
type ChannelReady struct{}

func (Claimed) eventKind()               {}
func (Failed) eventKind()                {}
func (HTLCAccepted) eventKind()          {}
func (CommitmentTxConfirmed) eventKind() {}
func (HolderForceClosed) eventKind()     {}
func (SpendableOutputs) eventKind()      {}
func (ChannelPending) eventKind()        {}
func (ChannelReady) eventKind()          {}
