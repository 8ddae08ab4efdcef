package rpc_test

import (
	"context"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
)

// TestConformance runs against the imitation of bitcoind.
func TestConformance(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	b := startBitcoind(t)
	chaintest.Run(t, chaintest.Harness{
		Backend: backend{b},
		Open: func(t testing.TB) chain.Source {
			src := source{Node: open(t, b.config())}
			src.Poller = rpc.NewPoller(src.Tip, 10*time.Millisecond)
			t.Cleanup(src.Poller.Close)
			return src
		},
		OpenWrong: func(t testing.TB, ctx context.Context) error {
			cfg := b.config()
			cfg.Params = &chaincfg.MainNetParams
			_, err := rpc.Open(ctx, cfg)
			return err
		},
		NoTxIndex: true,
	})
}

func open(t testing.TB, cfg rpc.Config) *rpc.Node {
	t.Helper()
	n, err := rpc.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}

type source struct {
	*rpc.Node
	*rpc.Poller
}

func (s source) Local() bool { return false }

// backend drives the imitation.
type backend struct{ b *bitcoind }

func (b backend) Params() *chaincfg.Params { return regtest.Params() }

func (b backend) Tip(testing.TB) chain.BlockID {
	hash, height := b.b.Tip()
	return chain.BlockID{Height: height, Hash: hash}
}

func (b backend) Mine(t testing.TB, n int) {
	t.Helper()
	if _, err := b.b.Mine(n); err != nil {
		t.Fatal(err)
	}
}

func (b backend) Reorg(t testing.TB, depth, n int) {
	t.Helper()
	if err := b.b.Reorg(depth, n); err != nil {
		t.Fatal(err)
	}
}

func (b backend) Coin(t testing.TB) chaintest.Coin {
	t.Helper()
	script, witness := regtest.FaucetScript()
	const value = btcutil.Amount(100_000)
	op, err := b.b.Fund(script, value)
	if err != nil {
		t.Fatal(err)
	}
	b.Mine(t, 1)
	return chaintest.Coin{OutPoint: op, Value: value, PkScript: script, Witness: witness}
}

func (b backend) AwaitTx(t testing.TB, txid chainhash.Hash) {
	t.Helper()
	if !b.b.InMempool(txid) {
		t.Fatalf("transaction %v is not in the mempool", txid)
	}
}

func (b backend) Stop(testing.TB)    { b.b.stop() }
func (b backend) Start(t testing.TB) { b.b.start(t) }
