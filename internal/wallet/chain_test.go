package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestReorg(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	deposit := c.deposit(1_000_000)
	c.mine(deposit)
	f := c.fund(1, 300_000)
	change := btcutil.Amount(f.Tx.TxOut[f.ChangeIndex].Value)
	c.mine(f.Tx)
	c.want(change, 0, 0)

	c.disconnect() // the funding transaction is unconfirmed again: its input must not be spent elsewhere
	c.want(0, change, 0)
	c.disconnect() // and so is what it spends
	c.want(0, change, 0)
	if txs := c.w.Unconfirmed(); len(txs) != 2 || txs[0].TxHash() != deposit.TxHash() || txs[1].TxHash() != f.Tx.TxHash() {
		t.Errorf("unconfirmed: %v", txs)
	}

	c.mine(deposit, f.Tx) // both in one block now
	c.want(change, 0, 0)
	c.disconnect()
	c.want(0, change, 0)
	c.mine(deposit)
	c.want(0, change, 0)
	c.mine(f.Tx)
	c.want(change, 0, 0)
}

// The other branch of the chain has a double spend of the deposit: what was built on it dies.
func TestReorgToDoubleSpend(t *testing.T) {
	c := newChain(t, newWallet(t, Config{SpendUnconfirmedChange: true}))
	deposit := c.deposit(1_000_000)
	c.mine(deposit)
	f := c.fund(1, 300_000)
	if err := c.w.AddUnconfirmed(f.Tx); err != nil {
		t.Fatal(err)
	}
	g := c.fund(2, 200_000)
	if err := c.w.AddUnconfirmed(g.Tx); err != nil {
		t.Fatal(err)
	}
	c.disconnect()
	double := c.deposit(700_000)
	double.TxIn[0].PreviousOutPoint = deposit.TxIn[0].PreviousOutPoint
	c.mine(double)
	c.want(700_000, 0, 0)
	if txs := c.w.Unconfirmed(); len(txs) != 0 {
		t.Errorf("still waiting for %d transactions that cannot confirm", len(txs))
	}
}

// A confirmed transaction whose coins were spent again is told of as if it were unconfirmed, as whoever broadcast it does at every start: its coins are not
// there a second time, and a reorganisation afterwards finds each of them once.
func TestConfirmedIsNotPending(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	deposit := c.deposit(1_000_000)
	c.mine(deposit)
	f := c.fund(1, 300_000)
	change := btcutil.Amount(f.Tx.TxOut[f.ChangeIndex].Value)
	c.mine(f.Tx)
	tell := func() {
		t.Helper()
		for _, tx := range []*wire.MsgTx{deposit, f.Tx} {
			if err := c.w.AddUnconfirmed(tx); err != nil {
				t.Fatal(err)
			}
		}
	}
	tell()
	c.want(change, 0, 0)
	if txs := c.w.Unconfirmed(); len(txs) != 0 {
		t.Errorf("%d confirmed transactions wait for a block", len(txs))
	}
	c.w = restored(t, c.w)
	tell()
	c.want(change, 0, 0)

	c.disconnect() // the spender is unconfirmed again, the deposit is not
	tell()
	c.want(0, change, 0)
	if txs := c.w.Unconfirmed(); len(txs) != 1 || txs[0].TxHash() != f.Tx.TxHash() {
		t.Errorf("unconfirmed: %v", txs)
	}
	c.w.Release(LockID{1})
	c.w.Abandon(f.Tx.TxHash())
	c.want(1_000_000, 0, 0)
	c.disconnect()
	c.want(0, 1_000_000, 0)
}

func TestReorgOfCoinbase(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	cb := c.deposit(5_000_000_000)
	cb.TxIn[0].PreviousOutPoint = wire.OutPoint{Index: wire.MaxPrevOutIndex}
	c.mine(cb)
	for range regtest.CoinbaseMaturity {
		c.mine()
	}
	f := c.fund(1, 300_000)
	if err := c.w.AddUnconfirmed(f.Tx); err != nil {
		t.Fatal(err)
	}
	for range int(regtest.CoinbaseMaturity) + 1 {
		c.disconnect()
	}
	c.want(0, 0, 0)
}

func TestReplacement(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000))
	a := c.fund(1, 300_000)
	c.w.Release(LockID{1})
	b := c.fund(2, 400_000)
	for _, tx := range []*wire.MsgTx{a.Tx, b.Tx} {
		if err := c.w.AddUnconfirmed(tx); err != nil {
			t.Fatal(err)
		}
	}
	c.want(0, btcutil.Amount(b.Tx.TxOut[b.ChangeIndex].Value), 0)
	c.mine(a.Tx) // the miner took the other one
	c.want(btcutil.Amount(a.Tx.TxOut[a.ChangeIndex].Value), 0, 0)
}

