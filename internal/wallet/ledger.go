package wallet

import (
	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// coin is an output of ours that no confirmed transaction has spent.
type coin struct {
	op       wire.OutPoint
	value    btcutil.Amount
	ref      keyRef
	height   uint32 // zero: unconfirmed
	coinbase bool
}

// block is what it takes to disconnect a block.
type block struct {
	height     uint32
	hash, prev chainhash.Hash
	created    []wire.OutPoint
	spent      []coin
	txs        []*wire.MsgTx // ours, coinbases apart, in the order of the block
}

// LockID names a reservation. The owner chooses it: the channel it is for.
type LockID [32]byte

// ledger follows the chain and the unconfirmed transactions. It has no keys.
type ledger struct {
	scripts *scripts

	coins map[wire.OutPoint]*coin

	// pending are our unconfirmed transactions, order the sequence in which they came (a parent before its child), spentBy all their inputs.
	pending map[chainhash.Hash]*wire.MsgTx
	order   []chainhash.Hash
	spentBy map[wire.OutPoint]chainhash.Hash

	// sent are those transactions of Pay that a reorganisation could still make unconfirmed, or that are.
	sent map[chainhash.Hash]bool

	// locks are the reservations, by outpoint and by id. An outpoint may be locked before its coin is known.
	locks  map[wire.OutPoint]LockID
	byLock map[LockID][]wire.OutPoint

	// blocks are the last ones, oldest first, at most undoDepth. The last is the tip.
	blocks    []block
	undoDepth int
}

func newLedger(s *scripts, undoDepth int) *ledger {
	return &ledger{
		scripts: s, undoDepth: undoDepth,
		coins:   make(map[wire.OutPoint]*coin),
		pending: make(map[chainhash.Hash]*wire.MsgTx),
		spentBy: make(map[wire.OutPoint]chainhash.Hash),
		sent:    make(map[chainhash.Hash]bool),
		locks:   make(map[wire.OutPoint]LockID),
		byLock:  make(map[LockID][]wire.OutPoint),
	}
}

// tip is the last block connected, nil at the very start.
func (l *ledger) tip() *block {
	if len(l.blocks) == 0 {
		return nil
	}
	return &l.blocks[len(l.blocks)-1]
}

// connect applies a block. Connecting the tip again does nothing.
func (l *ledger) connect(height uint32, hash chainhash.Hash, msg *wire.MsgBlock) error {
	if tip := l.tip(); tip != nil {
		if tip.height == height && tip.hash == hash {
			return nil
		}
		if height != tip.height+1 || msg.Header.PrevBlock != tip.hash {
			return &OutOfOrderError{Op: "connect", Height: height, Hash: hash, TipHeight: tip.height, TipHash: tip.hash}
		}
	}
	b := block{height: height, hash: hash, prev: msg.Header.PrevBlock}
	for _, tx := range msg.Transactions {
		if err := l.confirm(&b, tx); err != nil {
			return err
		}
	}
	l.blocks = append(l.blocks, b)
	for len(l.blocks) > l.undoDepth {
		// What this block spent cannot come back: its reservations are over, released or not.
		for _, c := range l.blocks[0].spent {
			l.unlock(c.op)
		}
		for _, tx := range l.blocks[0].txs {
			delete(l.sent, tx.TxHash())
		}
		l.blocks[0] = block{}
		l.blocks = l.blocks[1:]
	}
	return nil
}

// confirm applies one transaction of a block.
func (l *ledger) confirm(b *block, tx *wire.MsgTx) error {
	txid := tx.TxHash()
	_, ours := l.pending[txid]
	for _, in := range tx.TxIn {
		op := in.PreviousOutPoint
		if rival, ok := l.spentBy[op]; ok && rival != txid {
			l.evict(rival)
		}
		if c, ok := l.coins[op]; ok {
			b.spent = append(b.spent, *c)
			delete(l.coins, op)
			ours = true
		}
	}
	l.forget(txid)
	coinbase := blockchain.IsCoinBaseTx(tx)
	for i, out := range tx.TxOut {
		ref, ok := l.scripts.lookup(out.PkScript)
		if !ok {
			continue
		}
		if err := l.scripts.used(ref); err != nil {
			return err
		}
		op := wire.OutPoint{Hash: txid, Index: uint32(i)}
		l.coins[op] = &coin{op: op, value: btcutil.Amount(out.Value), ref: ref, height: b.height, coinbase: coinbase}
		b.created = append(b.created, op)
		ours = true
	}
	if ours && !coinbase {
		b.txs = append(b.txs, tx.Copy())
	}
	return nil
}

// disconnect undoes the tip. Its transactions are pending again.
func (l *ledger) disconnect(height uint32, hash chainhash.Hash) error {
	tip := l.tip()
	switch {
	case tip == nil:
		return ErrReorgTooDeep
	case tip.height != height || tip.hash != hash:
		return &OutOfOrderError{Op: "disconnect", Height: height, Hash: hash, TipHeight: tip.height, TipHash: tip.hash}
	case len(l.blocks) == 1:
		return ErrReorgTooDeep // without a block below there is no tip to continue from
	}
	b := *tip
	l.blocks[len(l.blocks)-1] = block{}
	l.blocks = l.blocks[:len(l.blocks)-1]

	// A coin both made and spent by this block is first restored and then removed.
	for _, c := range b.spent {
		l.coins[c.op] = &c
	}
	coinbases := make([]wire.OutPoint, 0, 1)
	for _, op := range b.created {
		if l.coins[op].coinbase {
			coinbases = append(coinbases, op)
		}
		delete(l.coins, op)
	}
	for _, op := range coinbases {
		if spender, ok := l.spentBy[op]; ok {
			l.evict(spender) // the coin it spends is gone for good
		}
	}
	// Children that were pending before stay behind the parents that join them now.
	after := l.order
	l.order = nil
	for _, tx := range b.txs {
		if err := l.addPending(tx); err != nil {
			return err
		}
	}
	for _, txid := range after {
		if _, ok := l.pending[txid]; ok {
			l.order = append(l.order, txid)
		}
	}
	return nil
}

// addPending notes an unconfirmed transaction, if it is ours and news. It replaces those it conflicts with.
func (l *ledger) addPending(tx *wire.MsgTx) error {
	txid := tx.TxHash()
	if _, ok := l.pending[txid]; ok || blockchain.IsCoinBaseTx(tx) || l.confirmed(txid) {
		return nil
	}
	ours := false
	for _, in := range tx.TxIn {
		if _, ok := l.coins[in.PreviousOutPoint]; ok {
			ours = true
		}
	}
	for i, out := range tx.TxOut {
		if c, ok := l.coins[wire.OutPoint{Hash: txid, Index: uint32(i)}]; ok && c.height != 0 {
			return nil // confirmed already
		}
		if _, ok := l.scripts.lookup(out.PkScript); ok {
			ours = true
		}
	}
	if !ours {
		return nil
	}
	return l.pend(tx)
}

// confirmed tells whether a transaction of ours is in one of the blocks that can be undone. Its coins do not say: they may be spent again. Told of it
// once more, the ledger would have its coins twice, and none of them after one of the two has gone. Transactions of ours are few.
func (l *ledger) confirmed(txid chainhash.Hash) bool {
	for _, b := range l.blocks {
		for _, tx := range b.txs {
			if tx.TxHash() == txid {
				return true
			}
		}
	}
	return false
}

// pend makes a transaction pending, in place of those that it conflicts with.
func (l *ledger) pend(tx *wire.MsgTx) error {
	txid := tx.TxHash()
	for _, in := range tx.TxIn {
		if rival, ok := l.spentBy[in.PreviousOutPoint]; ok {
			l.evict(rival)
		}
	}
	tx = tx.Copy()
	l.pending[txid] = tx
	l.order = append(l.order, txid)
	for _, in := range tx.TxIn {
		l.spentBy[in.PreviousOutPoint] = txid
	}
	for i, out := range tx.TxOut {
		ref, ok := l.scripts.lookup(out.PkScript)
		if !ok {
			continue
		}
		if err := l.scripts.used(ref); err != nil {
			return err
		}
		op := wire.OutPoint{Hash: txid, Index: uint32(i)}
		l.coins[op] = &coin{op: op, value: btcutil.Amount(out.Value), ref: ref}
	}
	return nil
}

// evict drops an unconfirmed transaction that can no longer confirm, and all that spend it.
func (l *ledger) evict(txid chainhash.Hash) {
	tx, ok := l.pending[txid]
	if !ok {
		return
	}
	l.forget(txid)
	delete(l.sent, txid)
	for i := range tx.TxOut {
		op := wire.OutPoint{Hash: txid, Index: uint32(i)}
		if child, ok := l.spentBy[op]; ok {
			l.evict(child)
		}
		delete(l.coins, op)
	}
}

// forget ends the pending state of a transaction, whether it confirmed or died. Its coins stay.
func (l *ledger) forget(txid chainhash.Hash) {
	tx, ok := l.pending[txid]
	if !ok {
		return
	}
	delete(l.pending, txid)
	for _, in := range tx.TxIn {
		if l.spentBy[in.PreviousOutPoint] == txid {
			delete(l.spentBy, in.PreviousOutPoint)
		}
	}
	for i, id := range l.order {
		if id == txid {
			l.order = append(l.order[:i:i], l.order[i+1:]...)
			break
		}
	}
}

// rescan forgets what blocks have said. What is pending and what is reserved stays.
func (l *ledger) rescan() (*ledger, error) {
	fresh := newLedger(l.scripts, l.undoDepth)
	fresh.locks, fresh.byLock, fresh.sent = l.locks, l.byLock, l.sent
	for _, txid := range l.order {
		if err := fresh.pend(l.pending[txid]); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// lock reserves outpoints under id, on top of what id holds. Nothing is locked if one of them belongs to another id.
func (l *ledger) lock(id LockID, ops []wire.OutPoint) error {
	for _, op := range ops {
		if holder, ok := l.locks[op]; ok && holder != id {
			return &ReservedError{OutPoint: op, Holder: holder}
		}
	}
	for _, op := range ops {
		if _, ok := l.locks[op]; !ok {
			l.locks[op] = id
			l.byLock[id] = append(l.byLock[id], op)
		}
	}
	return nil
}

// release ends all reservations of id.
func (l *ledger) release(id LockID) {
	for _, op := range l.byLock[id] {
		delete(l.locks, op)
	}
	delete(l.byLock, id)
}

// unlock ends one reservation.
func (l *ledger) unlock(op wire.OutPoint) {
	id, ok := l.locks[op]
	if !ok {
		return
	}
	delete(l.locks, op)
	kept := l.byLock[id][:0]
	for _, held := range l.byLock[id] {
		if held != op {
			kept = append(kept, held)
		}
	}
	if l.byLock[id] = kept; len(kept) == 0 {
		delete(l.byLock, id)
	}
}
