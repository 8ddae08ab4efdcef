package neutrino

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	"github.com/btcsuite/btcwallet/walletdb"
	_ "github.com/btcsuite/btcwallet/walletdb/bdb" // the driver named below
	lib "github.com/lightninglabs/neutrino"
	"github.com/lightninglabs/neutrino/banman"
	"github.com/lightninglabs/neutrino/blockntfns"
	"github.com/lightninglabs/neutrino/query"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

var (
	// ErrConfig: the configuration cannot work.
	ErrConfig = errors.New("neutrino: bad configuration")

	// ErrInUse: another process has the data directory.
	ErrInUse = errors.New("neutrino: data directory is in use by another process")

	// ErrSyncing: the headers are still on their way. It is a chain.ErrUnreachable.
	ErrSyncing = fmt.Errorf("neutrino: headers are not caught up yet, wait: %w", chain.ErrUnreachable)
)

const (
	dbFile     = "neutrino.db"
	headerFile = "block_headers.bin" // the library's name for it

	lockTimeout = time.Second
	dialTimeout = 10 * time.Second
)

// Config says which network to follow and how.
type Config struct {
	// Dir is the data directory: made if it does not exist, for one network, one process at a time. It is a cache; without it all headers are
	// fetched again.
	Dir string

	// Params of the network.
	Params *chaincfg.Params

	// Peers are host:port, the port may be left out; the node connects to no others. Empty: the network's DNS seeds.
	Peers []string

	// Dial connects to a peer, and Lookup resolves its name, through Tor for example; set both or neither. Nil: directly.
	Dial   func(net.Addr) (net.Conn, error)
	Lookup func(host string) ([]net.IP, error)

	// Log gets what an operator should know; nil discards it.
	Log *slog.Logger

	// patience is how long the configured peers may be away before they are asked for other networks, and retry the time between two such
	// attempts.
	patience, retry time.Duration
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.Dir == "" || c.Params == nil:
		return c, fmt.Errorf("%w: Dir and Params must be set", ErrConfig)
	case (c.Dial == nil) != (c.Lookup == nil):
		return c, fmt.Errorf("%w: set Dial and Lookup together, or names leak past the proxy", ErrConfig)
	case len(c.Peers) == 0 && len(c.Params.DNSSeeds) == 0:
		return c, fmt.Errorf("%w: %s has no DNS seeds, name at least one peer", ErrConfig, c.Params.Name)
	}
	if c.Dial == nil {
		c.Dial = func(addr net.Addr) (net.Conn, error) {
			return net.DialTimeout(addr.Network(), addr.String(), dialTimeout)
		}
		c.Lookup = net.LookupIP
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.patience == 0 {
		c.patience, c.retry = 30*time.Second, 10*time.Minute
	}
	return c, nil
}

// Source is the chain as the light client sees it. Safe for concurrent use.
type Source struct {
	cfg    Config
	client *lib.ChainService
	db     walletdb.DB

	synced  atomic.Bool // the headers have caught up once
	stale   *staleHeaders
	blocks  flights[*wire.MsgBlock]
	filters flights[*blockFilter]
	handed  handedOut
	probe   *prober

	// gate is held for reading while the library is asked about its peers: a question that meets its shutdown is never answered.
	gate sync.RWMutex

	mu      sync.Mutex
	subs    []*subscriber
	closing context.CancelFunc
	life    context.Context
	work    sync.WaitGroup
	close   func() error
}

var (
	_ chain.Source = (*Source)(nil)
	_ Filterer     = (*Source)(nil)
)

// Open starts the light client. It does not wait for peers. Errors: ErrConfig, ErrInUse, chain.ErrWrongChain (the data directory is another network's),
// or of the file system.
func Open(cfg Config) (_ *Source, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("neutrino: %w", err)
	}
	if err := checkNetwork(cfg); err != nil {
		return nil, err
	}
	db, err := openDB(filepath.Join(cfg.Dir, dbFile))
	if err != nil {
		return nil, err
	}
	s := &Source{cfg: cfg, db: db}
	s.life, s.closing = context.WithCancel(context.Background())
	if err := s.start(); err != nil {
		s.closing()
		if s.client != nil {
			err = errors.Join(err, s.client.Stop())
		}
		return nil, errors.Join(fmt.Errorf("neutrino: %w", err), db.Close())
	}
	s.close = sync.OnceValue(s.shutdown)
	return s, nil
}