func TestAbandon(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000))
	f := c.fund(1, 300_000)
	if err := c.w.AddUnconfirmed(f.Tx); err != nil {
		t.Fatal(err)
	}
	c.w.Release(LockID{1})
	c.w.Abandon(f.Tx.TxHash())
	c.w.Abandon(f.Tx.TxHash())
	c.want(1_000_000, 0, 0)
}

func TestBlocksOutOfOrder(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	tip := c.mine(c.deposit(1_000_000))
	if err := c.w.ConnectBlock(c.height(), tip.BlockHash(), tip); err != nil { // the same again
		t.Error(err)
	}
	c.want(1_000_000, 0, 0)
	var order *OutOfOrderError
	gap := wire.NewMsgBlock(&wire.BlockHeader{PrevBlock: tip.BlockHash()})
	if err := c.w.ConnectBlock(c.height()+2, gap.BlockHash(), gap); !errors.As(err, &order) || order.TipHeight != c.height() {
		t.Errorf("a gap: %v", err)
	}
	stranger := wire.NewMsgBlock(&wire.BlockHeader{PrevBlock: chainhash.Hash{1}})
	if err := c.w.ConnectBlock(c.height()+1, stranger.BlockHash(), stranger); !errors.As(err, &order) {
		t.Errorf("another branch: %v", err)
	}
	if err := c.w.DisconnectBlock(c.height(), chainhash.Hash{1}); !errors.As(err, &order) {
		t.Errorf("disconnecting another block: %v", err)
	}
	c.disconnect()
	if err := c.w.DisconnectBlock(c.height(), c.blocks[0].BlockHash()); !errors.Is(err, ErrReorgTooDeep) {
		t.Errorf("below the birthday: %v", err)
	}
	if err := newWallet(t, Config{}).DisconnectBlock(1, chainhash.Hash{}); !errors.Is(err, ErrReorgTooDeep) {
		t.Errorf("before the first block: %v", err)
	}
}

func TestReorgTooDeep(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	for range UndoDepth + 10 {
		c.mine()
	}
	for range UndoDepth - 1 {
		c.disconnect()
	}
	b := c.blocks[len(c.blocks)-1]
	if err := c.w.DisconnectBlock(c.height(), b.BlockHash()); !errors.Is(err, ErrReorgTooDeep) {
		t.Errorf("got %v", err)
	}
}

// A reservation nobody releases ends when its coin is spent for good.
func TestForgottenReservation(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000))
	f := c.fund(1, 300_000)
	c.mine(f.Tx)
	for range UndoDepth {
		if len(c.w.ledger.locks) != 1 {
			t.Fatal("given up while a reorganisation could bring the coin back")
		}
		c.mine()
	}
	if len(c.w.ledger.locks) != 0 || len(c.w.ledger.byLock) != 0 {
		t.Error("held for ever")
	}
}

func restored(t interface {
	Helper()
	Fatal(...any)
}, w *HD,
) *HD {
	t.Helper()
	raw, err := w.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	cfg := w.cfg
	cfg.Next = Indexes{}
	r, err := Restore(cfg, raw)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, again) {
		t.Fatal("write, read, write is another snapshot (S10):\n" + cmp.Diff(string(raw), string(again)))
	}
	return r
}

func TestSnapshotSurvivesReorg(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000))
	f := c.fund(1, 300_000)
	change := btcutil.Amount(f.Tx.TxOut[f.ChangeIndex].Value)
	c.mine(f.Tx)
	c.w = restored(t, c.w)
	c.want(change, 0, 0)
	c.disconnect()
	c.want(0, change, 0)
	c.w = restored(t, c.w)
	c.want(0, change, 0)
	c.mine(f.Tx)
	c.want(change, 0, 0)
}

func TestBadSnapshots(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000))
	raw, err := c.w.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, with string) []byte {
		out := bytes.Replace(raw, []byte(old), []byte(with), 1)
		if bytes.Equal(out, raw) {
			t.Fatalf("%s is not in %s", old, raw)
		}
		return out
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "cut off": raw[:len(raw)/2], "version": replace(`"version":1`, `"version":2`), "chain": replace("regtest", "mainnet"),
		"branch": replace(`"branch":0`, `"branch":7`), "index": replace(`"index":0,"height":101`, `"index":999,"height":101`),
		"value": replace(`"value":1000000`, `"value":-1`), "gap": replace(`{"height":101`, `{"height":103`), "height": replace(`"index":0,"height":101`, `"index":0,"height":0`),
	} {
		if _, err := Restore(c.w.cfg, bad); !errors.Is(err, ErrBadSnapshot) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Restore(Config{Params: &chaincfg.MainNetParams, Keys: c.w.cfg.Keys}, raw); !errors.Is(err, ErrBadSnapshot) {
		t.Errorf("another chain: %v", err)
	}
}

