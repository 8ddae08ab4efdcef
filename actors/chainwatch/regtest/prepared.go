package regtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/database"
	_ "github.com/btcsuite/btcd/database/ffldb" // the driver of chains on disk
	"github.com/btcsuite/btcd/txscript"
)

// PreparedHeight is the height of a new chain: enough for 21 mature coinbases
// of 50 bitcoin each in the faucet.
const PreparedHeight = 120

// sigCacheSize is the number of signatures the mempool's check saves the
// block's. Clones share the cache.
const sigCacheSize = 4096

// prepared makes the blocks of a new chain once per process.
var prepared = sync.OnceValues(func() (*Snapshot, error) {
	c, err := newChain(newMemDB(), txscript.NewSigCache(sigCacheSize))
	if err != nil {
		return nil, err
	}
	if _, err := c.Mine(PreparedHeight); err != nil {
		return nil, err
	}
	return c.Snapshot()
})

// New opens a chain. An empty dir means in memory, prepared to PreparedHeight;
// otherwise the chain lives in that directory, and is made and prepared there
// if it is new; what was mined is there again after a crash. The mempool is not
// kept on disk.
func New(dir string) (*Chain, error) {
	snap, err := prepared()
	if err != nil {
		return nil, fmt.Errorf("regtest: prepare: %w", err)
	}
	if dir == "" {
		return snap.Open()
	}
	return openDisk(dir, snap)
}

// Snapshot is a frozen copy of a chain in memory, mempool and faucet included,
// from which any number of equal chains can be opened.
type Snapshot struct {
	db     *memDB
	index  *txIndex
	faucet *faucet
	serial int64
	pool   []*btcutil.Tx
	sigs   *txscript.SigCache
}

// Snapshot freezes the present state.
func (c *Chain) Snapshot() (*Snapshot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	db, ok := c.db.(*memDB)
	if !ok {
		return nil, ErrNotInMemory
	}
	if err := c.bc.FlushUtxoCache(blockchain.FlushRequired); err != nil {
		return nil, fmt.Errorf("regtest: snapshot: %w", err)
	}
	s := &Snapshot{
		db: db.clone(), index: c.index.clone(), faucet: c.faucet.clone(),
		serial: c.serial, sigs: c.sigs,
	}
	for _, d := range c.poolTxs() {
		s.pool = append(s.pool, d.Tx)
	}
	return s, nil
}

// Open makes an independent chain of a snapshot. Safe for concurrent use.
func (s *Snapshot) Open() (*Chain, error) {
	c, err := newChain(s.db.clone(), s.sigs)
	if err != nil {
		return nil, err
	}
	c.index, c.faucet, c.serial = s.index.clone(), s.faucet.clone(), s.serial
	c.faucet.pending = nil
	for _, tx := range s.pool {
		if err := c.accept(btcutil.NewTx(tx.MsgTx().Copy()), false); err != nil {
			return nil, fmt.Errorf("regtest: mempool of snapshot: %w", err)
		}
	}
	return c, nil
}

// Clone returns an independent chain equal to this one. Subscriptions are not
// copied.
func (c *Chain) Clone() (*Chain, error) {
	s, err := c.Snapshot()
	if err != nil {
		return nil, err
	}
	return s.Open()
}

func openDisk(dir string, snap *Snapshot) (*Chain, error) {
	path := filepath.Join(dir, "blocks")
	params := Params()
	db, err := database.Open("ffldb", path, params.Net)
	if isNoDatabase(err) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("regtest: %w", err)
		}
		db, err = database.Create("ffldb", path, params.Net)
	}
	if err != nil {
		return nil, fmt.Errorf("regtest: open %s: %w", path, err)
	}
	c, err := newChain(db, txscript.NewSigCache(sigCacheSize))
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := c.catchUp(snap); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if c.blocks, err = openJournal(filepath.Join(dir, "blocks.journal"), c.restore); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return c, nil
}

func isNoDatabase(err error) bool {
	var de database.Error
	return errors.As(err, &de) && de.ErrorCode == database.ErrDbDoesNotExist
}

// catchUp rebuilds what is only in memory and adds the prepared blocks that
// are missing (all in a new directory, some after a crash while preparing).
func (c *Chain) catchUp(snap *Snapshot) error {
	defer func() { c.serial = int64(c.height()) }()
	for h := int32(1); h <= c.height(); h++ {
		block, err := c.bc.BlockByHeight(h)
		if err != nil {
			return fmt.Errorf("regtest: block %d: %w", h, err)
		}
		c.index.connect(block)
		c.faucet.connect(block)
	}
	if c.height() >= PreparedHeight {
		return nil
	}
	base, err := snap.Open()
	if err != nil {
		return err
	}
	for h := c.height() + 1; h <= PreparedHeight; h++ {
		block, err := base.Block(h)
		if err != nil {
			return err
		}
		if _, _, err := c.bc.ProcessBlock(btcutil.NewBlock(block), blockchain.BFNone); err != nil {
			return fmt.Errorf("regtest: prepare block %d: %w", h, err)
		}
	}
	return nil
}