// checkNetwork compares the first header on disk with the network's genesis block: the library would go on with the chain of another one.
func checkNetwork(cfg Config) error {
	f, err := os.Open(filepath.Join(cfg.Dir, headerFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("neutrino: %w", err)
	}
	defer f.Close()
	var first wire.BlockHeader
	if err := first.Deserialize(f); err != nil {
		if errors.Is(err, io.EOF) {
			return nil // made, but nothing written yet
		}
		return fmt.Errorf("neutrino: %s: %w; delete the directory, it is a cache", f.Name(), err)
	}
	if first.BlockHash() != *cfg.Params.GenesisHash {
		return fmt.Errorf("neutrino: %s holds another network than %s: %w", cfg.Dir, cfg.Params.Name, chain.ErrWrongChain)
	}
	return nil
}

func openDB(path string) (walletdb.DB, error) {
	const driver, noFreelistSync, readOnly = "bdb", true, false
	open := walletdb.Open
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		open = walletdb.Create
	}
	db, err := open(driver, path, noFreelistSync, lockTimeout, readOnly)
	if err != nil {
		if errors.Is(err, bbolterrors.ErrTimeout) {
			return nil, fmt.Errorf("%w: %s", ErrInUse, path)
		}
		return nil, fmt.Errorf("neutrino: %s: %w", path, err)
	}
	return db, nil
}

func (s *Source) start() (err error) {
	if s.stale, err = openStale(s.db); err != nil {
		return err
	}
	if err := s.forgive(); err != nil {
		return err
	}
	s.client, err = lib.NewChainService(lib.Config{
		DataDir: s.cfg.Dir, Database: s.db, ChainParams: *s.cfg.Params,
		ConnectPeers: s.cfg.Peers, Dialer: s.cfg.Dial, NameResolver: s.cfg.Lookup,
	})
	if err != nil {
		return err
	}
	if err := s.client.Start(s.life); err != nil {
		return err
	}
	blocks, err := (&lib.RescanChainSource{ChainService: s.client}).Subscribe(0)
	if err != nil {
		return err
	}
	peers, unsubscribe, err := s.client.ConnectedPeers()
	if err != nil {
		blocks.Cancel()
		return err
	}
	s.work.Go(func() {
		defer unsubscribe()
		s.listen(blocks.Notifications, peers)
	})
	return nil
}

// forgive lifts bans of configured peers, which would last a day: the operator has repaired or upgraded them, else he would not name them.
func (s *Source) forgive() error {
	bans, err := banman.NewStore(s.db)
	if err != nil {
		return err
	}
	s.probe = &prober{cfg: s.cfg, bans: bans}
	for _, peer := range s.cfg.Peers {
		ip, err := banman.ParseIPNet(peer, nil)
		if err != nil {
			continue // a name: looking it up could keep the start waiting
		}
		if err := bans.UnbanIPNet(ip); err != nil {
			return err
		}
	}
	return nil
}

// listen turns what the library tells into hints.
func (s *Source) listen(blocks <-chan blockntfns.BlockNtfn, peers <-chan query.Peer) {
	for {
		select {
		case <-s.life.Done():
			return
		case n, ok := <-blocks:
			if !ok {
				blocks = nil // the library shuts down
				continue
			}
			if gone, is := n.(*blockntfns.Disconnected); is {
				if err := s.stale.add(gone.Header(), int32(gone.Height())); err != nil {
					s.cfg.Log.Warn("abandoned header not kept", "height", gone.Height(), "err", err)
				}
			}
		case _, ok := <-peers:
			if !ok {
				peers = nil
				continue
			}
		}
		s.hint()
	}
}

// Close stops the light client and waits for it. Calls under way return an error.
func (s *Source) Close() error { return s.close() }

func (s *Source) shutdown() error {
	s.gate.Lock()
	s.mu.Lock()
	s.closing() // whoever comes now finds the source closed
	s.mu.Unlock()
	s.gate.Unlock()
	err := s.client.Stop()
	s.work.Wait()
	return errors.Join(err, s.db.Close())
}

// spawn starts a goroutine that Close waits for. False: the source is closed.
func (s *Source) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return false
	}
	s.work.Go(f)
	return true
}

// peers are those that are connected.
func (s *Source) peers() []*lib.ServerPeer {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.life.Err() != nil {
		return nil
	}
	return s.client.Peers()
}
