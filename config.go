package lnactor

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/graph"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/supervisor"
)

// Config says what a node is made of. The zero value is a node on a fresh regtest chain of its own, which lives in memory and forgets everything:
// good for trying out and for tests.
type Config struct {
	// Dir is the data directory; it is made if it does not exist and belongs to one process at a time. Empty: everything is in memory.
	Dir string

	// Passphrase of the seed file in Dir. It may be empty.
	Passphrase []byte

	// PassphraseFile holds the passphrase instead, for unattended starts: its content without the last line break. Others must not be able to read
	// it. See also PassphraseFromEnv. Empty: none.
	PassphraseFile string

	// Name distinguishes the nodes of one process in logs and addresses of actors. Empty: one that no other node of the process has.
	Name string

	// Chain is the chain to follow and Params its parameters. Nil: an embedded regtest chain of the node's own, in Dir if that is set.
	Chain  ChainSource
	Params *chaincfg.Params

	// Listen is the TCP address for peers, such as "127.0.0.1:0". Empty: none; the node still connects to others.
	Listen string

	// ManualClaim asks about every incoming payment (PaymentClaimable, ClaimPayment, RefusePayment) instead of claiming it at once.
	ManualClaim bool

	// AcceptKeysend takes payments that nobody asked for: without an invoice, of any amount, by whoever knows the node's key.
	AcceptKeysend bool

	// MinDepth is the number of confirmations before a channel that others fund can be used. 0: 3.
	MinDepth uint32

	// ArchiveDepth is how many confirmations the last transaction of a closed channel needs before the channel is archived. 0: 100; at least 6.
	ArchiveDepth uint32

	// Public is what the node tells everybody of itself, once it has a public channel.
	Public PublicInfo

	// Forwarding is what channels ask for forwarding over them, and their limits, unless Node.SetPolicy gives a channel its own. Zero fields have
	// defaults: no fees, 80 blocks, at most 5,000,000 msat in HTLCs that are too small for an output, no other limits.
	Forwarding ForwardingPolicy

	// Interceptor decides about each HTLC that is to be forwarded. Nil: they are forwarded as their payers say and channels' policies allow.
	Interceptor Interceptor

	// FeeURL answers fee rates in the web format that lnd reads, for a chain source that has no estimates of its own, such as a light client (see
	// package fees). Empty: none.
	FeeURL string

	// FeePerKw is the fee rate, in satoshis per 1000 weight units, for when nothing has an estimate. 0: 253 on regtest and simnet,
	// and no channels are opened without an estimate elsewhere.
	FeePerKw uint32

	// KeepCommitmentFees: only SetChannelFee changes the fee rate of the commitment transactions that this node pays. Else they follow the fee
	// estimates in large steps, as far as there are any: a configured rate is none.
	KeepCommitmentFees bool

	// MaxCommitmentFeePerKw is the highest rate that commitments follow the estimates to. 0: 2,500, which is 10 sat/vB; more is paid through their
	// anchors when they are broadcast.
	MaxCommitmentFeePerKw uint32

	// System lets the node live in a host's actor system. Nil: one of its own.
	System *actor.ActorSystem

	// Log gets structured logs; nil discards them. No secret is ever logged.
	Log *slog.Logger

	// Restart is the back-off of crashed actors; zero fields have defaults.
	Restart supervisor.Backoff

	// Observe is told of crashes, restarts and quarantines. It must return at once.
	Observe func(SupervisionEvent)

	// CloseLimit is how long Close waits for what is under way. 0: 10 s. Nothing is lost when it is cut short.
	CloseLimit time.Duration

	// Faults injects crashes, for tests and demonstrations, and cuts connections at chosen messages if it is a peer.Cutter too. Nil: none, at no cost.
	Faults kit.Faults

	// Rand is the source of secrets, crypto/rand if nil. For reproducible tests only.
	Rand io.Reader

	// seed overrides the seed file.
	entropy *[16]byte

	// gossip overrides the times of gossip, for tests of this package.
	gossip graph.Times

	// signer wraps the signer, for tests and benchmarks of this package.
	signer func(chankeys.Signer) chankeys.Signer
}

func (c Config) withDefaults() (Config, error) {
	if c.Params == nil {
		if c.Chain != nil {
			return c, fmt.Errorf("%w: Chain is set, so Params must say which chain it is", ErrConfig)
		}
		c.Params = regtest.Params()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MinDepth == 0 {
		c.MinDepth = 3
	}
	if c.CloseLimit <= 0 {
		c.CloseLimit = 10 * time.Second
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.private() {
		if c.FeePerKw == 0 {
			c.FeePerKw = feeFloor
		}
		if c.gossip == (graph.Times{}) {
			c.gossip = graph.Times{Tick: 100 * time.Millisecond, Trickle: 500 * time.Millisecond} // nobody to be polite to
		}
	}
	c.Forwarding = c.Forwarding.WithDefaults()
	if err := c.Forwarding.Check(btcutil.MaxSatoshi); err != nil {
		return c, fmt.Errorf("%w: Forwarding: %w", ErrConfig, err)
	}
	return c, c.Public.check()
}

// private tells whether the chain is one that blocks are made on at will.
func (c Config) private() bool {
	return c.Params.Name == chaincfg.RegressionNetParams.Name || c.Params.Name == chaincfg.SimNetParams.Name
}

// feeFloor is what every node relays: 1 sat/vB, rounded up.
const feeFloor = 253
