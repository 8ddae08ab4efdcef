package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/brontide"
	"github.com/lightningnetwork/lnd/keychain"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/ln"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func nodeKey(index byte) (*keychain.PrivKeyECDH, ln.NodeID) {
	priv, pub := btcec.PrivKeyFromBytes([]byte{31: index})
	return &keychain.PrivKeyECDH{PrivKey: priv}, ln.NodeID(pub.SerializeCompressed())
}

type accepted struct {
	from ln.NodeID
	conn peer.Conn
}

// server is a transport that listens, with what it accepted.
func server(t *testing.T, cfg Config) (*Transport, ln.NodeID, chan accepted) {
	t.Helper()
	k, id := nodeKey(1)
	cfg.Key, cfg.Listen = k, "127.0.0.1:0"
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	got := make(chan accepted, 100)
	s.Accept(func(from ln.NodeID, c peer.Conn) { got <- accepted{from, c} })
	return s, id, got
}

func client(t *testing.T, index byte) *Transport {
	t.Helper()
	k, _ := nodeKey(index)
	c, err := New(Config{Key: k, DialTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func dial(t *testing.T, c *Transport, to ln.NodeID, address string) (peer.Conn, error) {
	t.Helper()
	type result struct {
		conn peer.Conn
		err  error
	}
	done := make(chan result, 1)
	c.Dial(to, address, func(conn peer.Conn, err error) { done <- result{conn, err} })
	r := wait(t, done)
	return r.conn, r.err
}

// wait takes one value, or fails.
func wait[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(2 * time.Minute):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// sink collects what a connection delivers.
type sink struct {
	mu    sync.Mutex
	msgs  int
	ended chan error
	seen  chan []byte
}

func newSink() *sink { return &sink{ended: make(chan error, 1), seen: make(chan []byte, 1<<16)} }

func (s *sink) recv(msg []byte, err error) {
	if err != nil {
		s.ended <- err
		return
	}
	s.mu.Lock()
	s.msgs++
	s.mu.Unlock()
	s.seen <- msg
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.msgs
}

func TestHandshakeTellsWhoItIs(t *testing.T) {
	s, id, got := server(t, Config{})
	for index := byte(2); index < 40; index++ {
		c := client(t, index)
		conn, err := dial(t, c, id, s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, want := nodeKey(index)
		a := wait(t, got)
		if a.from != want {
			t.Fatal(a.from, want)
		}
		near, far := newSink(), newSink()
		conn.Start(10, near.recv)
		a.conn.Start(10, far.recv)
		conn.Send([]byte("to the server"))
		a.conn.Send([]byte("to the client"))
		if string(wait(t, far.seen)) != "to the server" || string(wait(t, near.seen)) != "to the client" {
			t.Fatal("garbled")
		}
		a.conn.Send([]byte("last words"))
		a.conn.Close()
		if string(wait(t, near.seen)) != "last words" {
			t.Fatal("what was sent before Close is lost")
		}
		wait(t, near.ended)
		conn.Close()
	}
}

// raw opens a plain connection to the server.
func raw(t *testing.T, s *Transport) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// closed waits until the server has closed a connection.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Minute))
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("still open")
	}
}

// stages are what a hostile initiator does; each must cost it its connection, and nothing else.
func stages(t *testing.T, id ln.NodeID) map[string]func(net.Conn) {
	pub, err := btcec.ParsePubKey(id[:])
	if err != nil {
		t.Fatal(err)
	}
	garbage := []byte(strings.Repeat("garbage!", 100))
	k, _ := nodeKey(66)
	act1 := func(c net.Conn) *brontide.Machine {
		m := brontide.NewBrontideMachine(true, k, pub)
		one, _ := m.GenActOne()
		_, _ = c.Write(one[:])
		return m
	}
	act3 := func(c net.Conn) (*brontide.Machine, [brontide.ActThreeSize]byte) {
		m := act1(c)
		var two [brontide.ActTwoSize]byte
		if _, err := io.ReadFull(c, two[:]); err != nil {
			t.Error(err)
		}
		if err := m.RecvActTwo(two); err != nil {
			t.Error(err)
		}
		three, _ := m.GenActThree()
		return m, three
	}
	return map[string]func(net.Conn){
		"garbage":           func(c net.Conn) { _, _ = c.Write(garbage) },
		"nothing":           func(net.Conn) {},
		"half of act one":   func(c net.Conn) { _, _ = c.Write(garbage[:10]) },
		"hanging up":        func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
		"only act one":      func(c net.Conn) { act1(c) },
		"garbage act three": func(c net.Conn) { act1(c); _, _ = c.Write(garbage) },
		"wrong static key": func(c net.Conn) {
			other, _ := nodeKey(67)
			m := brontide.NewBrontideMachine(true, k, other.PubKey())
			one, _ := m.GenActOne()
			_, _ = c.Write(one[:])
		},
		"wrong version": func(c net.Conn) {
			_, three := act3(c)
			three[0] = 1
			_, _ = c.Write(three[:])
		},
		"broken act three": func(c net.Conn) {
			_, three := act3(c)
			three[60] ^= 1
			_, _ = c.Write(three[:])
		},
	}
}

func TestHostileHandshakes(t *testing.T) {
	s, id, got := server(t, Config{Handshake: 300 * time.Millisecond})
	for name, attack := range stages(t, id) {
		t.Run(name, func(t *testing.T) {
			c := raw(t, s)
			attack(c)
			closed(t, c)
		})
	}
	if len(got) != 0 {
		t.Fatal("a hostile handshake was accepted")
	}
	conn, _ := dial(t, client(t, 2), id, s.Addr()) // all places are free again
	if conn == nil {
		t.Fatal("nobody can connect any more")
	}
	conn.Close()
	wait(t, got).conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.half) != 0 {
		t.Fatal(s.half)
	}
}

// After the handshake: garbage in place of a message ends the connection.
func TestGarbageMessage(t *testing.T) {
	s, id, got := server(t, Config{})
	c := raw(t, s)
	k, _ := nodeKey(66)
	pub, _ := btcec.ParsePubKey(id[:])
	m, err := initiate(c, k, pub)
	if err != nil {
		t.Fatal(err)
	}
	a, far := wait(t, got), newSink()
	a.conn.Start(1, far.recv)
	if err := m.WriteMessage([]byte("fine")); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Flush(c); err != nil {
		t.Fatal(err)
	}
	wait(t, far.seen)
	a.conn.Grant(1)
	_, _ = c.Write([]byte(strings.Repeat("x", 100)))
	wait(t, far.ended)
	closed(t, c)
}

// A flooding peer is read only as far as the window goes.
func TestFlood(t *testing.T) {
	s, id, got := server(t, Config{})
	conn, _ := dial(t, client(t, 2), id, s.Addr())
	near, far := newSink(), newSink()
	conn.Start(1, near.recv)
	a := wait(t, got)
	a.conn.Start(5, far.recv)
	for range 1000 {
		conn.Send(make([]byte, 1000))
	}
	for range 5 {
		wait(t, far.seen)
	}
	a.conn.Send([]byte("still there"))
	wait(t, near.seen)
	if n := far.count(); n != 5 {
		t.Fatal("read", n)
	}
	for range 995 {
		a.conn.Grant(1)
		wait(t, far.seen)
	}
	conn.Close()
	wait(t, near.ended)
	a.conn.Grant(1)
	wait(t, far.ended)
	a.conn.Close()
}

// A peer that does not read loses its connection when the queue is full, whatever the kernel has buffered.
func TestSlowReader(t *testing.T) {
	s, id, got := server(t, Config{})
	c := raw(t, s)
	k, _ := nodeKey(66)
	pub, _ := btcec.ParsePubKey(id[:])
	if _, err := initiate(c, k, pub); err != nil {
		t.Fatal(err)
	}
	a, far := wait(t, got), newSink()
	a.conn.Start(1, far.recv)
	for range 5000 {
		a.conn.Send(make([]byte, 65000))
		if n := a.conn.Backlog(); n > maxQueue {
			t.Fatal("backlog", n)
		}
	}
	if err := wait(t, far.ended); !errors.Is(err, ErrSlow) {
		t.Fatal(err)
	}
}

func TestDialErrors(t *testing.T) {
	s, id, _ := server(t, Config{})
	c := client(t, 2)
	fail := func(to ln.NodeID, address string) error {
		done := make(chan error, 1)
		c.Dial(to, address, func(conn peer.Conn, err error) { done <- err })
		return wait(t, done)
	}
	_, other := nodeKey(3)
	if err := fail(other, s.Addr()); !errors.Is(err, ErrHandshake) {
		t.Fatal(err)
	}
	if err := fail(ln.NodeID{}, s.Addr()); err == nil {
		t.Fatal("no node")
	}
	if err := fail(id, "127.0.0.1"); err == nil {
		t.Fatal("no port")
	}
	// A server that says nothing: the attempt can be cancelled.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	done := make(chan error, 1)
	cancel := c.Dial(id, l.Addr().String(), func(_ peer.Conn, err error) { done <- err })
	cancel()
	if err := wait(t, done); err == nil {
		t.Fatal("connected")
	}
	c.Close()
	if err := fail(id, s.Addr()); !errors.Is(err, ErrTransportClosed) {
		t.Fatal(err)
	}
}
