package peers

import (
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor"
)

// awaitSpend waits for a transaction in the mempool that spends the funding output.
func (r *rig) awaitSpend(l link) *wire.MsgTx {
	r.t.Helper()
	var found *wire.MsgTx
	await(r.t, r.ctx, "a transaction that closes the channel", func() bool {
		found = r.spender(l.point)
		return found != nil
	})
	return found
}

// spender is the transaction in the mempool that spends an output, nil if there is none.
func (r *rig) spender(point string) *wire.MsgTx {
	r.t.Helper()
	for _, tx := range r.mempool() {
		for _, in := range tx.TxIn {
			if in.PreviousOutPoint.String() == point {
				return tx
			}
		}
	}
	return nil
}

func (r *rig) mempool() (txs []*wire.MsgTx) {
	r.t.Helper()
	pool, err := r.chain.RPC.GetRawMempool()
	must(r.t, err)
	for _, id := range pool {
		if tx := r.transaction(*id); tx != nil {
			txs = append(txs, tx)
		}
	}
	return txs
}

// transaction is one of the chain or the mempool, nil if it is gone.
func (r *rig) transaction(id chainhash.Hash) *wire.MsgTx {
	tx, err := r.chain.RPC.GetRawTransaction(&id)
	if err != nil {
		return nil
	}
	return tx.MsgTx()
}

// pointOf is a channel's funding output as lnd writes it.
func pointOf(c lnactor.Channel) string {
	return wire.OutPoint{Hash: chainhash.Hash(c.FundingTxid), Index: c.FundingIndex}.String()
}

// txidOf is the transaction of an output as lnd writes it.
func txidOf(t testing.TB, point string) chainhash.Hash {
	t.Helper()
	txid, err := chainhash.NewHashFromStr(point[:64])
	must(t, err)
	return *txid
}
