package tcp

import (
	"bufio"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/brontide"
)

// Errors that a connection ends with, besides those of package net.
var (
	ErrSlow   = errors.New("tcp: the peer does not read what it is sent")
	ErrUnused = errors.New("tcp: the connection was not taken up")
)

const (
	maxQueue  = 8 << 20          // bytes that wait to be written
	progress  = 30 * time.Second // for a message that has begun, and for each piece that is written
	farewell  = 2 * time.Second  // for what is queued when the connection is closed
	takeUp    = 30 * time.Second // between the handshake and Start
	writeSize = 64 << 10
)

// conn is a peer.Conn.
type conn struct {
	nc      net.Conn
	noise   *brontide.Machine
	release func() // gives its place among the connections back
	unused  *time.Timer

	mu      sync.Mutex
	wake    *sync.Cond // of the writer
	allowed *sync.Cond // of the reader
	queue   [][]byte
	backlog int
	credit  int
	started bool
	closing bool // by us: what is queued is written
	dead    bool
	cause   error
	running int // goroutines
}

func newConn(nc net.Conn, noise *brontide.Machine, release func()) *conn {
	c := &conn{nc: nc, noise: noise, release: release}
	c.wake, c.allowed = sync.NewCond(&c.mu), sync.NewCond(&c.mu)
	c.unused = time.AfterFunc(takeUp, func() {
		c.mu.Lock()
		started := c.started
		c.mu.Unlock()
		if !started {
			c.end(ErrUnused)
		}
	})
	return c
}

// Start implements peer.Conn.
func (c *conn) Start(window int, recv func([]byte, error)) {
	c.unused.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.started {
		return
	}
	c.started = true
	c.credit += window
	c.running = 2
	go c.read(recv)
	go c.write()
}

// Grant implements peer.Conn.
func (c *conn) Grant(n int) {
	c.mu.Lock()
	c.credit += n
	c.mu.Unlock()
	c.allowed.Signal()
}

// Send implements peer.Conn.
func (c *conn) Send(msg []byte) {
	c.mu.Lock()
	if c.closing || c.dead {
		c.mu.Unlock()
		return
	}
	full := c.backlog+len(msg) > maxQueue
	if !full {
		c.queue = append(c.queue, msg)
		c.backlog += len(msg)
	}
	c.mu.Unlock()
	if full {
		c.end(ErrSlow)
		return
	}
	c.wake.Signal()
}

// Backlog implements peer.Conn.
func (c *conn) Backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.backlog
}

// Close implements peer.Conn.
func (c *conn) Close() {
	c.unused.Stop()
	c.mu.Lock()
	began := c.started
	first := !c.closing
	c.closing = true
	c.mu.Unlock()
	if !began {
		c.end(net.ErrClosed)
		return
	}
	if first {
		_ = c.nc.SetWriteDeadline(time.Now().Add(farewell)) // an error means that it is closed already
		c.wake.Signal()
		c.allowed.Signal()
	}
}

// end closes the socket, which stops both goroutines.
func (c *conn) end(cause error) {
	c.unused.Stop()
	c.mu.Lock()
	first := !c.dead
	if first {
		c.dead, c.cause = true, cause
		c.queue, c.backlog = nil, 0
	}
	c.mu.Unlock()
	if first {
		_ = c.nc.Close()
		c.release()
	}
	c.wake.Signal()
	c.allowed.Signal()
}

func (c *conn) read(recv func([]byte, error)) {
	err := c.readAll(recv)
	c.mu.Lock()
	closing := c.closing
	c.mu.Unlock()
	if !closing { // the writer ends it otherwise
		c.end(err)
	}
	c.mu.Lock()
	if c.cause != nil {
		err = c.cause // a full queue, say, and not the closed socket that came of it
	}
	c.mu.Unlock()
	recv(nil, err)
}

func (c *conn) readAll(recv func([]byte, error)) error {
	in := bufio.NewReaderSize(c.nc, writeSize)
	for {
		if !c.mayRead() {
			return net.ErrClosed
		}
		// Silence is the session's business; only a message that has begun must arrive.
		if err := c.nc.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
		if _, err := in.Peek(1); err != nil {
			return err
		}
		if err := c.nc.SetReadDeadline(time.Now().Add(progress)); err != nil {
			return err
		}
		msg, err := c.noise.ReadMessage(in)
		if err != nil {
			return err
		}
		recv(msg, nil)
	}
}

// mayRead waits for credit; false if the connection is over.
func (c *conn) mayRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.credit == 0 && !c.dead && !c.closing {
		c.allowed.Wait()
	}
	c.credit--
	return !c.dead && !c.closing
}

func (c *conn) write() {
	out := bufio.NewWriterSize(c.nc, writeSize)
	for {
		msgs, more := c.take()
		if err := c.writeAll(out, msgs); err != nil {
			c.end(err)
			return
		}
		if !more {
			c.end(net.ErrClosed)
			return
		}
	}
}

// take waits for messages. When the connection is closed these are the last.
func (c *conn) take() (msgs [][]byte, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) == 0 && !c.dead && !c.closing {
		c.wake.Wait()
	}
	msgs, c.queue = c.queue, nil
	return msgs, !c.dead && !c.closing
}

func (c *conn) writeAll(out *bufio.Writer, msgs [][]byte) error {
	for _, msg := range msgs {
		c.mu.Lock()
		var err error
		if !c.closing { // otherwise Close has set the last deadline
			err = c.nc.SetWriteDeadline(time.Now().Add(progress))
		}
		c.mu.Unlock()
		if err == nil {
			err = c.noise.WriteMessage(msg)
		}
		if err == nil {
			_, err = c.noise.Flush(out)
		}
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.backlog = max(0, c.backlog-len(msg))
		c.mu.Unlock()
	}
	return out.Flush()
}
