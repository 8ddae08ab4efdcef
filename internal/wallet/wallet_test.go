package wallet

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/btcutil/txsort"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"

	"github.com/lnactor/lnactor/internal/seed"
)

var regtest = &chaincfg.RegressionNetParams

// funding is an output of a channel: P2WSH, not ours.
func funding(value int64) *wire.TxOut {
	return wire.NewTxOut(value, append([]byte{txscript.OP_0, 32}, bytes.Repeat([]byte{9}, 32)...))
}

func testSeed(t testing.TB) *seed.Root {
	t.Helper()
	root, err := seed.FromEntropy([seed.EntropySize]byte{1}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), regtest)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// cachedKeys saves the tests that make thousands of wallets the derivations.
type cachedKeys struct {
	KeySource
	keys map[keyRef]*btcec.PrivateKey
}

func (c cachedKeys) WalletKey(branch, index uint32) (*btcec.PrivateKey, error) {
	ref := keyRef{branch, index}
	if key, ok := c.keys[ref]; ok {
		return key, nil
	}
	key, err := c.KeySource.WalletKey(branch, index)
	c.keys[ref] = key
	return key, err
}

func newWallet(t testing.TB, cfg Config) *HD {
	t.Helper()
	cfg.Params = regtest
	if cfg.Keys == nil {
		cfg.Keys = testSeed(t)
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// chain feeds blocks to a wallet.
type chain struct {
	t      testing.TB
	w      *HD
	blocks []*wire.MsgBlock
	nonce  uint32
}

func newChain(t testing.TB, w *HD) *chain {
	c := &chain{t: t, w: w}
	c.mine()
	return c
}

func (c *chain) height() uint32 { return uint32(len(c.blocks)) + 99 }

func (c *chain) mine(txs ...*wire.MsgTx) *wire.MsgBlock {
	c.t.Helper()
	c.nonce++
	b := wire.NewMsgBlock(&wire.BlockHeader{Nonce: c.nonce})
	if len(c.blocks) > 0 {
		b.Header.PrevBlock = c.blocks[len(c.blocks)-1].BlockHash()
	}
	b.Transactions = txs
	c.blocks = append(c.blocks, b)
	if err := c.w.ConnectBlock(c.height(), b.BlockHash(), b); err != nil {
		c.t.Fatal(err)
	}
	return b
}

func (c *chain) disconnect() *wire.MsgBlock {
	c.t.Helper()
	b := c.blocks[len(c.blocks)-1]
	if err := c.w.DisconnectBlock(c.height(), b.BlockHash()); err != nil {
		c.t.Fatal(err)
	}
	c.blocks = c.blocks[:len(c.blocks)-1]
	return b
}

// deposit is a transaction from outside to fresh addresses of w.
func (c *chain) deposit(values ...int64) *wire.MsgTx {
	c.t.Helper()
	c.nonce++
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&wire.OutPoint{Hash: chainhash.HashH([]byte(fmt.Sprint("outside", c.nonce)))}, nil, nil))
	for _, v := range values {
		script, err := c.w.NewScript()
		if err != nil {
			c.t.Fatal(err)
		}
		tx.AddTxOut(wire.NewTxOut(v, script))
	}
	return tx
}

func (c *chain) want(confirmed, unconfirmed, reserved btcutil.Amount) {
	c.t.Helper()
	if got, want := c.w.Balance(), (Balance{Confirmed: confirmed, Unconfirmed: unconfirmed, Reserved: reserved}); got != want {
		c.t.Errorf("balance %+v, want %+v", got, want)
	}
}

const rate = chainfee.SatPerKWeight(2500) // 10 sat/vB

func (c *chain) fund(lock byte, values ...int64) *Funded {
	c.t.Helper()
	var outs []*wire.TxOut
	for _, v := range values {
		outs = append(outs, funding(v))
	}
	f, err := c.w.FundTx(outs, rate, LockID{lock})
	if err != nil {
		c.t.Fatal(err)
	}
	return f
}

