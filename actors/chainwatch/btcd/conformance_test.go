package btcd_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/chainwatch/btcd"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

func TestMain(m *testing.M) { os.Exit(btcdtest.Main(m)) }

func config(n *btcdtest.Node) btcd.Config {
	return btcd.Config{
		Config: rpc.Config{
			Params: n.Params, URL: "https://" + n.RPCAddr, User: n.User, Pass: n.Pass, CertFile: n.CertFile,
		},
		Interval: time.Hour, // so that only notifications can help,
	}
}

func open(t testing.TB, cfg btcd.Config) *btcd.Source {
	t.Helper()
	src, err := openWith(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func openWith(t testing.TB, cfg btcd.Config) (*btcd.Source, error) {
	t.Helper()
	src, err := btcd.Open(t.Context(), cfg)
	if err == nil {
		t.Cleanup(src.Close)
	}
	return src, err
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
			src, err := btcd.Open(ctx, cfg)
			if err == nil {
				src.Close()
			}
			return err
		},
	})
}
