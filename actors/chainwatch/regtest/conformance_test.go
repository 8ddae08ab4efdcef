package regtest_test

import (
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
)

func TestConformance(t *testing.T) {
	c, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	b := &backend{c: c, src: c.Source()}
	chaintest.Run(t, chaintest.Harness{
		Backend: b,
		Open:    func(testing.TB) chain.Source { return b.src },
	})
}

// backend drives the embedded chain; an outage is one of the view that the
// source has of it.
type backend struct {
	c   *regtest.Chain
	src *regtest.Source
}

func (b *backend) Params() *chaincfg.Params { return regtest.Params() }

func (b *backend) Tip(testing.TB) chain.BlockID {
	hash, height := b.c.Tip()
	return chain.BlockID{Height: height, Hash: hash}
}

func (b *backend) Mine(t testing.TB, n int) {
	t.Helper()
	if _, err := b.c.Mine(n); err != nil {
		t.Fatal(err)
	}
}

func (b *backend) Reorg(t testing.TB, depth, n int) {
	t.Helper()
	if err := b.c.Reorg(depth, n); err != nil {
		t.Fatal(err)
	}
}

func (b *backend) Coin(t testing.TB) chaintest.Coin {
	t.Helper()
	script, witness := regtest.FaucetScript()
	const value = btcutil.Amount(100_000)
	op, err := b.c.Fund(script, value)
	if err != nil {
		t.Fatal(err)
	}
	b.Mine(t, 1)
	return chaintest.Coin{OutPoint: op, Value: value, PkScript: script, Witness: witness}
}

func (b *backend) AwaitTx(t testing.TB, txid chainhash.Hash) {
	t.Helper()
	if !b.c.InMempool(txid) {
		t.Fatalf("transaction %v is not in the mempool", txid)
	}
}

func (b *backend) Stop(testing.TB)  { b.src.SetDown(true) }
func (b *backend) Start(testing.TB) { b.src.SetDown(false) }