// The scripts are run here again, apart from the wallet's own check, and every satoshi is counted.
func TestFundedTransactionIsValid(t *testing.T) {
	for _, tc := range []struct {
		name   string
		coins  []int64
		pay    []int64
		inputs int
		change bool
	}{
		{"one coin, change", []int64{1_000_000}, []int64{300_000}, 1, true},
		{"many coins", []int64{100_000, 200_000, 300_000, 400_000}, []int64{650_000}, 2, true},
		{"all coins", []int64{50_000, 60_000, 70_000}, []int64{170_000}, 3, true},
		{"two outputs", []int64{1_000_000}, []int64{300_000, 200_000}, 1, true},
		{"equal outputs", []int64{1_000_000}, []int64{200_000, 200_000}, 1, true},
		{"change would be dust", []int64{301_600}, []int64{300_000}, 1, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newChain(t, newWallet(t, Config{}))
			c.mine(c.deposit(tc.coins...))
			f := c.fund(1, tc.pay...)

			if len(f.Tx.TxIn) != tc.inputs || (f.ChangeIndex >= 0) != tc.change {
				t.Errorf("%d inputs, change at %d", len(f.Tx.TxIn), f.ChangeIndex)
			}
			fetcher := txscript.NewMultiPrevOutFetcher(nil)
			var in, out int64
			for i, txin := range f.Tx.TxIn {
				fetcher.AddPrevOut(txin.PreviousOutPoint, f.PrevOuts[i])
				in += f.PrevOuts[i].Value
			}
			hashes := txscript.NewTxSigHashes(f.Tx, fetcher)
			for i, prev := range f.PrevOuts {
				engine, err := txscript.NewEngine(prev.PkScript, f.Tx, i, txscript.StandardVerifyFlags, nil, hashes, prev.Value, fetcher)
				if err != nil {
					t.Fatal(err)
				}
				if err := engine.Execute(); err != nil {
					t.Errorf("input %d: %v", i, err)
				}
			}
			for _, o := range f.Tx.TxOut {
				out += o.Value
			}
			if in-out != int64(f.Fee) {
				t.Errorf("in %d, out %d, fee %v", in, out, f.Fee)
			}
			weight := blockchain.GetTransactionWeight(btcutil.NewTx(f.Tx))
			least := btcutil.Amount(int64(rate) * weight / 1000)
			if f.Fee < least || tc.change && f.Fee > least+least/20 {
				t.Errorf("fee %v for weight %d, want %v", f.Fee, weight, least)
			}
			seen := map[uint32]bool{}
			for i, v := range tc.pay {
				at := f.Outputs[i]
				if f.Tx.TxOut[at].Value != v || !bytes.Equal(f.Tx.TxOut[at].PkScript, funding(v).PkScript) || seen[at] {
					t.Errorf("output %d is not at %d", i, at)
				}
				seen[at] = true
			}
			if tc.change && !c.w.IsOurs(f.Tx.TxOut[f.ChangeIndex].PkScript) {
				t.Error("the change is not ours")
			}
			if !txsort.IsSorted(f.Tx) {
				t.Error("the order of outputs gives away the change")
			}
			if err := blockchain.CheckTransactionSanity(btcutil.NewTx(f.Tx)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLifeOfAFundingTransaction(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000, 500_000))
	c.want(1_500_000, 0, 0)

	f := c.fund(1, 300_000)
	change := btcutil.Amount(f.Tx.TxOut[f.ChangeIndex].Value)
	c.want(500_000, 0, 1_000_000) // held, not spent

	if err := c.w.AddUnconfirmed(f.Tx); err != nil { // broadcast
		t.Fatal(err)
	}
	c.want(500_000, change, 0)
	c.w.Release(LockID{1}) // the reservation ends, the spending does not
	c.want(500_000, change, 0)
	if g := c.fund(2, 300_000); g.Tx.TxIn[0].PreviousOutPoint == f.Tx.TxIn[0].PreviousOutPoint {
		t.Error("a coin spent by a broadcast transaction was spent again")
	}
	c.w.Release(LockID{2})

	c.mine(f.Tx)
	c.want(500_000+change, 0, 0)
	if err := c.w.AddUnconfirmed(f.Tx); err != nil { // told again, late
		t.Fatal(err)
	}
	c.want(500_000+change, 0, 0)
	if txs := c.w.Unconfirmed(); len(txs) != 0 {
		t.Errorf("still unconfirmed: %v", txs)
	}
}

func TestReservation(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000, 1_000_000))
	a, b := c.fund(1, 300_000), c.fund(2, 300_000)
	if a.Tx.TxIn[0].PreviousOutPoint == b.Tx.TxIn[0].PreviousOutPoint {
		t.Fatal("one coin in two transactions")
	}
	var short *InsufficientFundsError
	if _, err := c.w.FundTx([]*wire.TxOut{funding(300_000)}, rate, LockID{3}); !errors.As(err, &short) || short.Have != 0 || short.Need <= 300_000 {
		t.Errorf("everything is reserved: %v", err)
	}
	if _, err := c.w.FundTx([]*wire.TxOut{funding(300_000)}, rate, LockID{1}); !errors.Is(err, ErrLockInUse) {
		t.Errorf("a lock used twice: %v", err)
	}
	c.w.Release(LockID{1})
	c.w.Release(LockID{9})
	c.want(1_000_000, 0, 1_000_000)
	if again := c.fund(1, 300_000); again.Tx.TxIn[0].PreviousOutPoint != a.Tx.TxIn[0].PreviousOutPoint {
		t.Error("the released coin was not the one to be had")
	}
}

