package record

import (
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// Record is one entry of a channel's log. Authoritative.
type Record struct {
	Index    uint64 // from 1 without a gap; 0 is the next, in a mark that was made without reading the log (Mark)
	UpdateID uint64 // of an update of the channel, 0 for the monitor's own
	Updates  []facts.Update
	Events   []facts.Event // made by these updates
	Acked    []uint64      // events that end with this record, ascending
}

// Mark tells whether the record is what a restore appends to a log that it can't read: it marks the channel whatever is before it.
func (r *Record) Mark() bool {
	if r.Index != 0 || r.UpdateID != 0 || len(r.Updates) != 1 || len(r.Events) > 0 || len(r.Acked) > 0 {
		return false
	}
	_, ok := r.Updates[0].(facts.Restored)
	return ok
}

// Snapshot stands for all records up to Index. Authoritative.
type Snapshot struct {
	Index    uint64
	UpdateID uint64 // of the channel's last update
	LastSeq  uint64 // of the last event that was ever made
	Channel  *facts.Channel
	Events   []facts.Event   // unacknowledged, oldest first
	Gone     []Gone          // by HTLC id
	Spender  *chainhash.Hash // of the last CommitmentTxConfirmed
}

// Gone is an inbound HTLC that was irrevocably removed while its HTLCAccepted is not acknowledged.
type Gone struct {
	HTLCID     uint64
	Resolution *facts.Resolution
}

// Row is a keyed row that belongs to a record: *Outcome, *Fate, *Revoked or *Closed.
type Row interface{ row() }

// Outcome is how an own HTLC ended. Authoritative.
type Outcome struct {
	PaymentID  ln.PaymentID
	PartID     uint64
	Channel    ln.ChannelID
	HTLCID     uint64
	Hash       ln.Hash
	AmountMsat uint64
	TotalMsat  uint64
	Preimage   *ln.Preimage // nil: failed
}

// Fate is how an inbound HTLC ended. Authoritative.
type Fate struct {
	Channel    ln.ChannelID
	HTLCID     uint64
	Hash       ln.Hash
	AmountMsat uint64
	Fulfilled  bool
}

// Revoked is the HTLC data of a revoked counterparty commitment. Authoritative.
type Revoked struct {
	Channel    ln.ChannelID
	Commitment facts.Revoked
}

// Closed is what is kept of an archived channel. Amounts are in satoshi. Authoritative.
type Closed struct {
	Channel                    ln.ChannelID
	Peer                       ln.NodeID
	KeyIndex                   uint32
	Funding                    wire.OutPoint
	CapacitySat                uint64
	ClosingTxid                chainhash.Hash
	Spend                      facts.SpendKind
	Height                     uint32 // of the closing transaction
	SweptSat, LostSat, FeesSat uint64
}

func (*Outcome) row() {}
func (*Fate) row()    {}
func (*Revoked) row() {}
func (*Closed) row()  {}

// CorruptError says that bytes are no record of the kind they should be.
type CorruptError struct {
	Kind string // of the record, as in package recordspb
	Err  error
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s does not decode: %v", e.Kind, e.Err) }

func (e *CorruptError) Unwrap() error { return e.Err }
