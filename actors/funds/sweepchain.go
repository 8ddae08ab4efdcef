package funds

import (
	"log/slog"
	"slices"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
)

// adoptSweeps takes over the transactions of a former incarnation, which the wallet remembers.
func (c *core) adoptSweeps() {
	open := false
	for _, t := range c.sweeps.targets {
		open = open || t.tx == nil && t.gone == 0
	}
	if !open {
		return
	}
	for _, tx := range c.wallet.Unconfirmed() {
		x := &sweepTx{tx: tx, txid: tx.TxHash(), since: c.height}
		for _, in := range tx.TxIn {
			t := c.sweeps.targets[in.PreviousOutPoint]
			if t == nil || t.tx != nil || t.gone != 0 {
				x = nil
				break
			}
			x.fee += amount(t.out.ValueSat)
			x.inputs = append(x.inputs, in.PreviousOutPoint)
		}
		if x == nil {
			continue
		}
		for _, out := range tx.TxOut {
			x.fee -= btcutil.Amount(out.Value)
		}
		weight := int64(3*tx.SerializeSizeStripped() + tx.SerializeSize())
		x.rate, x.lock = chainfee.SatPerKWeight(int64(x.fee)*1000/weight), sweepLock(x.inputs[0])
		c.castSweep(x)
	}
}

// connected looks in a block for what spends our outputs.
func (c *core) connected(height uint32, block *wire.MsgBlock) {
	if len(c.sweeps.targets) == 0 {
		return
	}
	for _, tx := range block.Transactions {
		var txid chainhash.Hash
		for _, in := range tx.TxIn {
			t := c.sweeps.targets[in.PreviousOutPoint]
			if t == nil {
				continue
			}
			if txid == (chainhash.Hash{}) {
				txid = tx.TxHash()
			}
			t.gone, t.reason = height, ""
			if x := t.tx; x != nil && x.txid != txid {
				c.dropSweep(x, true) // the others are swept anew
				c.sweeps.dirty = true
			}
		}
	}
}

// disconnected takes back what a block has said.
func (c *core) disconnected(height uint32) {
	for _, t := range c.sweeps.targets {
		if t.gone >= height && t.gone != foreverGone {
			t.gone = 0
			c.sweeps.dirty = true
		}
	}
}

// sweepAnswered is what the chain says of a transaction of the sweeper. A refusal is often about a block that was not read yet, and says less.
func (c *core) sweepAnswered(x *sweepTx, refusal Refusal, err error) {
	switch refusal {
	case Accepted, Undecided:
	case TooLow:
		x.tooLow = true
	case Refused:
		x.refused = err
		c.look = true
	}
}

// splitRefused gives up transactions that the chain refuses though nothing in its blocks says why. Which output it is for shows when each is tried
// alone: it was spent before we looked, or is not there (again) after a reorganisation.
func (c *core) splitRefused() {
	for _, x := range c.sortedSweeps() {
		if x.refused == nil || !c.unconfirmed(x.txid) {
			continue
		}
		c.log.Warn("the chain refuses a sweep", slog.String("txid", x.txid.String()), slog.Int("outputs", len(x.inputs)), slog.Any("error", x.refused))
		c.dropSweep(x, true)
		for _, op := range x.inputs {
			if t := c.sweeps.targets[op]; t != nil {
				t.alone = true
				if len(x.inputs) == 1 {
					t.notYet, t.reason = c.height+bumpAfter, x.refused.Error()
				}
			}
		}
	}
}

// unconfirmed tells whether a transaction of the sweeper is in no block.
func (c *core) unconfirmed(txid chainhash.Hash) bool {
	x := c.sweeps.txs[txid]
	return x != nil && !slices.ContainsFunc(x.inputs, func(op wire.OutPoint) bool {
		t := c.sweeps.targets[op]
		return t != nil && t.tx == x && t.gone != 0
	})
}
