package regtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Broadcast offers a transaction to the mempool. An error is a
// *chain.BroadcastError whose Code says what to do; chain.IsKnown tells apart
// that it is in the mempool or in a block already. Replacement follows BIP 125
// as btcd implements it.
func (c *Chain) Broadcast(tx *wire.MsgTx) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broadcast(tx)
}

func (c *Chain) broadcast(tx *wire.MsgTx) error {
	if c.closed {
		return ErrClosed
	}
	if tx == nil {
		return &chain.BroadcastError{Code: chain.BroadcastRejected, Reason: "no transaction"}
	}
	utx := btcutil.NewTx(tx.Copy())
	if err := c.precheck(utx); err != nil {
		return err
	}
	return c.accept(utx, true)
}

// precheck answers what btcd's mempool reports with map order in its text or
// without telling cases apart.
func (c *Chain) precheck(utx *btcutil.Tx) error {
	txid, tx := *utx.Hash(), utx.MsgTx()
	if c.pool.IsTransactionInPool(&txid) {
		return &chain.BroadcastError{Code: chain.BroadcastInMempool, Txid: txid, Reason: "already in mempool"}
	}
	if loc, ok := c.index.txs[txid]; ok {
		return &chain.BroadcastError{
			Code: chain.BroadcastConfirmed, Txid: txid,
			Reason: fmt.Sprintf("in block %d", loc.Height),
		}
	}

	var missing []wire.OutPoint
	for _, in := range tx.TxIn {
		op := in.PreviousOutPoint
		if spender, ok := c.index.spends[op]; ok {
			return &chain.BroadcastError{
				Code: chain.BroadcastConflict, Txid: txid, Spender: spender,
				Reason: fmt.Sprintf("input %v is spent in a block", op),
			}
		}
		exists, err := c.outputExists(op)
		if err != nil {
			return err
		}
		if !exists {
			missing = append(missing, op)
		}
	}
	if len(missing) > 0 {
		return &chain.BroadcastError{
			Code: chain.BroadcastMissingInputs, Txid: txid, Missing: missing,
			Reason: fmt.Sprintf("unknown input %v", missing[0]),
		}
	}

	best := c.bc.BestSnapshot()
	if !blockchain.IsFinalizedTransaction(utx, best.Height+1, best.MedianTime) {
		return &chain.BroadcastError{
			Code: chain.BroadcastNotFinal, Txid: txid,
			Reason: fmt.Sprintf("lock time %d not reached at height %d", tx.LockTime, best.Height+1),
		}
	}
	return nil
}

func (c *Chain) outputExists(op wire.OutPoint) (bool, error) {
	if parent, err := c.pool.FetchTransaction(&op.Hash); err == nil {
		return int64(op.Index) < int64(len(parent.MsgTx().TxOut)), nil
	}
	entry, err := c.bc.FetchUtxoEntry(op)
	if err != nil {
		return false, fmt.Errorf("regtest: output %v: %w", op, err)
	}
	return entry != nil && !entry.IsSpent(), nil
}

// accept runs btcd's mempool policy. fresh is false for a transaction that
// comes back from a disconnected block: it may then be below the relay fee.
func (c *Chain) accept(utx *btcutil.Tx, fresh bool) error {
	missing, _, err := c.pool.MaybeAcceptTransaction(utx, fresh, fresh)
	if err == nil && len(missing) == 0 {
		c.arrived++
		c.order[*utx.Hash()] = c.arrived
		c.faucet.offered(utx)
		return nil
	}
	be := &chain.BroadcastError{Code: chain.BroadcastMissingInputs, Txid: *utx.Hash(), Reason: "unknown input"}
	if err != nil {
		be.Code, be.Reason = classify(err), err.Error()
	}
	if be.Code == chain.BroadcastConflict || be.Code == chain.BroadcastFeeTooLow {
		for _, in := range utx.MsgTx().TxIn {
			if other := c.pool.CheckSpend(in.PreviousOutPoint); other != nil {
				be.Spender = *other.Hash()
				break
			}
		}
	}
	return be
}

// classify maps btcd's rule errors to what a caller can act on.
func classify(err error) chain.BroadcastCode {
	var consensus blockchain.RuleError
	if errors.As(unwrapRule(err), &consensus) {
		if consensus.ErrorCode == blockchain.ErrImmatureSpend {
			return chain.BroadcastNotFinal
		}
		return chain.BroadcastRejected
	}
	var policy mempool.TxRuleError
	if !errors.As(unwrapRule(err), &policy) {
		return chain.BroadcastRejected
	}
	switch {
	case policy.RejectCode == wire.RejectInsufficientFee:
		return chain.BroadcastFeeTooLow
	case policy.RejectCode == wire.RejectDuplicate:
		return chain.BroadcastConflict
	case strings.Contains(policy.Description, "sequence locks"):
		// btcd has no code of its own for BIP 68.
		return chain.BroadcastNotFinal
	}
	return chain.BroadcastRejected
}

// unwrapRule opens mempool.RuleError, which has no Unwrap method.
func unwrapRule(err error) error {
	var re mempool.RuleError
	if errors.As(err, &re) && re.Err != nil {
		return re.Err
	}
	return err
}

// Mempool returns the unconfirmed transactions in order of arrival, parents
// before children.
func (c *Chain) Mempool() []*wire.MsgTx {
	c.mu.Lock()
	defer c.mu.Unlock()
	descs := c.poolTxs()
	out := make([]*wire.MsgTx, len(descs))
	for i, d := range descs {
		out[i] = d.Tx.MsgTx().Copy()
	}
	return out
}

// InMempool reports whether a transaction is unconfirmed.
func (c *Chain) InMempool(txid chainhash.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pool.IsTransactionInPool(&txid)
}

// Evict drops transactions and what spends them from the mempool, as a full or
// restarted mempool does.
func (c *Chain) Evict(txids ...chainhash.Hash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range txids {
		if tx, err := c.pool.FetchTransaction(&txids[i]); err == nil {
			c.pool.RemoveTransaction(tx, true)
		}
	}
	c.forgetGone()
}

func (c *Chain) poolTxs() []*mempool.TxDesc {
	descs := c.pool.TxDescs()
	slices.SortFunc(descs, func(a, b *mempool.TxDesc) int {
		oa, ob := c.order[*a.Tx.Hash()], c.order[*b.Tx.Hash()]
		switch {
		case oa < ob:
			return -1
		case oa > ob:
			return 1
		}
		return 0
	})
	return descs
}

// forgetGone trims the order of arrival to what is still in the pool.
func (c *Chain) forgetGone() {
	for txid := range c.order {
		if !c.pool.IsTransactionInPool(&txid) {
			delete(c.order, txid)
		}
	}
	c.faucet.forgetGone(c.pool)
}
