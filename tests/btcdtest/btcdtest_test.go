package btcdtest_test

import (
	"os"
	"testing"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/lnactor/lnactor/tests/btcdtest"
)

func TestMain(m *testing.M) { os.Exit(btcdtest.Main(m)) }

func TestNode(t *testing.T) {
	n := btcdtest.Start(t)
	old, height := n.Tip(t)
	if height != btcdtest.PreparedHeight {
		t.Errorf("height %d, want %d", height, btcdtest.PreparedHeight)
	}

	// A witness spend enters the mempool and a block only while segwit is active.
	op := n.Fund(t, btcdtest.Script(), btcutil.SatoshiPerBitcoin)
	n.AwaitTx(t, op.Hash)
	mined := n.Mine(t, 1)
	block, err := n.RPC.GetBlock(&mined[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(block.Transactions) != 2 || block.Transactions[1].TxHash() != op.Hash {
		t.Errorf("the block holds %d transactions, not the funding", len(block.Transactions))
	}
	n.Fund(t, btcdtest.Script(), 120*btcutil.SatoshiPerBitcoin) // more than one coinbase

	info, err := n.RPC.GetBlockChainInfo()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"csv", "segwit", "taproot"} {
		if fork := info.SoftForks.Bip9SoftForks[name]; fork == nil || fork.Status != "active" {
			t.Errorf("%s is not active: %+v", name, fork)
		}
	}

	n.Reorg(t, 1, 2)
	if n.HashAt(t, height) != old || n.HashAt(t, height+1) == mined[0] {
		t.Error("the reorganisation replaced something else than the last block")
	}
	n.InvalidateBlock(t, n.HashAt(t, height+1))
	n.Stop(t)
	n.Restart(t)
	n.Kill(t)
	n.Restart(t)
	n.Mine(t, 1)
}

func TestRegtest(t *testing.T) {
	n := btcdtest.Start(t, btcdtest.Regtest())
	n.Fund(t, btcdtest.Script(), btcutil.SatoshiPerBitcoin)
	n.Mine(t, 1)
	n.Reorg(t, 1, 2)
}

func TestEmpty(t *testing.T) {
	n := btcdtest.Start(t, btcdtest.Empty(), btcdtest.NoTxIndex(), btcdtest.Args("--prune=1536"))
	if _, height := n.Tip(t); height != 0 {
		t.Errorf("height %d, want 0", height)
	}
}
