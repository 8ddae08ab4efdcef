package chaintest

import (
	"errors"
	"sync"
	"testing"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// concurrent asks from many goroutines while the chain moves. Each answer must
// be right in itself; that of one question need not fit that of the next.
func (s *suite) concurrent(t *testing.T) {
	f := Follow(t, s.src)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 10 {
				s.askAll(t)
			}
		})
	}
	for range 3 {
		s.Backend.Mine(t, 2)
		s.Backend.Reorg(t, 1, 2)
	}
	wg.Wait()
	f.Await(t, s.Harness, s.Backend.Tip(t))
	s.checkCopy(t, f)
}

func (s *suite) askAll(t *testing.T) {
	ctx := t.Context()
	gone := func(err error) bool { return errors.Is(err, chain.ErrNotFound) }

	tip, err := s.src.Tip(ctx)
	if err != nil {
		t.Errorf("tip: %v", err)
		return
	}
	if _, err := s.src.HashAt(ctx, tip.Height); err != nil && !gone(err) {
		t.Errorf("hash at %d: %v", tip.Height, err)
	}
	header, height, err := s.src.Header(ctx, tip.Hash)
	switch {
	case s.Forgets && gone(err):
	case err != nil:
		t.Errorf("header: %v", err)
	case header.BlockHash() != tip.Hash || height != tip.Height:
		t.Errorf("header %d %v, asked for %d %v", height, header.BlockHash(), tip.Height, tip.Hash)
	}
	block, err := s.src.Block(ctx, tip.Hash)
	switch {
	case s.Forgets && gone(err):
	case err != nil:
		t.Errorf("block: %v", err)
	case block.BlockHash() != tip.Hash:
		t.Errorf("block %v, asked for %v", block.BlockHash(), tip.Hash)
	}
	if _, err := s.src.FeeRate(ctx, 6); err != nil && !errors.Is(err, chain.ErrNoFeeEstimate) {
		t.Errorf("fee rate: %v", err)
	}
	s.src.Subscribe(func() {})()
}
