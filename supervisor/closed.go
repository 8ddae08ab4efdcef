package supervisor

import (
	"fmt"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/messages"
)

// readClosed gives the manager what the monitors write about archived channels.
func readClosed(row messages.Row) (messages.ClosedChannel, error) {
	r, err := record.ReadRow(row)
	if err != nil {
		return messages.ClosedChannel{}, err
	}
	c, ok := r.(*record.Closed)
	if !ok {
		return messages.ClosedChannel{}, fmt.Errorf("row of bucket %s where one of an archived channel should be", row.Bucket)
	}
	return messages.ClosedChannel{
		Channel: c.Channel, Peer: c.Peer, FundingTxid: c.Funding.Hash, FundingIndex: c.Funding.Index, CapacitySat: c.CapacitySat,
		ClosingTxid: c.ClosingTxid, Spend: c.Spend, Height: c.Height, SweptSat: c.SweptSat, LostSat: c.LostSat, FeesSat: c.FeesSat,
	}, nil
}
