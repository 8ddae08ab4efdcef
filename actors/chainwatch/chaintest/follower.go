package chaintest

import (
	"context"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// window is how many blocks below the tip a Follower knows at first: more than
// any test reorganises.
const window = 20

// Follower keeps a copy of a source's best chain by its notifications alone,
// in the way of chainwatch. Tests of other packages may use it to wait for a
// block.
type Follower struct {
	src    chain.Source
	hint   chan struct{}
	hashes map[int32]chainhash.Hash
	tip    chain.BlockID

	// Connected and Disconnected are all blocks that joined and left the best
	// chain since Follow, in order.
	Connected, Disconnected []chain.BlockID
}

// Follow starts at the source's tip and stops with the test.
func Follow(t testing.TB, src chain.Source) *Follower {
	t.Helper()
	f := &Follower{src: src, hint: make(chan struct{}, 1), hashes: make(map[int32]chainhash.Hash)}
	t.Cleanup(src.Subscribe(func() {
		select {
		case f.hint <- struct{}{}:
		default:
		}
	}))
	var err error
	if f.tip, err = src.Tip(t.Context()); err != nil {
		t.Fatalf("tip: %v", err)
	}
	for at := f.tip; ; at.Height-- {
		f.hashes[at.Height] = at.Hash
		if at.Height == 0 || at.Height == f.tip.Height-window {
			return f
		}
		header, _, err := src.Header(t.Context(), at.Hash)
		if err != nil {
			t.Fatalf("header %d: %v", at.Height, err)
		}
		at.Hash = header.PrevBlock
	}
}

// Tip is the last block that was connected.
func (f *Follower) Tip() chain.BlockID { return f.tip }

// Await follows until a block is the tip. It looks once and then again after
// each notification, so that a source that forgets one is found out.
func (f *Follower) Await(t testing.TB, h *Harness, want chain.BlockID) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.wait())
	defer cancel()
	for {
		err := f.catchUp(ctx)
		switch {
		case err == nil && f.tip == want:
			return
		case err != nil && !errors.Is(err, chain.ErrUnreachable) && !errors.Is(err, errMoved) && ctx.Err() == nil:
			t.Fatalf("follow to %v: %v", want, err)
		}
		select {
		case <-f.hint:
		case <-ctx.Done():
			t.Fatalf("no notification led to block %d %v; the source is at %d %v, last error: %v",
				want.Height, want.Hash, f.tip.Height, f.tip.Hash, err)
		}
	}
}

// errMoved: the chain was reorganised between two questions; a notification
// about it is on its way.
var errMoved = errors.New("the best chain moved while it was walked")

func (f *Follower) catchUp(ctx context.Context) error {
	tip, err := f.src.Tip(ctx)
	if err != nil {
		return err
	}
	var path []chain.BlockID
	for at := tip; f.hashes[at.Height] != at.Hash; {
		header, height, err := f.src.Header(ctx, at.Hash)
		switch {
		case errors.Is(err, chain.ErrNotFound):
			return errMoved
		case err != nil:
			return err
		case height != at.Height:
			return errors.New("a header's height is not its parent's plus one")
		case header.BlockHash() != at.Hash:
			return errors.New("a header has another hash than asked for")
		}
		path = append(path, at)
		at = chain.BlockID{Height: at.Height - 1, Hash: header.PrevBlock}
		if at.Height < f.tip.Height-window {
			return errors.New("the best chain was reorganised deeper than a test does")
		}
	}
	fork := tip.Height - int32(len(path))
	for height := f.tip.Height; height > fork; height-- {
		f.Disconnected = append(f.Disconnected, chain.BlockID{Height: height, Hash: f.hashes[height]})
		delete(f.hashes, height)
	}
	for i := len(path) - 1; i >= 0; i-- {
		f.Connected = append(f.Connected, path[i])
		f.hashes[path[i].Height] = path[i].Hash
	}
	f.tip = tip
	return nil
}
