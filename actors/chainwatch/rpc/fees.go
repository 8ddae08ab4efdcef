package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/btcsuite/btcd/btcjson"
	"github.com/btcsuite/btcd/btcutil"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// The nodes' own limits on how far ahead they estimate.
const (
	smartBlocks  = 1008
	simpleBlocks = 25
)

// highestRate is what no estimate can be: 0.1 BTC for 1,000 vbytes. A node that
// says so is not believed.
const highestRate = 0.1

// FeeRate implements chain.Source. More blocks than the node looks ahead count
// as its limit. The rate is the node's; it may lie below the relay fee.
func (n *Node) FeeRate(ctx context.Context, blocks int32) (chain.FeePerKW, error) {
	blocks = max(blocks, 1)
	var smart struct {
		FeeRate *float64 `json:"feerate"`
		Errors  []string `json:"errors"`
	}
	err := n.call(ctx, maxAnswer, &smart, "estimatesmartfee", min(blocks, smartBlocks), "CONSERVATIVE")
	switch {
	case err == nil && smart.FeeRate == nil:
		return 0, fmt.Errorf("%w: %.200q", chain.ErrNoFeeEstimate, smart.Errors)
	case err == nil:
		return feeRate(*smart.FeeRate)
	case !code(err, btcjson.ErrRPCMethodNotFound.Code):
		return 0, noEstimate(err)
	}
	var simple float64
	if err := n.call(ctx, maxAnswer, &simple, "estimatefee", min(blocks, simpleBlocks)); err != nil {
		return 0, noEstimate(err)
	}
	return feeRate(simple)
}

// noEstimate: a node that has seen too little answers with an error, and which
// one differs.
func noEstimate(err error) error {
	var rpcErr *btcjson.RPCError
	if errors.As(err, &rpcErr) && !busy(rpcErr) {
		return fmt.Errorf("%w: %w", chain.ErrNoFeeEstimate, rpcErr)
	}
	return general(err)
}

// feeRate converts BTC for 1,000 vbytes, rounding up.
func feeRate(btc float64) (chain.FeePerKW, error) {
	switch {
	case !(btc > 0): // -1 is "none"
		return 0, fmt.Errorf("%w: the node says %v", chain.ErrNoFeeEstimate, btc)
	case btc > highestRate:
		return 0, fmt.Errorf("%w: fee rate of %v BTC/kvB", chain.ErrBadAnswer, btc)
	}
	perKvB := math.Round(btc * btcutil.SatoshiPerBitcoin)
	return chain.FeePerKW(max(1, math.Ceil(perKvB/4))), nil
}
