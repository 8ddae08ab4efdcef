package btcdtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
)

// Pay pays an amount to an address. The transaction is in the mempool: Mine confirms it.
func (n *Node) Pay(t testing.TB, address string, amt btcutil.Amount) {
	t.Helper()
	a, err := btcutil.DecodeAddress(address, n.Params)
	if err != nil {
		t.Fatalf("pay to %q: %v", address, err)
	}
	script, err := txscript.PayToAddrScript(a)
	if err != nil {
		t.Fatalf("pay to %q: %v", address, err)
	}
	n.Fund(t, script, amt)
}

// AwaitOne waits until the mempool holds one transaction and returns it.
func (n *Node) AwaitOne(t testing.TB) *btcutil.Tx {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		pool, err := n.RPC.GetRawMempool()
		if err != nil {
			t.Fatalf("mempool: %v", err)
		}
		if len(pool) == 1 {
			tx, err := n.RPC.GetRawTransaction(pool[0])
			if err != nil {
				t.Fatalf("transaction %v: %v", pool[0], err)
			}
			return tx
		}
		if time.Now().After(deadline) {
			t.Fatalf("the mempool holds %d transactions after %v, one is wanted", len(pool), patience)
		}
	}
}

// Fee is what a transaction pays to the miner. The node needs its index of transactions for it.
func (n *Node) Fee(t testing.TB, tx *btcutil.Tx) btcutil.Amount {
	t.Helper()
	var fee int64
	for _, in := range tx.MsgTx().TxIn {
		prev, err := n.RPC.GetRawTransaction(&in.PreviousOutPoint.Hash)
		if err != nil {
			t.Fatal(fmt.Errorf("transaction %v: %w", in.PreviousOutPoint.Hash, err))
		}
		fee += prev.MsgTx().TxOut[in.PreviousOutPoint.Index].Value
	}
	for _, out := range tx.MsgTx().TxOut {
		fee -= out.Value
	}
	return btcutil.Amount(fee)
}
