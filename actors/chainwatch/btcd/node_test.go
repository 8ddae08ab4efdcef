package btcd_test

import (
	"errors"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// TestShorter: blocks that are invalidated by hand make the best chain shorter,
// which is told like any other change.
func TestShorter(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	n := btcdtest.Start(t, btcdtest.Regtest())
	h := &chaintest.Harness{}
	src := open(t, config(n))
	f := chaintest.Follow(t, src)
	tip := f.Tip()
	first := n.Mine(t, 3)[0]
	f.Await(t, h, n.Backend().Tip(t))
	n.InvalidateBlock(t, first)
	f.Await(t, h, tip)
	if len(f.Disconnected) != 3 {
		t.Errorf("%d blocks left the chain, want 3", len(f.Disconnected))
	}
	if _, height, err := src.Header(t.Context(), first); err != nil || height != tip.Height+1 {
		t.Errorf("header of an invalidated block: %d, %v, want height %d", height, err, tip.Height+1)
	}
}

func TestUsers(t *testing.T) {
	n := btcdtest.Start(t, btcdtest.Args("--rpclimituser=limited", "--rpclimitpass=also"))
	cfg := config(n)
	cfg.Pass = "wrong"
	if _, err := openWith(t, cfg); !errors.Is(err, chain.ErrAccess) {
		t.Errorf("wrong password: %v, want ErrAccess", err)
	}
	cfg = config(n)
	cfg.CertFile = ""
	if _, err := openWith(t, cfg); !errors.Is(err, chain.ErrAccess) {
		t.Errorf("without the certificate: %v, want ErrAccess", err)
	}

	// The limited user can do all that a source does.
	cfg = config(n)
	cfg.User, cfg.Pass = "limited", "also"
	src := open(t, cfg)
	f := chaintest.Follow(t, src)
	n.Mine(t, 1)
	n.Reorg(t, 1, 2)
	f.Await(t, &chaintest.Harness{}, n.Backend().Tip(t))
	coin := n.Backend().Coin(t)
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&coin.OutPoint, nil, coin.Witness))
	tx.AddTxOut(wire.NewTxOut(int64(coin.Value)-1000, coin.PkScript))
	if err := src.Broadcast(t.Context(), tx); err != nil {
		t.Errorf("broadcast: %v", err)
	}
	n.Mine(t, 1)
	var be *chain.BroadcastError
	tx.TxOut[0].Value--
	if err := src.Broadcast(t.Context(), tx); !errors.As(err, &be) || be.Code != chain.BroadcastConflict {
		t.Errorf("broadcast of another spend: %v, want a conflict", err)
	}
	if _, err := src.Block(t.Context(), chainhash.Hash{1}); !errors.Is(err, chain.ErrNotFound) {
		t.Errorf("an unknown block: %v", err)
	}
	if _, err := src.FeeRate(t.Context(), 6); !errors.Is(err, chain.ErrNoFeeEstimate) {
		t.Errorf("fee rate: %v, want ErrNoFeeEstimate", err)
	}
}

// TestPowerFailure: btcd loses what it had not written; whatever is left is
// followed.
func TestPowerFailure(t *testing.T) {
	n := btcdtest.Start(t)
	h := &chaintest.Harness{}
	f := chaintest.Follow(t, open(t, config(n)))
	n.Mine(t, 3)
	f.Await(t, h, n.Backend().Tip(t))
	n.Kill(t)
	n.Restart(t)
	n.Mine(t, 1)
	f.Await(t, h, n.Backend().Tip(t))
}