// The machine does random things to a wallet and keeps the truth beside it: a wallet that is built anew from the blocks, told of the same
// unconfirmed transactions, must agree with the one that went through every reorganisation and restart.
func TestAgreesWithRescan(t *testing.T) {
	keys := cachedKeys{testSeed(t), make(map[keyRef]*btcec.PrivateKey)}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWallet(t, Config{Keys: keys, Lookahead: 3, SpendUnconfirmedChange: rapid.Bool().Draw(rt, "change")})
		c := newChain(t, w)
		var mempool []*wire.MsgTx
		lock := byte(0)
		take := func() []*wire.MsgTx { // a prefix, so that parents come first
			n := rapid.IntRange(0, len(mempool)).Draw(rt, "confirm")
			txs := mempool[:n]
			mempool = slices.Clone(mempool[n:])
			return txs
		}
		rt.Repeat(map[string]func(*rapid.T){
			"deposit": func(rt *rapid.T) {
				tx := c.deposit(rapid.Int64Range(1000, 100_000).Draw(rt, "value"))
				mempool = append(mempool, tx)
				if rapid.Bool().Draw(rt, "told") {
					mustAdd(rt, c.w, tx)
				}
			},
			"fund": func(rt *rapid.T) {
				lock++
				f, err := c.w.FundTx([]*wire.TxOut{funding(rapid.Int64Range(1000, 100_000).Draw(rt, "value"))}, rate, LockID{lock})
				var short *InsufficientFundsError
				if errors.As(err, &short) {
					rt.Skip(short)
				}
				if err != nil {
					rt.Fatal(err)
				}
				for _, in := range f.Tx.TxIn {
					if spender, ok := c.w.ledger.spentBy[in.PreviousOutPoint]; ok {
						rt.Fatalf("%v is spent by %v already", in.PreviousOutPoint, spender)
					}
				}
				if rapid.Bool().Draw(rt, "broadcast") {
					mustAdd(rt, c.w, f.Tx)
					mempool = append(mempool, f.Tx)
				}
				c.w.Release(LockID{lock})
			},
			"mine": func(*rapid.T) { c.mine(take()...) },
			"reorg": func(rt *rapid.T) {
				if len(c.blocks) < 2 {
					rt.Skip("nothing to undo")
				}
				b := c.disconnect()
				mempool = append(slices.Clone(b.Transactions), mempool...)
			},
			"told again": func(rt *rapid.T) {
				b := rapid.SampledFrom(c.blocks).Draw(rt, "block")
				for _, tx := range b.Transactions {
					mustAdd(rt, c.w, tx)
				}
			},
			"restart": func(rt *rapid.T) { c.w = restored(rt, c.w) },
			"": func(rt *rapid.T) {
				fresh := &HD{cfg: c.w.cfg, ledger: newLedger(c.w.ledger.scripts, UndoDepth)} // deriving the scripts again is what takes time
				for i, b := range c.blocks {
					if err := fresh.ConnectBlock(uint32(i)+100, b.BlockHash(), b); err != nil {
						rt.Fatal(err)
					}
				}
				for _, tx := range c.w.Unconfirmed() {
					mustAdd(rt, fresh, tx)
				}
				if got, want := c.w.Balance(), fresh.Balance(); got != want {
					rt.Fatalf("balance %+v, by rescan %+v", got, want)
				}
				if got, want := summary(c.w), summary(fresh); got != want {
					rt.Fatal(cmp.Diff(want, got))
				}
			},
		})
	})
}

func mustAdd(t *rapid.T, w *HD, tx *wire.MsgTx) {
	if err := w.AddUnconfirmed(tx); err != nil {
		t.Fatal(err)
	}
}

// summary is all that the two must share.
func summary(w *HD) string {
	var lines []string
	for op, c := range w.ledger.coins {
		lines = append(lines, fmt.Sprintf("coin %v %v %v %d spent by %v", op, c.value, c.ref, c.height, w.ledger.spentBy[op]))
	}
	for txid := range w.ledger.pending {
		lines = append(lines, fmt.Sprintf("pending %v", txid))
	}
	slices.Sort(lines)
	return fmt.Sprint(lines)
}
