package regtest

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Source is the chain as one node sees it. Two nodes on one chain have one
// Source each, so that a test can take the chain away from one of them.
type Source struct {
	c    *Chain
	down atomic.Bool
}

var _ chain.Source = (*Source)(nil)

// Source returns a new view of the chain.
func (c *Chain) Source() *Source { return &Source{c: c} }

// SetDown makes every call return chain.ErrUnreachable until it is taken back.
// Notifications go on: they carry nothing.
func (s *Source) SetDown(down bool) { s.down.Store(down) }

func (s *Source) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("regtest: %w", err)
	}
	if s.down.Load() {
		return chain.ErrUnreachable
	}
	return nil
}

// Genesis implements chain.Source.
func (s *Source) Genesis(ctx context.Context) (chainhash.Hash, error) {
	return *s.c.params.GenesisHash, s.check(ctx)
}

// Tip implements chain.Source.
func (s *Source) Tip(ctx context.Context) (chain.BlockID, error) {
	if err := s.check(ctx); err != nil {
		return chain.BlockID{}, err
	}
	hash, height := s.c.Tip()
	return chain.BlockID{Height: height, Hash: hash}, nil
}

// HashAt implements chain.Source.
func (s *Source) HashAt(ctx context.Context, height int32) (chainhash.Hash, error) {
	if err := s.check(ctx); err != nil {
		return chainhash.Hash{}, err
	}
	return s.c.BlockHash(height)
}

// Header implements chain.Source.
func (s *Source) Header(ctx context.Context, hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	if err := s.check(ctx); err != nil {
		return wire.BlockHeader{}, 0, err
	}
	return s.c.Header(hash)
}

// Block implements chain.Source.
func (s *Source) Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	return s.c.BlockByHash(hash)
}

// Broadcast implements chain.Source.
func (s *Source) Broadcast(ctx context.Context, tx *wire.MsgTx) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	return s.c.Broadcast(tx)
}

// FeeRate implements chain.Source: a regtest chain has no fee market.
func (s *Source) FeeRate(ctx context.Context, _ int32) (chain.FeePerKW, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	return 0, chain.ErrNoFeeEstimate
}

// Subscribe implements chain.Source.
func (s *Source) Subscribe(notify func()) (cancel func()) { return s.c.Subscribe(notify) }

// Local implements chain.Source.
func (s *Source) Local() bool { return true }

// Header returns the header of a block of any branch, and its height there.
func (c *Chain) Header(hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return wire.BlockHeader{}, 0, ErrClosed
	}
	header, err := c.bc.HeaderByHash(&hash)
	if err != nil {
		return wire.BlockHeader{}, 0, fmt.Errorf("header %v: %w", hash, chain.ErrNotFound)
	}
	if height, err := c.bc.BlockHeightByHash(&hash); err == nil {
		return header, height, nil
	}
	// Off the best chain: count down to it.
	height := int32(0)
	for prev := header.PrevBlock; ; height++ {
		if at, err := c.bc.BlockHeightByHash(&prev); err == nil {
			return header, at + height + 1, nil
		}
		parent, err := c.bc.HeaderByHash(&prev)
		if err != nil {
			return wire.BlockHeader{}, 0, fmt.Errorf("header %v: %w", prev, chain.ErrNotFound)
		}
		prev = parent.PrevBlock
	}
}

// FaucetScript is the script that Mine pays its coinbases to. Anyone can spend
// it with the witness returned.
func FaucetScript() (pkScript []byte, witness wire.TxWitness) {
	return append([]byte(nil), faucetPkScript...), wire.TxWitness{append([]byte(nil), faucetWitnessScript...)}
}
