package wallet

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"pgregory.net/rapid"
)

// TestBump: the change pays first, then another coin, then nothing is left to pay with.
func TestBump(t *testing.T) {
	to := funding(1).PkScript
	c := newChain(t, newWallet(t, Config{SpendUnconfirmedChange: true}))
	c.mine(c.deposit(50_000, 20_000))
	first, err := c.w.Pay(&Payment{PkScript: to, Amount: 40_000, FeeRate: 500})
	if err != nil {
		t.Fatal(err)
	}
	old := first
	bump := func(rate chainfee.SatPerKWeight, keep btcutil.Amount) (*Funded, error) {
		return c.w.Bump(old.Tx.TxHash(), rate, keep)
	}
	for _, rate := range []chainfee.SatPerKWeight{0, 400, 499, maxFeeRate + 1} {
		if _, err := bump(rate, 0); !errors.Is(err, ErrBadFeeRate) {
			t.Errorf("%d: %v", rate, err)
		}
	}
	if _, err := c.w.Bump(chainhash.Hash{1}, 5000, 0); !errors.Is(err, ErrNotPending) {
		t.Error(err)
	}
	for _, step := range []struct {
		rate    chainfee.SatPerKWeight
		inputs  int
		outputs int
		keep    btcutil.Amount // the change counts, and the coin that stays
	}{{2000, 1, 2, 25_000}, {18_000, 1, 1, 20_000}, {25_000, 2, 2, 0}} {
		f, err := bump(step.rate, step.keep)
		if err != nil || len(f.Tx.TxIn) != step.inputs || len(f.Tx.TxOut) != step.outputs {
			t.Fatalf("%d: %v, %+v", step.rate, err, f)
		}
		paid := 0
		for _, out := range f.Tx.TxOut {
			if string(out.PkScript) == string(to) && out.Value == 40_000 {
				paid++
			}
		}
		if paid != 1 || f.Fee < old.Fee+btcutil.Amount(vsize(txWeight(f.Tx))) {
			t.Errorf("%d: paid %d times, fee %v after %v", step.rate, paid, f.Fee, old.Fee)
		}
		if step.outputs == 2 && f.ChangeIndex < 0 {
			t.Error("no change")
		}
		if s := c.w.Sent(); len(s) != 1 || s[0].TxHash() != f.Tx.TxHash() || len(c.w.Unconfirmed()) != 1 {
			t.Error("the old one is still there")
		}
		old = f
	}
	var keep *ReserveError
	if _, err := bump(30_000, 20_000); !errors.As(err, &keep) {
		t.Error(err)
	}
	var short *InsufficientFundsError
	if _, err := bump(200_000, 0); !errors.As(err, &short) {
		t.Error(err)
	}
	// Nothing of that changed anything, and the last one confirms. Or the first one does: then the others are gone.
	if s := c.w.Sent(); len(s) != 1 || s[0].TxHash() != old.Tx.TxHash() {
		t.Error("a refusal changed something")
	}
	c.mine(first.Tx)
	if b := c.w.Balance(); len(c.w.Unconfirmed()) != 0 || b.Total() != 30_000-first.Fee {
		t.Errorf("%+v", b)
	}
	if _, err := bump(30_000, 0); !errors.Is(err, ErrNotPending) {
		t.Error(err)
	}
}

// TestBumpOfAParent: what another payment spends is not replaced; what says that it is final neither.
func TestBumpOfAParent(t *testing.T) {
	to := funding(1).PkScript
	c := newChain(t, newWallet(t, Config{SpendUnconfirmedChange: true}))
	c.mine(c.deposit(50_000))
	parent, err := c.w.Pay(&Payment{PkScript: to, Amount: 10_000, FeeRate: 500})
	if err != nil {
		t.Fatal(err)
	}
	child, err := c.w.Pay(&Payment{PkScript: to, Amount: 5_000, FeeRate: 500})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.w.Bump(parent.Tx.TxHash(), 5000, 0); !errors.Is(err, ErrHasChild) {
		t.Error(err)
	}
	bumped, err := c.w.Bump(child.Tx.TxHash(), 5000, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.w.Resend(child.Tx); err != nil {
		t.Fatal(err)
	}
	if s := c.w.Sent(); len(s) != 2 || s[1].TxHash() != child.Tx.TxHash() || bumped.Tx.TxHash() == child.Tx.TxHash() {
		t.Error("the old one is not back")
	}
	c.mine(parent.Tx)
	final := child.Tx.Copy()
	final.TxIn[0].Sequence = wire.MaxTxInSequenceNum
	if err := c.w.Resend(final); err != nil { // its signature does not matter here
		t.Fatal(err)
	}
	if _, err := c.w.Bump(final.TxHash(), 5000, 0); !errors.Is(err, ErrNotReplaceable) {
		t.Error(err)
	}
}

// TestBumpModel: whatever was paid is paid once, nothing is made or lost but fees, and nodes would take each replacement.
func TestBumpModel(t *testing.T) {
	root := testSeed(t)
	rapid.Check(t, func(rt *rapid.T) {
		c := newChain(t, newWallet(t, Config{Keys: root, Lookahead: 2}))
		c.mine(c.deposit(rapid.SliceOfN(rapid.Int64Range(1000, 50_000), 1, 5).Draw(rt, "coins")...))
		before := c.w.Balance().Total()
		p := &Payment{
			PkScript: funding(1).PkScript, Amount: btcutil.Amount(rapid.Int64Range(1000, 60_000).Draw(rt, "amount")),
			FeeRate: chainfee.SatPerKWeight(rapid.Int64Range(250, 2000).Draw(rt, "rate")),
		}
		f, err := c.w.Pay(p)
		if err != nil {
			return
		}
		for range rapid.IntRange(1, 4).Draw(rt, "bumps") {
			rate := chainfee.SatPerKWeight(rapid.Int64Range(250, 20_000).Draw(rt, "rate"))
			g, err := c.w.Bump(f.Tx.TxHash(), rate, 0)
			if err != nil {
				continue
			}
			vs := btcutil.Amount(vsize(txWeight(g.Tx)))
			if g.Fee < f.Fee+vs || g.Fee < feeOf(rate, txWeight(g.Tx))-1 {
				rt.Fatalf("fee %v at %d for %d vbytes after %v", g.Fee, rate, vs, f.Fee)
			}
			if a, b := int64(f.Fee)*1000/vsize(txWeight(f.Tx)), int64(g.Fee)*1000/vsize(txWeight(g.Tx)); b <= a {
				rt.Fatalf("%d sat/kvB replace %d", b, a)
			}
			f = g
		}
		c.mine(f.Tx)
		if after := c.w.Balance(); after.Total() != before-p.Amount-f.Fee || after.Total() != after.Confirmed {
			rt.Fatalf("%v before, %+v after %v with %v", before, after, p.Amount, f.Fee)
		}
	})
}
