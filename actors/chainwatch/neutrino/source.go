package neutrino

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightninglabs/neutrino/headerfs"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// check is what every call begins with.
func (s *Source) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("neutrino: %w", err)
	}
	if s.life.Err() != nil {
		return chain.ErrClosed
	}
	return nil
}

// Genesis implements chain.Source.
func (s *Source) Genesis(ctx context.Context) (chainhash.Hash, error) {
	return *s.cfg.Params.GenesisHash, s.check(ctx) // Open has compared it with the data
}

// Tip implements chain.Source.
func (s *Source) Tip(ctx context.Context) (chain.BlockID, error) {
	if err := s.check(ctx); err != nil {
		return chain.BlockID{}, err
	}
	if len(s.peers()) == 0 {
		return chain.BlockID{}, s.alone(ctx)
	}
	s.probe.found()
	if !s.synced.Load() {
		if !s.client.IsCurrent() {
			return chain.BlockID{}, s.syncing()
		}
		s.synced.Store(true)
	}
	return s.best()
}

// best is the last block that has a filter header as well.
func (s *Source) best() (chain.BlockID, error) {
	stamp, err := s.client.BestBlock()
	if err != nil {
		return chain.BlockID{}, s.storeFailed(err)
	}
	return chain.BlockID{Height: stamp.Height, Hash: stamp.Hash}, nil
}

// alone says why there is no peer.
func (s *Source) alone(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := s.probe.missing(ctx); err != nil {
		return err
	}
	return fmt.Errorf("neutrino: no peer is connected: %w", chain.ErrUnreachable)
}

func (s *Source) syncing() error {
	_, headers, err := s.client.BlockHeaders.ChainTip()
	if err != nil {
		return s.storeFailed(err)
	}
	_, filters, err := s.client.RegFilterHeaders.ChainTip()
	if err != nil {
		return s.storeFailed(err)
	}
	return fmt.Errorf("%w (%d block headers, %d filter headers)", ErrSyncing, headers, filters)
}

// storeFailed maps what the header store says.
func (s *Source) storeFailed(err error) error {
	switch {
	case s.life.Err() != nil:
		return chain.ErrClosed
	case errors.Is(err, headerfs.ErrHashNotFound), errors.Is(err, headerfs.ErrHeightNotFound):
		return chain.ErrNotFound
	default:
		return fmt.Errorf("neutrino: header store: %w: %w", chain.ErrUnreachable, err)
	}
}

// HashAt implements chain.Source.
func (s *Source) HashAt(ctx context.Context, height int32) (chainhash.Hash, error) {
	if err := s.check(ctx); err != nil {
		return chainhash.Hash{}, err
	}
	tip, err := s.best()
	if err != nil {
		return chainhash.Hash{}, err
	}
	if height < 0 || height > tip.Height {
		return chainhash.Hash{}, fmt.Errorf("neutrino: block %d: %w", height, chain.ErrNotFound)
	}
	hash, err := s.client.GetBlockHash(int64(height))
	if err != nil {
		if again, tipErr := s.best(); tipErr == nil && height > again.Height {
			return chainhash.Hash{}, fmt.Errorf("neutrino: block %d: %w", height, chain.ErrNotFound) // it was rolled back just now
		}
		return chainhash.Hash{}, s.storeFailed(err)
	}
	return *hash, nil
}

// Header implements chain.Source.
func (s *Source) Header(ctx context.Context, hash chainhash.Hash) (wire.BlockHeader, int32, error) {
	if err := s.check(ctx); err != nil {
		return wire.BlockHeader{}, 0, err
	}
	header, height, err := s.client.BlockHeaders.FetchHeader(&hash)
	// A rollback between the look at the index and the look at the file gives another header, or none.
	if err == nil && header.BlockHash() == hash {
		return *header, int32(min(height, math.MaxInt32)), nil
	}
	if stale, height, ok := s.stale.get(hash); ok {
		return stale, height, nil
	}
	if err == nil {
		err = headerfs.ErrHashNotFound
	}
	return wire.BlockHeader{}, 0, fmt.Errorf("neutrino: header %v: %w", hash, s.storeFailed(err))
}

// Block implements chain.Source.
func (s *Source) Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if hash == *s.cfg.Params.GenesisHash {
		return copyBlock(s.cfg.Params.GenesisBlock), nil
	}
	if _, _, err := s.client.BlockHeaders.FetchHeader(&hash); err != nil {
		return nil, fmt.Errorf("neutrino: block %v: %w", hash, s.storeFailed(err))
	}
	for {
		if len(s.peers()) == 0 {
			return nil, fmt.Errorf("neutrino: block %v: no peer is connected: %w", hash, chain.ErrUnreachable)
		}
		// The library would wait long for peers that have gone, as one has that was caught with a bad block.
		short, cancel := context.WithTimeout(ctx, time.Second)
		block, err := s.blocks.do(short, s, hash, func() (*wire.MsgBlock, error) { return s.fetch(hash) })
		cancel()
		switch {
		case err == nil:
			return copyBlock(block), nil
		case errors.Is(err, errGaveUp) && ctx.Err() == nil: // look after the peers
		case ctx.Err() != nil:
			return nil, fmt.Errorf("neutrino: block %v: %w", hash, ctx.Err())
		default:
			return nil, err
		}
	}
}

// fetch asks the peers. The library checks merkle root and witness commitment; that the hash has the work was checked with the header.
func (s *Source) fetch(hash chainhash.Hash) (*wire.MsgBlock, error) {
	block, err := s.client.GetBlock(hash)
	switch {
	case s.life.Err() != nil:
		return nil, chain.ErrClosed
	case err != nil:
		if _, _, gone := s.client.BlockHeaders.FetchHeader(&hash); errors.Is(gone, headerfs.ErrHashNotFound) {
			return nil, fmt.Errorf("neutrino: block %v: %w", hash, chain.ErrNotFound)
		}
		return nil, fmt.Errorf("neutrino: block %v: %w: %w", hash, chain.ErrUnreachable, err)
	}
	msg := block.MsgBlock()
	if msg.BlockHash() != hash {
		return nil, fmt.Errorf("neutrino: block %v: %w", hash, chain.ErrInvalidBlock)
	}
	return msg, nil
}

// copyBlock keeps the caller away from what the library caches.
func copyBlock(block *wire.MsgBlock) *wire.MsgBlock {
	own := &wire.MsgBlock{Header: block.Header, Transactions: make([]*wire.MsgTx, len(block.Transactions))}
	for i, tx := range block.Transactions {
		own.Transactions[i] = tx.Copy()
	}
	return own
}

// FeeRate implements chain.Source.
func (s *Source) FeeRate(ctx context.Context, _ int32) (chain.FeePerKW, error) {
	if err := s.check(ctx); err != nil {
		return 0, err
	}
	return 0, chain.ErrNoFeeEstimate
}

// Local implements chain.Source.
func (s *Source) Local() bool { return false }
