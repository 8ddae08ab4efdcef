package neutrino

import (
	"context"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcutil/gcs"
	"github.com/btcsuite/btcd/btcutil/gcs/builder"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	lib "github.com/lightninglabs/neutrino"
	"github.com/lightninglabs/neutrino/headerfs"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Filterer is what a light client can do beyond chain.Source.
type Filterer interface {
	// MayMatch is false only if no transaction of the block pays to, or spends an output that paid to, one of the scripts. True means that the
	// block must be looked at. Errors as those of chain.Source.Block.
	MayMatch(ctx context.Context, block chainhash.Hash, scripts [][]byte) (bool, error)
}

type blockFilter struct{ *gcs.Filter }

// filterBatch is how many filters are asked for at once: who asks for one usually asks for those that follow.
const filterBatch = 100

// MayMatch implements Filterer.
func (s *Source) MayMatch(ctx context.Context, block chainhash.Hash, scripts [][]byte) (bool, error) {
	if err := s.check(ctx); err != nil {
		return false, err
	}
	if len(scripts) == 0 {
		return false, nil
	}
	for _, script := range scripts {
		if len(script) == 0 || script[0] == txscript.OP_RETURN {
			return true, nil // filters do not hold these (BIP 158)
		}
	}
	if block == *s.cfg.Params.GenesisHash {
		return true, nil // its filter is not served
	}
	if _, _, err := s.client.BlockHeaders.FetchHeader(&block); err != nil {
		return false, fmt.Errorf("neutrino: filter of block %v: %w", block, s.storeFailed(err))
	}
	filter, err := s.filters.do(ctx, s, block, func() (*blockFilter, error) { return s.fetchFilter(block) })
	if err != nil {
		return false, err
	}
	if filter.N() == 0 {
		return false, nil
	}
	match, err := filter.MatchAny(builder.DeriveKey(&block), scripts)
	if err != nil {
		return true, nil //nolint:nilerr // a filter that does not decode excludes nothing
	}
	return match, nil
}

// fetchFilter asks the peers. The library checks the filter against the filter headers, which its peers must agree on.
func (s *Source) fetchFilter(block chainhash.Hash) (*blockFilter, error) {
	if len(s.peers()) == 0 {
		return nil, fmt.Errorf("neutrino: filter of block %v: no peer is connected: %w", block, chain.ErrUnreachable)
	}
	filter, err := s.client.GetCFilter(block, wire.GCSFilterRegular, lib.OptimisticBatch(), lib.MaxBatchSize(filterBatch))
	switch {
	case s.life.Err() != nil:
		return nil, chain.ErrClosed
	case errors.Is(err, headerfs.ErrHashNotFound):
		return nil, fmt.Errorf("neutrino: filter of block %v: %w", block, chain.ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("neutrino: filter of block %v: %w: %w", block, chain.ErrUnreachable, err)
	}
	return &blockFilter{filter}, nil
}