// After a restart the owner reserves before the blocks are there.
func TestReserveBeforeRescan(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	deposit := c.deposit(1_000_000)
	c.mine(deposit)
	f := c.fund(1, 300_000)

	c2 := newChain(t, newWallet(t, Config{}))
	if err := c2.w.Reserve(LockID{1}, f.Tx); err != nil {
		t.Fatal(err)
	}
	if err := c2.w.Reserve(LockID{1}, f.Tx); err != nil { // and once more
		t.Fatal(err)
	}
	var reserved *ReservedError
	if err := c2.w.Reserve(LockID{2}, f.Tx); !errors.As(err, &reserved) || reserved.Holder != (LockID{1}) {
		t.Errorf("reserved twice: %v", err)
	}
	c2.mine(deposit)
	c2.want(0, 0, 1_000_000)
	c2.w.Release(LockID{1})
	c2.want(1_000_000, 0, 0)
}

func TestInsufficientFundsReservesNothing(t *testing.T) {
	saved := 0
	c := newChain(t, newWallet(t, Config{SaveIndexes: func(Indexes) error { saved++; return nil }}))
	c.mine(c.deposit(100_000, 100_000))
	saved = 0
	_, err := c.w.FundTx([]*wire.TxOut{funding(200_000)}, rate, LockID{1}) // the fee is missing
	var short *InsufficientFundsError
	if !errors.As(err, &short) || short.Have != 200_000 || short.Need <= short.Have {
		t.Errorf("got %v", err)
	}
	c.want(200_000, 0, 0)
	if saved != 0 {
		t.Error("an index was used up")
	}
}

func TestUneconomicCoinsAreLeft(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(100_000, 500, 500)) // an input costs 680 at this rate
	if f := c.fund(1, 50_000); len(f.Tx.TxIn) != 1 {
		t.Errorf("%d inputs", len(f.Tx.TxIn))
	}
	c.w.Release(LockID{1})
	var short *InsufficientFundsError
	if _, err := c.w.FundTx([]*wire.TxOut{funding(100_000)}, rate, LockID{1}); !errors.As(err, &short) || short.Have != 100_000 {
		t.Errorf("got %v", err)
	}
}

