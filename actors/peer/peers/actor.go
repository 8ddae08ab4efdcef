package peers

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

const (
	maxStrangers = 256
	startsFailed = 5                // in a row, after which a session is stopped
	later        = 10 * time.Second // until a session that could not start is tried again
)

// Props makes the actor. Spawn it under messages.PeersAddr.
func Props(env *kit.Env, cfg Config) *actor.Props { return env.Props(Producer(env, cfg)) }

// Producer is Props for a supervisor.
func Producer(env *kit.Env, cfg Config) actor.Producer {
	if cfg.MaxStrangers <= 0 {
		cfg.MaxStrangers = maxStrangers
	}
	return func() actor.Actor { return newShell(env, cfg) }
}

type (
	inbound struct {
		from ln.NodeID
		conn peer.Conn
	}
	tryAgain struct {
		incarnation uint64
		peer        ln.NodeID
	}
)

// Dispose is as that of peer.Adopt.
func (m inbound) Dispose() { m.conn.Close() }

type shell struct {
	env       *kit.Env
	cfg       Config
	inc       uint64
	n         uint64 // last number of a Connect or an Adopt
	peers     map[ln.NodeID]*record
	places    places
	strangers int
	closed    bool
}

func newShell(env *kit.Env, cfg Config) *shell {
	return &shell{env: env, cfg: cfg, peers: map[ln.NodeID]*record{}, places: newPlaces()}
}

// record is a peer as its supervisor sees it.
type record struct {
	id       ln.NodeID
	pid      *actor.PID // nil: it has no actor now
	lasting  bool
	stranger bool // counted as one
	address  string
	status   peer.Status
	adopted  uint64 // N of the last connection handed over
	waiting  []waiter
	stopping bool
	next     peer.Conn       // accepted while the actor stops
	farewell []messages.Addr // who waits for the stop
	failures int             // starts in a row
	delay    bool            // its actor is started by tryAgain
}

type waiter struct {
	n  uint64
	to messages.Addr
}

func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Stopping, *actor.Restarting:
		s.closed = true
		s.cfg.Transport.Accept(nil)
	case *actor.Terminated:
		s.terminated(ctx, m.Who)
	case messages.ConnectPeer:
		s.connect(ctx, m)
	case messages.DisconnectPeer:
		s.disconnect(ctx, m)
	case messages.GraphStarted:
		for _, p := range s.list().Peers { // sorted: a simulation does the same twice
			if r := s.peers[p.Peer]; r.pid != nil {
				ctx.Send(r.pid, m)
			}
		}
	case messages.ChannelPeer:
		s.places.take(m)
		s.count(m.Peer)
	case messages.ChannelArchived:
		s.count(s.places.leave(m.Channel))
	case messages.ListPeers:
		s.env.Tell(m.ReplyTo, s.list())
	case inbound:
		s.accepted(ctx, m)
	case peer.Status:
		s.status(ctx, m)
	case peer.Outcome:
		if r := s.peers[m.Peer]; r != nil {
			s.answer(r, m.N, m.Err)
		}
	case tryAgain:
		if r := s.peers[m.peer]; r != nil && m.incarnation == s.inc && r.delay {
			r.delay = false
			s.ensure(ctx, r, true)
		}
	}
}

func (s *shell) start(ctx actor.Context) {
	s.inc = s.env.NextIncarnation()
	s.env.Tell(messages.MonitorsAddr, messages.PeersStarted{})
	s.cfg.Transport.Accept(func(from ln.NodeID, c peer.Conn) { s.env.Tell(messages.PeersAddr, inbound{from, c}) })
	if s.cfg.Lasting == nil {
		return
	}
	for _, l := range s.cfg.Lasting() {
		if s.check(l.Peer) != nil {
			continue
		}
		r := s.record(l.Peer)
		s.keep(r, true)
		r.address = l.Address
		s.ensure(ctx, r, true)
	}
}

func (s *shell) record(id ln.NodeID) *record {
	r := s.peers[id]
	if r == nil {
		r = &record{id: id}
		s.peers[id] = r
		s.count(id)
	}
	return r
}

