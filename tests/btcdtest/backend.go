package btcdtest

import (
	"testing"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/chaintest"
)

// Backend makes the node the backend of the tests that every chain source
// passes.
func (n *Node) Backend() chaintest.Backend { return backend{n} }

type backend struct{ n *Node }

func (b backend) Params() *chaincfg.Params { return b.n.Params }

func (b backend) Tip(t testing.TB) chain.BlockID {
	t.Helper()
	hash, height := b.n.Tip(t)
	return chain.BlockID{Height: height, Hash: hash}
}

func (b backend) Mine(t testing.TB, n int) {
	t.Helper()
	b.n.Mine(t, n)
}

func (b backend) Reorg(t testing.TB, depth, n int) {
	t.Helper()
	b.n.Reorg(t, depth, n)
}

func (b backend) Coin(t testing.TB) chaintest.Coin {
	t.Helper()
	op, value := b.n.Coinbase(t)
	return chaintest.Coin{OutPoint: op, Value: value, PkScript: Script(), Witness: Witness()}
}

func (b backend) AwaitTx(t testing.TB, txid chainhash.Hash) {
	t.Helper()
	b.n.AwaitTx(t, txid)
}

func (b backend) Stop(t testing.TB) {
	t.Helper()
	b.n.Stop(t)
}

func (b backend) Start(t testing.TB) {
	t.Helper()
	b.n.Restart(t)
}
