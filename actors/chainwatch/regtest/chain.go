package regtest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/database"
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// MinRelayFee is the mempool's lowest fee rate, 1 sat/vB.
const MinRelayFee = mempool.DefaultMinRelayTxFee

// utxoCacheSize bounds btcd's cache of unspent outputs, which it allocates in
// full at once; beyond it entries go to the database, in memory or not.
const utxoCacheSize = 64 << 10

var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("regtest: chain is closed")

	// ErrNotInMemory is returned by Snapshot and Clone for a chain on disk.
	ErrNotInMemory = errors.New("regtest: only a chain in memory can be cloned, open it with an empty directory")
)

// Chain is one regtest chain with its mempool, its miner and a faucet.
type Chain struct {
	mu     sync.Mutex
	closed bool
	db     database.DB
	blocks *journal // of a chain on disk
	bc     *blockchain.BlockChain
	params *chaincfg.Params
	sigs   *txscript.SigCache
	hashes *txscript.HashCache

	// pool is btcd's mempool; order says when each of its transactions
	// arrived, since the pool itself is a map.
	pool    *mempool.TxPool
	order   map[chainhash.Hash]uint64
	arrived uint64

	index  *txIndex
	faucet *faucet

	// serial goes into each coinbase, so that no two blocks are equal.
	serial int64

	subs   map[uint64]func()
	subSeq uint64
}

// Params returns the chain's parameters: btcd's regtest with all soft forks up
// to taproot active from block 1. Each call returns a fresh value, because
// btcd keeps a clock of the chain inside.
func Params() *chaincfg.Params {
	p := chaincfg.RegressionNetParams
	p.BIP0065Height, p.BIP0066Height = 1, 1
	for i := range p.Deployments {
		d := &p.Deployments[i]
		d.DeploymentStarter = chaincfg.NewMedianTimeDeploymentStarter(time.Time{})
		d.DeploymentEnder = chaincfg.NewMedianTimeDeploymentEnder(time.Time{})
	}
	for _, id := range []int{chaincfg.DeploymentCSV, chaincfg.DeploymentSegwit, chaincfg.DeploymentTaproot} {
		p.Deployments[id].AlwaysActiveHeight = 1
	}
	return &p
}

// blockClock is the time source of block validation. The chain must not
// depend on the wall clock (it may be virtual, and block time is counted from
// a fixed date), so "now" is far ahead of every block.
type blockClock struct{}

func (blockClock) AdjustedTime() time.Time         { return time.Unix(4_000_000_000, 0) }
func (blockClock) AddTimeSample(string, time.Time) {}
func (blockClock) Offset() time.Duration           { return 0 }

// newChain puts btcd's consensus and mempool over a database.
func newChain(db database.DB, sigs *txscript.SigCache) (*Chain, error) {
	c := &Chain{
		db:     db,
		params: Params(),
		sigs:   sigs,
		hashes: txscript.NewHashCache(16),
		order:  make(map[chainhash.Hash]uint64),
		index:  newTxIndex(),
		faucet: newFaucet(),
		subs:   make(map[uint64]func()),
	}
	var err error
	c.bc, err = blockchain.New(&blockchain.Config{
		DB:               db,
		UtxoCacheMaxSize: utxoCacheSize,
		ChainParams:      c.params,
		TimeSource:       blockClock{},
		SigCache:         sigs,
		HashCache:        c.hashes,
	})
	if err != nil {
		return nil, fmt.Errorf("regtest: open chain: %w", err)
	}
	c.bc.Subscribe(c.follow)
	c.pool = c.newPool()
	return c, nil
}

// follow keeps the index and the faucet in step with the best chain. btcd
// calls it inside ProcessBlock, so c.mu is held.
func (c *Chain) follow(n *blockchain.Notification) {
	block, ok := n.Data.(*btcutil.Block)
	if !ok {
		return
	}
	switch n.Type {
	case blockchain.NTBlockConnected:
		c.index.connect(block)
		c.faucet.connect(block)
	case blockchain.NTBlockDisconnected:
		c.faucet.disconnect(block)
		c.index.disconnect(block)
	}
}

func (c *Chain) newPool() *mempool.TxPool {
	return mempool.New(&mempool.Config{
		Policy: mempool.Policy{
			MaxTxVersion: 2,
			// No free transactions: below the relay fee is refused.
			DisableRelayPriority: true,
			FreeTxRelayLimit:     0,
			MaxSigOpCostPerTx:    blockchain.MaxBlockSigOpsCost / 4,
			MinRelayTxFee:        MinRelayFee,
		},
		ChainParams:        c.params,
		FetchUtxoView:      c.bc.FetchUtxoView,
		BestHeight:         func() int32 { return c.bc.BestSnapshot().Height },
		MedianTimePast:     func() time.Time { return c.bc.BestSnapshot().MedianTime },
		CalcSequenceLock:   c.calcSequenceLock,
		IsDeploymentActive: c.bc.IsDeploymentActive,
		SigCache:           c.sigs,
		HashCache:          c.hashes,
	})
}

