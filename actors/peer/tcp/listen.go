package tcp

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lightningnetwork/lnd/brontide"

	"github.com/lnactor/lnactor/actors/peer"
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
		h := t.enter(nc)
		if h == nil {
			_ = nc.Close()
			continue
		}
		t.running.Go(func() { t.shake(h) })
	}
}

// place is what an accepted connection counts as.
func place(nc net.Conn) netip.Prefix {
	a, err := netip.ParseAddrPort(nc.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := a.Addr().Unmap(), 32
	switch {
	case ip.IsLoopback():
		bits = ip.BitLen()
	case ip.Is6():
		bits = 64
	}
	p, _ := ip.WithZone("").Prefix(bits) // bits fit
	return p
}

// half is an accepted connection whose other end is not known yet.
type half struct {
	nc    net.Conn
	at    netip.Prefix
	leave func() // gives its place among the connections back
}

// enter takes a place for a new connection, if need be that of an older one which did not finish its handshake: those who stall theirs keep nobody
// out. Nil if there is none.
func (t *Transport) enter(nc net.Conn) *half {
	at := place(nc)
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed || t.accept == nil:
		return nil
	case !at.Addr().IsLoopback() && t.perIP[at] >= t.cfg.MaxPerIP: // a proxy here, as Tor's, brings everybody
		if !t.displace(at) {
			return nil
		}
	case len(t.half) >= t.cfg.MaxHandshake || t.inbound >= t.cfg.MaxInbound:
		if !t.displace(t.crowd()) {
			return nil
		}
	}
	t.inbound++
	t.perIP[at]++
	h := &half{nc: nc, at: at, leave: sync.OnceFunc(func() { // under mu
		t.inbound--
		if t.perIP[at]--; t.perIP[at] == 0 {
			delete(t.perIP, at)
		}
	})}
	t.half = append(t.half, h)
	return h
}

// crowd is where most handshakes under way come from: an attacker has fewer addresses than connections. Of several, that of the oldest.
func (t *Transport) crowd() netip.Prefix {
	count := map[netip.Prefix]int{}
	for _, h := range t.half {
		count[h.at]++
	}
	var most netip.Prefix
	for _, h := range t.half {
		if count[h.at] > count[most] {
			most = h.at
		}
	}
	return most
}

// displace ends the oldest handshake that comes from an address; false if there is none.
func (t *Transport) displace(at netip.Prefix) bool {
	i := slices.IndexFunc(t.half, func(h *half) bool { return h.at == at })
	if i < 0 {
		return false
	}
	h := t.half[i]
	t.half = slices.Delete(t.half, i, i+1)
	_ = h.nc.Close()
	h.leave()
	return true
}

// shake does the handshake and hands the connection over.
func (t *Transport) shake(h *half) {
	noise, from, err := t.greet(h.nc)
	c, accept := t.settle(h, noise, err == nil)
	switch {
	case c == nil:
		_ = h.nc.Close()
	case accept == nil:
		c.Close()
	default:
		accept(from, c)
	}
}

// settle ends a handshake, and puts the connection on the books if it is wanted and was not displaced meanwhile.
func (t *Transport) settle(h *half, noise *brontide.Machine, ok bool) (*conn, func(ln.NodeID, peer.Conn)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.half, h)
	if i < 0 {
		return nil, nil
	}
	t.half = slices.Delete(t.half, i, i+1)
	if !ok || t.closed {
		h.leave()
		return nil, nil
	}
	return t.book(h.nc, noise, h.leave), t.accept
}

func (t *Transport) greet(nc net.Conn) (*brontide.Machine, ln.NodeID, error) {
	if err := nc.SetDeadline(time.Now().Add(t.cfg.Handshake)); err != nil {
		return nil, ln.NodeID{}, err
	}
	noise, from, err := respond(nc, t.cfg.Key)
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	return noise, from, err
}
