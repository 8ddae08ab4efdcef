package funds

import (
	"testing"
	"testing/synctest"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// All mature outputs come home in one transaction, to the satoshi; the anchor stays because it costs more than it brings, and comes along when it
// does not.
func TestSweep(t *testing.T) {
	for name, tc := range map[string]struct {
		rate   uint32
		inputs int
	}{"anchor left": {2000, 4}, "anchor taken": {253, 5}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.rates.set(tc.rate, nil)
				outs := w.spendable(1, 50_000, 70_000)
				w.mine(6)
				w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
				w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs}) // no news
				pool := w.mempool()
				if len(pool) != 1 || len(pool[0].TxIn) != tc.inputs || len(pool[0].TxOut) != 1 || !w.wallet.IsOurs(pool[0].TxOut[0].PkScript) {
					t.Fatalf("mempool %+v", pool)
				}
				in := sumOf(outs)
				if tc.inputs == 4 {
					in -= 330
				}
				out := outValue(pool[0])
				fee := in - int64(out)
				weight := int64(3*pool[0].SerializeSizeStripped() + pool[0].SerializeSize())
				if least := int64(tc.rate) * weight / 1000; fee < least || fee > least+least/100+2 {
					t.Errorf("fee %d for weight %d at %d", fee, weight, tc.rate)
				}
				w.mine(1)
				if b := w.balance(); b.Confirmed != out || b.Unconfirmed != 0 {
					t.Errorf("balance %+v, want %v", b, out)
				}
				w.mine(5)
				w.tell(messages.SweepDone{Event: event(1)})
				if s := w.board.Status(); len(s.Sweeps) != 0 || len(w.mempool()) != 0 {
					t.Errorf("left: %+v", s.Sweeps)
				}
			})
		})
	}
}

func TestSweepUneconomical(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.rates.set(20_000, nil)
		outs := w.spendable(1, 5_000) // an input costs 6,000
		w.mine(6)
		w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
		s := w.board.Status()
		if len(w.mempool()) != 0 || len(s.Sweeps) != 3 || s.Sweeps[0].Reason == "" {
			t.Fatalf("%d transactions, %+v", len(w.mempool()), s.Sweeps)
		}
		w.rates.set(500, nil)
		w.mine(1)
		if len(w.mempool()) != 1 {
			t.Error("not swept when it was cheap")
		}
	})
}

// An estimate that would take most of an output away, a peak or a source that takes one unit for another, is waited out: nobody else can take it. The
// user may say otherwise.
func TestSweepAbsurdFee(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.rates.set(500_000, nil) // the highest that any source is believed
		outs := w.spendable(1, 300_000)
		w.mine(6)
		w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
		if pool := w.mempool(); len(pool) != 0 {
			t.Fatalf("%d of %d sat went to fees", sumOf(outs)-int64(outValue(pool[0])), sumOf(outs))
		}
		if s := w.board.Status(); len(s.Sweeps) != 3 || s.Sweeps[0].Reason == "" {
			t.Fatalf("%+v", s.Sweeps)
		}
		w.rates.set(50_000, nil)
		w.mine(1)
		pool := w.mempool()
		if len(pool) != 1 {
			t.Fatal("not swept when the peak was over")
		}
		w.rates.set(200_000, nil)
		w.mineEmpty(bumpAfter)
		pool = w.mempool()
		if fee := sumOf(outs) - 330 - int64(outValue(pool[0])); len(pool) != 1 || fee > sumOf(outs)/maxShare {
			t.Fatalf("a fee of %d sat", fee)
		}
		w.mine(1)
		if b := w.balance(); b.Confirmed < 300_000 {
			t.Errorf("%+v", b)
		}
	})
}

// One output that somebody else took does not hold up the others.
func TestSweepConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.rates.set(300, nil)
		outs := w.spendable(1, 50_000)
		w.mine(16)
		stolen := anchorThief(t, w, &outs[2])
		if _, err := w.chain.MineTxs(stolen); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs}) // the block was before
		w.mine(1)
		w.mine(1)
		b := w.balance()
		if b.Confirmed < 99_000 || b.Confirmed > 100_001 {
			t.Fatalf("balance %+v, %+v", b, w.board.Status().Sweeps)
		}
		w.mine(20)
		if now := w.balance(); now != b {
			t.Errorf("balance %+v, was %+v", now, b)
		}
	})
}

