package messages

import (
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// Channel <-> monitor.

// ChannelLoad asks the monitor for the facts: first thing that a channel's incarnation says. It makes every message of older incarnations stale.
type ChannelLoad struct {
	Channel     ln.ChannelID
	Incarnation uint64
}

// ChannelLoaded answers ChannelLoad, through the persister, so that all in Facts is durable. Facts belongs to the receiver.
type ChannelLoaded struct {
	Incarnation uint64
	UpdateID    uint64 // of the last update in Facts; the channel's next one is UpdateID+1
	Facts       *facts.Channel
}

// MonitorUpdate hands an update to the monitor: it is recorded, then Then is delivered (rule 1 of package actors). A nil Update records nothing
// and keeps Then in order behind all that was recorded before; it takes no UpdateID.
//
// All that a channel says to its peer goes this way, so that the order on the wire is the order on disk. The monitor drops an update, with its
// Then, that it must not let happen any more: one of a stale incarnation, or one that signs or revokes after the channel has ended (rule 18).
type MonitorUpdate struct {
	Channel     ln.ChannelID
	Incarnation uint64 // of the channel
	UpdateID    uint64 // strictly increasing by one within an incarnation, from ChannelLoaded.UpdateID+1; a gap or repeat quarantines the channel (S11)
	Update      facts.Update
	Then        []Delivery
	// Commits, with a nil Update, says that Then repeats a signature or a revocation. It is dropped after the channel has ended, like the updates
	// that sign or revoke: the one that it repeats may have been dropped itself (rule 18).
	Commits bool
}

// HTLCDecided tells the channel of a decision about an inbound HTLC, once it is durable: the removal can be proposed to the peer.
type HTLCDecided struct {
	HTLCID     uint64
	Resolution facts.Resolution
}

// MonitorFact tells the channel of an update that the monitor itself made (a confirmation, a decision to close), once it is durable, so that
// the channel can apply it to its copy of the facts.
type MonitorFact struct {
	Update facts.Update
}

// CreateChannel asks Monitors to start the pair of a new channel. The monitor records Opened as its first record and then delivers Then:
// funding_signed at the fundee (rule 2), the broadcast of the funding transaction at the funder (rule 3). If it can't be recorded, nothing of
// the channel remains and Then is not delivered. Else is delivered if the pair can't be started, as where a channel with this funding outpoint exists;
// the funder's coins are free again.
type CreateChannel struct {
	Opened facts.Opened
	Then   []Delivery
	Else   []Delivery
}

// ForceCloseChannel tells the monitor to decide to close unilaterally, unless proven behind. From the channel (protocol error, error of the
// peer) or the manager (user).
type ForceCloseChannel struct {
	Reason  facts.CloseReason
	Detail  string
	ReplyTo Addr // gets CloseReply, may be empty
}

// TrustRestored tells the monitor of a channel that was restored from a copy to take it for current, at the risk of all the money in it: from the
// operator, who knows that nothing happened after the copy was made. CloseReply answers behind the record.
type TrustRestored struct {
	Channel ln.ChannelID
	ReplyTo Addr
}

// Manager <-> monitor.

// MonitorHello tells the manager that a monitor, or the channel beside it, has a new incarnation: its fence has to be drawn again.
type MonitorHello struct {
	Channel     ln.ChannelID
	Incarnation uint64 // of the monitor
}

// ManagerHello tells Monitors that the manager has a new incarnation. Monitors answers with MonitorList.
type ManagerHello struct{ Incarnation uint64 }

// MonitorList names every channel that has a durable log, whether its monitor runs, still loads or is quarantined. The manager decides nothing
// about an attempt before each of these has reported; a quarantined one makes its attempts unknown.
type MonitorList struct {
	ManagerIncarnation uint64
	Channels           []ln.ChannelID
	Quarantined        []ln.ChannelID
	Incarnation        uint64 // larger than that of any monitor of Quarantined
}

// MonitorQuarantined tells the manager that a monitor stays down until an operator looks at it.
type MonitorQuarantined struct {
	Channel ln.ChannelID
	Why     string
	// Incarnation is larger than those of the channel's monitors until now. A MonitorHello of one of these may come later, as it goes by way of
	// the disk: nobody is there any more who would answer a fence.
	Incarnation uint64
}

// Fence asks for a report behind everything that older fences allowed: the channel drops the adds that are in no durable record and refuses
// those that carry another fence for ever after; then the monitor reports. Fences are drawn at every start of the manager, the monitor or the
// channel. Fence numbers grow strictly over manager incarnations of a process.
type Fence struct {
	Channel            ln.ChannelID
	ManagerIncarnation uint64
	Fence              uint64
}

// ChannelFence passes a Fence on from monitor to channel. A channel that still loads remembers it and answers once loaded.
type ChannelFence struct {
	Fence uint64
}

// ChannelFenced answers ChannelFence to the monitor.
type ChannelFenced struct {
	Incarnation uint64 // of the channel
	Fence       uint64
}

// MonitorReport answers a Fence. All in it is durable. From here on new events are emitted as EmitEvents, until the next fence.
type MonitorReport struct {
	ManagerIncarnation uint64
	Fence              uint64
	Channel            ln.ChannelID
	Incarnation        uint64
	Summary            ChannelSummary
	Events             []facts.Event // all unacknowledged, oldest first
	Swept              []uint64      // SpendableOutputs events among Events whose outputs are irrevocably spent
	Own                []OwnHTLC     // live outbound HTLCs, by id
	Withheld           bool          // the channel is restored from a copy and not verified: HTLCAccepted is not among Events until it is
	Inbound            []InboundHTLC // live inbound HTLCs and those gone whose HTLCAccepted is not acknowledged, by id
}

// OwnHTLC is a live outbound HTLC. Those that ended are found by payment id in BucketOutcomes, and in Events while unacknowledged.
type OwnHTLC struct {
	HTLCID     uint64
	Hash       ln.Hash
	AmountMsat uint64
	Source     ln.Source
	Preimage   *ln.Preimage // when the HTLC is claimed and waits for its removal; Claimed may be acknowledged already
}

// InboundHTLC is what a monitor knows about an HTLC that the peer offered.
type InboundHTLC struct {
	HTLCID     uint64
	Hash       ln.Hash
	AmountMsat uint64
	CLTVExpiry uint32
	Resolution *facts.Resolution // the decision, nil if none
	Resolved   bool              // irrevocably removed (InboundResolved)
	Fulfilled  bool              // when Resolved: with its preimage, so the money is ours
}

// EmitEvents carries new events, durable and in order.
type EmitEvents struct {
	Channel     ln.ChannelID
	Incarnation uint64 // of the monitor
	Fence       uint64
	Events      []facts.Event
}

// AckMonitorEvent says that the effect of the event is durable; the manager sends it and nobody else (rule 24). Idempotent; unknown ids are no error.
type AckMonitorEvent struct {
	Channel ln.ChannelID
	Seqs    []uint64
}

// DecideHTLC gives the manager's decision about an inbound HTLC to the monitor. It is recorded, then the channel is told, then the manager gets
// InboundDecided. Repeats are answered again; a second, different decision does not change the first, and the answer says which one stands.
type DecideHTLC struct {
	Channel    ln.ChannelID
	HTLCID     uint64
	Resolution facts.Resolution
}

// InboundDecided answers DecideHTLC once the decision is durable. Gone says that the HTLC is not live any more: Resolution is then what became of
// it, nil if that is not known any more.
type InboundDecided struct {
	Channel    ln.ChannelID
	HTLCID     uint64
	Resolution *facts.Resolution
	Gone       bool
	Buried     bool // what closed the channel has 6 confirmations, by the monitor's own blocks
}

// InboundResolved announces that an inbound HTLC was irrevocably removed.
type InboundResolved struct {
	Channel   ln.ChannelID
	HTLCID    uint64
	Fulfilled bool
}

// OutputsSwept announces that all outputs of a SpendableOutputs event are irrevocably spent: the event can be acknowledged.
type OutputsSwept struct {
	Channel ln.ChannelID
	Seq     uint64
}

// ChannelArchived tells the manager and Monitors, which passes it on to Peers, that a channel is over: everything of it is resolved and deep
// enough, its log is gone and a row in BucketClosed has taken its place (rule 23).
type ChannelArchived struct{ Channel ln.ChannelID }

// ChannelChanged tells the manager of a new summary: balances, confirmations, phase. A cache; only the newest counts.
type ChannelChanged struct{ Summary ChannelSummary }

// ChannelSummary is a channel as its monitor sees it, for decisions of the manager and for lists.
type ChannelSummary struct {
	Channel           ln.ChannelID
	Peer              ln.NodeID
	KeyIndex          uint32
	FundingTxid       [32]byte
	FundingIndex      uint32
	CapacitySat       uint64
	HolderIsFunder    bool
	Phase             Phase
	HolderMsat        uint64 // in the holder's commitment, HTLCs taken off, before fee and anchors
	CounterpartyMsat  uint64
	OutboundMsat      uint64 // in live HTLCs
	InboundMsat       uint64
	OutboundHTLCs     int
	InboundHTLCs      int
	FeePerKw          uint32
	Height            uint32 // of the last block that concerned the channel; where the chain stands is the wallet's to tell
	UnackedEvents     int
	OldestEvent       uint64    // seq of the oldest of them, 0 if there is none
	Deadlines         Deadlines // of the HTLCs of a channel that is not closed
	Confirmations     uint32    // of the funding transaction, counted up to MinDepth
	ShortChannelID    uint64    // 0 until confirmed
	Alias             uint64    // that we gave the counterparty, by which it is named in route hints and onions
	CounterpartyAlias uint64
	Announce          bool
	Policy            facts.Policy // zero: the node's default
	Unverified        bool         // restored from a copy, and the peer has not shown yet that it is current
	Behind            bool         // the peer proved that these facts are old
	ForceClose        *facts.ForceClosed
	Spent             *facts.FundingSpent
	Reserves          Reserves
	Balance           ChannelBalance
}

// ChannelBalance is where the holder's money in a channel is, in satoshis, as of ChannelSummary.Height. The parts are disjoint and add up to
// Total at every block, on chain and off.
type ChannelBalance struct {
	Available uint64 // open channel: ours, HTLCs, commitment fee and anchors taken off. Closed: ours for good, handed to the wallet and not swept yet
	InHTLCs   uint64 // offered by us: the counterparty's with the preimage, ours again after the expiry
	Awaiting  uint64 // ours, but it waits for confirmations or a delay
	Contested uint64 // claimable by us and by the counterparty: whoever is first
	Swept     uint64 // in the wallet, by a confirmed transaction, before the fee of that transaction
	Fees      uint64 // of the commitment if we are the funder, and anchors and outputs too small to claim
	Lost      uint64 // the counterparty took it: paid HTLCs, and what it was faster with
	Total     uint64
	// SpendableAt is the height at which the next part of Awaiting is ours to spend, 0 if none waits.
	SpendableAt uint32
}

// Reserves are what limits sending and receiving, in msat, as the BOLTs have it.
type Reserves struct {
	HolderMsat, CounterpartyMsat uint64 // what each side must keep
	HTLCMinimumMsat              uint64 // of the counterparty: the least we may offer
	MaxInFlightMsat              uint64 // of the counterparty
	MaxAcceptedHTLCs             uint16 // of the counterparty
}

// Phase is where a channel stands in its life.
type Phase uint8

// Phases.
const (
	PhaseFunding     Phase = iota + 1 // the funding transaction waits for confirmations or for channel_ready
	PhaseOpen                         // HTLCs can be exchanged whenever the peer is connected
	PhaseClosing                      // shutdown was sent or received
	PhaseMutualClose                  // the closing transaction is signed
	PhaseForceClosed                  // the holder commitment was or will be broadcast
	PhaseBehind                       // proven behind: waits for the counterparty's close
	PhaseClosed                       // the funding output is spent; see ChannelSummary.Balance for what is not resolved
	PhaseUnverified                   // restored from a copy: nothing is broadcast or signed until the peer shows that it is current
	PhaseUnburied                     // a reorganisation took the funding transaction out: no new HTLCs until it is as deep again
)

var phaseNames = [...]string{"", "funding", "open", "closing", "mutual-close", "force-closed", "behind", "closed", "unverified", "unburied"}

// String is the phase in a word.
func (p Phase) String() string {
	if int(p) < len(phaseNames) {
		return phaseNames[p]
	}
	return "unknown"
}
