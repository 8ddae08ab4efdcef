package cli_test

import (
	"slices"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lnactor/lnactor/cmd/lnactor/demo"
)

// course FILE KIND PAYMENTS CRASHES decodes the report of a run that closed its channel, and adds its money up anew.
func course(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: course FILE KIND PAYMENTS CRASHES")
	}
	r, kind := read(ts, args[0]), demo.CloseKind(args[1])
	payments, err := strconv.Atoi(args[2])
	ts.Check(err)
	crashes, err := strconv.Atoi(args[3])
	ts.Check(err)
	o := r.OnChain
	if o == nil {
		ts.Fatalf("nothing on chain: %+v", r)
	}
	p, alice, bob := r.Payments, o.Sides["alice"], o.Sides["bob"]
	kinds, fees, byTxs, own := map[demo.TxKind]int{}, uint64(0), map[string]uint64{}, true
	for _, t := range o.Transactions {
		kinds[t.Kind]++
		fees += t.FeeSat
		if t.Txid != o.ClosingTxid {
			byTxs[t.By] += t.FeeSat
			own = own && (t.By == "alice" || t.By == "bob")
		}
	}
	first := o.Transactions[0]
	held := o.Held.Claimed + o.Held.Returned
	for what, ok := range map[string]bool{
		"ok":                       r.OK && len(r.Faults) == 0,
		"kind":                     o.Kind == kind,
		"every invoice paid once":  p.Requested == payments+held && p.Sent == payments+o.Held.Claimed && p.Claimed == p.Sent,
		"every attempt has an end": p.Attempted == p.Sent+p.Failed && p.Lost == 0 && p.Duplicates == 0,
		"all events acknowledged":  r.Events.Emitted > 0 && r.Events.Acked == r.Events.Emitted && r.Events.Unacked == 0,
		"crashes":                  r.Crashes.Made == crashes && o.Crashes > 0 && o.Crashes < crashes,
		"closing transaction":      first.Txid == o.ClosingTxid && first.Height == o.ClosingHeight && len(first.Txid) == 64 && kinds[first.Kind] == 1,
		"archived after 100":       o.Blocks >= 100,
		"fees":                     fees == o.FeesSat && fees > 0 && byTxs["alice"] == alice.TxFeesSat && byTxs["bob"] == bob.TxFeesSat,
		"everybody's transactions": own,
		"in is out": alice.WalletBeforeSat+bob.WalletBeforeSat+10_000_000 ==
			alice.WalletAfterSat+bob.WalletAfterSat+o.FeesSat+o.UnclaimedSat,
		"alice":              alice.WalletAfterSat == alice.WalletBeforeSat+alice.SweptSat-alice.TxFeesSat,
		"bob":                bob.WalletAfterSat == bob.WalletBeforeSat+bob.SweptSat-bob.TxFeesSat,
		"channel":            alice.ChannelSat+bob.ChannelSat >= 9_999_999 && alice.ChannelSat+bob.ChannelSat <= 10_000_000,
		"balances agree":     r.Balances["alice"].After == demo.Balance{OnChainSat: alice.WalletAfterSat} && r.Balances["bob"].After == demo.Balance{OnChainSat: bob.WalletAfterSat},
		"little is not used": o.UnclaimedSat <= 660,
	} {
		if !ok {
			ts.Fatalf("course: %s: %+v", what, r)
		}
	}
	has := func(want ...demo.TxKind) bool {
		return !slices.ContainsFunc(want, func(k demo.TxKind) bool { return kinds[k] == 0 })
	}
	var ok bool
	switch kind {
	case demo.CloseCooperative:
		ok = len(o.Transactions) == 1 && first.Kind == demo.TxCooperative && held == 0 &&
			slices.Equal(first.OutputsSat, sorted(alice.SweptSat, bob.SweptSat))
	case demo.CloseForce:
		ok = first.Kind == demo.TxCommitment && first.By == "alice" && o.Held == demo.Held{Claimed: 4, Returned: 2} &&
			has(demo.TxHTLCSuccess, demo.TxHTLCTimeout, demo.TxHTLCClaim, demo.TxHTLCRefund, demo.TxSweep)
	case demo.CloseRevoked:
		ok = first.Kind == demo.TxRevoked && first.By == "bob" && has(demo.TxJustice, demo.TxHTLCSuccess, demo.TxSweep) && o.Held == demo.Held{Claimed: 3, Returned: 2} && bob.SweptSat == 0 && bob.LostSat == bob.ChannelSat &&
			alice.SweptSat+alice.CommitFeesSat == 10_000_000
	}
	if !ok {
		ts.Fatalf("course: no %s close: %+v", kind, o)
	}
}

func sorted(list ...uint64) []uint64 {
	slices.Sort(list)
	return list
}
