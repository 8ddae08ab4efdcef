package neutrino

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// errGaveUp: the caller did not wait for the answer.
var errGaveUp = errors.New("neutrino: no answer yet")

// flights are questions to the network by hash. The library's calls know no context: whoever gives up leaves the call under way, and whoever asks
// again joins it.
type flights[T any] struct {
	mu   sync.Mutex
	open map[chainhash.Hash]*flight[T]
}

type flight[T any] struct {
	done   chan struct{}
	result T
	err    error
}

// do returns what fetch returns. The result is shared.
func (f *flights[T]) do(ctx context.Context, s *Source, hash chainhash.Hash, fetch func() (T, error)) (T, error) {
	f.mu.Lock()
	fl, ok := f.open[hash]
	if !ok {
		if f.open == nil {
			f.open = make(map[chainhash.Hash]*flight[T])
		}
		fl = &flight[T]{done: make(chan struct{})}
		run := func() {
			fl.result, fl.err = fetch()
			f.mu.Lock()
			delete(f.open, hash)
			f.mu.Unlock()
			close(fl.done)
		}
		if !s.spawn(run) {
			f.mu.Unlock()
			var none T
			return none, chain.ErrClosed
		}
		f.open[hash] = fl
	}
	f.mu.Unlock()
	select {
	case <-fl.done:
		return fl.result, fl.err
	case <-ctx.Done():
		var none T
		return none, fmt.Errorf("%w: %w", errGaveUp, ctx.Err())
	}
}
