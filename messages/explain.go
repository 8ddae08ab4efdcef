package messages

import "github.com/lnactor/lnactor/internal/ln"

// ExplainHTLC asks a monitor where HTLCs stand, for people. HTLCsExplained answers, behind all that was recorded before.
type ExplainHTLC struct {
	Hash    *ln.Hash // nil: that of HTLCID, in both directions
	HTLCID  uint64
	ReplyTo Addr
}

// HTLCsExplained answers ExplainHTLC: outbound ones first, by id.
type HTLCsExplained struct{ HTLCs []HTLCStanding }

// HTLCStanding is where an HTLC of a channel stands.
type HTLCStanding struct {
	Channel    ln.ChannelID
	HTLCID     uint64
	Outbound   bool
	Hash       ln.Hash
	AmountMsat uint64
	CLTVExpiry uint32
	State      string // of package facts; empty if the HTLC is gone and only an event is left
	Stands     string
	Awaits     string // empty: nothing
	From       string
	Deadline   uint32 // height at which the monitor closes the channel over it, 0 for never
	Height     uint32 // that the monitor has seen
	Event      *ln.EventID
}

// ExplainPayment asks the manager what it knows of HTLCs with a hash, or of one HTLC. PaymentExplained answers.
type ExplainPayment struct {
	Hash    *ln.Hash // nil: of Channel and HTLCID
	Channel ln.ChannelID
	HTLCID  uint64
	ReplyTo Addr
}

// PaymentExplained answers ExplainPayment, a line for each thing.
type PaymentExplained struct{ Lines []string }
