package onchain

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/actors/chainwatch/btcd"
	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/chainwatch/rpc"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

func TestMain(m *testing.M) { os.Exit(btcdtest.Main(m)) }

// ground is a chain on which nodes live.
type ground interface {
	params() *chaincfg.Params
	source(t *testing.T) lnactor.ChainSource // one for each node
	pay(t *testing.T, pkScript []byte, amount btcutil.Amount)
	mine(t *testing.T)
	reorg(t *testing.T, depth int) // depth blocks go, one more comes
}

type embedded struct{ c *regtest.Chain }

func newEmbedded(t *testing.T) ground {
	t.Helper()
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return embedded{c}
}

func (g embedded) params() *chaincfg.Params { return g.c.Params() }

func (g embedded) source(*testing.T) lnactor.ChainSource { return g.c.Source() }

func (g embedded) pay(t *testing.T, pkScript []byte, amount btcutil.Amount) {
	t.Helper()
	if _, err := g.c.Fund(pkScript, amount); err != nil {
		t.Fatal(err)
	}
}

func (g embedded) mine(t *testing.T) {
	t.Helper()
	if _, err := g.c.Mine(1); err != nil {
		t.Fatal(err)
	}
}

func (g embedded) reorg(t *testing.T, depth int) {
	t.Helper()
	if err := g.c.Reorg(depth, depth+1); err != nil {
		t.Fatal(err)
	}
}

type onBtcd struct{ n *btcdtest.Node }

func newBtcd(t *testing.T) ground {
	t.Helper()
	return onBtcd{btcdtest.Start(t)}
}

func (g onBtcd) params() *chaincfg.Params { return g.n.Params }

func (g onBtcd) source(t *testing.T) lnactor.ChainSource {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := btcd.Open(ctx, btcd.Config{Config: rpc.Config{
		Params: g.n.Params, URL: "https://" + g.n.RPCAddr, User: g.n.User, Pass: g.n.Pass, CertFile: g.n.CertFile,
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (g onBtcd) pay(t *testing.T, pkScript []byte, amount btcutil.Amount) {
	t.Helper()
	g.n.Fund(t, pkScript, amount)
}

func (g onBtcd) mine(t *testing.T) {
	t.Helper()
	g.n.Mine(t, 1)
}

func (g onBtcd) reorg(t *testing.T, depth int) {
	t.Helper()
	g.n.Reorg(t, depth, depth+1)
}

// tip asks a source.
func tip(t *testing.T, s chain.Source) chain.BlockID {
	t.Helper()
	id, err := s.Tip(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return id
}