func (s *shell) keep(r *record, lasting bool) {
	r.lasting = lasting
	s.count(r.id)
}

func (s *shell) forget(r *record) {
	delete(s.peers, r.id)
	if r.stranger {
		s.strangers--
	}
}

// count keeps the number of strangers: of peers that connected by themselves and have no channel.
func (s *shell) count(id ln.NodeID) {
	r := s.peers[id]
	if r == nil {
		return
	}
	switch stranger := !r.lasting && !s.places.reserved(id); {
	case stranger && !r.stranger:
		s.strangers++
	case !stranger && r.stranger:
		s.strangers--
	default:
		return
	}
	r.stranger = !r.stranger
}

func (s *shell) check(id ln.NodeID) error {
	if id == s.cfg.Session.Self {
		return ErrSelf
	}
	if _, err := btcec.ParsePubKey(id[:]); err != nil {
		return fmt.Errorf("%w: %w", ErrNodeID, err)
	}
	return nil
}

// ensure gives a peer its actor and, with an address, has it connect. While the old actor stops, all this waits for its end.
func (s *shell) ensure(ctx actor.Context, r *record, later bool) {
	if r.stopping || r.delay {
		return
	}
	if r.pid == nil {
		pid, err := s.env.Spawn(ctx, messages.PeerAddr(r.id), peer.Props(s.env, s.cfg.Session, s.cfg.Transport, r.id))
		if err != nil {
			s.env.Log.Error("session not started", who(r), slog.Any("error", err))
			s.tryLater(ctx, r)
			return
		}
		r.pid, r.status = pid, peer.Status{}
	}
	if r.lasting && r.address != "" {
		s.n++
		ctx.Send(r.pid, peer.Connect{N: s.n, Address: r.address, Later: later})
	}
}

func (s *shell) tryLater(ctx actor.Context, r *record) {
	r.delay = true
	s.env.Clock.After(later, ctx.Self(), tryAgain{incarnation: s.inc, peer: r.id})
}

func who(r *record) slog.Attr { return slog.String("peer", r.id.String()) }

func (s *shell) connect(ctx actor.Context, m messages.ConnectPeer) {
	err := s.check(m.Peer)
	if err == nil && m.Address == "" {
		err = ErrAddress
	}
	if err == nil && s.cfg.Remember != nil {
		err = s.cfg.Remember(Lasting{Peer: m.Peer, Address: m.Address})
	}
	if err != nil {
		s.reply(m.ReplyTo, err)
		return
	}
	r := s.record(m.Peer)
	s.keep(r, true)
	r.address, r.delay = m.Address, false
	if m.ReplyTo != "" {
		r.waiting = append(r.waiting, waiter{n: s.n + 1, to: m.ReplyTo})
	}
	s.ensure(ctx, r, false)
}

func (s *shell) disconnect(ctx actor.Context, m messages.DisconnectPeer) {
	r := s.peers[m.Peer]
	var err error
	if s.cfg.Forget != nil {
		err = s.cfg.Forget(m.Peer)
	}
	if r == nil || err != nil {
		s.reply(m.ReplyTo, err)
		return
	}
	s.keep(r, false)
	r.address = ""
	s.answer(r, s.n+1, ErrDisconnected)
	r.farewell = append(r.farewell, m.ReplyTo)
	s.stop(ctx, r)
}

// stop ends the actor of a peer, or forgets the peer if it has none.
func (s *shell) stop(ctx actor.Context, r *record) {
	switch {
	case r.stopping:
	case r.pid != nil:
		r.stopping = true
		ctx.Stop(r.pid)
	default:
		s.gone(ctx, r)
	}
}

func (s *shell) terminated(ctx actor.Context, pid *actor.PID) {
	if s.closed { // they stop because this actor does
		return
	}
	for _, r := range s.peers { // one has the pid; ends are rare
		if r.pid != nil && r.pid.Equal(pid) {
			r.pid, r.stopping, r.status = nil, false, peer.Status{}
			s.gone(ctx, r)
			return
		}
	}
}

