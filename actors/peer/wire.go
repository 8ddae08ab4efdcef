package peer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// maxFeatures is the size beyond which messages with feature vectors are not decoded: a vector of 64 kB becomes half a million map entries.
const maxFeatures = 4096

// Encode is the wire form of a message. It fails on messages that exceed 65,535 bytes or have impossible fields: a mistake of ours.
func Encode(msg lnwire.Message) ([]byte, error) {
	var b bytes.Buffer
	if _, err := lnwire.WriteMessage(&b, msg, 0); err != nil {
		return nil, fmt.Errorf("encode %T: %w", msg, err)
	}
	return b.Bytes(), nil
}

// maxAnnouncement is the size beyond which gossip with a feature vector is not decoded. Real ones are below 1,000 bytes.
const maxAnnouncement = maxFeatures

// decode reads a message. It is nil for one that is to be ignored; the error is a *malformedError. Without graph, all gossip is ignored.
func decode(raw []byte, graph bool) (msg lnwire.Message, err error) {
	if len(raw) < lnwire.MessageTypeSize {
		return nil, &malformedError{"a message without a type"}
	}
	kind := binary.BigEndian.Uint16(raw)
	switch {
	case gossip(kind) && (!graph || announcement(kind) && len(raw) > maxAnnouncement):
		return nil, nil
	case !gossip(kind) && !understood(kind):
		if kind%2 == 0 {
			return nil, &malformedError{fmt.Sprintf("unknown message of even type %d", kind)}
		}
		return nil, nil
	case (kind == lnwire.MsgInit || kind == lnwire.MsgOpenChannel || kind == lnwire.MsgAcceptChannel) && len(raw) > maxFeatures:
		return nil, &malformedError{fmt.Sprintf("message of type %d has %d bytes, more than %d", kind, len(raw), maxFeatures)}
	}
	defer func() {
		if r := recover(); r != nil { // the decoder is not ours
			msg, err = nil, &malformedError{fmt.Sprintf("malformed message of type %d", kind)}
		}
	}()
	msg, err = lnwire.ReadMessage(bytes.NewReader(raw), 0)
	var unknown *lnwire.UnknownMessage
	if errors.As(err, &unknown) || err != nil {
		return nil, &malformedError{fmt.Sprintf("malformed message of type %d", kind)}
	}
	return msg, nil
}

// announcement tells whether a type of gossip holds a feature vector.
func announcement(kind uint16) bool {
	return lnwire.MessageType(kind) == lnwire.MsgChannelAnnouncement || lnwire.MessageType(kind) == lnwire.MsgNodeAnnouncement
}

// flood tells whether a message is gossip of which there may be too much. Signatures of announcements are few, and wanted.
func flood(raw []byte) bool {
	if len(raw) < lnwire.MessageTypeSize {
		return false
	}
	kind := binary.BigEndian.Uint16(raw)
	return gossip(kind) && lnwire.MessageType(kind) != lnwire.MsgAnnounceSignatures
}

// gossip tells whether a type is one of BOLT 7's.
func gossip(kind uint16) bool {
	switch lnwire.MessageType(kind) {
	case lnwire.MsgChannelAnnouncement, lnwire.MsgNodeAnnouncement, lnwire.MsgChannelUpdate, lnwire.MsgAnnounceSignatures,
		lnwire.MsgQueryShortChanIDs, lnwire.MsgReplyShortChanIDsEnd, lnwire.MsgQueryChannelRange, lnwire.MsgReplyChannelRange,
		lnwire.MsgGossipTimestampRange:
		return true
	}
	return false
}

// understood tells whether we speak a type. Others may be known to the decoder, but belong to features that we do not offer.
func understood(kind uint16) bool {
	switch lnwire.MessageType(kind) {
	case lnwire.MsgWarning, lnwire.MsgInit, lnwire.MsgError, lnwire.MsgPing, lnwire.MsgPong,
		lnwire.MsgOpenChannel, lnwire.MsgAcceptChannel, lnwire.MsgFundingCreated, lnwire.MsgFundingSigned, lnwire.MsgChannelReady,
		lnwire.MsgShutdown, lnwire.MsgClosingSigned,
		lnwire.MsgUpdateAddHTLC, lnwire.MsgUpdateFulfillHTLC, lnwire.MsgUpdateFailHTLC, lnwire.MsgUpdateFailMalformedHTLC,
		lnwire.MsgCommitSig, lnwire.MsgRevokeAndAck, lnwire.MsgUpdateFee, lnwire.MsgChannelReestablish:
		return true
	}
	return false
}

// channelOf is the channel, or temporary channel, that a message belongs to.
func channelOf(msg lnwire.Message) (ln.ChannelID, bool) {
	switch m := msg.(type) {
	case *lnwire.AcceptChannel:
		return m.PendingChannelID, true
	case *lnwire.FundingCreated:
		return m.PendingChannelID, true
	case *lnwire.FundingSigned:
		return ln.ChannelID(m.ChanID), true
	case *lnwire.ChannelReady:
		return ln.ChannelID(m.ChanID), true
	case *lnwire.Shutdown:
		return ln.ChannelID(m.ChannelID), true
	case *lnwire.ClosingSigned:
		return ln.ChannelID(m.ChannelID), true
	case *lnwire.ChannelReestablish:
		return ln.ChannelID(m.ChanID), true
	case lnwire.LinkUpdater:
		return ln.ChannelID(m.TargetChanID()), true
	}
	return ln.ChannelID{}, false
}

// printable is text of the peer, made fit for a log.
func printable(text []byte) string {
	const most = 200
	text = text[:min(len(text), most)]
	clean := make([]byte, len(text))
	for i, c := range text {
		if c < 32 || c > 126 {
			c = '?'
		}
		clean[i] = c
	}
	return string(clean)
}
