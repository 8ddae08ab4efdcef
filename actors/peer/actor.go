package peer

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// glance is how often the actor looks whether a channel that was flooded has caught up.
const glance = 5 * time.Millisecond

// stubborn is how many crashes without a stable session in between make a peer wait before it may connect again.
const stubborn = 3

// Props makes the actor "peer/<node id>". It reports to messages.PeersAddr, which sends it Connect and Adopt, and stops it.
func Props(env *kit.Env, cfg Config, t Transport, id ln.NodeID) *actor.Props {
	cfg = cfg.withDefaults()
	l := &life{conns: map[uint64]Conn{}, told: map[messages.Addr]uint64{}, crashes: -1}
	return env.Props(func() actor.Actor {
		return &shell{env: env, cfg: cfg, transport: t, id: id, life: l, core: New(cfg, id)}
	})
}

// life is what outlives an instance: what it leaves open must be closed by the next one.
type life struct {
	conns   map[uint64]Conn
	told    map[messages.Addr]uint64 // who believes in which session
	address string
	adopted uint64
	crashes int // since a session was stable
}

// Messages to itself. Each names the incarnation that asked (rule 4).
type (
	received struct {
		session uint64
		msg     []byte
		err     error
	}
	dialled struct {
		incarnation, attempt uint64
		conn                 Conn
		err                  error
	}
	ticked struct {
		incarnation uint64
		timer       Timer
		seq         uint64
	}
	glanced struct{ incarnation uint64 }
)

// Dispose is as that of Adopt.
func (d dialled) Dispose() {
	if d.conn != nil {
		d.conn.Close()
	}
}

type shell struct {
	env       *kit.Env
	cfg       Config
	transport Transport
	id        ln.NodeID
	life      *life
	core      *Peer

	inc        uint64
	connectN   uint64
	cancelDial func()
	timers     [timers]func()
	penalty    time.Time // no connection is accepted before
	last       Status
	gossip     graph.Bucket // of the peer
	skipped    uint64       // gossip that was dropped

	owed   int           // messages handled that the connection was not told of
	behind messages.Addr // the actor that must catch up first
	unlook func()
}

func (s *shell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.start(ctx)
	case *actor.Stopping:
		s.core.Stop()
	case *actor.Restarting:
		s.release()
		return
	case *actor.Stopped:
		s.release()
		return
	case Connect:
		s.connect(m)
	case Adopt:
		s.adopt(m)
	case dialled:
		s.dialled(m)
	case received:
		s.received(ctx, m)
	case ticked:
		if m.incarnation == s.inc {
			s.tick(m)
		}
	case glanced:
		if m.incarnation == s.inc {
			s.glance(ctx)
		}
	case messages.PeerAttach:
		s.core.Attach(m)
	case messages.PeerDetach:
		s.core.Detach(m)
	case messages.PeerSend:
		s.core.Send(m)
	case messages.PeerReconnect:
		s.core.Reconnect(m)
	case messages.ChannelUnknown:
		s.core.Unknown(m)
	case messages.GraphStarted:
		s.core.GraphStarted()
	}
	s.carryOut(ctx)
}

// start takes over from an instance that crashed: its connections go, and those who believe in its session are told.
func (s *shell) start(ctx actor.Context) {
	s.inc = s.env.NextIncarnation()
	s.life.crashes++
	s.release()
	for _, to := range s.believers() {
		s.env.Tell(to, messages.PeerDown{Session: s.life.told[to]})
		delete(s.life.told, to)
	}
	if s.life.crashes >= stubborn {
		s.penalty = s.env.Clock.Now().Add(s.cfg.Times.backoff(s.life.crashes))
	}
	s.core.Start()
	if s.life.address != "" {
		s.core.ConnectLater(s.life.address, s.life.crashes)
	}
}