func (c *Chain) calcSequenceLock(tx *btcutil.Tx, view *blockchain.UtxoViewpoint) (*blockchain.SequenceLock, error) {
	return c.bc.CalcSequenceLock(tx, view, true)
}

// Close releases the database. Calls after it return ErrClosed.
func (c *Chain) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	err := errors.Join(c.bc.FlushUtxoCache(blockchain.FlushRequired), c.db.Close())
	return errors.Join(err, c.blocks.close(err == nil))
}

// Params returns the parameters of this chain; do not change them.
func (c *Chain) Params() *chaincfg.Params { return c.params }

// Tip is the best block. It never shows a chain in the middle of a Reorg.
func (c *Chain) Tip() (chainhash.Hash, int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	best := c.bc.BestSnapshot()
	return best.Hash, best.Height
}

// Height is the height of the best block.
func (c *Chain) Height() int32 {
	_, height := c.Tip()
	return height
}

// height is Height with c.mu held.
func (c *Chain) height() int32 { return c.bc.BestSnapshot().Height }

// Block returns the best chain's block at a height, chain.ErrNotFound outside.
func (c *Chain) Block(height int32) (*wire.MsgBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hash, err := c.hashAt(height)
	if err != nil {
		return nil, err
	}
	return c.blockByHash(hash)
}

// BlockHash returns the hash of the best chain's block at a height.
func (c *Chain) BlockHash(height int32) (chainhash.Hash, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hashAt(height)
}

func (c *Chain) hashAt(height int32) (chainhash.Hash, error) {
	if c.closed {
		return chainhash.Hash{}, ErrClosed
	}
	hash, err := c.bc.BlockHashByHeight(height)
	if err != nil {
		return chainhash.Hash{}, fmt.Errorf("block at height %d: %w", height, chain.ErrNotFound)
	}
	return *hash, nil
}

// BlockByHash returns a block of any branch.
func (c *Chain) BlockByHash(hash chainhash.Hash) (*wire.MsgBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	return c.blockByHash(hash)
}

// blockByHash reads the database itself: btcd's BlockByHash knows only the
// best chain, and a watcher walks abandoned branches back.
func (c *Chain) blockByHash(hash chainhash.Hash) (*wire.MsgBlock, error) {
	var raw []byte
	err := c.db.View(func(tx database.Tx) (err error) {
		raw, err = tx.FetchBlock(&hash)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("block %v: %w", hash, chain.ErrNotFound)
	}
	block, err := btcutil.NewBlockFromBytes(raw)
	if err != nil {
		return nil, fmt.Errorf("regtest: block %v: %w", hash, err)
	}
	return block.MsgBlock(), nil
}

// UTXO is an unspent output of the best chain.
type UTXO struct {
	TxOut wire.TxOut
	// Height of the block with the transaction.
	Height   int32
	Coinbase bool
}

// TxOut returns an unspent output of the best chain. The mempool is not looked
// at; chain.ErrNotFound means unknown or spent.
func (c *Chain) TxOut(op wire.OutPoint) (UTXO, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return UTXO{}, ErrClosed
	}
	entry, err := c.bc.FetchUtxoEntry(op)
	if err != nil {
		return UTXO{}, fmt.Errorf("regtest: output %v: %w", op, err)
	}
	if entry == nil || entry.IsSpent() {
		return UTXO{}, fmt.Errorf("output %v: %w", op, chain.ErrNotFound)
	}
	return UTXO{
		TxOut:    wire.TxOut{Value: entry.Amount(), PkScript: append([]byte(nil), entry.PkScript()...)},
		Height:   entry.BlockHeight(),
		Coinbase: entry.IsCoinBase(),
	}, nil
}

// Subscribe calls notify after each call that changed the best chain: once per
// Mine or Reorg, without locks held, on the goroutine of that call, in the
// order of subscription.
func (c *Chain) Subscribe(notify func()) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subSeq++
	id := c.subSeq
	c.subs[id] = notify
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subs, id)
	}
}

// notify must be called without c.mu.
func (c *Chain) notify() {
	c.mu.Lock()
	fns := make([]func(), 0, len(c.subs))
	for id := uint64(1); id <= c.subSeq && len(fns) < len(c.subs); id++ {
		if fn, ok := c.subs[id]; ok {
			fns = append(fns, fn)
		}
	}
	c.mu.Unlock()
	for _, fn := range fns {
		fn()
	}
}
