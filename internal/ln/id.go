package ln

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/btcsuite/btcd/wire"
)

// ChannelID identifies a channel: the funding txid with the funding output index mixed into its last two bytes (BOLT 2), or, before the
// funding outpoint is known, a temporary id.
type ChannelID [32]byte

// NewChannelID derives the channel id from the funding outpoint (BOLT 2, funding_created).
func NewChannelID(op wire.OutPoint) ChannelID {
	id := ChannelID(op.Hash)
	last := binary.BigEndian.Uint16(id[30:]) ^ uint16(op.Index)
	binary.BigEndian.PutUint16(id[30:], last)
	return id
}

// String is the id in hexadecimal.
func (c ChannelID) String() string { return hex.EncodeToString(c[:]) }

// ParseChannelID reads what String wrote.
func ParseChannelID(s string) (ChannelID, error) {
	var id ChannelID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("channel id %q: want 64 hexadecimal digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// NodeID is a node's compressed public key.
type NodeID [33]byte

// String is the id in hexadecimal.
func (n NodeID) String() string { return hex.EncodeToString(n[:]) }

// ParseNodeID reads what String wrote.
func ParseNodeID(s string) (NodeID, error) {
	var id NodeID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("node id %q: want 66 hexadecimal digits", s)
	}
	copy(id[:], b)
	return id, nil
}

// PaymentID is the caller's idempotency key of a payment: used once, it is refused for ever after.
type PaymentID [32]byte

// String is the id in hexadecimal.
func (p PaymentID) String() string { return hex.EncodeToString(p[:]) }

// Hash is a payment hash: the SHA-256 of a Preimage.
type Hash [32]byte

// String is the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Preimage settles an HTLC.
type Preimage [32]byte

// String is the preimage in hexadecimal.
func (p Preimage) String() string { return hex.EncodeToString(p[:]) }

// EventID names one MonitorEvent for ever: it is assigned once, stored, strictly increasing in its channel and never reused.
type EventID struct {
	Channel ChannelID
	Seq     uint64
}

// String is "<channel id>/<seq>".
func (e EventID) String() string { return fmt.Sprintf("%s/%d", e.Channel, e.Seq) }