func (s *shell) believers() []messages.Addr {
	all := make([]messages.Addr, 0, len(s.life.told))
	for to := range s.life.told {
		all = append(all, to)
	}
	slices.SortFunc(all, func(a, b messages.Addr) int { return strings.Compare(string(a), string(b)) })
	return all
}

// release lets go of connections and timers.
func (s *shell) release() {
	if s.cancelDial != nil {
		s.cancelDial()
		s.cancelDial = nil
	}
	for i, cancel := range s.timers {
		if cancel != nil {
			cancel()
			s.timers[i] = nil
		}
	}
	if s.unlook != nil {
		s.unlook()
		s.unlook = nil
	}
	for id, c := range s.life.conns { // closing is not a message: the order does not matter
		delete(s.life.conns, id)
		c.Close()
	}
}

func (s *shell) tick(m ticked) {
	if s.core.Tick(m.timer, m.seq) && m.timer == TimerStable {
		s.life.crashes = 0
	}
}

func (s *shell) connect(m Connect) {
	s.life.address, s.connectN = m.Address, m.N
	if m.Later {
		s.core.ConnectLater(m.Address, s.life.crashes)
		return
	}
	s.core.Connect(m.Address)
}

func (s *shell) adopt(m Adopt) {
	s.life.adopted = m.N
	if m.Conn == nil {
		return
	}
	if s.env.Clock.Now().Before(s.penalty) {
		m.Conn.Close()
		return
	}
	s.begin(m.Conn, s.core.Accepted)
}

func (s *shell) dialled(m dialled) {
	switch {
	case m.incarnation != s.inc:
		if m.conn != nil {
			m.conn.Close()
		}
	case m.err != nil:
		s.core.DialFailed(m.attempt, m.err)
	default:
		s.begin(m.conn, func(session uint64) bool { return s.core.Dialled(m.attempt, session) })
	}
}

// begin makes a session of a connection, if the core wants it.
func (s *shell) begin(c Conn, wanted func(session uint64) bool) {
	session := s.env.NextIncarnation()
	if !wanted(session) {
		c.Close()
		return
	}
	s.life.conns[session] = c
	self := messages.PeerAddr(s.id)
	c.Start(s.cfg.Limits.Window, func(msg []byte, err error) { s.env.Tell(self, received{session: session, msg: msg, err: err}) })
	s.owed, s.behind = 0, ""
}

func (s *shell) received(ctx actor.Context, m received) {
	c := s.life.conns[m.session]
	if c == nil {
		return
	}
	if m.err != nil {
		s.core.Lost(m.session, m.err)
		return
	}
	if s.cut(m.session, BeforeReceive, m.msg) {
		return
	}
	if s.flooded(m.msg) {
		s.skipped++
	} else {
		s.core.Receive(m.session, m.msg)
		s.carryOut(ctx)
	}
	if s.life.conns[m.session] == nil || s.cut(m.session, AfterReceive, m.msg) {
		return
	}
	s.owed++
	s.glance(ctx)
}

// flooded tells whether a message is gossip that comes too fast, or that the graph has no time for.
func (s *shell) flooded(msg []byte) bool {
	l := s.cfg.Limits
	return s.cfg.Gossip && s.core.Up() != 0 && flood(msg) &&
		(s.env.Depth(messages.GraphAddr) > l.GossipDepth ||
			!s.gossip.Take(graph.Rate{Burst: int64(l.GossipBytes), PerMinute: int64(l.GossipMinute)}, s.env.Clock.Now(), int64(len(msg))))
}

// glance lets the connection read on, unless an actor behind has too much to do.
func (s *shell) glance(ctx actor.Context) {
	if s.behind != "" && s.env.Depth(s.behind) > s.cfg.Limits.Depth {
		if s.unlook != nil {
			s.unlook()
		}
		s.unlook = s.env.Clock.After(glance, ctx.Self(), glanced{s.inc})
		return
	}
	s.behind = ""
	for _, c := range s.life.conns { // there is one
		c.Grant(s.owed)
	}
	s.owed = 0
}

