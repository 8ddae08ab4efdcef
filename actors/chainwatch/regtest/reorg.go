package regtest

import (
	"fmt"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// ReorgOption shapes a reorganisation.
type ReorgOption func(*reorg)

type reorg struct {
	drop    map[chainhash.Hash]struct{}
	dropAll bool
	include map[int][]*wire.MsgTx
}

// DropTxs keeps transactions of the removed blocks, and what spends them, from
// coming back to the mempool.
func DropTxs(txids ...chainhash.Hash) ReorgOption {
	return func(r *reorg) {
		for _, txid := range txids {
			r.drop[txid] = struct{}{}
		}
	}
}

// DropAllTxs keeps every transaction of the removed blocks from coming back.
func DropAllTxs() ReorgOption { return func(r *reorg) { r.dropAll = true } }

// WithBlock puts transactions into the i-th new block, counted from 0. They
// may conflict with what the removed blocks held.
func WithBlock(i int, txs ...*wire.MsgTx) ReorgOption {
	return func(r *reorg) { r.include[i] = append(r.include[i], txs...) }
}

// Reorg replaces the last depth blocks by newBlocks new ones, which are empty
// but for WithBlock. Afterwards the mempool holds what it held before and,
// before that in order, the transactions of the removed blocks, as far as
// policy takes them at the new height. On an error the best chain is as
// before.
func (c *Chain) Reorg(depth, newBlocks int, opts ...ReorgOption) error {
	r := &reorg{drop: make(map[chainhash.Hash]struct{}), include: make(map[int][]*wire.MsgTx)}
	for _, opt := range opts {
		opt(r)
	}
	if err := c.reorg(depth, newBlocks, r); err != nil {
		return err
	}
	c.notify()
	return nil
}

func (c *Chain) reorg(depth, newBlocks int, r *reorg) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	tip := c.height()
	if depth <= 0 || int64(depth) >= int64(tip) || newBlocks <= depth {
		return fmt.Errorf("%w: depth %d, new blocks %d, height %d", ErrBadReorg, depth, newBlocks, tip)
	}
	fork := tip - int32(depth)

	var back []*btcutil.Tx
	for h := fork + 1; h <= tip; h++ {
		hash, err := c.hashAt(h)
		if err != nil {
			return err
		}
		block, err := c.blockByHash(hash)
		if err != nil {
			return err
		}
		for _, tx := range block.Transactions[1:] {
			if _, drop := r.drop[tx.TxHash()]; !drop && !r.dropAll {
				back = append(back, btcutil.NewTx(tx))
			}
		}
	}

	prev, err := c.hashAt(fork)
	if err != nil {
		return err
	}
	for i := range newBlocks {
		block, err := c.addBlock(prev, fork+1+int32(i), faucetPkScript, templateOf(r.include[i]))
		if err != nil {
			return err
		}
		prev = block.BlockHash()
	}
	c.refill(back)
	return nil
}

// refill makes a new mempool of returning transactions and the old content.
// What no longer fits (its parent was dropped, it conflicts, a lock has not
// passed at this height) is left out, as a full node does.
func (c *Chain) refill(back []*btcutil.Tx) {
	returning := len(back)
	for _, d := range c.poolTxs() {
		back = append(back, d.Tx)
	}
	c.pool = c.newPool()
	clear(c.order)
	c.faucet.pending = nil
	for i, tx := range back {
		if c.precheck(tx) == nil {
			// A refusal here is policy's right, not a failure of the reorg.
			_ = c.accept(tx, i >= returning)
		}
	}
}
