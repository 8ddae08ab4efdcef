package lnactor

import (
	"context"
	"time"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
)

// AppendStats counts what the store is given and how long that takes. Its fields change while the node runs; read them at any time.
type AppendStats = persister.Stats

// AppendStats are the counters of the node's store since it was opened.
func (n *Node) AppendStats() *AppendStats { return n.stats }

// UnhandledEvents is how many user events no consumer has handled, and the position of the oldest. The position stays the same for as long as that
// event is not handled and the manager does not crash, so a position that does not change for long says that the consumer does not get on.
func (n *Node) UnhandledEvents() (oldest uint64, unhandled int) { return n.events.Oldest() }

// ChainTip is the best block of the chain source.
type ChainTip struct {
	Height uint32
	Time   time.Time // of its header, as its miner says
}

// ChainTip asks the chain source, not the node's own view. The error says that the source does not answer.
func (n *Node) ChainTip(ctx context.Context) (ChainTip, error) {
	tip, err := n.chain.Tip(ctx)
	if err != nil {
		return ChainTip{}, n.fail("chain tip", err)
	}
	header, _, err := n.chain.Header(ctx, tip.Hash)
	if err != nil {
		return ChainTip{}, n.fail("chain tip", err)
	}
	return ChainTip{Height: uint32(max(tip.Height, 0)), Time: header.Timestamp}, nil //nolint:gosec // not negative
}

// DiskFree is how many bytes are left on the disk of the data directory; ok is false if there is no directory or it can't be found out.
func (n *Node) DiskFree() (bytes uint64, ok bool) {
	if n.cfg.Dir == "" {
		return 0, false
	}
	free := bboltstore.FreeBytes(n.cfg.Dir)
	return uint64(max(free, 0)), free >= 0 //nolint:gosec // not negative
}
