package btcdtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/rpcclient"
)

const (
	user = "btcdtest"
	pass = "for-this-test-only"

	// configFile is empty: the user's own must not be read.
	configFile = "btcd.conf"

	// patience bounds every wait for the process, on a machine with much else to do.
	patience = 2 * time.Minute

	// pause is the time between two looks at it.
	pause = 10 * time.Millisecond
)

// Node is a running btcd.
type Node struct {
	// Params are those of its chain.
	Params *chaincfg.Params

	// RPCAddr and P2PAddr are host:port; they stay over a restart.
	RPCAddr, P2PAddr string

	// User, Pass and CertFile are what a client needs.
	User, Pass, CertFile string

	// RPC is a client of the node. It goes on working after a restart.
	RPC *rpcclient.Client

	dir     string
	args    []string
	process *process
	coins   int32 // height of the last coinbase that was handed out
	change  coin
	serial  int64
}

// Option changes how a node is started.
type Option func(*options)

type options struct {
	params *chaincfg.Params
	args   []string
	empty  bool
	noTx   bool
}

// Args adds arguments to the command line.
func Args(args ...string) Option { return func(o *options) { o.args = append(o.args, args...) } }

// Regtest starts the node on regtest instead of simnet. It can't be restarted.
func Regtest() Option { return func(o *options) { o.params = &chaincfg.RegressionNetParams } }

// Empty starts the node with the genesis block alone.
func Empty() Option { return func(o *options) { o.empty = true } }

// NoTxIndex starts the node without an index of transactions, as bitcoind is
// by default.
func NoTxIndex() Option { return func(o *options) { o.noTx = true } }

// Start runs a node until the test ends.
func Start(t testing.TB, opts ...Option) *Node {
	t.Helper()
	o := options{params: &chaincfg.SimNetParams}
	for _, opt := range opts {
		opt(&o)
	}
	var prepared string
	if !o.empty && persistent(o.params) {
		var err error
		if prepared, err = prepare(o.params); err != nil {
			t.Fatal(err)
		}
	}
	n, err := newNode(o, t.TempDir(), prepared)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.end()
		if t.Failed() {
			t.Logf("btcd's last words:\n%s", n.process.tail())
		}
	})
	if !o.empty && prepared == "" {
		n.Mine(t, PreparedHeight)
	}
	return n
}

// persistent tells whether btcd keeps a chain over a restart.
func persistent(p *chaincfg.Params) bool { return p.Name != chaincfg.RegressionNetParams.Name }

// newNode starts a node on a chain prepared before, or an empty one.
func newNode(o options, dir, prepared string) (*Node, error) {
	program, err := build()
	if err != nil {
		return nil, err
	}
	if prepared != "" {
		if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(prepared)); err != nil {
			return nil, fmt.Errorf("btcdtest: copy the prepared chain: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), nil, 0o600); err != nil {
		return nil, fmt.Errorf("btcdtest: %w", err)
	}
	// Between the choice of a port and its use somebody else may take it.
	for attempt := range 5 {
		n := &Node{
			Params: o.params, User: user, Pass: pass,
			CertFile: filepath.Join(dir, "rpc.cert"), dir: dir,
		}
		if n.RPCAddr, err = FreeAddr(); err != nil {
			return nil, err
		}
		if n.P2PAddr, err = FreeAddr(); err != nil {
			return nil, err
		}
		n.args = append(n.flags(program), o.args...)
		if !o.noTx {
			n.args = append(n.args, "--txindex")
		}
		if err = n.launch(); err == nil {
			return n, nil
		}
		n.end()
		if !errors.Is(err, errEnded) || attempt == 4 {
			break
		}
	}
	return nil, err
}

func (n *Node) flags(program string) []string {
	return []string{
		program, "--" + n.Params.Name,
		"--configfile=" + filepath.Join(n.dir, configFile),
		"--datadir=" + filepath.Join(n.dir, "data"),
		"--logdir=" + filepath.Join(n.dir, "log"),
		"--rpccert=" + n.CertFile,
		"--rpckey=" + filepath.Join(n.dir, "rpc.key"),
		"--rpcuser=" + n.User, "--rpcpass=" + n.Pass,
		"--rpclisten=" + n.RPCAddr, "--listen=" + n.P2PAddr,
		"--rpcmaxclients=50", "--rpcmaxwebsockets=50",
		"--miningaddr=" + address(n.Params).EncodeAddress(),
		"--nodnsseed", "--nobanning", "--noonion", "--trickleinterval=100ms",
		"--rejectnonstd", "--limitfreerelay=0",
	}
}

// address is what the miner pays to.
func address(p *chaincfg.Params) btcutil.Address {
	addr, err := btcutil.NewAddressWitnessScriptHash(scriptHash(), p)
	if err != nil {
		panic(err) // a hash of 32 bytes always makes one
	}
	return addr
}

// launch starts the process and returns once it answers.
func (n *Node) launch() error {
	var err error
	if n.process, err = run(n.args, filepath.Join(n.dir, "log")); err != nil {
		return err
	}
	cert, err := n.process.awaitFile(n.CertFile)
	if err != nil {
		return err
	}
	if n.RPC == nil {
		n.RPC, err = rpcclient.New(&rpcclient.ConnConfig{
			Host: n.RPCAddr, User: n.User, Pass: n.Pass, Certificates: cert,
			HTTPPostMode: true, Params: n.Params.Name,
		}, nil)
		if err != nil {
			return fmt.Errorf("btcdtest: %w", err)
		}
	}
	if err := n.process.awaitPort(n.RPCAddr); err != nil {
		return err
	}
	if _, err := n.RPC.GetBlockCount(); err != nil {
		return fmt.Errorf("btcdtest: btcd does not answer: %w", err)
	}
	return n.process.awaitPort(n.P2PAddr)
}

// Cert is the certificate of the RPC server, PEM.
func (n *Node) Cert(t testing.TB) []byte {
	t.Helper()
	cert, err := os.ReadFile(n.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Stop ends the process in order.
func (n *Node) Stop(t testing.TB) {
	t.Helper()
	if err := n.process.stop(); err != nil {
		t.Fatal(err)
	}
}

// Kill ends the process as a power failure does.
func (n *Node) Kill(t testing.TB) {
	t.Helper()
	n.process.kill()
}

// Restart starts it again at the same addresses, with the chain that it had
// and an empty mempool.
func (n *Node) Restart(t testing.TB) {
	t.Helper()
	if !persistent(n.Params) {
		t.Fatal("btcd deletes a regtest chain when it starts: use simnet to restart a node")
	}
	if err := n.launch(); err != nil {
		t.Fatalf("%v\n%s", err, n.process.tail())
	}
}

func (n *Node) end() {
	if n.RPC != nil {
		n.RPC.Shutdown()
		n.RPC.WaitForShutdown()
	}
	if n.process != nil {
		n.process.kill()
	}
}
