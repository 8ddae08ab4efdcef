package wallet

import (
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
)

// Reserve implements Wallet. Its error is *ReservedError.
func (w *HD) Reserve(lock LockID, tx *wire.MsgTx) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.lock(lock, spentOutPoints(tx))
}

// Release implements Wallet.
func (w *HD) Release(lock LockID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.release(lock)
}

// Balance implements Wallet.
func (w *HD) Balance() Balance {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.balance()
}

// ConnectBlock implements Wallet. The block may be filtered to the transactions that touch Scripts and our coins.
func (w *HD) ConnectBlock(height uint32, hash chainhash.Hash, block *wire.MsgBlock) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.connect(height, hash, block)
}

// DisconnectBlock implements Wallet.
func (w *HD) DisconnectBlock(height uint32, hash chainhash.Hash) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.disconnect(height, hash)
}

// Tip implements Wallet.
func (w *HD) Tip() (height uint32, hash chainhash.Hash, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tip := w.ledger.tip()
	if tip == nil {
		return 0, chainhash.Hash{}, false
	}
	return tip.height, tip.hash, true
}

// AddUnconfirmed implements Wallet.
func (w *HD) AddUnconfirmed(tx *wire.MsgTx) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ledger.addPending(tx)
}

// Abandon drops an unconfirmed transaction, and those that spend it, because it will never confirm. Its inputs can be spent again, so it must not
// be broadcast any more.
func (w *HD) Abandon(txid chainhash.Hash) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ledger.evict(txid)
}

// Unconfirmed are our transactions that are in no block, parents before children: what to broadcast again after a restart.
func (w *HD) Unconfirmed() []*wire.MsgTx {
	w.mu.Lock()
	defer w.mu.Unlock()
	txs := make([]*wire.MsgTx, 0, len(w.ledger.order))
	for _, txid := range w.ledger.order {
		txs = append(txs, w.ledger.pending[txid].Copy())
	}
	return txs
}

// Rescan forgets all blocks, so that they can be connected again from the birthday on. Reservations and unconfirmed transactions stay.
func (w *HD) Rescan() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh, err := w.ledger.rescan()
	if err != nil {
		return err
	}
	w.ledger = fresh
	return nil
}

// IsOurs implements Wallet.
func (w *HD) IsOurs(pkScript []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.ledger.scripts.lookup(pkScript)
	return ok
}

// Scripts are all output scripts of ours, used and looked ahead to, in the order of branch and index. They grow as addresses are used.
func (w *HD) Scripts() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	ordered := w.ledger.scripts.ordered
	return append(append([][]byte(nil), ordered[branchReceive]...), ordered[branchChange]...)
}
