package chain

import (
	"context"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// BlockID names a block: its hash, and the height it has on its own branch.
type BlockID struct {
	Height int32
	Hash   chainhash.Hash
}

// FeePerKW is a fee rate in satoshi per 1,000 weight units.
type FeePerKW uint64

// Source is a view of one best chain. The best chain may change between any
// two calls, so a caller that walks it checks that each block's PrevBlock is
// the one it saw before. Implementations are safe for concurrent use.
//
// Errors: the sentinels of this package and *BroadcastError, possibly wrapped,
// or the context's error. After an error nothing was learnt; ErrNotFound alone
// says something about the chain.
type Source interface {
	// Genesis is the hash of block 0: which chain this is.
	Genesis(ctx context.Context) (chainhash.Hash, error)

	// Tip is the block that the source calls best.
	Tip(ctx context.Context) (BlockID, error)

	// HashAt is the hash of the best chain's block at a height, ErrNotFound
	// above the tip.
	HashAt(ctx context.Context, height int32) (chainhash.Hash, error)

	// Header returns the header and the height of a block on any branch the
	// source still has.
	Header(ctx context.Context, hash chainhash.Hash) (wire.BlockHeader, int32, error)

	// Block returns a block of any branch the source still has. The caller
	// owns the result.
	Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error)

	// Broadcast offers a transaction to the network. Nil means taken;
	// *BroadcastError says why not.
	Broadcast(ctx context.Context, tx *wire.MsgTx) error

	// FeeRate estimates the rate at which a transaction confirms within the
	// given number of blocks.
	FeeRate(ctx context.Context, blocks int32) (FeePerKW, error)

	// Subscribe calls notify after the best chain has changed, until cancel
	// is called. A call is a hint without content: changes may be merged, the
	// subscriber asks for the Tip. notify must not block and must not call
	// the source.
	Subscribe(notify func()) (cancel func())

	// Local reports that calls answer from memory, so that they may be made
	// inside an actor's turn. A local source makes the watcher deterministic:
	// no goroutine stands between the two.
	Local() bool
}
