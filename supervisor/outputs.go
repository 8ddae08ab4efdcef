package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/graph"
)

// outputs lets the graph find funding outputs in a chain source. Announcements come by place, so many ask for the same few blocks.
type outputs struct {
	src chain.Source

	mu     sync.Mutex
	recent []outputsBlock // newest last
}

type outputsBlock struct {
	hash  chainhash.Hash
	block *wire.MsgBlock
	txids []chainhash.Hash // zero where not computed yet
}

// keepBlocks is how many blocks are kept between questions.
const keepBlocks = 4

func outputsOf(src chain.Source) graph.Outputs { return &outputs{src: src} }

// Local implements graph.Outputs.
func (o *outputs) Local() bool { return o.src.Local() }

// Output implements graph.Outputs.
func (o *outputs) Output(ctx context.Context, height, tx, output uint32) (*wire.TxOut, wire.OutPoint, error) {
	var none wire.OutPoint
	hash, err := o.src.HashAt(ctx, int32(height)) //nolint:gosec // a height of a short channel id has 24 bits
	if errors.Is(err, chain.ErrNotFound) {
		return nil, none, fmt.Errorf("%w: block %d", graph.ErrNoOutput, height)
	}
	if err != nil {
		return nil, none, err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	b, err := o.block(ctx, hash)
	if err != nil {
		return nil, none, err
	}
	if uint64(tx) >= uint64(len(b.block.Transactions)) || uint64(output) >= uint64(len(b.block.Transactions[tx].TxOut)) {
		return nil, none, fmt.Errorf("%w: %d:%d:%d", graph.ErrNoOutput, height, tx, output)
	}
	if b.txids[tx] == (chainhash.Hash{}) {
		b.txids[tx] = b.block.Transactions[tx].TxHash()
	}
	return b.block.Transactions[tx].TxOut[output], wire.OutPoint{Hash: b.txids[tx], Index: output}, nil
}

func (o *outputs) block(ctx context.Context, hash chainhash.Hash) (*outputsBlock, error) {
	for i := range o.recent {
		if o.recent[i].hash == hash {
			return &o.recent[i], nil
		}
	}
	b, err := o.src.Block(ctx, hash)
	if err != nil {
		return nil, err
	}
	if len(o.recent) >= keepBlocks {
		o.recent = o.recent[1:]
	}
	o.recent = append(o.recent, outputsBlock{hash: hash, block: b, txids: make([]chainhash.Hash, len(b.Transactions))})
	return &o.recent[len(o.recent)-1], nil
}
