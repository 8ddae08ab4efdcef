package regtest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/mempool"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
)

// ErrFaucetEmpty says that the mature coins do not cover an amount. Mine more
// blocks.
var ErrFaucetEmpty = errors.New("regtest: faucet has not enough mature coins, mine more blocks")

// The faucet's coins need no key: pay to the witness script hash of OP_TRUE.
var (
	faucetWitnessScript = []byte{txscript.OP_TRUE}
	faucetPkScript      = mustP2WSH(faucetWitnessScript)
)

func mustP2WSH(script []byte) []byte {
	addr, err := btcutil.NewAddressWitnessScriptHash(sha256Sum(script), Params())
	if err != nil {
		panic(err)
	}
	pkScript, err := txscript.PayToAddrScript(addr)
	if err != nil {
		panic(err)
	}
	return pkScript
}

type coin struct {
	op       wire.OutPoint
	value    btcutil.Amount
	height   int32
	coinbase bool
	// seq is the order in which coins are used.
	seq uint64
}

// faucet follows the coins that anyone may spend. live are confirmed and
// unspent in the best chain, in order of seq; spent waits for a
// reorganisation; pending are outputs of unconfirmed transactions.
type faucet struct {
	live    []coin
	spent   map[wire.OutPoint]coin
	pending []coin
	seq     uint64
}

func newFaucet() *faucet { return &faucet{spent: make(map[wire.OutPoint]coin)} }

func (f *faucet) clone() *faucet {
	return &faucet{
		live: slices.Clone(f.live), spent: maps.Clone(f.spent),
		pending: slices.Clone(f.pending), seq: f.seq,
	}
}

func (f *faucet) coinsOf(tx *btcutil.Tx, height int32, coinbase bool) []coin {
	var coins []coin
	for i, out := range tx.MsgTx().TxOut {
		if out.Value > 0 && bytes.Equal(out.PkScript, faucetPkScript) {
			f.seq++
			coins = append(coins, coin{
				op:    wire.OutPoint{Hash: *tx.Hash(), Index: uint32(i)},
				value: btcutil.Amount(out.Value), height: height, coinbase: coinbase, seq: f.seq,
			})
		}
	}
	return coins
}

func (f *faucet) connect(block *btcutil.Block) {
	for i, tx := range block.Transactions() {
		if i > 0 {
			for _, in := range tx.MsgTx().TxIn {
				if at := f.find(in.PreviousOutPoint); at >= 0 {
					f.spent[in.PreviousOutPoint] = f.live[at]
					f.live = slices.Delete(f.live, at, at+1)
				}
			}
		}
		f.live = append(f.live, f.coinsOf(tx, block.Height(), i == 0)...)
	}
}

func (f *faucet) disconnect(block *btcutil.Block) {
	txs := block.Transactions()
	for i := len(txs) - 1; i >= 0; i-- {
		for j := range txs[i].MsgTx().TxOut {
			if at := f.find(wire.OutPoint{Hash: *txs[i].Hash(), Index: uint32(j)}); at >= 0 {
				f.live = slices.Delete(f.live, at, at+1)
			}
		}
		for _, in := range txs[i].MsgTx().TxIn {
			if coin, ok := f.spent[in.PreviousOutPoint]; ok {
				delete(f.spent, in.PreviousOutPoint)
				f.live = append(f.live, coin)
			}
		}
	}
	slices.SortFunc(f.live, func(a, b coin) int { return cmp.Compare(a.seq, b.seq) })
}

func (f *faucet) find(op wire.OutPoint) int {
	return slices.IndexFunc(f.live, func(c coin) bool { return c.op == op })
}

// offered takes note of the change of a transaction that entered the mempool.
func (f *faucet) offered(tx *btcutil.Tx) {
	f.pending = append(f.pending, f.coinsOf(tx, 0, false)...)
}

func (f *faucet) forgetGone(pool *mempool.TxPool) {
	f.pending = slices.DeleteFunc(f.pending, func(c coin) bool { return !pool.IsTransactionInPool(&c.op.Hash) })
}

// pick chooses coins for an amount plus the fee of spending them: the oldest
// single coin that is enough, else the oldest ones together, confirmed first.
func (c *Chain) pick(amt btcutil.Amount) (picked []coin, total, fee btcutil.Amount, err error) {
	next := c.height() + 1
	maturity := int32(c.params.CoinbaseMaturity)
	feeFor := func(inputs int) btcutil.Amount { return btcutil.Amount(500 + 150*inputs) }
	usable := func(k coin) bool {
		return !(k.coinbase && next-k.height < maturity) && c.pool.CheckSpend(k.op) == nil
	}
	for _, coins := range [][]coin{c.faucet.live, c.faucet.pending} {
		for _, k := range coins {
			if k.value >= amt+feeFor(1) && usable(k) {
				return []coin{k}, k.value, feeFor(1), nil
			}
		}
	}
	for _, coins := range [][]coin{c.faucet.live, c.faucet.pending} {
		for _, k := range coins {
			if !usable(k) {
				continue
			}
			picked, total = append(picked, k), total+k.value
			if total >= amt+feeFor(len(picked)) {
				return picked, total, feeFor(len(picked)), nil
			}
		}
	}
	return nil, 0, 0, fmt.Errorf("%w: asked for %v, have %v", ErrFaucetEmpty, amt, total)
}

// Fund pays an amount to a script and returns the output. The transaction is
// in the mempool: Mine confirms it.
func (c *Chain) Fund(pkScript []byte, amt btcutil.Amount) (wire.OutPoint, error) {
	tx, err := c.Pay(&wire.TxOut{Value: int64(amt), PkScript: pkScript})
	if err != nil {
		return wire.OutPoint{}, err
	}
	return wire.OutPoint{Hash: tx.TxHash()}, nil
}

// Pay makes one faucet transaction with the given outputs first and puts it in
// the mempool.
func (c *Chain) Pay(outs ...*wire.TxOut) (*wire.MsgTx, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	var amt btcutil.Amount
	tx := wire.NewMsgTx(2)
	for _, out := range outs {
		amt += btcutil.Amount(out.Value)
		tx.AddTxOut(wire.NewTxOut(out.Value, slices.Clone(out.PkScript)))
	}
	// Room for many outputs at 1 sat/vB.
	extra := btcutil.Amount(50 * len(outs))
	coins, total, fee, err := c.pick(amt + extra)
	if err != nil {
		return nil, err
	}
	for _, k := range coins {
		in := wire.NewTxIn(&k.op, nil, wire.TxWitness{faucetWitnessScript})
		tx.AddTxIn(in)
	}
	if change := total - amt - extra - fee; change >= 1000 {
		tx.AddTxOut(wire.NewTxOut(int64(change), faucetPkScript))
	}
	if err := c.broadcast(tx); err != nil {
		return nil, err
	}
	return tx.Copy(), nil
}
