package onion

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/lightningnetwork/lnd/lnwire"
)

// ForwardFailure is a failure of a node that did not forward an HTLC, of those that may carry the channel_update that the HTLC disregards (BOLT 4). lnwire's
// own types can't be without one, and a node may not have one at hand, or have good reason not to give it away.
type ForwardFailure struct {
	// FailCode is one of those with the UPDATE bit.
	FailCode lnwire.FailCode

	// AmountMsat goes with amount_below_minimum (outgoing) and fee_insufficient (incoming).
	AmountMsat uint64

	// CLTVExpiry goes with incorrect_cltv_expiry: the outgoing one.
	CLTVExpiry uint32

	// Update is the channel_update, with its message type. It must be of the short_channel_id in the onion. Empty: none.
	Update []byte
}

var errNotDecoded = errors.New("onion: lnwire decodes failures")

// Code is the failure's code.
func (f *ForwardFailure) Code() lnwire.FailCode { return f.FailCode }

// Error names the code.
func (f *ForwardFailure) Error() string { return f.FailCode.String() }

// Encode writes what follows the code.
func (f *ForwardFailure) Encode(w *bytes.Buffer, _ uint32) error {
	var b []byte
	switch f.FailCode { //nolint:exhaustive // the others have no field before the update
	case lnwire.CodeAmountBelowMinimum, lnwire.CodeFeeInsufficient:
		b = binary.BigEndian.AppendUint64(b, f.AmountMsat)
	case lnwire.CodeIncorrectCltvExpiry:
		b = binary.BigEndian.AppendUint32(b, f.CLTVExpiry)
	case lnwire.CodeChannelDisabled:
		b = binary.BigEndian.AppendUint16(b, 0) // disabled_flags: none are defined
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(f.Update))) //nolint:gosec // a message is at most 65535 bytes
	_, err := w.Write(append(b, f.Update...))
	return err
}

// Decode is not used: lnwire decodes failures.
func (*ForwardFailure) Decode(io.Reader, uint32) error { return errNotDecoded }