// gone decides what follows when a peer has no actor.
func (s *shell) gone(ctx actor.Context, r *record) {
	for _, to := range r.farewell {
		s.reply(to, nil)
	}
	r.farewell = nil
	next := r.next
	r.next = nil
	switch {
	case r.failures >= startsFailed && r.lasting:
		r.failures = 0
		s.tryLater(ctx, r)
	case r.lasting:
		s.ensure(ctx, r, len(r.waiting) == 0)
	case next == nil:
		s.forget(r)
	default:
		s.ensure(ctx, r, true)
	}
	s.hand(ctx, r, next)
}

// accepted passes a connection on that a peer made. Strangers can take no place from a peer with a channel.
func (s *shell) accepted(ctx actor.Context, m inbound) {
	r := s.peers[m.from]
	if r == nil {
		if s.check(m.from) != nil || s.strangers >= s.cfg.MaxStrangers && !s.places.reserved(m.from) {
			m.conn.Close()
			return
		}
		r = s.record(m.from)
	}
	if r.pid == nil && !r.delay {
		s.ensure(ctx, r, true)
	}
	s.hand(ctx, r, m.conn)
}

func (s *shell) hand(ctx actor.Context, r *record, c peer.Conn) {
	switch {
	case c == nil:
	case r.stopping:
		if r.next != nil {
			r.next.Close()
		}
		r.next = c
	case r.pid == nil:
		c.Close()
	default:
		s.n++
		r.adopted = s.n
		ctx.Send(r.pid, peer.Adopt{N: s.n, Conn: c})
	}
}

func (s *shell) status(ctx actor.Context, m peer.Status) {
	r := s.peers[m.Peer]
	if r == nil || r.pid == nil {
		return
	}
	r.status = m
	if m.Connected {
		r.failures = 0
	}
	if m.Idle && !r.lasting && m.Adopted == r.adopted {
		s.stop(ctx, r)
	}
}

// HandleFailure implements actor.SupervisorStrategy: one for one, at once. Delays are up to the session, which must go on answering
// channels meanwhile.
func (s *shell) HandleFailure(_ *actor.ActorSystem, sup actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, message any) {
	var r *record
	for _, each := range s.peers { // one has the pid; crashes are rare
		if each.pid != nil && each.pid.Equal(child) {
			r = each
		}
	}
	s.env.Log.Error("session crashed", slog.String("actor", child.Id), slog.Any("reason", reason))
	if r == nil {
		sup.StopChildren(child)
		return
	}
	s.answer(r, s.n+1, ErrCrashed)
	r.status = peer.Status{}
	switch message.(type) {
	case *actor.Started, *actor.Restart:
		r.failures++
	default:
		r.failures = 0
	}
	if r.failures >= startsFailed {
		r.stopping = true
		sup.StopChildren(child)
		return
	}
	sup.RestartChildren(child)
	// The message that it lost may have been one of these.
	s.env.System.Root.Send(child, peer.Adopt{N: r.adopted})
	if r.lasting && r.address != "" {
		s.n++
		s.env.System.Root.Send(child, peer.Connect{N: s.n, Address: r.address, Later: true})
	}
}

func (s *shell) answer(r *record, n uint64, err error) {
	r.waiting = slices.DeleteFunc(r.waiting, func(w waiter) bool {
		if w.n > n {
			return false
		}
		s.reply(w.to, err)
		return true
	})
}

func (s *shell) reply(to messages.Addr, err error) {
	if to != "" {
		s.env.Tell(to, messages.ConnectReply{Err: err})
	}
}

func (s *shell) list() messages.PeerList {
	var l messages.PeerList
	for _, r := range s.peers {
		l.Peers = append(l.Peers, messages.PeerInfo{
			Peer: r.id, Address: r.address, Connected: r.status.Connected, Inbound: r.status.Inbound,
		})
	}
	slices.SortFunc(l.Peers, func(a, b messages.PeerInfo) int { return bytes.Compare(a.Peer[:], b.Peer[:]) })
	return l
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.inc }
