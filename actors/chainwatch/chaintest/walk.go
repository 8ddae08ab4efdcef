package chaintest

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

func (s *suite) connect(t *testing.T) {
	genesis, err := s.src.Genesis(t.Context())
	if err != nil {
		t.Fatalf("genesis: %v", err)
	}
	if want := *s.Backend.Params().GenesisHash; genesis != want {
		t.Errorf("genesis %v, want %v", genesis, want)
	}
	Follow(t, s.src).Await(t, s.Harness, s.Backend.Tip(t))
}

func (s *suite) wrongChain(t *testing.T) {
	if s.OpenWrong == nil {
		t.Skip("the source is the chain itself")
	}
	if err := s.OpenWrong(t, t.Context()); !errors.Is(err, chain.ErrWrongChain) {
		t.Errorf("a source that expects another chain: %v, want ErrWrongChain", err)
	}
}

// walk asks for blocks from the genesis block to the tip, by height and by
// hash, as a watcher does that comes back after a long time.
func (s *suite) walk(t *testing.T) {
	tip, err := s.src.Tip(t.Context())
	if err != nil {
		t.Fatalf("tip: %v", err)
	}
	for _, height := range sample(tip.Height) {
		hash, err := s.src.HashAt(t.Context(), height)
		if err != nil {
			t.Fatalf("hash at %d: %v", height, err)
		}
		if height == tip.Height && hash != tip.Hash {
			t.Errorf("hash at the tip's height %v, the tip %v", hash, tip.Hash)
		}
		header := s.checkBlock(t, chain.BlockID{Height: height, Hash: hash})
		var prev chainhash.Hash
		if height > 0 {
			if prev, err = s.src.HashAt(t.Context(), height-1); err != nil {
				t.Fatalf("hash at %d: %v", height-1, err)
			}
		}
		if header.PrevBlock != prev {
			t.Errorf("block %d follows %v, below it is %v", height, header.PrevBlock, prev)
		}
	}
}

// sample is both ends of the chain and some heights between them, ascending.
func sample(tip int32) (heights []int32) {
	step := max(tip/16, 1)
	for h := int32(0); h <= tip; {
		heights = append(heights, h)
		if h < 2 || h >= tip-3 {
			h++
		} else {
			h = min(h+step, tip-3)
		}
	}
	return heights
}

// checkBlock asks for a block and its header, which must agree.
func (s *suite) checkBlock(t *testing.T, id chain.BlockID) wire.BlockHeader {
	t.Helper()
	header, height, err := s.src.Header(t.Context(), id.Hash)
	if err != nil {
		t.Fatalf("header %d: %v", id.Height, err)
	}
	if height != id.Height || header.BlockHash() != id.Hash {
		t.Errorf("asked for header %d %v, got %d %v", id.Height, id.Hash, height, header.BlockHash())
	}
	block, err := s.src.Block(t.Context(), id.Hash)
	if err != nil {
		t.Fatalf("block %d: %v", id.Height, err)
	}
	if block.BlockHash() != id.Hash {
		t.Errorf("asked for block %d %v, got %v", id.Height, id.Hash, block.BlockHash())
	}
	if len(block.Transactions) == 0 {
		t.Errorf("block %d is empty", id.Height)
	}
	return header
}

func (s *suite) notFound(t *testing.T) {
	tip := s.Backend.Tip(t)
	for _, height := range []int32{-1, math.MinInt32, tip.Height + 1, tip.Height + 1000, math.MaxInt32} {
		if _, err := s.src.HashAt(t.Context(), height); !errors.Is(err, chain.ErrNotFound) {
			t.Errorf("hash at %d: %v, want ErrNotFound", height, err)
		}
	}
	for _, hash := range []chainhash.Hash{{}, {1, 2, 3}} {
		if _, _, err := s.src.Header(t.Context(), hash); !errors.Is(err, chain.ErrNotFound) {
			t.Errorf("header %v: %v, want ErrNotFound", hash, err)
		}
		if _, err := s.src.Block(t.Context(), hash); !errors.Is(err, chain.ErrNotFound) {
			t.Errorf("block %v: %v, want ErrNotFound", hash, err)
		}
	}
}

// owned changes a block in place, which nobody else may see.
func (s *suite) owned(t *testing.T) {
	tip := s.Backend.Tip(t)
	block, err := s.src.Block(t.Context(), tip.Hash)
	if err != nil {
		t.Fatalf("block: %v", err)
	}
	block.Header.Nonce++
	for _, tx := range block.Transactions {
		tx.LockTime++
		for _, in := range tx.TxIn {
			for i := range in.SignatureScript {
				in.SignatureScript[i]++
			}
		}
		for _, out := range tx.TxOut {
			for i := range out.PkScript {
				out.PkScript[i]++
			}
		}
	}
	want := block.Transactions[0].TxHash()
	again, err := s.src.Block(t.Context(), tip.Hash)
	if err != nil {
		t.Fatalf("block: %v", err)
	}
	if again.BlockHash() != tip.Hash || again.Transactions[0].TxHash() == want {
		t.Error("a block that was handed out shares memory with the source")
	}
}

// cancel checks that no call outlives its context.
func (s *suite) cancel(t *testing.T) {
	tip := s.Backend.Tip(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Tip":       func() error { _, err := s.src.Tip(ctx); return err },
		"HashAt":    func() error { _, err := s.src.HashAt(ctx, 1); return err },
		"Header":    func() error { _, _, err := s.src.Header(ctx, tip.Hash); return err },
		"Block":     func() error { _, err := s.src.Block(ctx, tip.Hash); return err },
		"Broadcast": func() error { return s.src.Broadcast(ctx, s.spend(t, s.Backend.Coin(t))) },
		"FeeRate":   func() error { _, err := s.src.FeeRate(ctx, 6); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a cancelled context: %v, want context.Canceled", name, err)
		}
	}
}

func (s *suite) fees(t *testing.T) {
	for _, blocks := range []int32{1, 6, 144, 1008} {
		rate, err := s.src.FeeRate(t.Context(), blocks)
		switch {
		case err == nil && rate == 0:
			t.Errorf("fee rate for %d blocks: 0 without an error", blocks)
		case err != nil && !errors.Is(err, chain.ErrNoFeeEstimate):
			t.Errorf("fee rate for %d blocks: %v, want ErrNoFeeEstimate", blocks, err)
		}
	}
}
