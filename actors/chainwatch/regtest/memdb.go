package regtest

import (
	"maps"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/database"
	"github.com/btcsuite/btcd/wire"
)

// memDB is btcd's database interface over maps, because a chain on ffldb costs
// tens of milliseconds and files to create, and simulations create thousands.
// It has no lock of its own: Chain serialises every access.
type memDB struct {
	root   *memBucket
	blocks map[chainhash.Hash][]byte
}

type memBucket struct {
	kv  map[string][]byte
	sub map[string]*memBucket
}

func newMemBucket() *memBucket {
	return &memBucket{kv: make(map[string][]byte), sub: make(map[string]*memBucket)}
}

func (b *memBucket) clone() *memBucket {
	c := &memBucket{kv: maps.Clone(b.kv), sub: make(map[string]*memBucket, len(b.sub))}
	for name, sub := range b.sub {
		c.sub[name] = sub.clone()
	}
	return c
}

func newMemDB() *memDB {
	return &memDB{root: newMemBucket(), blocks: make(map[chainhash.Hash][]byte)}
}

// clone shares the values, which are never written to, and copies the maps.
func (db *memDB) clone() *memDB {
	return &memDB{root: db.root.clone(), blocks: maps.Clone(db.blocks)}
}

var _ database.DB = (*memDB)(nil)

func (db *memDB) Type() string { return "memdb" }

func (db *memDB) Close() error { return nil }

func (db *memDB) Begin(writable bool) (database.Tx, error) {
	return &memTx{db: db, writable: writable}, nil
}

func (db *memDB) View(fn func(database.Tx) error) error {
	return fn(&memTx{db: db})
}

func (db *memDB) Update(fn func(database.Tx) error) error {
	tx := &memTx{db: db, writable: true}
	if err := fn(tx); err != nil {
		tx.undoAll()
		return err
	}
	return tx.Commit()
}

// memTx writes in place and keeps what is needed to take the writes back.
type memTx struct {
	db       *memDB
	writable bool
	closed   bool
	undo     []func()
}

var _ database.Tx = (*memTx)(nil)

func dbError(code database.ErrorCode, text string) error {
	return database.Error{ErrorCode: code, Description: text}
}

func (tx *memTx) undoAll() {
	for _, fn := range slices.Backward(tx.undo) {
		fn()
	}
	tx.undo = nil
}

func (tx *memTx) checkWritable() error {
	switch {
	case tx.closed:
		return dbError(database.ErrTxClosed, "transaction is closed")
	case !tx.writable:
		return dbError(database.ErrTxNotWritable, "transaction is read-only")
	}
	return nil
}

func (tx *memTx) Commit() error {
	if err := tx.checkWritable(); err != nil {
		return err
	}
	tx.closed, tx.undo = true, nil
	return nil
}

func (tx *memTx) Rollback() error {
	if tx.closed {
		return dbError(database.ErrTxClosed, "transaction is closed")
	}
	tx.undoAll()
	tx.closed = true
	return nil
}

func (tx *memTx) Metadata() database.Bucket { return &memBucketTx{tx: tx, b: tx.db.root} }

func (tx *memTx) StoreBlock(block *btcutil.Block) error {
	if err := tx.checkWritable(); err != nil {
		return err
	}
	hash := *block.Hash()
	if _, ok := tx.db.blocks[hash]; ok {
		return dbError(database.ErrBlockExists, "block exists: "+hash.String())
	}
	raw, err := block.Bytes()
	if err != nil {
		return err
	}
	tx.db.blocks[hash] = slices.Clone(raw)
	tx.undo = append(tx.undo, func() { delete(tx.db.blocks, hash) })
	return nil
}

func (tx *memTx) HasBlock(hash *chainhash.Hash) (bool, error) {
	_, ok := tx.db.blocks[*hash]
	return ok, nil
}

func (tx *memTx) HasBlocks(hashes []chainhash.Hash) ([]bool, error) {
	out := make([]bool, len(hashes))
	for i := range hashes {
		out[i], _ = tx.HasBlock(&hashes[i])
	}
	return out, nil
}

func (tx *memTx) FetchBlock(hash *chainhash.Hash) ([]byte, error) {
	raw, ok := tx.db.blocks[*hash]
	if !ok {
		return nil, dbError(database.ErrBlockNotFound, "no block "+hash.String())
	}
	return raw, nil
}

func (tx *memTx) FetchBlocks(hashes []chainhash.Hash) ([][]byte, error) {
	return fetchAll(hashes, func(h chainhash.Hash) ([]byte, error) { return tx.FetchBlock(&h) })
}

func (tx *memTx) FetchBlockHeader(hash *chainhash.Hash) ([]byte, error) {
	return tx.FetchBlockRegion(&database.BlockRegion{Hash: hash, Len: wire.MaxBlockHeaderPayload})
}

func (tx *memTx) FetchBlockHeaders(hashes []chainhash.Hash) ([][]byte, error) {
	return fetchAll(hashes, func(h chainhash.Hash) ([]byte, error) { return tx.FetchBlockHeader(&h) })
}

func (tx *memTx) FetchBlockRegion(r *database.BlockRegion) ([]byte, error) {
	raw, err := tx.FetchBlock(r.Hash)
	if err != nil {
		return nil, err
	}
	end := uint64(r.Offset) + uint64(r.Len)
	if end > uint64(len(raw)) {
		return nil, dbError(database.ErrBlockRegionInvalid, "region beyond block "+r.Hash.String())
	}
	return raw[r.Offset:end:end], nil
}

func (tx *memTx) FetchBlockRegions(regions []database.BlockRegion) ([][]byte, error) {
	return fetchAll(regions, func(r database.BlockRegion) ([]byte, error) { return tx.FetchBlockRegion(&r) })
}

func fetchAll[K any](keys []K, fetch func(K) ([]byte, error)) ([][]byte, error) {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		raw, err := fetch(k)
		if err != nil {
			return nil, err
		}
		out[i] = raw
	}
	return out, nil
}

// PruneBlocks never prunes: a chain that outgrows memory belongs on disk.
func (tx *memTx) PruneBlocks(uint64) ([]chainhash.Hash, error) { return nil, nil }

func (tx *memTx) BeenPruned() (bool, error) { return false, nil }
