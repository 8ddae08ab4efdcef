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

// Owners beside the wallets of nodes, which have their index.
const (
	ofNobody  owner = -1 - iota // the faucet's, the adversary's
	ofChannel                   // an output of a transaction that closed a channel, or of a second stage of it
)

// coin is an output of the chain.
type coin struct {
	value int64
	owner owner
}

// ledger is what the chain itself, read block by block, says about the money of all nodes since the world began.
type ledger struct {
	fundings   map[wire.OutPoint]bool
	start, end []int64 // in the wallets
	fees       []int64 // of their transactions, but for those that closed a channel
	taken      []int64 // out of channels
	count      []int   // of their transactions

	others   int64 // taken out of channels by others
	capacity int64 // of the channels that were closed
	closes   int   // how many
	closeFee int64 // of the transactions that closed them
	left     map[wire.OutPoint]int64
}

// ledger reads the chain.
func (w *world) ledger(fundings ...wire.OutPoint) *ledger {
	n := len(w.nodes)
	l := &ledger{
		fundings: map[wire.OutPoint]bool{}, fees: make([]int64, n), taken: make([]int64, n), count: make([]int, n), left: map[wire.OutPoint]int64{},
	}
	for _, f := range fundings {
		l.fundings[f] = true
	}
	coins := map[wire.OutPoint]coin{}
	for _, tx := range w.old {
		w.enter(l, coins, tx, false)
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
				w.enter(l, coins, tx, true)
			}
		}
	}
	l.end = w.walletsOf(coins)
	for op, c := range coins {
		if c.owner == ofChannel && !l.fundings[op] {
			l.left[op] = c.value
		}
	}
	return l
}

func (w *world) walletsOf(coins map[wire.OutPoint]coin) []int64 {
	sum := make([]int64, len(w.nodes))
	for _, c := range coins {
		if c.owner >= 0 {
			sum[c.owner] += c.value
		}
	}
	return sum
}

// enter takes a transaction in.
func (w *world) enter(l *ledger, coins map[wire.OutPoint]coin, tx *wire.MsgTx, counts bool) {
	var in, out, fromChannel, toChannel int64
	who := ofNobody
	is := func(o owner) {
		if who >= 0 && who != o {
			w.wrong("S13: transaction %s is of %s and of %s", tx.TxHash(), w.nodes[who].name, w.nodes[o].name)
		}
		who = o
	}
	closes, stage := false, false
	for _, i := range tx.TxIn {
		c, known := coins[i.PreviousOutPoint]
		delete(coins, i.PreviousOutPoint)
		in += c.value
		switch {
		case l.fundings[i.PreviousOutPoint]:
			closes = true
		case known && c.owner == ofChannel:
			stage = true
			fromChannel += c.value
		case known && c.owner >= 0:
			is(c.owner)
		}
	}
	txid := tx.TxHash()
	for i, o := range tx.TxOut {
		c := coin{value: o.Value, owner: w.ownerOf(o.PkScript)}
		if op := (wire.OutPoint{Hash: txid, Index: uint32(i)}); l.fundings[op] || c.owner == ofNobody && (closes || stage) && !bytes.Equal(o.PkScript, adversaryScript) {
			c.owner = ofChannel
			toChannel += o.Value
		}
		if c.owner >= 0 && !closes && counts {
			is(c.owner)
		}
		coins[wire.OutPoint{Hash: txid, Index: uint32(i)}] = c
		out += o.Value
	}
	if !counts {
		return
	}
	if closes {
		l.closes++
		l.capacity += in
		l.closeFee += in - out
		for i, o := range tx.TxOut {
			if c := coins[wire.OutPoint{Hash: txid, Index: uint32(i)}]; c.owner >= 0 {
				l.taken[c.owner] += o.Value // a mutual close pays the wallets itself
			}
		}
		return
	}
	switch {
	case who >= 0:
		w.spent(l, int(who), in-out, fromChannel-toChannel)
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
	from := tip - 11 - max(tip-w.deepened, 0)
	w.deepened = tip
	for h := max(from, regtest.PreparedHeight+1); h <= tip; h++ {
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
