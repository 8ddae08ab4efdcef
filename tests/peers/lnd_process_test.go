package peers

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lnactor/lnactor"
	"github.com/lnactor/lnactor/tests/btcdtest"
)

// lndNode is an lnd as a process, with a directory and addresses that stay over restarts.
type lndNode struct {
	ID   lnactor.NodeID
	Addr string // for peers

	program string
	dir     string
	rest    string
	args    []string
	fees    *feeServer
	http    *http.Client
	life    *process
	wrap    []string // a program that runs lnd, such as strace
}

// newLnd starts an lnd in a directory.
func newLnd(t testing.TB, ctx context.Context, program, dir string, chain *btcdtest.Node, args ...string) *lndNode {
	t.Helper()
	fees := newFeeServer(t)
	l := &lndNode{Addr: freeAddr(t), program: program, dir: dir, rest: freeAddr(t), fees: fees, http: &http.Client{
		Timeout: 2 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 256}, // a connection is used again, however many there are
	}}
	l.args = append([]string{
		"--lnddir=" + dir, "--bitcoin.simnet", "--bitcoin.node=btcd",
		"--btcd.rpchost=" + chain.RPCAddr, "--btcd.rpcuser=" + chain.User, "--btcd.rpcpass=" + chain.Pass, "--btcd.rpccert=" + chain.CertFile,
		"--rpclisten=" + freeAddr(t), "--restlisten=" + l.rest, "--no-rest-tls", "--listen=" + l.Addr,
		"--noseedbackup", "--nobootstrap", "--no-macaroons", "--alias=lnd",
		"--bitcoin.defaultchanconfs=1", "--trickledelay=50", "--maxpendingchannels=10", "--minbackoff=100ms", "--maxbackoff=2s",
		"--fee.url=" + fees.url(), "--fee.min-update-timeout=1s", "--fee.max-update-timeout=2s",
		"--gossip.channel-update-interval=100ms",
		"--debuglevel=info,PEER=debug,HSWC=debug,LNWL=debug,FNDG=debug,CNCT=debug,CHCL=debug,NTFN=debug", "--logging.file.max-files=0",
	}, args...)
	l.start(t, ctx)
	return l
}

// freeAddr finds an address to listen on. It is below the ports that systems give to outgoing connections: lnd listens for peers only seconds after
// it was started, and again after each restart, and by then somebody would have the port.
func freeAddr(t testing.TB) string {
	t.Helper()
	for range 1000 {
		s, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000)))
		if err != nil {
			continue
		}
		defer s.Close()
		return s.Addr().String()
	}
	t.Fatal("no free port")
	return ""
}

// start starts the process and returns once it answers and follows the chain.
func (l *lndNode) start(t testing.TB, ctx context.Context, args ...string) {
	t.Helper()
	l.run(t, args...)
	var info lndInfo
	await(t, ctx, "lnd to answer", func() bool {
		select {
		case <-l.life.ended:
			t.Fatalf("lnd ended by itself: %v; see %s", l.life.err, l.dir)
		default:
		}
		return l.get(ctx, "/v1/getinfo", &info) == nil && info.Synced
	})
	id, err := lnactor.ParseNodeID(info.ID)
	must(t, err)
	l.ID = id
}

func (l *lndNode) run(t testing.TB, args ...string) {
	t.Helper()
	must(t, os.MkdirAll(l.dir, 0o700))
	l.life = startProcess(t, filepath.Join(l.dir, "out"), l.wrap, l.program, append(append([]string{}, l.args...), args...)...)
}

// stop ends the process in order.
func (l *lndNode) stop(t testing.TB) {
	t.Helper()
	l.life.stop(t)
}

// said tells whether a text is in the log of all lives.
func (l *lndNode) said(t testing.TB, text string) bool {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(l.dir, "out"))
	must(t, err)
	return bytes.Contains(log, []byte(text))
}

// kill ends it as a power failure does.
func (l *lndNode) kill() { l.life.kill() }

// feeServer answers fee rates as lnd's fee.url wants them.
type feeServer struct {
	addr     string
	satPerKw atomic.Uint32
}

func newFeeServer(t testing.TB) *feeServer {
	t.Helper()
	s, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	f := &feeServer{addr: s.Addr().String()}
	f.satPerKw.Store(1250)
	srv := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		kvb := f.satPerKw.Load() * 4
		fmt.Fprintf(w, `{"fee_by_block_target": {"1": %d, "2": %d, "6": %d, "144": %d, "1008": %d}, "min_relay_feerate": 1012}`, kvb, kvb, kvb, kvb, kvb)
	})}
	go srv.Serve(s) //nolint:errcheck // it ends with Close
	t.Cleanup(func() { _ = srv.Close() })
	return f
}

func (f *feeServer) url() string { return "http://" + f.addr }
