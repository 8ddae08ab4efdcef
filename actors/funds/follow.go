package funds

import (
	"context"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// position is where a wallet stands in the chain.
type position struct {
	height uint32
	hash   chainhash.Hash
	known  bool   // it has seen a block
	from   uint32 // the first that it will see
}

// step is a block for the wallet to connect, or, without the block, to disconnect.
type step struct {
	height uint32
	hash   chainhash.Hash
	block  *wire.MsgBlock
}

// read reads up to so many blocks that follow a position. A disconnection comes alone, for what is below it is for the wallet to say. more tells
// that the tip was not reached. With an error the steps before it are good.
func read(ctx context.Context, blocks Blocks, at position, most int) (steps []step, more bool, err error) {
	next := at.from
	if at.known {
		best, _, there, err := blocks.At(ctx, at.height)
		switch {
		case err != nil:
			return nil, false, err
		case !there || best != at.hash:
			return []step{{height: at.height, hash: at.hash}}, true, nil
		}
		next = at.height + 1
	}
	for len(steps) < most {
		hash, content, there, err := blocks.At(ctx, next)
		if err != nil || !there {
			return steps, false, err
		}
		block, err := content()
		if err != nil {
			return steps, false, err
		}
		if n := len(steps); n > 0 && block.Header.PrevBlock != steps[n-1].hash || n == 0 && at.known && block.Header.PrevBlock != at.hash {
			return steps, true, nil // the chain changed while it was read: look again
		}
		steps = append(steps, step{next, hash, block})
		next++
	}
	return steps, true, nil
}
