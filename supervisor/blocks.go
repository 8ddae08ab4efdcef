package supervisor

import (
	"context"
	"errors"
	"math"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/funds"
)

// blocks lets the wallet read a chain source by height and ask it for fee rates.
type blocks struct{ src chain.Source }

func blocksOf(src chain.Source) funds.Blocks { return blocks{src} }

// Local implements funds.Blocks and funds.Fees.
func (b blocks) Local() bool { return b.src.Local() }

// feesOf lets the wallet ask a chain source for fee rates.
func feesOf(src chain.Source) funds.Fees { return blocks{src} }

// FeePerKw implements funds.Fees.
func (b blocks) FeePerKw(ctx context.Context, target uint32) (uint32, error) {
	rate, err := b.src.FeeRate(ctx, int32(min(target, math.MaxInt32))) //nolint:gosec // bounded
	return uint32(min(rate, math.MaxUint32)), err                      //nolint:gosec // bounded
}

// At implements funds.Blocks.
func (b blocks) At(ctx context.Context, height uint32) (chainhash.Hash, func() (*wire.MsgBlock, error), bool, error) {
	hash, err := b.src.HashAt(ctx, int32(height)) //nolint:gosec // heights fit
	if errors.Is(err, chain.ErrNotFound) {
		return chainhash.Hash{}, nil, false, nil
	}
	return hash, func() (*wire.MsgBlock, error) { return b.src.Block(ctx, hash) }, err == nil, err
}

// refusalOf says what the chain's answer to a broadcast means for the wallet.
func refusalOf(err error) funds.Refusal {
	var be *chain.BroadcastError
	if !errors.As(err, &be) {
		return funds.Undecided
	}
	switch be.Code {
	case chain.BroadcastInMempool, chain.BroadcastConfirmed:
		return funds.Accepted
	case chain.BroadcastFeeTooLow:
		return funds.TooLow
	case chain.BroadcastMissingInputs, chain.BroadcastConflict, chain.BroadcastRejected:
		return funds.Refused
	case chain.BroadcastNotFinal:
	}
	return funds.Undecided
}
