package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/channel"
	"github.com/lnactor/lnactor/actors/channel/opening"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/actors/peer/peers"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/internal/wallet"
	"github.com/lnactor/lnactor/supervisor"
)

// identity is what derives from a node's seed. It holds no state, so all worlds share it, and with it the keys that were derived once.
type identity struct {
	name     string
	root     *seed.Root
	key      *btcec.PrivateKey
	id       ln.NodeID
	coins    *sharedCoins
	invoices invoice.Keys
	invoicer invoice.Signer
	signer   *sharedSigner
}

// identities are those of all worlds; a world has as many of them as it needs.
var identities = [...]*identity{
	newIdentity("alice", 1), newIdentity("bob", 2), newIdentity("carol", 3), newIdentity("dave", 4), newIdentity("erin", 5), newIdentity("frank", 6),
}

func newIdentity(name string, n byte) *identity {
	root, err := seed.FromEntropy([seed.EntropySize]byte{n}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), regtest.Params())
	if err != nil {
		panic(err)
	}
	key, err := root.NodeKey()
	if err != nil {
		panic(err)
	}
	who := &identity{name: name, root: root, key: key, invoices: invoice.NewKeys(root), invoicer: invoice.SignerOf(key)}
	copy(who.id[:], key.PubKey().SerializeCompressed())
	who.signer = newSharedSigner(root)
	who.coins = &sharedCoins{root: root}
	return who
}

// alias is any number that differs between channels.
func (who *identity) alias(id ln.ChannelID) uint64 {
	h := who.root.Derive("lnactor/scid-alias/" + id.String())
	return 16_000_000<<40 | uint64(h[0])<<16 | uint64(h[1])
}

// node is a node over all its lives.
type node struct {
	*identity
	w     *world
	index int     // in the world
	dials []*node // peers that it connects to

	// What survives a crash.
	store   *memstore.Store
	indexes wallet.Indexes
	user    *user
	old     *memstore.Store         // an earlier state, for rolling the manager's records back
	revoked map[ln.ChannelID]uint64 // holder commitments below this number are revoked
	lossy   bool                    // the manager's records were lost or rolled back
	gone    bool                    // never comes back
	asleep  int                     // down for so many blocks
	slept   bool                    // once is enough

	claims    map[chainhash.Hash]bool // that were durable at some time
	spendable map[wire.OutPoint]bool  // handed to the wallet at some time
	spenders  map[chainhash.Hash]bool // of funding outputs, that were in the chain at some time, as a durable record has it
	closed    map[ln.ChannelID]bool   // archived
	errs      bool                    // sends its peer an error that it knows nothing of, with its next message
	errsAbout ln.ChannelID            // which channel; zero: its only one
	graph     []byte                  // the cache of the channel graph

	restore  *restored                       // nil: never restored from a backup
	embedder *embedder                       // nil: nobody decides about forwards
	policies map[ln.ChannelID][]facts.Policy // that were set, oldest first
	answers  map[ln.ChannelID]int            // how many of these were answered
	setting  map[ln.ChannelID]bool           // the last one is not answered, or a repeat of it is on its way

	lastHeld map[ln.ChannelID]uint64 // newest holder commitment that is in world.held
	traffic

	// One life.
	lives   int
	env     *kit.Env
	wallet  *wallet.HD
	shadow  *shadow
	booting bool
}

// assemble puts a life together, as the root package does for a real node.
func (n *node) assemble() supervisor.Parts {
	genesis := *regtest.Params().GenesisHash
	open := opening.DefaultConfig(genesis)
	open.ToSelfDelay = selfDelays[n.index]
	var lasting []peers.Lasting
	for _, far := range n.dials {
		lasting = append(lasting, peers.Lasting{Peer: far.id, Address: far.name})
	}
	return supervisor.Parts{
		Store: n.store, Chain: &source{Source: n.w.chain.Source(), node: n},
		Signer: n.signer, Wallet: n.wallet, WalletFrom: regtest.PreparedHeight + 1, Alias: n.alias,
		Tip: func() opening.Tip {
			height, hash, ok := n.wallet.Tip()
			if !ok {
				return opening.Tip{Hash: genesis}
			}
			return opening.Tip{Height: height, Hash: hash}
		},
		Manager: manager.Config{NodeKey: onion.KeyOf(n.key), Invoices: n.invoices, Derive: n.root.Derive, ManualClaim: n.w.plan.manual, Forwarding: n.forwarding()},
		Monitor: monitor.Config{CheckWrites: true, SnapshotEvery: n.w.plan.snapshotEvery, ArchiveDepth: n.w.plan.archiveDepth},
		Channel: channel.Config{Script: func(ln.ChannelID) ([]byte, error) { return n.wallet.NewScript() }, Keys: commitmentKeys},
		Opening: open,
		Graph:   n.graphConfig(),
		Events:  n.user.producer(n.env),
		Peers: peers.Producer(n.env, peers.Config{
			Session: peer.Config{
				Self: n.id, Chain: genesis, Gossip: n.w.gossip,
				Times: peer.Times{
					BackoffMin: 20 * time.Millisecond, BackoffMax: time.Second, Stable: 50 * time.Millisecond,
					Ping: 4 * time.Second, Pong: 2 * time.Second, Init: 2 * time.Second,
				},
			},
			Transport: &transport{Transport: n.w.net.Node(n.name, n.id), node: n},
			Lasting:   func() []peers.Lasting { return lasting },
		}),
		// Faults come far more often than in life: nothing is to be given up because of that.
		Backoff:      supervisor.Backoff{Min: 2 * time.Millisecond, Max: 50 * time.Millisecond, Decay: 20 * time.Millisecond},
		MonitorLimit: 1e9,
	}
}

// boot begins a life on what the store holds.
func (n *node) boot() {
	w := n.w
	n.booting = false
	n.lives++
	n.env = w.sim.Env(n.name)
	n.store.OnCommit(n.onCommit)
	n.shadow = newShadow(n)
	n.holdAll()
	hd, err := wallet.New(wallet.Config{
		Params: regtest.Params(), Keys: n.coins, Next: n.indexes, Lookahead: 3, SpendUnconfirmedChange: true,
		SaveIndexes: func(i wallet.Indexes) error { n.indexes = i; return nil },
	})
	if err != nil {
		panic(err)
	}
	n.wallet = hd
	p := n.assemble()
	if n.embedder != nil {
		n.embedder.join(n.env, &p)
	}
	if w.plan.mutate != nil {
		w.plan.mutate(n, &p)
	}
	if _, err := supervisor.StartNode(n.env, p); err != nil {
		panic(fmt.Errorf("start %s: %w", n.name, err))
	}
}

// reboot takes what a crash left of the store and starts again.
func (n *node) reboot() {
	if n.gone || n.asleep > 0 {
		n.booting = false
		return
	}
	if choose := n.w.plan.onDisk; choose != nil {
		states := n.store.CrashStates()
		n.store = states[choose(len(states))]
	} else {
		n.store = n.store.Crash(n.w.sim.Rand())
	}
	if lose := n.w.plan.loseRecords; lose != nil && (!n.w.calm() || n.w.plan.alwaysLose) {
		lose(n)
	}
	n.boot()
}

func (n *node) rand() *rand.Rand { return n.w.sim.Rand() }