func TestFundTxRefuses(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(1_000_000))
	for _, tc := range []struct {
		name string
		outs []*wire.TxOut
		rate chainfee.SatPerKWeight
		want error
	}{
		{"nothing", nil, rate, ErrBadOutput},
		{"dust", []*wire.TxOut{funding(100)}, rate, ErrBadOutput},
		{"negative", []*wire.TxOut{funding(-1)}, rate, ErrBadOutput},
		{"too much", []*wire.TxOut{funding(btcutil.MaxSatoshi + 1)}, rate, ErrBadOutput},
		{"no fee", []*wire.TxOut{funding(100_000)}, 0, ErrBadFeeRate},
		{"sat/BTC", []*wire.TxOut{funding(100_000)}, maxFeeRate + 1, ErrBadFeeRate},
	} {
		if _, err := c.w.FundTx(tc.outs, tc.rate, LockID{1}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	c.want(1_000_000, 0, 0)
}

func TestIndexIsDurableBeforeTheAddressIsShown(t *testing.T) {
	var saved Indexes
	fail := false
	w := newWallet(t, Config{SaveIndexes: func(i Indexes) error {
		if fail {
			return errors.New("disk")
		}
		saved = i
		return nil
	}})
	c := newChain(t, w)
	first, err := w.NewAddress()
	if err != nil || saved != (Indexes{Receive: 1}) {
		t.Fatalf("%v, %v, saved %+v", first, err, saved)
	}
	c.mine(c.deposit(1_000_000))
	fail = true
	if addr, err := w.NewAddress(); err == nil {
		t.Errorf("%v was shown", addr)
	}
	if _, err := w.FundTx([]*wire.TxOut{funding(300_000)}, rate, LockID{1}); err == nil {
		t.Error("a change output was signed")
	}
	c.want(1_000_000, 0, 0)
	fail = false
	if c.fund(1, 300_000); saved.Change != 1 {
		t.Errorf("saved %+v", saved)
	}

	// The next incarnation goes on where the indexes say.
	addr, err := newWallet(t, Config{Next: Indexes{Receive: 1}}).NewAddress()
	if err != nil || addr.String() == first.String() {
		t.Errorf("%v again, %v", addr, err)
	}
}

// A wallet that has forgotten its indexes finds every coin within the lookahead of the last, and no address is given out twice.
func TestLookahead(t *testing.T) {
	c := newChain(t, newWallet(t, Config{Lookahead: 5}))
	shown := map[string]bool{}
	var scripts [][]byte
	for range 14 {
		s, err := c.w.NewScript()
		if err != nil {
			t.Fatal(err)
		}
		scripts, shown[string(s)] = append(scripts, s), true
	}
	pay := func(i int) *wire.MsgTx {
		tx := c.deposit()
		tx.AddTxOut(wire.NewTxOut(1000, scripts[i]))
		return tx
	}
	c2 := newChain(t, newWallet(t, Config{Lookahead: 5}))
	c2.mine(pay(4), pay(9))
	c2.want(2000, 0, 0)
	s, err := c2.w.NewScript()
	if err != nil || !bytes.Equal(s, scripts[10]) {
		t.Errorf("after address 9 came %x, %v", s, err)
	}
	if !c2.w.IsOurs(scripts[13]) || c2.w.IsOurs(funding(1).PkScript) {
		t.Error("IsOurs is wrong")
	}
	if got := len(c2.w.Scripts()); got != 11+5+5 {
		t.Errorf("%d scripts are watched", got)
	}
}

// TestLookaheadOfASnapshot: who looks far ahead still does after a restart in the middle of the chain.
func TestLookaheadOfASnapshot(t *testing.T) {
	c := newChain(t, newWallet(t, Config{Lookahead: 50}))
	c.mine()
	raw, err := c.w.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	cfg := c.w.cfg
	cfg.Lookahead = 0
	if c.w, err = Restore(cfg, raw); err != nil {
		t.Fatal(err)
	}
	far := newWallet(t, Config{Next: Indexes{Receive: 49}})
	script, err := far.NewScript()
	if err != nil {
		t.Fatal(err)
	}
	tx := c.deposit()
	tx.AddTxOut(wire.NewTxOut(1000, script))
	c.mine(tx)
	c.want(1000, 0, 0)
	again, err := c.w.Snapshot()
	if err != nil || !bytes.Contains(again, []byte(`"ahead":50`)) {
		t.Errorf("%s, %v", again, err)
	}
	if _, err := Restore(cfg, bytes.Replace(again, []byte(`"ahead":50`), []byte(`"ahead":4000000000`), 1)); !errors.Is(err, ErrBadSnapshot) {
		t.Errorf("an absurd lookahead: %v", err)
	}
}

func TestCoinbaseMatures(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	tx := c.deposit(5_000_000_000)
	tx.TxIn[0].PreviousOutPoint = wire.OutPoint{Index: wire.MaxPrevOutIndex}
	c.mine(tx)
	for range regtest.CoinbaseMaturity - 2 {
		c.mine()
	}
	if b := c.w.Balance(); b != (Balance{Immature: 5_000_000_000}) {
		t.Errorf("one block early: %+v", b)
	}
	if _, err := c.w.FundTx([]*wire.TxOut{funding(300_000)}, rate, LockID{1}); err == nil {
		t.Error("an immature coin was spent")
	}
	c.mine()
	c.want(5_000_000_000, 0, 0)
	c.fund(1, 300_000)
}

func TestSpendUnconfirmedChange(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		c := newChain(t, newWallet(t, Config{SpendUnconfirmedChange: allowed}))
		c.mine(c.deposit(1_000_000))
		f := c.fund(1, 300_000)
		if err := c.w.AddUnconfirmed(f.Tx); err != nil {
			t.Fatal(err)
		}
		if err := c.w.AddUnconfirmed(c.deposit(900_000)); err != nil { // somebody else's, can be replaced
			t.Fatal(err)
		}
		second, err := c.w.FundTx([]*wire.TxOut{funding(300_000)}, rate, LockID{2})
		if (err == nil) != allowed {
			t.Errorf("allowed %v: %v", allowed, err)
		}
		if allowed && second.Tx.TxIn[0].PreviousOutPoint.Hash != f.Tx.TxHash() {
			t.Error("not the change was spent")
		}
	}
}

func TestDeterministic(t *testing.T) {
	var first []byte
	for range 5 {
		c := newChain(t, newWallet(t, Config{}))
		c.mine(c.deposit(100_000, 100_000, 100_000, 100_000, 100_000, 100_000))
		f := c.fund(1, 250_000)
		raw, err := packTx(f.Tx)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = raw
		}
		if !bytes.Equal(first, raw) {
			t.Fatal("the same wallet made another transaction")
		}
	}
}

func BenchmarkFundTx(b *testing.B) {
	c := newChain(b, newWallet(b, Config{}))
	values := make([]int64, 200)
	for i := range values {
		values[i] = 100_000
	}
	c.mine(c.deposit(values...))
	for b.Loop() {
		c.fund(1, 150_000)
		c.w.Release(LockID{1})
	}
}

func BenchmarkNew(b *testing.B) {
	root := testSeed(b)
	for b.Loop() {
		if _, err := New(Config{Params: regtest, Keys: root}); err != nil {
			b.Fatal(err)
		}
	}
}
