package supervisor

import (
	"testing"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// What a monitor writes of an archived channel is what the manager lists.
func TestReadClosed(t *testing.T) {
	row := record.WriteRow(&record.Closed{
		Channel: [32]byte{1}, Peer: [33]byte{2}, KeyIndex: 3, Funding: wire.OutPoint{Hash: [32]byte{4}, Index: 5}, CapacitySat: 6,
		ClosingTxid: [32]byte{7}, Spend: facts.SpendRevoked, Height: 8, SweptSat: 9, LostSat: 10, FeesSat: 11,
	})
	got, err := readClosed(row)
	want := messages.ClosedChannel{
		Channel: [32]byte{1}, Peer: [33]byte{2}, FundingTxid: [32]byte{4}, FundingIndex: 5, CapacitySat: 6,
		ClosingTxid: [32]byte{7}, Spend: facts.SpendRevoked, Height: 8, SweptSat: 9, LostSat: 10, FeesSat: 11,
	}
	if err != nil || got != want {
		t.Fatalf("%+v (%v), want %+v", got, err, want)
	}
	row.Bucket = messages.BucketFates
	if _, err := readClosed(row); err == nil {
		t.Fatal("a row of another bucket was taken")
	}
}
