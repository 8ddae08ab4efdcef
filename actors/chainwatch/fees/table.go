package fees

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

const (
	// Floor is the lowest rate: 1 satoshi per virtual byte, rounded up so that no rounding of weights falls below what nodes relay.
	Floor chain.FeePerKW = chain.FeePerKW(chainfee.FeePerKwFloor)

	// DefaultCeiling is the highest rate, if none is configured: 2,000 satoshis per virtual byte.
	DefaultCeiling chain.FeePerKW = 500_000
)

// DefaultFixed is the fixed rate for a chain without a fee market: Floor on regtest and simnet. 0: the chain has one, and needs an estimate.
func DefaultFixed(params *chaincfg.Params) chain.FeePerKW {
	if params.Name == chaincfg.RegressionNetParams.Name || params.Name == chaincfg.SimNetParams.Name {
		return Floor
	}
	return 0
}

// quote is the rate for a number of blocks.
type quote struct {
	blocks uint32
	rate   chain.FeePerKW
}

// table holds quotes by ascending blocks, within the bounds and with descending rates. An empty one holds no estimate.
type table []quote

// newTable bounds and orders quotes. Those without blocks or without a rate say nothing and are dropped.
func newTable(quotes []quote, floor, ceiling chain.FeePerKW) table {
	var t table
	for _, q := range quotes {
		if q.blocks != 0 && q.rate != 0 {
			t = append(t, quote{q.blocks, clamp(q.rate, floor, ceiling)})
		}
	}
	slices.SortFunc(t, func(a, b quote) int { return cmp.Or(cmp.Compare(a.blocks, b.blocks), cmp.Compare(b.rate, a.rate)) })
	for i := len(t) - 2; i >= 0; i-- {
		t[i].rate = max(t[i].rate, t[i+1].rate) // who wants it sooner does not pay less
	}
	return t
}

// rate is that of the longest target that is no longer than the one asked for: rather too much than too late.
func (t table) rate(blocks int32) chain.FeePerKW {
	want := uint32(max(blocks, 1))
	i, found := slices.BinarySearchFunc(t, want, func(q quote, want uint32) int { return cmp.Compare(q.blocks, want) })
	if !found && i > 0 {
		i--
	}
	return t[i].rate
}

// parse reads the web format.
func parse(body []byte, ceiling chain.FeePerKW) (table, error) {
	var answer chainfee.WebAPIResponse
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadEstimate, err)
	}
	quotes := make([]quote, 0, len(answer.FeeByBlockTarget))
	for blocks, rate := range answer.FeeByBlockTarget { // newTable orders them
		quotes = append(quotes, quote{blocks, perKW(uint64(rate))})
	}
	floor := Floor
	if relay := answer.MinRelayFeerate; relay > 0 {
		floor = clamp(perKW(uint64(relay)), Floor, ceiling)
	}
	t := newTable(quotes, floor, ceiling)
	if len(t) == 0 {
		return nil, fmt.Errorf("%w: no target with a rate", ErrBadEstimate)
	}
	return t, nil
}

// perKW turns satoshis per 1,000 virtual bytes into satoshis per 1,000 weight units, rounded up.
func perKW(perKVB uint64) chain.FeePerKW { return chain.FeePerKW(perKVB/4 + (perKVB%4+3)/4) }

func clamp(rate, low, high chain.FeePerKW) chain.FeePerKW { return min(max(rate, low), high) }
