package manager

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	pb "github.com/lnactor/lnactor/messages/recordspb"
)

func encodeReceived(r InvoiceRecord) []byte {
	m := &pb.ReceivedRow{Version: version, Held: r.Held, Cancelled: r.Cancelled, Parts: uint32(len(r.Parts))} //nolint:gosec // at most MaxSetParts
	for _, p := range r.Parts {
		m.AmountMsat += p.AmountMsat
	}
	return marshal(m)
}

func decodeReceived(row messages.Row) (messages.Received, error) {
	var m pb.ReceivedRow
	if err := unmarshal("received payment", row.Value, &m); err != nil {
		return messages.Received{}, err
	}
	if len(row.Key) != receivedKey {
		return messages.Received{}, fmt.Errorf("%w: a received payment under a key of %d bytes", ErrRecords, len(row.Key))
	}
	return messages.Received{
		Hash: ln.Hash(row.Key[8:]), State: receivedState(m.GetHeld(), m.GetCancelled()), AmountMsat: m.GetAmountMsat(), Parts: int(m.GetParts()),
		At: time.Unix(0, int64(^binary.BigEndian.Uint64(row.Key))).UTC(), //nolint:gosec // what listKey wrote
	}, nil
}

func timeToPB(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func timeFromPB(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
