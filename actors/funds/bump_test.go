package funds

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/messages"
)

func (w *world) bump(m messages.BumpFee) messages.SendReply {
	w.t.Helper()
	m.ReplyTo = "monitor"
	w.got = nil
	w.tell(m)
	return answer[messages.SendReply](w)
}

// TestBumpSend: the replacement takes the place of the payment in the mempool, in the wallet and on disk, and pays the same.
func TestBumpSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		var fail error
		w := newWorld(t, func(c *Config) {
			save := c.Save
			c.Save = func(raw []byte) error {
				if fail != nil {
					return fail
				}
				return save(raw)
			}
		})
		w.coins(100_000, 60_000)
		to, _ := regtest.FaucetScript()
		old := w.send(messages.SendFunds{PkScript: to, AmountSat: 30_000, FeePerKw: 500})
		only := func(txid chainhash.Hash, what string) {
			t.Helper()
			if pool := w.mempool(); len(pool) != 1 || pool[0].TxHash() != txid {
				t.Fatalf("%s: %d in the mempool", what, len(pool))
			}
			if s := w.wallet.Sent(); len(s) != 1 || s[0].TxHash() != txid {
				t.Fatalf("%s: %d in the wallet", what, len(s))
			}
		}
		for _, c := range []struct {
			m    messages.BumpFee
			want error
		}{
			{messages.BumpFee{Txid: chainhash.Hash{1}, FeePerKw: 2000}, wallet.ErrNotPending},
			{messages.BumpFee{Txid: old.Txid, FeePerKw: 500}, wallet.ErrBadFeeRate},
		} {
			if r := w.bump(c.m); !errors.Is(r.Err, c.want) {
				t.Errorf("%+v: %+v", c.m, r)
			}
		}
		fail = full
		if r := w.bump(messages.BumpFee{Txid: old.Txid, FeePerKw: 2000}); !errors.Is(r.Err, full) {
			t.Errorf("%+v", r)
		}
		fail = nil
		only(old.Txid, "a replacement that is not durable")
		r := w.bump(messages.BumpFee{Txid: old.Txid, FeePerKw: 2000})
		if r.Err != nil || !r.Accepted || r.AmountSat != 30_000 || r.FeeSat < 3*old.FeeSat {
			t.Fatalf("%+v after %+v", r, old)
		}
		only(r.Txid, "replaced")
		w.kill()
		only(r.Txid, "after a kill")
		w.rates.set(5000, nil)
		w.mineEmpty(1)
		again := w.bump(messages.BumpFee{Txid: r.Txid})
		if again.Err != nil || again.FeeSat < 2*r.FeeSat {
			t.Fatalf("%+v", again)
		}
		only(again.Txid, "replaced by the estimate")
		w.mine(1)
		if b := w.balance(); uint64(b.Confirmed) != 130_000-again.FeeSat || b.Total() != b.Confirmed {
			t.Errorf("%+v", b)
		}
		if r := w.bump(messages.BumpFee{Txid: again.Txid, FeePerKw: 20_000}); !errors.Is(r.Err, wallet.ErrNotPending) {
			t.Errorf("%+v", r)
		}
	})
}

// TestBumpRefused: if the chain wants none of the replacement, the payment goes on.
func TestBumpRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := false
		w := newWorld(t, func(c *Config) {
			c.Classify = func(err error) Refusal {
				if refuse {
					return Refused
				}
				return classify(err)
			}
		})
		w.coins(100_000)
		to, _ := regtest.FaucetScript()
		old := w.send(messages.SendFunds{PkScript: to, AmountSat: 30_000, FeePerKw: 500})
		refuse = true
		w.src.SetDown(true) // whatever the source says is taken for a refusal
		r := w.bump(messages.BumpFee{Txid: old.Txid, FeePerKw: 2000})
		w.src.SetDown(false)
		refuse = false
		if !errors.Is(r.Err, ErrRefused) {
			t.Fatalf("%+v", r)
		}
		if s := w.wallet.Sent(); len(s) != 1 || s[0].TxHash() != old.Txid {
			t.Fatal("the old one is not back")
		}
		w.mine(1)
		time.Sleep(2 * time.Minute) // until the source is asked again
		synctest.Wait()
		if b := w.balance(); uint64(b.Confirmed) != 70_000-old.FeeSat || len(w.wallet.Sent()) != 0 {
			t.Errorf("%+v", b)
		}
	})
}

// TestBumpSweep: a sweep is replaced when it is asked for, not only after some blocks.
func TestBumpSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		outs := w.spendable(1, 50_000)
		w.mine(6)
		w.tell(messages.SweepOutputs{Event: event(1), Outputs: outs})
		first := w.mempool()[0]
		if r := w.bump(messages.BumpFee{Txid: first.TxHash(), FeePerKw: 253}); !errors.Is(r.Err, wallet.ErrBadFeeRate) {
			t.Errorf("%+v", r)
		}
		r := w.bump(messages.BumpFee{Txid: first.TxHash(), FeePerKw: 4000})
		pool := w.mempool()
		if r.Err != nil || len(pool) != 1 || pool[0].TxHash() != r.Txid || outValue(pool[0]) >= outValue(first) {
			t.Fatalf("%+v, %d in the mempool", r, len(pool))
		}
		w.mine(1)
		if b := w.balance(); b.Confirmed != outValue(pool[0]) {
			t.Errorf("%+v", b)
		}
	})
}
