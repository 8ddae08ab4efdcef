package regtest

import (
	"fmt"
	"maps"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Location is where the best chain holds a transaction. Height, Index and an
// output number make a short channel id.
type Location struct {
	BlockHash chainhash.Hash
	Height    int32
	// Index of the transaction in its block; the coinbase has 0.
	Index int
}

// txIndex finds the best chain's transactions by id and by what they spend.
type txIndex struct {
	txs    map[chainhash.Hash]Location
	spends map[wire.OutPoint]chainhash.Hash
}

func newTxIndex() *txIndex {
	return &txIndex{txs: make(map[chainhash.Hash]Location), spends: make(map[wire.OutPoint]chainhash.Hash)}
}

func (x *txIndex) clone() *txIndex {
	return &txIndex{txs: maps.Clone(x.txs), spends: maps.Clone(x.spends)}
}

func (x *txIndex) connect(block *btcutil.Block) {
	for i, tx := range block.Transactions() {
		x.txs[*tx.Hash()] = Location{BlockHash: *block.Hash(), Height: block.Height(), Index: i}
		if i == 0 {
			continue
		}
		for _, in := range tx.MsgTx().TxIn {
			x.spends[in.PreviousOutPoint] = *tx.Hash()
		}
	}
}

func (x *txIndex) disconnect(block *btcutil.Block) {
	for i, tx := range block.Transactions() {
		delete(x.txs, *tx.Hash())
		if i == 0 {
			continue
		}
		for _, in := range tx.MsgTx().TxIn {
			delete(x.spends, in.PreviousOutPoint)
		}
	}
}

// Tx returns a transaction of the best chain and where it is.
func (c *Chain) Tx(txid chainhash.Hash) (*wire.MsgTx, Location, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, Location{}, ErrClosed
	}
	loc, ok := c.index.txs[txid]
	if !ok {
		return nil, Location{}, fmt.Errorf("transaction %v: %w", txid, chain.ErrNotFound)
	}
	block, err := c.blockByHash(loc.BlockHash)
	if err != nil {
		return nil, Location{}, err
	}
	return block.Transactions[loc.Index], loc, nil
}

// Confirmations counts the blocks from the one that holds the transaction to
// the tip: 1 in the tip, 0 when it is not in the best chain.
func (c *Chain) Confirmations(txid chainhash.Hash) int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	loc, ok := c.index.txs[txid]
	if !ok {
		return 0
	}
	return c.height() - loc.Height + 1
}

// Spender returns the best chain's transaction that spends an output.
func (c *Chain) Spender(op wire.OutPoint) (chainhash.Hash, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	txid, ok := c.index.spends[op]
	return txid, ok
}
