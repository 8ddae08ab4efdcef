package sim

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

// owner of an output.
type owner int8

const (
	ofAlice   owner = iota // her wallet
	ofBob                  // his
	ofNobody               // the faucet's, the adversary's
	ofChannel              // an output of a transaction that closed a channel, or of a second stage of it
)

// coin is an output of the chain.
type coin struct {
	value int64
	owner owner
}

// ledger is what the chain itself, read block by block, says about the money of both nodes since the world began.
type ledger struct {
	start, end [2]int64 // in the wallets
	fees       [2]int64 // of their transactions, but for the one that closed the channel
	taken      [2]int64 // out of the channel
	count      [2]int   // of their transactions

	others   int64 // taken out of the channel by others
	capacity int64
	closeFee int64 // of the transaction that closed the channel
	left     map[wire.OutPoint]int64
}

// ledger reads the chain.
func (w *world) ledger(funding wire.OutPoint) *ledger {
	l := &ledger{left: map[wire.OutPoint]int64{}}
	coins := map[wire.OutPoint]coin{}
	for _, tx := range w.old {
		w.enter(l, coins, tx, funding, false)
	}
	l.start = w.walletsOf(coins)
	old := map[chainhash.Hash]bool{}
	for _, tx := range w.old {
		old[tx.TxHash()] = true
	}
	// From below the start on: a reorganisation may reach there.
	for h := int32(regtest.PreparedHeight + 1); h <= w.chain.Height(); h++ {
		block, err := w.chain.Block(h)
		if err != nil {
			w.wrong("block %d: %v", h, err)
			return l
		}
		for _, tx := range block.Transactions[1:] {
			if !old[tx.TxHash()] {
				w.enter(l, coins, tx, funding, true)
			}
		}
	}
	l.end = w.walletsOf(coins)
	for op, c := range coins {
		if c.owner == ofChannel && op != funding {
			l.left[op] = c.value
		}
	}
	return l
}

func (w *world) walletsOf(coins map[wire.OutPoint]coin) (sum [2]int64) {
	for _, c := range coins {
		if c.owner <= ofBob {
			sum[c.owner] += c.value
		}
	}
	return sum
}

// enter takes a transaction in.
func (w *world) enter(l *ledger, coins map[wire.OutPoint]coin, tx *wire.MsgTx, funding wire.OutPoint, counts bool) {
	var in, out, fromChannel, toChannel int64
	var who [2]bool
	closes, stage := false, false
	for _, i := range tx.TxIn {
		c, known := coins[i.PreviousOutPoint]
		delete(coins, i.PreviousOutPoint)
		in += c.value
		switch {
		case i.PreviousOutPoint == funding:
			closes = true
		case known && c.owner == ofChannel:
			stage = true
			fromChannel += c.value
		case known && c.owner <= ofBob:
			who[c.owner] = true
		}
	}
	txid := tx.TxHash()
	for i, o := range tx.TxOut {
		c := coin{value: o.Value, owner: w.ownerOf(o.PkScript)}
		if op := (wire.OutPoint{Hash: txid, Index: uint32(i)}); op == funding || c.owner == ofNobody && (closes || stage) && !bytes.Equal(o.PkScript, adversaryScript) {
			c.owner = ofChannel
			toChannel += o.Value
		}
		if c.owner <= ofBob && !closes {
			who[c.owner] = true
		}
		coins[wire.OutPoint{Hash: txid, Index: uint32(i)}] = c
		out += o.Value
	}
	if !counts {
		return
	}
	if closes {
		l.capacity, l.closeFee = in, in-out
		for i, o := range tx.TxOut {
			if c := coins[wire.OutPoint{Hash: txid, Index: uint32(i)}]; c.owner <= ofBob {
				l.taken[c.owner] += o.Value // a mutual close pays the wallets itself
			}
		}
		return
	}
	switch {
	case who[0] && who[1]:
		w.wrong("S13: transaction %s is of both nodes", txid)
	case who[0]:
		w.spent(l, 0, in-out, fromChannel-toChannel)
	case who[1]:
		w.spent(l, 1, in-out, fromChannel-toChannel)
	case stage:
		l.others += fromChannel - toChannel
	}
}

func (w *world) spent(l *ledger, who int, fee, taken int64) {
	l.count[who]++
	l.fees[who] += fee
	l.taken[who] += taken
}

func (w *world) ownerOf(script []byte) owner {
	for i, n := range w.nodes {
		if n.wallet.IsOurs(script) {
			return owner(i)
		}
	}
	return ofNobody
}

// deepen notes how many confirmations each transaction of the newest blocks has had at most.
func (w *world) deepen() {
	tip := w.chain.Height()
	for h := max(tip-11, regtest.PreparedHeight+1); h <= tip; h++ {
		block, err := w.chain.Block(h)
		if err != nil {
			w.wrong("block %d: %v", h, err)
			return
		}
		for _, tx := range block.Transactions[1:] {
			txid := tx.TxHash()
			w.depth[txid] = max(w.depth[txid], tip-h+1)
		}
	}
}

// wasDeep tells whether a transaction ever had this many confirmations.
func (w *world) wasDeep(txid chainhash.Hash, confirmations int32) bool {
	return w.depth[txid] >= confirmations
}

// sorted outputs, for messages.
func sortedLeft(m map[wire.OutPoint]int64) []wire.OutPoint {
	return slices.SortedFunc(maps.Keys(m), func(a, b wire.OutPoint) int {
		return cmp.Or(bytes.Compare(a.Hash[:], b.Hash[:]), cmp.Compare(a.Index, b.Index))
	})
}