// carryOut does what the core asks for.
func (s *shell) carryOut(ctx actor.Context) {
	for effects := s.core.Take(); len(effects) > 0; effects = s.core.Take() {
		for _, e := range effects {
			s.perform(ctx, e)
		}
	}
	s.report()
}

func (s *shell) perform(ctx actor.Context, e Effect) {
	switch e := e.(type) {
	case Write:
		s.write(e)
	case Close:
		s.env.Log.Info("connection ended", s.who(), slog.Uint64("session", e.Session), slog.String("why", e.Why))
		if c := s.life.conns[e.Session]; c != nil {
			delete(s.life.conns, e.Session)
			c.Close()
		}
	case Tell:
		s.deliver(e)
	case Dial:
		s.dial(e)
	case CancelDial:
		if s.cancelDial != nil {
			s.cancelDial()
			s.cancelDial = nil
		}
	case Arm:
		s.arm(ctx, e)
	case Attempted:
		s.report() // first, so that whoever is told of the success finds the peer connected
		s.env.Tell(messages.PeersAddr, Outcome{Peer: s.id, N: s.connectN, Err: e.Err})
	case Note:
		s.env.Log.Warn("peer says", s.who(), slog.String("text", e.Text))
	}
}

func (s *shell) who() slog.Attr { return slog.String("peer", s.id.String()) }

func (s *shell) deliver(e Tell) {
	switch m := e.Msg.(type) {
	case messages.PeerUp:
		s.life.told[e.To] = m.Session
	case messages.PeerDown:
		delete(s.life.told, e.To)
	case messages.PeerMsg:
		if s.behind == "" && s.env.Depth(e.To) > s.cfg.Limits.Depth {
			s.behind = e.To
		}
	}
	s.env.Tell(e.To, e.Msg)
}

func (s *shell) write(e Write) {
	c := s.life.conns[e.Session]
	if c == nil || e.Optional && c.Backlog() > s.cfg.Limits.Backlog {
		return
	}
	raw, err := Encode(e.Msg)
	if err != nil {
		// The actor that made it believes that it was sent, so nothing more may be sent on this connection.
		s.env.Log.Error("message cannot be sent", s.who(), slog.Any("error", err))
		delete(s.life.conns, e.Session)
		c.Close()
		s.core.Lost(e.Session, err)
		return
	}
	if s.cut(e.Session, BeforeSend, raw) {
		return
	}
	c.Send(raw)
	s.cut(e.Session, AfterSend, raw)
}

func (s *shell) dial(e Dial) {
	self, inc := messages.PeerAddr(s.id), s.inc
	s.cancelDial = s.transport.Dial(s.id, e.Address, func(c Conn, err error) {
		if c == nil && err == nil {
			err = errors.New("peer: the transport gave no connection")
		}
		s.env.Tell(self, dialled{incarnation: inc, attempt: e.Attempt, conn: c, err: err})
	})
}

func (s *shell) arm(ctx actor.Context, e Arm) {
	if cancel := s.timers[e.Timer]; cancel != nil {
		cancel()
	}
	after := e.After
	if e.Spread {
		after = after/2 + time.Duration(s.env.Jitter()*float64(after/2))
	}
	s.timers[e.Timer] = s.env.Clock.After(after, ctx.Self(), ticked{incarnation: s.inc, timer: e.Timer, seq: e.Seq})
}

// report tells Peers what has changed.
func (s *shell) report() {
	now := Status{
		Peer: s.id, Connected: s.core.Up() != 0, Inbound: s.core.Inbound(), Idle: s.core.Idle(), Adopted: s.life.adopted,
	}
	if now != s.last {
		s.last = now
		s.env.Tell(messages.PeersAddr, now)
	}
}

// Incarnation implements kit.Incarnated.
func (s *shell) Incarnation() uint64 { return s.inc }
