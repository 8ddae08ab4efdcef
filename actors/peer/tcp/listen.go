package tcp

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
)

// patience is how long the listener waits after an error such as too many open files.
const patience = 100 * time.Millisecond

func (t *Transport) listen() {
	for {
		nc, err := t.listener.Accept()
		if err != nil {
			select {
			case <-t.ctx.Done():
				return
			case <-time.After(patience):
				continue
			}
		}
		leave, ok := t.enter(nc)
		if !ok {
			_ = nc.Close()
			continue
		}
		t.running.Go(func() { t.shake(nc, leave) })
	}
}

// place is what an accepted connection counts as.
func place(nc net.Conn) netip.Prefix {
	a, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := a.Addr().Unmap(), 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits) // bits fit
	return p
}

// enter takes a place, unless there is none.
func (t *Transport) enter(nc net.Conn) (leave func(), ok bool) {
	at := place(nc)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.accept == nil || t.shaking >= t.cfg.MaxHandshake || t.inbound >= t.cfg.MaxInbound || t.perIP[at] >= t.cfg.MaxPerIP {
		return nil, false
	}
	t.inbound++
	t.shaking++
	t.perIP[at]++
	t.raw[nc] = struct{}{}
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.inbound--
		if t.perIP[at]--; t.perIP[at] == 0 {
			delete(t.perIP, at)
		}
	}), true
}

// shake does the handshake and hands the connection over.
func (t *Transport) shake(nc net.Conn, leave func()) {
	c, from, err := t.greet(nc, leave)
	t.mu.Lock()
	t.shaking--
	delete(t.raw, nc)
	accept := t.accept
	t.mu.Unlock()
	switch {
	case err != nil:
		_ = nc.Close()
		leave()
	case accept == nil:
		c.Close()
	default:
		accept(from, c)
	}
}

func (t *Transport) greet(nc net.Conn, leave func()) (*conn, ln.NodeID, error) {
	if err := nc.SetDeadline(time.Now().Add(t.cfg.Handshake)); err != nil {
		return nil, ln.NodeID{}, err
	}
	noise, from, err := respond(nc, t.cfg.Key)
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil {
		return nil, from, err
	}
	c, err := t.add(nc, noise, leave)
	return c, from, err
}
