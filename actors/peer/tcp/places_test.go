package tcp

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/ln"
)

// elsewhere is a listener whose connections seem to come from the addresses that are sent to it, one for each.
type elsewhere struct {
	net.Listener
	from chan string
}

type foreign struct {
	net.Conn
	from net.Addr
}

func (f foreign) RemoteAddr() net.Addr { return f.from }

func (e elsewhere) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	a, err := net.ResolveTCPAddr("tcp", <-e.from)
	if err != nil {
		return nil, err
	}
	return foreign{c, a}, nil
}

// far is a server whose connections come from where the test says.
func far(t *testing.T, cfg Config) (s *Transport, id ln.NodeID, got chan accepted, from chan string) {
	t.Helper()
	k, id := nodeKey(1)
	cfg.Key = k
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got, from = make(chan accepted, 100), make(chan string, 100)
	t.Cleanup(s.Close)
	s.listener = elsewhere{l, from}
	s.Accept(func(from ln.NodeID, c peer.Conn) { got <- accepted{from, c} })
	s.running.Go(s.listen)
	return s, id, got, from
}

// stall opens a connection that says nothing, and waits until the server has it.
func stall(t *testing.T, s *Transport, from chan string, at string) net.Conn {
	t.Helper()
	from <- at
	c := raw(t, s)
	begin := time.Now()
	for mine := false; !mine; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 2*time.Minute {
			t.Fatal("the connection is not in its handshake")
		}
		s.mu.Lock()
		for _, h := range s.half {
			mine = mine || h.nc.(foreign).Conn.RemoteAddr().String() == c.LocalAddr().String()
		}
		s.mu.Unlock()
	}
	return c
}

// stalled tells whether the server still waits for the handshake of a connection.
func stalled(t *testing.T, c net.Conn) bool {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := c.Read(make([]byte, 1))
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// long is a time for handshakes that no test waits for.
const long = time.Hour

// Those who stall their handshakes give way, oldest first, to whoever comes: the addresses first that have most of them.
func TestStalledHandshakes(t *testing.T) {
	s, id, got, from := far(t, Config{MaxHandshake: 4, Handshake: long})
	var stalls []net.Conn
	for _, at := range []string{"1.1.1.1:1", "2.2.2.2:1", "2.2.2.2:2", "3.3.3.3:1"} {
		stalls = append(stalls, stall(t, s, from, at))
	}
	for range 10 { // an honest one takes one place, and gives it back
		from <- "4.4.4.4:1"
		conn, err := dial(t, client(t, 2), id, s.Addr())
		if err != nil {
			t.Fatal("kept out by stalled handshakes:", err)
		}
		wait(t, got).conn.Close()
		conn.Close()
	}
	closed(t, stalls[1])
	for _, i := range []int{0, 2, 3} {
		if !stalled(t, stalls[i]) {
			t.Fatal("stalled handshake", i, "gave way although there was room")
		}
	}
	stall(t, s, from, "5.5.5.5:1")
	stall(t, s, from, "6.6.6.6:1")
	closed(t, stalls[0])
	if !stalled(t, stalls[2]) || !stalled(t, stalls[3]) {
		t.Fatal("not the oldest gave way")
	}
}

// One address has only so many connections. Its own stalled handshakes give way, and nobody else's.
func TestPlacesOfAnAddress(t *testing.T) {
	s, id, got, from := far(t, Config{MaxPerIP: 2, Handshake: long})
	other := stall(t, s, from, "1.1.1.1:1")
	first, second := stall(t, s, from, "[2001:db8::1]:1"), stall(t, s, from, "[2001:db8::2]:1")
	connect := func() {
		t.Helper()
		from <- "[2001:db8::3]:1"
		if _, err := dial(t, client(t, 2), id, s.Addr()); err != nil {
			t.Fatal(err)
		}
		wait(t, got)
	}
	connect()
	closed(t, first)
	if !stalled(t, second) {
		t.Fatal("a handshake gave way although there was room")
	}
	connect()
	closed(t, second)
	from <- "[2001:db8::4]:1"
	closed(t, raw(t, s)) // nobody gives way who has finished
	if !stalled(t, other) {
		t.Fatal("a handshake of another address gave way")
	}
}

// All connections of a node behind a proxy come from one address, which has no limit of its own.
func TestLoopbackHasNoLimit(t *testing.T) {
	for _, at := range []string{"127.0.0.1:1", "[::1]:1"} {
		s, id, got, from := far(t, Config{MaxPerIP: 2, MaxInbound: 5, Handshake: long})
		for range 5 {
			from <- at
			if _, err := dial(t, client(t, 2), id, s.Addr()); err != nil {
				t.Fatal(at, err)
			}
			wait(t, got)
		}
		from <- at
		closed(t, raw(t, s)) // MaxInbound
		s.Close()
	}
}

// A place is free again when its connection is over.
func TestPlacesAreGivenBack(t *testing.T) {
	s, id, got, from := far(t, Config{MaxPerIP: 1, Handshake: long})
	const at = "1.1.1.1:1"
	displaced := stall(t, s, from, at)
	hangsUp := stall(t, s, from, at)
	closed(t, displaced)
	_ = hangsUp.Close()
	for range 3 {
		from <- at
		if _, err := dial(t, client(t, 2), id, s.Addr()); err != nil {
			t.Fatal(err)
		}
		wait(t, got).conn.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbound != 0 || len(s.perIP) != 0 || len(s.half) != 0 || len(s.open) != 0 {
		t.Fatal(s.inbound, s.perIP, s.half, s.open)
	}
}