// An output taken while our sweep waits: the rest is swept again; and when a reorganisation gives it back, so is it.
func TestSweepContestedThenReorg(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.rates.set(253, nil)
		outs := w.spendable(1, 50_000)
		w.mine(16)
		w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
		if pool := w.mempool(); len(pool) != 1 || len(pool[0].TxIn) != 3 {
			t.Fatal(len(pool))
		}
		if _, err := w.chain.MineTxs(anchorThief(t, w, &outs[2])); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if pool := w.mempool(); len(pool) != 1 || len(pool[0].TxIn) != 2 {
			t.Fatalf("%d in the mempool", len(pool))
		}
		if s := w.board.Status().Sweeps; s[2].Spent == 0 || s[0].Txid == "" || s[0].Txid != s[1].Txid {
			t.Errorf("%+v", s)
		}
		if err := w.chain.Reorg(1, 2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, s := range w.board.Status().Sweeps {
			t.Logf("%+v", s)
		}
		w.mine(3)
		if b := w.balance(); b.Confirmed < 99_000 {
			t.Errorf("%+v", b)
		}
	})
}

// A sweep that does not confirm is replaced by a dearer one with the same inputs, to the same address.
func TestSweepBumped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		outs := w.spendable(1, 50_000)
		w.mine(6)
		w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
		first := w.mempool()[0]
		for range bumpAfter {
			if _, err := w.chain.MineEmpty(1); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		pool := w.mempool()
		if len(pool) != 1 || pool[0].TxHash() == first.TxHash() {
			t.Fatal("not replaced")
		}
		if string(pool[0].TxOut[0].PkScript) != string(first.TxOut[0].PkScript) || pool[0].TxOut[0].Value >= first.TxOut[0].Value {
			t.Error("another address, or no higher fee")
		}
		if txs := w.wallet.Unconfirmed(); len(txs) != 1 {
			t.Errorf("the wallet waits for %d", len(txs))
		}
		w.mine(1)
		if b := w.balance(); b.Confirmed != outValue(pool[0]) || b.Unconfirmed != 0 {
			t.Errorf("%+v", b)
		}
	})
}

// After a kill the sweep goes on with the transaction that the wallet remembers, or, when that was lost, with another that takes its place.
func TestSweepAfterKill(t *testing.T) {
	for name, remembered := range map[string]bool{"remembered": true, "forgotten": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				outs := w.spendable(1, 50_000)
				w.mine(6)
				w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
				first := w.mempool()[0].TxHash()
				if remembered {
					raw, err := w.wallet.Snapshot()
					if err != nil {
						t.Fatal(err)
					}
					w.saved = raw
				} else {
					w.saved = nil
					w.rates.set(1100, nil)
				}
				w.kill()
				w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
				if remembered && (len(w.mempool()) != 1 || w.mempool()[0].TxHash() != first) {
					t.Error("another transaction")
				}
				for range 3 {
					if _, err := w.chain.MineEmpty(1); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				pool := w.mempool()
				if len(pool) != 1 {
					t.Fatalf("%d in the mempool", len(pool))
				}
				w.mine(1)
				if b := w.balance(); b.Confirmed != outValue(pool[0]) || b.Unconfirmed != 0 {
					t.Errorf("%+v, want %v", b, outValue(pool[0]))
				}
			})
		})
	}
}

// A confirmed sweep that a reorganisation throws out is unspent again, and replaced if it then does not confirm.
func TestSweepReorganised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		outs := w.spendable(1, 50_000)
		w.mine(6)
		w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
		first := w.mempool()[0].TxHash()
		w.mine(1)
		if s := w.board.Status().Sweeps; s[0].Spent == 0 || s[0].Txid != first.String() {
			t.Fatalf("%+v", s)
		}
		if err := w.chain.Reorg(1, 2); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := w.board.Status().Sweeps; s[0].Spent != 0 || !w.chain.InMempool(first) {
			t.Fatalf("%+v", s)
		}
		for range bumpAfter {
			if _, err := w.chain.MineEmpty(1); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if pool := w.mempool(); len(pool) != 1 || pool[0].TxHash() == first {
			t.Error("not replaced")
		}
	})
}

// Outputs of many channels come home in transactions of a bounded size, and their sum is right.
func TestSweepMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		const channels = 60
		var all []facts.SpendableOutput
		for i := range channels {
			outs := w.spendable(uint32(i), 10_000)
			all = append(all, outs...)
			w.env.Tell(messages.FundsAddr, messages.SweepOutputs{Event: event(uint64(i)), Outputs: outs})
			if i%20 == 19 {
				w.mine(1)
			}
		}
		w.mine(12)
		b := w.balance()
		want := sumOf(all)
		if int64(b.Confirmed) > want || int64(b.Confirmed) < want-channels*1500 || b.Unconfirmed != 0 {
			t.Errorf("%+v of %v", b, btcutil.Amount(want))
		}
	})
}
