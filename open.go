package lnactor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/keychain"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
	"github.com/lnactor/lnactor/actors/chainwatch/fees"
	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/channel"
	"github.com/lnactor/lnactor/actors/channel/opening"
	"github.com/lnactor/lnactor/actors/interceptor"
	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/actors/peer/peers"
	"github.com/lnactor/lnactor/actors/peer/tcp"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/actors/userevents"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/seed"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor"
)

var unnamed atomic.Uint64

// Open starts a node and returns when every channel has loaded or is quarantined, so that payments can be made. Errors: ErrConfig, ErrInUse,
// ErrRestoreUnfinished, ErrCorrupt, ErrStoreFailed, or the context's. With an error nothing is left open.
func Open(ctx context.Context, cfg Config) (_ *Node, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, &Error{Op: "open", Err: err}
	}
	n := &Node{cfg: cfg, done: make(chan struct{}), stats: &persister.Stats{}}
	n.life, n.end = context.WithCancel(context.Background())
	if err := n.start(ctx); err != nil {
		if n.env == nil {
			for i := len(n.closers) - 1; i >= 0; i-- {
				err = errors.Join(err, n.closers[i]())
			}
		} else {
			n.stop(errKilled)
			<-n.done
		}
		return nil, &Error{Op: "open", Err: err}
	}
	return n, nil
}

func (n *Node) start(ctx context.Context) error {
	if err := n.openStore(); err != nil {
		return err
	}
	root, made, err := n.openSeed()
	if err != nil {
		return err
	}
	key, err := root.NodeKey()
	if err != nil {
		return err
	}
	copy(n.id[:], key.PubKey().SerializeCompressed())
	if err := n.checkIdentity(made); err != nil {
		return err
	}
	n.invoices, n.invoiceSigner = invoice.NewKeys(root), invoice.SignerOf(key)
	if err := n.openChain(); err != nil {
		return err
	}
	if err := n.openWallet(ctx, root); err != nil {
		return err
	}
	book, err := openAddressBook(n.cfg.Dir)
	if errors.Is(err, ErrCorrupt) {
		// A cache: the node is worth more. Peers with channels dial us, or are connected to anew.
		n.cfg.Log.Error("the addresses of peers can't be read and are forgotten; connect to those that do not connect to us", "error", err)
	} else if err != nil {
		return err
	}
	n.transport, err = tcp.New(tcp.Config{Key: onion.KeyOf(key), Listen: n.cfg.Listen})
	if err != nil {
		return err
	}
	n.closers = append(n.closers, func() error { n.transport.Close(); return nil })
	if err := n.openEnv(); err != nil {
		return err
	}
	go n.reap()
	n.events = userevents.NewQueue(func(id string) { n.env.Tell(messages.ManagerAddr, messages.UserEventHandled{ID: id}) })
	if n.cfg.Interceptor != nil {
		n.interceptions = interceptor.NewQueue()
		go n.intercept()
	}
	n.pid, err = supervisor.StartNode(n.env, n.parts(root, key, book))
	if err != nil {
		return err
	}
	// The manager may crash over the question or before it answers, so it is asked again until it does.
	for {
		wait, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := ask[messages.ManagerReady](wait, n, messages.ManagerAddr, func(to messages.Addr) any {
			return messages.AwaitReady{ReplyTo: to}
		})
		cancel()
		switch {
		case err == nil:
			return nil
		case n.life.Err() != nil:
			<-n.done
			return n.err
		case ctx.Err() != nil:
			return fmt.Errorf("channels are still loading: %w", ctx.Err())
		}
	}
}

