package btcdtest

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// fundingFee is what a transaction of Fund pays, about 10 sat/vB.
const fundingFee = 2_000

var witnessScript = []byte{txscript.OP_TRUE}

func scriptHash() []byte {
	sum := sha256.Sum256(witnessScript)
	return sum[:]
}

// Script is what the miner is paid to: a witness script hash that anyone can
// spend with Witness.
func Script() []byte { return append([]byte{txscript.OP_0, txscript.OP_DATA_32}, scriptHash()...) }

// Witness spends an output that pays to Script.
func Witness() wire.TxWitness { return wire.TxWitness{append([]byte(nil), witnessScript...)} }

type coin struct {
	op    wire.OutPoint
	value btcutil.Amount
}

// Coinbase returns a mature coinbase output that pays to Script, never the
// same twice.
func (n *Node) Coinbase(t testing.TB) (wire.OutPoint, btcutil.Amount) {
	t.Helper()
	c := n.coinbase(t)
	return c.op, c.value
}

func (n *Node) coinbase(t testing.TB) coin {
	t.Helper()
	n.coins++
	_, tip := n.Tip(t)
	if n.coins+int32(n.Params.CoinbaseMaturity) > tip {
		t.Fatalf("all mature coinbases are used at height %d, mine more blocks", tip)
	}
	hash := n.HashAt(t, n.coins)
	block, err := n.RPC.GetBlock(&hash)
	if err != nil {
		t.Fatalf("block %d: %v", n.coins, err)
	}
	tx := block.Transactions[0]
	return coin{wire.OutPoint{Hash: tx.TxHash()}, btcutil.Amount(tx.TxOut[0].Value)}
}

// Fund pays an amount to a script. The transaction is in the mempool: Mine
// confirms it.
func (n *Node) Fund(t testing.TB, pkScript []byte, amt btcutil.Amount) wire.OutPoint {
	t.Helper()
	tx := wire.NewMsgTx(2)
	tx.AddTxOut(wire.NewTxOut(int64(amt), pkScript))
	var in btcutil.Amount
	for next := n.change; in < amt+fundingFee; next = (coin{}) {
		if next.value == 0 {
			next = n.coinbase(t)
		}
		tx.AddTxIn(wire.NewTxIn(&next.op, nil, Witness()))
		in += next.value
	}
	n.change = coin{}
	if rest := in - amt - fundingFee; rest > fundingFee {
		tx.AddTxOut(wire.NewTxOut(int64(rest), Script()))
		n.change = coin{wire.OutPoint{Hash: tx.TxHash(), Index: 1}, rest}
	}
	if _, err := n.RPC.SendRawTransaction(tx, false); err != nil {
		t.Fatalf("fund: %v", err)
	}
	return wire.OutPoint{Hash: tx.TxHash()}
}

// AwaitTx returns once a transaction is in the mempool.
func (n *Node) AwaitTx(t testing.TB, txid chainhash.Hash) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(pause) {
		pool, err := n.RPC.GetRawMempool()
		if err != nil {
			t.Fatalf("mempool: %v", err)
		}
		for _, have := range pool {
			if *have == txid {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("transaction %v is not in the mempool after %v", txid, patience)
		}
	}
}
