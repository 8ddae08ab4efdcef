package regtest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/mining"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// firstBlockTime is the time of block 1. The genesis block is older than
// BIP 16, which btcd activates by time, and without which segwit fails.
var firstBlockTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const (
	blockInterval = 10 * time.Minute
	blockVersion  = 0x20000000

	// maxBlockWeight leaves room for header and coinbase.
	maxBlockWeight = blockchain.MaxBlockWeight - 4_000
)

func sha256Sum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}

// ErrBadReorg says that a reorganisation would not win: it must replace at
// least one block, keep the genesis block and bring more blocks than it takes.
var ErrBadReorg = errors.New("regtest: a reorganisation needs 0 < depth < height and more new blocks than old ones")

// Mine adds n blocks; the first takes the mempool's transactions. Coinbases go
// to the faucet.
func (c *Chain) Mine(n int) ([]*wire.MsgBlock, error) { return c.MineTo(faucetPkScript, n) }

// MineTo is Mine with the coinbases paid to a script. They mature after 100
// blocks.
func (c *Chain) MineTo(pkScript []byte, n int) ([]*wire.MsgBlock, error) {
	return c.mineMany(n, func() (*wire.MsgBlock, error) { return c.mineNext(pkScript, c.takeMempool()) })
}

// MineEmpty adds n blocks without transactions: the mempool waits.
func (c *Chain) MineEmpty(n int) ([]*wire.MsgBlock, error) {
	return c.mineMany(n, func() (*wire.MsgBlock, error) { return c.mineNext(faucetPkScript, template{}) })
}

// MineTxs adds one block with exactly these transactions. Consensus rules
// apply, mempool policy does not: this is how a transaction without fee or one
// that conflicts with the mempool gets into a block.
func (c *Chain) MineTxs(txs ...*wire.MsgTx) (*wire.MsgBlock, error) {
	blocks, err := c.mineMany(1, func() (*wire.MsgBlock, error) {
		return c.mineNext(faucetPkScript, templateOf(txs))
	})
	if err != nil {
		return nil, err
	}
	return blocks[0], nil
}

func (c *Chain) mineMany(n int, next func() (*wire.MsgBlock, error)) ([]*wire.MsgBlock, error) {
	blocks, err := func() ([]*wire.MsgBlock, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		var blocks []*wire.MsgBlock
		for range n {
			if c.closed {
				return blocks, ErrClosed
			}
			block, err := next()
			if err != nil {
				return blocks, err
			}
			blocks = append(blocks, block)
		}
		return blocks, nil
	}()
	if len(blocks) > 0 {
		c.notify()
	}
	return blocks, err
}

// template is what goes into a block beside its coinbase.
type template struct {
	txs  []*btcutil.Tx
	fees btcutil.Amount
}

func templateOf(txs []*wire.MsgTx) template {
	var t template
	for _, tx := range txs {
		t.txs = append(t.txs, btcutil.NewTx(tx.Copy()))
	}
	return t
}

// takeMempool chooses transactions in order of arrival, which puts parents
// before children, until the block is full.
func (c *Chain) takeMempool() template {
	var t template
	weight := int64(0)
	for _, d := range c.poolTxs() {
		weight += blockchain.GetTransactionWeight(d.Tx)
		if weight > maxBlockWeight {
			break
		}
		t.txs = append(t.txs, d.Tx)
		t.fees += btcutil.Amount(d.Fee)
	}
	return t
}

func (c *Chain) mineNext(pkScript []byte, t template) (*wire.MsgBlock, error) {
	best := c.bc.BestSnapshot()
	block, err := c.addBlock(best.Hash, best.Height+1, pkScript, t)
	if err != nil {
		return nil, err
	}
	for _, tx := range t.txs {
		c.pool.RemoveTransaction(tx, false)
		c.pool.RemoveDoubleSpends(tx)
	}
	if len(t.txs) > 0 {
		c.forgetGone()
	}
	return block, nil
}

// addBlock builds, solves and submits a block on any parent.
func (c *Chain) addBlock(prev chainhash.Hash, height int32, pkScript []byte, t template) (*wire.MsgBlock, error) {
	parent, err := c.bc.HeaderByHash(&prev)
	if err != nil {
		return nil, fmt.Errorf("regtest: parent of block %d: %w", height, err)
	}
	for {
		c.serial++
		block, err := c.buildBlock(parent, prev, height, pkScript, t)
		if err != nil {
			return nil, err
		}
		hash := block.BlockHash()
		// Only a chain reopened from disk starts to count again.
		if have, err := c.bc.HaveBlock(&hash); err != nil {
			return nil, fmt.Errorf("regtest: %w", err)
		} else if have {
			continue
		}
		// btcd keeps what it is given, the caller owns the result.
		if _, _, err := c.bc.ProcessBlock(btcutil.NewBlock(block.Copy()), blockchain.BFNone); err != nil {
			return nil, fmt.Errorf("regtest: block at height %d refused: %w", height, err)
		}
		if err := c.blocks.append(block); err != nil {
			return nil, err
		}
		return block, nil
	}
}

func (c *Chain) buildBlock(parent wire.BlockHeader, prev chainhash.Hash, height int32, pkScript []byte,
	t template,
) (*wire.MsgBlock, error) {
	script, err := txscript.NewScriptBuilder().AddInt64(int64(height)).AddInt64(c.serial).Script()
	if err != nil {
		return nil, fmt.Errorf("regtest: coinbase script: %w", err)
	}
	if len(script) < blockchain.MinCoinbaseScriptLen {
		script = append(script, txscript.OP_NOP)
	}
	coinbase := wire.NewMsgTx(1)
	coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, wire.MaxPrevOutIndex), script, nil))
	value := blockchain.CalcBlockSubsidy(height, c.params) + int64(t.fees)
	coinbase.AddTxOut(wire.NewTxOut(value, pkScript))

	txs := append([]*btcutil.Tx{btcutil.NewTx(coinbase)}, t.txs...)
	for _, tx := range t.txs {
		if tx.MsgTx().HasWitness() {
			mining.AddWitnessCommitment(txs[0], txs)
			break
		}
	}

	when := parent.Timestamp.Add(blockInterval)
	if height == 1 {
		when = firstBlockTime
	}

	// The coinbase changed under txs[0], whose hash may be cached.
	txs[0] = btcutil.NewTx(coinbase)
	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version:    blockVersion,
		PrevBlock:  prev,
		MerkleRoot: blockchain.CalcMerkleRoot(txs, false),
		Timestamp:  when,
		Bits:       c.params.PowLimitBits,
	})
	for _, tx := range txs {
		if err := block.AddTransaction(tx.MsgTx().Copy()); err != nil {
			return nil, fmt.Errorf("regtest: %w", err)
		}
	}

	// Half of all hashes solve a regtest block.
	target := blockchain.CompactToBig(block.Header.Bits)
	for {
		hash := block.BlockHash()
		if blockchain.HashToBig(&hash).Cmp(target) <= 0 {
			return block, nil
		}
		block.Header.Nonce++
	}
}
