package chaintest

import (
	"context"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// Backend is the chain behind the source under test. Each method ends the test
// with t.Fatal if it can't do what it says. Methods are called from the test's
// goroutine only.
type Backend interface {
	// Params are those of the chain. Segwit and BIP 68 are active on it.
	Params() *chaincfg.Params

	// Tip is the best block, which the source reaches sooner or later.
	Tip(t testing.TB) chain.BlockID

	// Mine adds n blocks; the first holds the mempool's transactions.
	Mine(t testing.TB, n int)

	// Reorg replaces the last depth blocks by n > depth empty ones.
	Reorg(t testing.TB, depth, n int)

	// Coin is a confirmed and mature output for the test to spend, never the
	// same twice. It may mine blocks.
	Coin(t testing.TB) Coin

	// AwaitTx returns once a transaction is in the mempool.
	AwaitTx(t testing.TB, txid chainhash.Hash)

	// Stop takes the backend away from the source; Start brings it back at
	// the same address with the chain that it had. Its mempool may be empty
	// afterwards.
	Stop(t testing.TB)
	Start(t testing.TB)
}

// Coin is an output and what spends it.
type Coin struct {
	OutPoint wire.OutPoint
	Value    btcutil.Amount
	PkScript []byte
	Witness  wire.TxWitness
}

// Harness is a kind of source over a backend. The zero value of the limits
// that follow after Open is what a full node's RPC can do.
type Harness struct {
	Backend Backend

	// Open returns a source that follows the backend. It closes what it has
	// opened by t.Cleanup.
	Open func(t testing.TB) chain.Source

	// OpenWrong opens a source that expects another chain than the backend's
	// and returns what came of it: an error, if not at once then that of the
	// first call of Genesis or Tip. Nil where the source is the chain itself.
	OpenWrong func(t testing.TB, ctx context.Context) error

	// Wait is how long the source may take to follow its backend; 20 s if zero.
	Wait time.Duration

	// Forgets: the source may answer chain.ErrNotFound for a block that left
	// the best chain (a light client).
	Forgets bool

	// Blind: Broadcast may return nil for a transaction that the network
	// refuses, and may not know the reason (a light client).
	Blind bool

	// NoTxIndex: a spent output looks like one that never was.
	NoTxIndex bool
}

func (h *Harness) wait() time.Duration {
	if h.Wait > 0 {
		return h.Wait
	}
	return 20 * time.Second
}
