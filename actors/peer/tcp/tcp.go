package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/brontide"

	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/ln"
)

// Config is what a transport needs to know. The zero value of a limit is its default.
type Config struct {
	Key    NodeKey
	Listen string // host:port, port 0 for any; empty: no connections are accepted

	// DialContext replaces net.Dialer's, for proxies.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	DialTimeout  time.Duration // for connecting and the handshake; 15 s
	Handshake    time.Duration // for the handshake of an accepted connection; 5 s
	MaxHandshake int           // handshakes of accepted connections at once; 64
	MaxInbound   int           // accepted connections; 2048. Who may stay connected is up to the owner; this only bounds files
	MaxPerIP     int           // accepted connections from one IPv4 address or IPv6 /64, those in their handshake included; 16. Loopback has none
}

// Transport implements peer.Transport.
type Transport struct {
	cfg      Config
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	accept  func(ln.NodeID, peer.Conn)
	inbound int
	perIP   map[netip.Prefix]int
	open    map[*conn]struct{}
	half    []*half // in their handshake, oldest first
}

var _ peer.Transport = (*Transport)(nil)

// ErrTransportClosed is the error of dialling after Close.
var ErrTransportClosed = errors.New("tcp: the transport is closed")

// New listens, if it is to, and returns. Accepted connections are refused until Accept is called. The caller closes it.
func New(cfg Config) (*Transport, error) {
	if cfg.Key == nil {
		return nil, errors.New("tcp: Config.Key is missing")
	}
	if cfg.DialContext == nil {
		cfg.DialContext = (&net.Dialer{}).DialContext
	}
	orDefault(&cfg.DialTimeout, 15*time.Second)
	orDefault(&cfg.Handshake, 5*time.Second)
	orDefault(&cfg.MaxHandshake, 64)
	orDefault(&cfg.MaxInbound, 2048)
	orDefault(&cfg.MaxPerIP, 16)
	t := &Transport{cfg: cfg, perIP: map[netip.Prefix]int{}, open: map[*conn]struct{}{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	if cfg.Listen == "" {
		return t, nil
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		t.cancel()
		return nil, fmt.Errorf("tcp: listen for peers: %w", err)
	}
	t.listener = l
	t.running.Go(t.listen)
	return t, nil
}

func orDefault[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// Addr is where it listens, empty if it does not.
func (t *Transport) Addr() string {
	if t.listener == nil {
		return ""
	}
	return t.listener.Addr().String()
}

// Accept implements peer.Transport.
func (t *Transport) Accept(accept func(ln.NodeID, peer.Conn)) {
	t.mu.Lock()
	t.accept = accept
	t.mu.Unlock()
}

// Close ends the listener, all attempts and all connections, and waits for the goroutines of the first two.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed, t.accept = true, nil
	var conns []*conn
	for c := range t.open {
		conns = append(conns, c)
	}
	for _, h := range t.half {
		_ = h.nc.Close()
	}
	t.mu.Unlock()
	t.cancel()
	if t.listener != nil {
		_ = t.listener.Close()
	}
	for _, c := range conns {
		c.end(net.ErrClosed)
	}
	t.running.Wait()
}

// Dial implements peer.Transport.
func (t *Transport) Dial(to ln.NodeID, address string, done func(peer.Conn, error)) (cancel func()) {
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.DialTimeout)
	t.mu.Lock()
	closed := t.closed
	if !closed {
		t.running.Add(1)
	}
	t.mu.Unlock()
	if closed {
		cancel()
		done(nil, ErrTransportClosed)
		return func() {}
	}
	go func() {
		defer t.running.Done()
		defer cancel()
		c, err := t.dial(ctx, to, address)
		if err != nil {
			done(nil, fmt.Errorf("connect to %s: %w", address, err))
			return
		}
		done(c, nil)
	}()
	return cancel
}

func (t *Transport) dial(ctx context.Context, to ln.NodeID, address string) (*conn, error) {
	pub, err := btcec.ParsePubKey(to[:])
	if err != nil {
		return nil, fmt.Errorf("node id %s: %w", to, err)
	}
	nc, err := t.cfg.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = nc.Close() })
	noise, err := initiate(nc, t.cfg.Key, pub)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return nil, err
	}
	c, err := t.add(nc, noise)
	if err != nil {
		_ = nc.Close()
	}
	return c, err
}

// add puts a connection on the books until it is released.
func (t *Transport) add(nc net.Conn, noise *brontide.Machine) (*conn, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrTransportClosed
	}
	return t.book(nc, noise, func() {}), nil
}

// book is add under mu, on which leave is called too.
func (t *Transport) book(nc net.Conn, noise *brontide.Machine, leave func()) *conn {
	var c *conn
	c = newConn(nc, noise, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		leave()
		delete(t.open, c)
	})
	t.open[c] = struct{}{}
	return c
}
