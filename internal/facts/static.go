package facts

import (
	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/ln"
)

// Params is what one side announced in open_channel or accept_channel (BOLT 2). Dust limit is its own; the other limits are what it asks of
// the other side.
type Params struct {
	DustLimitSat             uint64
	MaxHTLCValueInFlightMsat uint64
	ReserveSat               uint64 // channel_reserve_satoshis: what the OTHER side must keep
	HTLCMinimumMsat          uint64
	ToSelfDelay              uint16 // blocks the OTHER side must wait for its own money
	MaxAcceptedHTLCs         uint16
	UpfrontShutdownScript    []byte // of this side, empty if none
}

// Static is what never changes in a channel. Copies of a Channel share it.
type Static struct {
	ID           ln.ChannelID
	TemporaryID  ln.ChannelID
	Peer         ln.NodeID
	KeyIndex     uint32 // of the holder's channel keys
	Tx           commitment.Static
	Holder       Params
	Counterparty Params
	MinDepth     uint32 // confirmations of the funding transaction before channel_ready
	Announce     bool   // channel_flags announce_channel
	Alias        uint64 // the short_channel_id alias that we give in channel_ready (BOLT 2)
	FundingTx    []byte // serialized with witnesses, at the funder only: broadcast again until it confirms
	OpenedHeight uint32 // chain height when the channel was made; nothing about it is on chain below
}
