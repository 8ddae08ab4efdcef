package wallet

import (
	"errors"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"pgregory.net/rapid"
)

func TestPayAll(t *testing.T) {
	to := funding(1).PkScript // P2WSH: 43 bytes as an output
	for _, tc := range []struct {
		name  string
		coins []int64
		keep  btcutil.Amount
		out   int64
		in    int
		err   error
	}{
		// 4*(10+41+43)+2+108 = 486 at 1000 sat/kw
		{"one coin", []int64{100_000}, 0, 100_000 - 486, 1, nil},
		{"two coins", []int64{100_000, 5_000}, 0, 105_000 - 486 - 272, 2, nil},
		{"a coin that costs more than it brings stays", []int64{100_000, 272}, 0, 100_000 - 486, 1, nil},
		{"reserve", []int64{100_000}, 20_000, 80_000 - 486 - 124, 1, nil},
		{"a reserve that would be dust", []int64{100_000}, 100, 100_000 - 294 - 486 - 124, 1, nil},
		{"no more than the reserve", []int64{20_000}, 20_000, 0, 0, &ReserveError{}},
		{"nothing there", nil, 0, 0, 0, &InsufficientFundsError{}},
		{"no more than the fee", []int64{486}, 0, 0, 0, &InsufficientFundsError{}},
		{"dust", []int64{700}, 0, 0, 0, ErrBadOutput},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newChain(t, newWallet(t, Config{}))
			c.mine(c.deposit(tc.coins...))
			before := c.w.Balance()
			f, err := c.w.Pay(&Payment{PkScript: to, FeeRate: 1000, Keep: tc.keep})
			var keep *ReserveError
			var short *InsufficientFundsError
			switch tc.err.(type) {
			case *ReserveError:
				if !errors.As(err, &keep) {
					t.Error(err)
				}
			case *InsufficientFundsError:
				if !errors.As(err, &short) {
					t.Error(err)
				}
			default:
				if !errors.Is(err, tc.err) {
					t.Error(err)
				}
			}
			if tc.err != nil {
				if c.w.Balance() != before || len(c.w.Sent()) != 0 {
					t.Error("something was spent")
				}
				return
			}
			if got := f.Tx.TxOut[f.Outputs[0]].Value; got != tc.out || len(f.Tx.TxIn) != tc.in {
				t.Errorf("pays %d from %d coins, want %d from %d", got, len(f.Tx.TxIn), tc.out, tc.in)
			}
			if f.ChangeIndex >= 0 && btcutil.Amount(f.Tx.TxOut[f.ChangeIndex].Value) != max(tc.keep, dustLimit) {
				t.Errorf("keeps %d", f.Tx.TxOut[f.ChangeIndex].Value)
			}
		})
	}
}

// A payment is remembered until it is buried, through snapshots and reorganisations, and forgotten when another takes its coins.
func TestSentIsRemembered(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(100_000))
	pay := func() *wire.MsgTx {
		f, err := c.w.Pay(&Payment{PkScript: funding(1).PkScript, Amount: 20_000, FeeRate: 1000})
		if err != nil {
			t.Fatal(err)
		}
		return f.Tx
	}
	sent := func(want ...*wire.MsgTx) {
		t.Helper()
		if !slices.EqualFunc(c.w.Sent(), want, func(a, b *wire.MsgTx) bool { return a.TxHash() == b.TxHash() }) {
			t.Errorf("%d are offered, want %d", len(c.w.Sent()), len(want))
		}
	}
	a := pay()
	sent(a)
	c.w = restored(t, c.w)
	sent(a)
	c.mine(a)
	sent()
	c.w = restored(t, c.w)
	c.disconnect()
	sent(a)
	if err := c.w.Rescan(); err != nil {
		t.Fatal(err)
	}
	sent(a)
	for i, b := range c.blocks {
		if err := c.w.ConnectBlock(uint32(i)+100, b.BlockHash(), b); err != nil {
			t.Fatal(err)
		}
	}
	sent(a)
	c.mine(a)
	for range UndoDepth {
		c.mine()
	}
	sent()
	if len(c.w.ledger.sent) != 0 {
		t.Error("kept for ever")
	}
	b := pay()
	c.w.Abandon(b.TxHash())
	sent()
	c.want(c.w.Balance().Total(), 0, 0)
}

