package supervisor

import (
	"context"
	"errors"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/funds"
)

// blocks lets the wallet read a chain source by height.
type blocks struct{ src chain.Source }

func blocksOf(src chain.Source) funds.Blocks { return blocks{src} }

// At implements funds.Blocks.
func (b blocks) At(ctx context.Context, height uint32) (chainhash.Hash, func() (*wire.MsgBlock, error), bool, error) {
	hash, err := b.src.HashAt(ctx, int32(height)) //nolint:gosec // heights fit
	if errors.Is(err, chain.ErrNotFound) {
		return chainhash.Hash{}, nil, false, nil
	}
	return hash, func() (*wire.MsgBlock, error) { return b.src.Block(ctx, hash) }, err == nil, err
}
