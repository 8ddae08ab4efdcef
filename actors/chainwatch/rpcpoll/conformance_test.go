package rpcpoll_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
	"github.com/lnactor/lnactor/actors/chainwatch/rpcpoll"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

func TestMain(m *testing.M) { os.Exit(btcdtest.Main(m)) }

func config(n *btcdtest.Node) rpcpoll.Config {
	return rpcpoll.Config{
		Config: rpc.Config{
			Params: n.Params, URL: "https://" + n.RPCAddr, User: n.User, Pass: n.Pass, CertFile: n.CertFile,
		},
		Interval: 20 * time.Millisecond,
	}
}

func open(t testing.TB, cfg rpcpoll.Config) *rpcpoll.Source {
	t.Helper()
	src, err := rpcpoll.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(src.Close)
	return src
}

func TestConformance(t *testing.T) {
	t.Cleanup(func() { goleak.VerifyNone(t) })
	n := btcdtest.Start(t)
	chaintest.Run(t, chaintest.Harness{
		Backend: n.Backend(),
		Open:    func(t testing.TB) chain.Source { return open(t, config(n)) },
		OpenWrong: func(t testing.TB, ctx context.Context) error {
			cfg := config(n)
			cfg.Params = &chaincfg.RegressionNetParams
			src, err := rpcpoll.Open(ctx, cfg)
			if err == nil {
				src.Close()
			}
			return err
		},
	})
}

// TestNoTxIndex: without an index a node can't tell a spent output from one
// that never was. Nothing but refusals depends on it.
func TestNoTxIndex(t *testing.T) {
	n := btcdtest.Start(t, btcdtest.NoTxIndex())
	chaintest.Run(t, chaintest.Harness{
		Backend:   n.Backend(),
		Open:      func(t testing.TB) chain.Source { return open(t, config(n)) },
		NoTxIndex: true,
	}, "Connect", "Broadcast", "Refused")
}
