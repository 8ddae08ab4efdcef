package neutrino

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/btcsuite/btcd/wire"
	lib "github.com/lightninglabs/neutrino"
	"github.com/lightninglabs/neutrino/banman"

	"github.com/lnactor/lnactor/actors/chainwatch/chain"
)

// probeTimeout bounds one greeting.
const probeTimeout = 3 * time.Second

// networks are those that a peer is asked about.
var networks = []*chaincfg.Params{
	&chaincfg.MainNetParams, &chaincfg.TestNet3Params, &chaincfg.TestNet4Params, &chaincfg.SigNetParams,
	&chaincfg.RegressionNetParams, &chaincfg.SimNetParams,
}

// prober finds out why the configured peers are away.
type prober struct {
	cfg  Config
	bans banman.Store

	mu      sync.Mutex
	since   time.Time // when the peers were first missed; zero: they are here
	asked   time.Time
	verdict error
}

// found notes that a peer of the right network is connected.
func (p *prober) found() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.asked, p.verdict = time.Time{}, time.Time{}, nil
}

// missing is called while no peer is connected. It returns what was found out last, and finds out anew now and then.
func (p *prober) missing(ctx context.Context) error {
	if !p.due(time.Now()) {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.verdict
	}
	found := make([]finding, len(p.cfg.Peers))
	var wg sync.WaitGroup
	for i, peer := range p.cfg.Peers {
		wg.Go(func() { found[i] = p.look(ctx, peer) })
	}
	wg.Wait()
	verdict := judge(p.cfg.Params, found)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.since.IsZero() {
		p.verdict = verdict
	}
	return verdict
}

// due tells whether it is time to find out. Only one caller is told so.
func (p *prober) due(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.since.IsZero():
		p.since = now
		return false
	case now.Sub(p.since) < p.cfg.patience, !p.asked.IsZero() && now.Sub(p.asked) < p.cfg.retry:
		return false
	default:
		p.asked = now
		return true
	}
}

// finding is what is known about one peer that is away.
type finding struct {
	peer    string
	banned  banman.Reason    // 0: it is not
	network *chaincfg.Params // nil: it does not answer
}

// judge is chain.ErrWrongChain if all peers that answer are of another network, chain.ErrInvalidBlock if those that are left were caught lying, nil if
// nothing is known that would tell more than that they are away.
func judge(want *chaincfg.Params, found []finding) error {
	var wrong, useless, liar error
	for _, f := range found {
		switch {
		case f.banned == banman.NoCompactFilters:
			useless = errors.Join(useless, fmt.Errorf("neutrino: peer %s serves no compact filters or no witnesses: %w", f.peer, chain.ErrUnreachable))
		case f.banned != 0:
			liar = errors.Join(liar, fmt.Errorf("neutrino: peer %s is banned, %s: %w: %w", f.peer, f.banned, chain.ErrUnreachable, chain.ErrInvalidBlock))
		case f.network == nil:
		case f.network.Net == want.Net:
			return nil
		default:
			wrong = errors.Join(wrong, fmt.Errorf("neutrino: peer %s is of %s, not %s: %w", f.peer, f.network.Name, want.Name, chain.ErrWrongChain))
		}
	}
	if useless != nil || liar != nil {
		return errors.Join(useless, liar) // of the right network, so the setting is not wrong
	}
	return wrong
}

// look finds out about one peer.
func (p *prober) look(ctx context.Context, peer string) finding {
	f := finding{peer: peer}
	addr, ok := p.resolve(peer)
	if !ok {
		return f
	}
	if ip, err := banman.ParseIPNet(addr.String(), nil); err == nil {
		if status, err := p.bans.Status(ip); err == nil && status.Banned {
			f.banned = status.Reason
			p.forgive(ip, status)
			return f
		}
	}
	f.network = p.network(ctx, addr)
	return f
}

// forgive ends the ban of a configured peer early, when there is no other left. Nothing that it says is believed unchecked, and the library bans honest
// peers, too, when they answer in the middle of a reorganisation. Unless it is the liar, the node would be blind for a day.
func (p *prober) forgive(ip *net.IPNet, status banman.Status) {
	if time.Until(status.Expiration) > lib.BanDuration-p.cfg.retry {
		return
	}
	if err := p.bans.UnbanIPNet(ip); err != nil {
		p.cfg.Log.Warn("peer stays banned", "peer", ip, "err", err)
	}
}

// network is the one in whose manner a peer must be greeted to answer, the right one first; nil: it does not answer.
func (p *prober) network(ctx context.Context, addr *net.TCPAddr) *chaincfg.Params {
	for _, params := range append([]*chaincfg.Params{p.cfg.Params}, networks...) {
		if ctx.Err() != nil {
			return nil
		}
		if p.answers(ctx, addr, params.Net) {
			return params
		}
	}
	return nil
}

func (p *prober) resolve(peer string) (*net.TCPAddr, bool) {
	host, port, err := net.SplitHostPort(peer)
	if err != nil {
		host, port = peer, p.cfg.Params.DefaultPort
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, false
	}
	ips, err := p.cfg.Lookup(host)
	if err != nil || len(ips) == 0 {
		return nil, false
	}
	return &net.TCPAddr{IP: ips[0], Port: int(n)}, true
}

// answers greets a peer in the manner of a network.
func (p *prober) answers(ctx context.Context, addr *net.TCPAddr, network wire.BitcoinNet) bool {
	conn, err := p.cfg.Dial(addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := conn.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return false
	}
	me := wire.NewNetAddressIPPort(net.IPv4zero, 0, 0)
	you := wire.NewNetAddressIPPort(addr.IP, uint16(addr.Port), 0)
	greeting := wire.NewMsgVersion(me, you, rand.Uint64(), 0)
	if err := wire.WriteMessage(conn, greeting, wire.ProtocolVersion, network); err != nil {
		return false
	}
	_, _, err = wire.ReadMessage(conn, wire.ProtocolVersion, network)
	return err == nil
}