func (n *Node) openStore() error {
	if n.cfg.Dir == "" {
		n.store = memstore.New()
		return nil
	}
	if err := os.MkdirAll(n.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	s, err := bboltstore.Open(n.cfg.Dir, bboltstore.Options{Taken: func() error { return tidy(n.cfg.Dir) }})
	if err != nil {
		return err
	}
	n.store = s
	n.closers = append(n.closers, s.Close)
	return nil
}

// openSeed tells whether it made the seed: no other store was ever used with it.
func (n *Node) openSeed() (root *seed.Root, made bool, err error) {
	if n.cfg.Dir == "" || n.cfg.entropy != nil {
		var entropy [seed.EntropySize]byte
		if n.cfg.entropy != nil {
			entropy = *n.cfg.entropy
		} else if _, err := io.ReadFull(n.cfg.Rand, entropy[:]); err != nil {
			return nil, false, err
		}
		root, err = seed.FromEntropy(entropy, time.Now(), n.cfg.Params)
		return root, n.cfg.entropy == nil, err
	}
	path := filepath.Join(n.cfg.Dir, seedFile)
	if n.cfg.PassphraseFile != "" {
		if n.cfg.Passphrase, err = readPassphrase(n.cfg.PassphraseFile); err != nil {
			return nil, false, err
		}
	}
	root, err = seed.Open(path, n.cfg.Passphrase, n.cfg.Params)
	if !errors.Is(err, seed.ErrNotFound) {
		return root, false, err
	}
	// Neither channels nor coins are there with another seed, so a new one is made only for a store that never had one.
	_, used, err := n.store.Get(messages.BucketNode, identityKey)
	if err == nil && !used {
		_, used, err = n.store.Last(messages.BucketKeys, nil)
	}
	switch {
	case err != nil:
		return nil, false, err
	case used:
		return nil, false, fmt.Errorf("%w: %s is missing, but the store belongs to it; bring the file back, or restore it from its words ('lnactor seed restore')", ErrCorrupt, path)
	}
	if n.cfg.PassphraseFile != "" && len(n.cfg.Passphrase) == 0 { // a secret that is not mounted yet, not the wish for none
		return nil, false, fmt.Errorf("%w: passphrase file %s is empty; for a seed without passphrase name no file", ErrConfig, n.cfg.PassphraseFile)
	}
	root, err = seed.Create(path, n.cfg.Passphrase, n.cfg.Params, n.cfg.Rand, time.Now())
	return root, true, err
}

func (n *Node) openChain() error {
	source, err := n.chainSource()
	if err != nil {
		return err
	}
	n.fees, err = fees.New(source, fees.Config{URL: n.cfg.FeeURL, Fixed: chain.FeePerKW(n.cfg.FeePerKw), Log: n.cfg.Log})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.chain = n.fees
	n.closers = append(n.closers, func() error { n.fees.Close(); return nil })
	return nil
}

// chainSource is the one of the configuration, or the embedded chain.
func (n *Node) chainSource() (ChainSource, error) {
	if n.cfg.Chain != nil {
		return n.cfg.Chain, nil
	}
	dir := ""
	if n.cfg.Dir != "" {
		dir = filepath.Join(n.cfg.Dir, chainDir)
	}
	c, err := regtest.New(dir)
	if err != nil {
		return nil, err
	}
	n.closers = append(n.closers, c.Close)
	return c.Source(), nil
}

func (n *Node) openEnv() error {
	name := n.cfg.Name
	if name == "" {
		name = fmt.Sprintf("node%d", unnamed.Add(1))
	}
	system := n.cfg.System
	if system == nil {
		system = kit.NewSystem(n.cfg.Log)
		n.closers = append(n.closers, func() error { system.Shutdown(); return nil })
	}
	env, err := kit.NewEnv(system, name, kit.Options{Log: n.cfg.Log, Stop: n.stop, Faults: n.cfg.Faults})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	n.env = env
	return nil
}

func (n *Node) parts(root *seed.Root, key *btcec.PrivateKey, book *addressBook) supervisor.Parts {
	genesis := *n.cfg.Params.GenesisHash
	open := opening.DefaultConfig(genesis)
	cutter, _ := n.cfg.Faults.(peer.Cutter)
	open.MinDepth = n.cfg.MinDepth
	var signer chankeys.Signer = chankeys.NewLocal(func(f keychain.KeyFamily, i uint32) (*btcec.PrivateKey, error) { return root.Key(f, i) })
	if n.cfg.signer != nil {
		signer = n.cfg.signer(signer)
	}
	parts := supervisor.Parts{
		Store: n.store, StoreStats: n.stats, Chain: n.chain,
		Signer: signer,
		Wallet: n.wallet, WalletFrom: n.walletFrom, Funds: n.fundsConfig(),
		Monitor: monitor.Config{ArchiveDepth: n.cfg.ArchiveDepth, MaxDustExposureMsat: n.cfg.Forwarding.MaxDustExposureMsat},
		Alias:   aliasOf(root),
		Tip:     n.tip,
		Manager: manager.Config{
			NodeKey: onion.KeyOf(key), Invoices: n.invoices, Derive: root.Derive, ManualClaim: n.cfg.ManualClaim, AcceptKeysend: n.cfg.AcceptKeysend,
			Forwarding: n.cfg.Forwarding, Intercept: n.cfg.Interceptor != nil,
		},
		Channel: channel.Config{
			Policy: n.cfg.Forwarding, FollowFees: !n.cfg.KeepCommitmentFees, Script: func(ln.ChannelID) ([]byte, error) { return n.wallet.NewScript() },
		},
		Opening: open,
		Graph:   n.graphConfig(key),
		Events:  userevents.New(n.env, n.events),
		Peers: peers.Producer(n.env, peers.Config{
			Session: peer.Config{Self: n.id, Chain: genesis, Gossip: true, Cutter: cutter}, Transport: n.transport,
			Lasting: book.list, Remember: book.remember, Forget: book.forget,
		}),
		Backoff: n.cfg.Restart, Observe: n.cfg.Observe,
	}
	if n.interceptions != nil {
		parts.Interceptor = interceptor.New(n.env, n.interceptions)
	}
	return parts
}

// aliasOf gives a channel a short_channel_id that is not in any block (BOLT 2, option_scid_alias), and tells nothing about the channel.
func aliasOf(root *seed.Root) func(ln.ChannelID) uint64 {
	return func(id ln.ChannelID) uint64 {
		h := root.Derive("lnactor/scid-alias/" + id.String())
		const firstBlock, blocks = 16_000_000, 250_000 // the range that other implementations use
		v := binary.BigEndian.Uint64(h[:])
		height := firstBlock + v%blocks
		return height<<40 | v>>24&0xffffff<<16 | v&0xffff
	}
}

// tip is the best block that the wallet has followed.
func (n *Node) tip() opening.Tip {
	height, hash, ok := n.wallet.Tip()
	if !ok {
		return opening.Tip{Hash: *n.cfg.Params.GenesisHash}
	}
	return opening.Tip{Height: height, Hash: hash}
}
