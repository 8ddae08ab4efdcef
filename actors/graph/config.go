package graph

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
)

// Config is what the actor is made from. Self, Chain, Outputs, Sign and Signer are required; zero fields have defaults.
type Config struct {
	Self    ln.NodeID
	Chain   chainhash.Hash                            // genesis hash of the chain
	Outputs Outputs                                   // of the chain
	Sign    func(digest [32]byte) (lnwire.Sig, error) // by the node's key
	Signer  chankeys.Signer                           // by funding keys
	Load    func() ([]byte, error)                    // what Save was given last; nil or nothing: begin empty
	Save    func(raw []byte) error                    // nil: the graph is forgotten
	Memory  route.MemoryConfig                        // of failed payments
	Limits  store.Limits                              // of the graph
	Policy  facts.Policy                              // of own channels that have none of their own
	Node    Node                                      // what this node says of itself
	Times   Times                                     //

	SyncPeers int        // 3: peers that are asked for what we do not know
	Queue     int        // 20,000 messages that wait
	Share     int        // 5,000 of them by one peer
	LookBack  uint32     // 144 blocks that are searched for a spend of a channel that is new to us
	Queries   store.Rate // of each peer; a query costs 1 and 1 for each 100 channels: 1,000 at once, 1,000 a minute
	Updates   store.Rate // of changes of each own channel that others are told of: 5 at once, then one a minute; others drop more
}

// Node is what node_announcement says beside the key.
type Node struct {
	Alias     string // at most 32 bytes
	Color     [3]byte
	Addresses []net.Addr // TCP addresses, with IP
	Features  *lnwire.RawFeatureVector
}

// Times are delays.
type Times struct {
	Tick    time.Duration // 1 s between looks at what is due
	Trickle time.Duration // 60 s between two rounds of passing on
	Refresh time.Duration // 7 days after which own announcements are made anew
	Disable time.Duration // 20 min without its peer after which a channel is announced as disabled
	Prune   time.Duration // 1 h
	Save    time.Duration // 1 h
	Query   time.Duration // 1 min for an answer
	Range   time.Duration // 5 min for all answers to what channels there are
	Resync  time.Duration // 1 h after which a peer is asked again for all channels, and told again of those that we share; and one gives way to another
}

// Depth is how many confirmations a channel has when it is announced (BOLT 7).
const Depth = 6

// ErrNoOutput says that the chain has no such output: the block, the transaction or the output does not exist. Any other error says that the chain
// does not answer now.
var ErrNoOutput = errors.New("graph: no such output in the chain")

// Outputs finds outputs by their place in the best chain.
type Outputs interface {
	// Output returns the output at a place. The block may be kept between calls with the same height.
	Output(ctx context.Context, height, tx, output uint32) (*wire.TxOut, wire.OutPoint, error)

	// Local reports that the answer comes from memory, so that the question may be asked within a mailbox turn.
	Local() bool
}

func (c Config) withDefaults() Config {
	or(&c.SyncPeers, 3)
	or(&c.Queue, 20_000)
	or(&c.Share, 5_000)
	or(&c.LookBack, 144)
	c.Policy = c.Policy.WithDefaults()
	c.Policy.CLTVDelta = max(c.Policy.CLTVDelta, facts.MinCLTVDelta)
	if c.Updates == (store.Rate{}) {
		c.Updates = store.Rate{Burst: 5, PerMinute: 1}
	}
	if c.Queries == (store.Rate{}) {
		c.Queries = store.Rate{Burst: 1000, PerMinute: 1000}
	}
	if c.Node.Features == nil {
		c.Node.Features = lnwire.NewRawFeatureVector()
	}
	t := &c.Times
	or(&t.Tick, time.Second)
	or(&t.Trickle, time.Minute)
	or(&t.Refresh, 7*24*time.Hour)
	or(&t.Disable, 20*time.Minute)
	or(&t.Prune, time.Hour)
	or(&t.Save, time.Hour)
	or(&t.Query, time.Minute)
	or(&t.Range, 5*time.Minute)
	or(&t.Resync, time.Hour)
	return c
}

func or[T int | uint32 | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}
