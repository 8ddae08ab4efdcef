package lnactor

import (
	"log/slog"
	"testing"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/internal/wallet"
)

// TestWordsFindAddressesBehindARestore: a restore from a backup gives a thousand addresses up, so what the node is paid after it stands behind a gap.
// Nodes that are later made of the words alone have to find it.
func TestWordsFindAddressesBehindARestore(t *testing.T) {
	chain, err := regtest.New("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = chain.Close() })
	params := regtest.Params()
	root, err := seed.FromEntropy([seed.EntropySize]byte{1}, time.Now().Add(-1000*time.Hour), params)
	if err != nil {
		t.Fatal(err)
	}
	before, err := wallet.New(wallet.Config{Params: params, Keys: root, Next: wallet.Indexes{Receive: addressesAhead + 7, Change: addressesAhead + 3}})
	if err != nil {
		t.Fatal(err)
	}
	script, err := before.NewScript()
	if err != nil {
		t.Fatal(err)
	}
	n := &Node{cfg: Config{Params: params, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, chain: chain.Source()}
	if err := n.openWallet(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if !n.wallet.IsOurs(script) {
		t.Error("an address behind the gap is not looked for")
	}
}
