package chaintest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// notify checks that each subscriber is told, and none after it cancelled.
func (s *suite) notify(t *testing.T) {
	var afterwards atomic.Int64
	cancel := s.src.Subscribe(func() { afterwards.Add(1) })
	s.hear(t)
	cancel()
	cancel() // twice does no harm
	told := afterwards.Load()
	s.hear(t)
	if afterwards.Load() != told {
		t.Error("a subscriber was told of a block after it cancelled")
	}
}

// hear adds blocks, one after the other, and waits until a subscriber was told
// of each. The first time may be about an earlier change.
func (s *suite) hear(t *testing.T) {
	t.Helper()
	told := make(chan struct{}, 1)
	defer s.src.Subscribe(func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})()
	ctx, cancel := context.WithTimeout(t.Context(), s.wait())
	defer cancel()
	for range 3 {
		s.mine(t, 1)
		select {
		case <-told:
		case <-ctx.Done():
			t.Fatal("a subscriber was not told of a block")
		}
	}
}

// reorganise looks at both branches of a fork.
func (s *suite) reorganise(t *testing.T) {
	for _, depth := range []int{1, 3, 6} {
		s.mine(t, depth)
		f := Follow(t, s.src)
		old := f.Tip()
		var stale []chain.BlockID
		for height := old.Height; height > old.Height-int32(depth); height-- {
			hash, err := s.src.HashAt(t.Context(), height)
			if err != nil {
				t.Fatalf("hash at %d: %v", height, err)
			}
			stale = append(stale, chain.BlockID{Height: height, Hash: hash})
		}

		s.Backend.Reorg(t, depth, depth+1)
		f.Await(t, s.Harness, s.Backend.Tip(t))
		if !slices.Equal(f.Disconnected, stale) {
			t.Errorf("depth %d: left the chain %v, want %v", depth, f.Disconnected, stale)
		}
		if len(f.Connected) != depth+1 {
			t.Errorf("depth %d: %d blocks joined the chain, want %d", depth, len(f.Connected), depth+1)
		}
		for _, id := range f.Connected {
			hash, err := s.src.HashAt(t.Context(), id.Height)
			if err != nil || hash != id.Hash {
				t.Errorf("hash at %d: %v, %v, want %v", id.Height, hash, err, id.Hash)
			}
			s.checkBlock(t, id)
		}
		for _, id := range stale {
			if _, _, err := s.src.Header(t.Context(), id.Hash); s.Forgets && errors.Is(err, chain.ErrNotFound) {
				continue
			}
			if _, err := s.src.Block(t.Context(), id.Hash); s.Forgets && errors.Is(err, chain.ErrNotFound) {
				continue // it may remember the header alone
			}
			s.checkBlock(t, id)
		}
	}
}

// follow lets the chain do what it likes before the source is looked at.
func (s *suite) follow(t *testing.T) {
	f := Follow(t, s.src)
	s.Backend.Mine(t, 2)
	s.Backend.Reorg(t, 1, 2)
	s.Backend.Mine(t, 1)
	s.Backend.Reorg(t, 3, 5)
	s.Backend.Mine(t, 3)
	f.Await(t, s.Harness, s.Backend.Tip(t))
	s.checkCopy(t, f)
}

// checkCopy compares what a follower saw with what the source says now.
func (s *suite) checkCopy(t *testing.T, f *Follower) {
	t.Helper()
	for height := f.Tip().Height; ; height-- {
		want, ok := f.hashes[height]
		if !ok {
			return
		}
		if hash, err := s.src.HashAt(t.Context(), height); err != nil || hash != want {
			t.Errorf("hash at %d: %v, %v; followed to %v", height, hash, err, want)
		}
	}
}

// outage stops the backend under the source and brings it back.
func (s *suite) outage(t *testing.T) {
	coin := s.Backend.Coin(t)
	s.mine(t, 2)
	f := Follow(t, s.src)
	tip := f.Tip()

	s.Backend.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), s.wait())
	defer cancel()
	if _, err := s.src.Tip(ctx); err != nil && !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("tip during the outage: %v, want ErrUnreachable, or what the source remembers", err)
	}
	if block, err := s.src.Block(ctx, tip.Hash); err == nil {
		if block.BlockHash() != tip.Hash {
			t.Error("the wrong block during the outage")
		}
	} else if !errors.Is(err, chain.ErrUnreachable) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("block during the outage: %v, want ErrUnreachable", err)
	}
	if err := s.src.Broadcast(ctx, s.spend(t, coin)); !s.Blind && !errors.Is(err, chain.ErrUnreachable) {
		t.Errorf("broadcast during the outage: %v, want ErrUnreachable", err)
	}

	s.Backend.Start(t)
	s.Backend.Mine(t, 2)
	f.Await(t, s.Harness, s.Backend.Tip(t))
	if len(f.Disconnected) != 0 || len(f.Connected) != 2 {
		t.Errorf("after the outage: %d blocks left and %d joined, want 0 and 2", len(f.Disconnected), len(f.Connected))
	}
	s.checkCopy(t, f)
	s.hear(t) // a look succeeds as soon as the backend is back; so must notifications
}

// reorganisedMeanwhile lets the source come back to another best chain.
func (s *suite) reorganisedMeanwhile(t *testing.T) {
	s.mine(t, 3)
	f := Follow(t, s.src)
	s.Backend.Stop(t)
	s.Backend.Start(t)
	s.Backend.Reorg(t, 2, 4)
	f.Await(t, s.Harness, s.Backend.Tip(t))
	if len(f.Disconnected) != 2 || len(f.Connected) != 4 {
		t.Errorf("%d blocks left and %d joined, want 2 and 4", len(f.Disconnected), len(f.Connected))
	}
	s.checkCopy(t, f)
}