func TestRescanKeepsWhatIsHeld(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(100_000, 50_000))
	f := c.fund(1, 20_000)
	b := c.claim(&ClaimSpec{Lock: LockID{2}, Inputs: []ClaimInput{anchor(0)}, FeeRate: 1000, MaxFee: 90_000})
	if err := c.w.AddUnconfirmed(b.Tx); err != nil {
		t.Fatal(err)
	}
	before := c.w.Balance()
	if err := c.w.Rescan(); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := c.w.Tip(); ok {
		t.Error("still knows a block")
	}
	for i, b := range c.blocks {
		if err := c.w.ConnectBlock(uint32(i)+100, b.BlockHash(), b); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.w.Balance(); got != before {
		t.Errorf("balance %+v, was %+v", got, before)
	}
	if err := c.w.Reserve(LockID{3}, f.Tx); err == nil {
		t.Error("the reservation is gone")
	}
}

func TestParseAddress(t *testing.T) {
	w := newWallet(t, Config{})
	addr, err := w.NewAddress()
	if err != nil {
		t.Fatal(err)
	}
	script, err := ParseAddress(addr.EncodeAddress(), regtest)
	if err != nil || !w.IsOurs(script) {
		t.Errorf("%x, %v", script, err)
	}
	for _, bad := range []string{"", "x", addr.EncodeAddress() + "q", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"} {
		if _, err := ParseAddress(bad, regtest); !errors.Is(err, ErrBadAddress) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := ParseAddress("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", &chaincfg.MainNetParams); err != nil {
		t.Error(err)
	}
}

func TestCoins(t *testing.T) {
	c := newChain(t, newWallet(t, Config{}))
	c.mine(c.deposit(10_000, 100_000, 50_000))
	c.fund(1, 20_000)
	if _, err := c.w.Pay(&Payment{PkScript: funding(1).PkScript, Amount: 20_000, FeeRate: 1000}); err != nil {
		t.Fatal(err)
	}
	coins, err := c.w.Coins()
	if err != nil || len(coins) != 4 {
		t.Fatalf("%+v, %v", coins, err)
	}
	for i, want := range []struct {
		value           btcutil.Amount
		reserved, spent bool
	}{{100_000, true, false}, {50_000, false, true}, {coins[2].Value, false, false}, {10_000, false, false}} {
		x := coins[i]
		if x.Value != want.value || x.Reserved != want.reserved || (x.SpentBy != (chainhash.Hash{})) != want.spent || x.Address == "" {
			t.Errorf("coin %d: %+v, want %+v", i, x, want)
		}
	}
}

// Whatever is paid, what goes in comes out or is the fee, and what is to be kept is kept.
func TestPayModel(t *testing.T) {
	root := testSeed(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := newChain(t, newWallet(t, Config{Keys: root, Lookahead: 2}))
		c.mine(c.deposit(rapid.SliceOfN(rapid.Int64Range(300, 50_000), 1, 5).Draw(rt, "coins")...))
		before := c.w.Balance().Confirmed
		p := &Payment{
			PkScript: funding(1).PkScript, Amount: btcutil.Amount(rapid.Int64Range(0, 100_000).Draw(rt, "amount")),
			FeeRate: chainfee.SatPerKWeight(rapid.Int64Range(250, 5000).Draw(rt, "rate")), Keep: btcutil.Amount(rapid.Int64Range(0, 30_000).Draw(rt, "keep")),
		}
		f, err := c.w.Pay(p)
		if err != nil {
			if c.w.Balance().Confirmed != before {
				rt.Fatal("spent for nothing")
			}
			return
		}
		paid := btcutil.Amount(f.Tx.TxOut[f.Outputs[0]].Value)
		if p.Amount != 0 && paid != p.Amount {
			rt.Fatalf("paid %v of %v", paid, p.Amount)
		}
		if weight := txWeight(f.Tx); f.Fee < btcutil.Amount(int64(p.FeeRate)*weight/1000) {
			rt.Fatalf("fee %v for weight %d at %v", f.Fee, weight, p.FeeRate)
		}
		c.mine(f.Tx)
		if after := c.w.Balance().Confirmed; after != before-paid-f.Fee || after < p.Keep {
			rt.Fatalf("%v before, paid %v with %v, %v after, to keep %v", before, paid, f.Fee, after, p.Keep)
		}
	})
}
