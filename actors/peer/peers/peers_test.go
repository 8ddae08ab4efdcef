package peers_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/actors/peer/peers"
	"github.com/lnactor/lnactor/actors/peer/simnet"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// stranger is a node of the test's own making, outside of all actors.
type stranger struct {
	w    *world
	id   ln.NodeID
	net  peer.Transport
	conn peer.Conn
	got  []lnwire.Message
	over error
}

func (w *world) stranger(index byte) *stranger {
	_, id := key(index)
	return &stranger{w: w, id: id, net: w.net.Node(fmt.Sprint("stranger ", index), id)}
}

// dial connects to a node and reads all that it says.
func (s *stranger) dial(t *testing.T, name string) {
	t.Helper()
	s.over = nil
	s.net.Dial(nodeOf(name), name, func(c peer.Conn, err error) {
		if s.conn, s.over = c, err; err != nil {
			return
		}
		c.Start(1_000_000, s.hear)
	})
	s.settle(t)
}

func (s *stranger) hear(raw []byte, err error) {
	if err != nil {
		s.over = err
		return
	}
	if msg, err := decodeAny(raw); err == nil {
		s.got = append(s.got, msg)
	}
}

func (s *stranger) settle(t *testing.T) {
	t.Helper()
	if !s.w.sim.Advance(time.Second, 100_000) {
		t.Fatal("busy", s.w.sim)
	}
}

func (s *stranger) send(t *testing.T, msgs ...lnwire.Message) {
	t.Helper()
	for _, m := range msgs {
		raw, err := peer.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		s.conn.Send(raw)
	}
	s.settle(t)
}

func TestConnectAndDisconnect(t *testing.T) {
	w := newWorld(1)
	var remembered []string
	w.alter = func(name string, cfg *peers.Config) {
		if name == "alice" {
			cfg.Remember = func(l peers.Lasting) error { remembered = append(remembered, "+"+l.Address); return nil }
			cfg.Forget = func(ln.NodeID) error { remembered = append(remembered, "-"); return nil }
		}
	}
	w.boot("alice", "bob", false)
	w.boot("bob", "alice", false)
	user := w.sim.Probe("user")
	connect := func(to, address string) error {
		t.Helper()
		user.Send("alice", messages.PeersAddr, messages.ConnectPeer{Peer: nodeOf(to), Address: address, ReplyTo: user.Addr()})
		w.sim.Advance(5*time.Second, 100_000)
		got := user.Take()
		if len(got) != 1 {
			t.Fatal(got)
		}
		return got[0].(messages.ConnectReply).Err
	}
	list := func(node string) []messages.PeerInfo {
		t.Helper()
		user.Send(node, messages.PeersAddr, messages.ListPeers{ReplyTo: user.Addr()})
		w.sim.Settle(1000)
		return user.Take()[0].(messages.PeerList).Peers
	}
	if err := connect("alice", "alice"); !errors.Is(err, peers.ErrSelf) {
		t.Fatal(err)
	}
	if err := connect("bob", ""); !errors.Is(err, peers.ErrAddress) {
		t.Fatal(err)
	}
	if err := connect("bob", "nowhere"); !errors.Is(err, simnet.ErrRefused) {
		t.Fatal(err)
	}
	if err := connect("bob", "bob"); err != nil { // it did not wait for the back-off of the other address
		t.Fatal(err)
	}
	if err := connect("bob", "bob"); err != nil {
		t.Fatal(err)
	}
	want := []messages.PeerInfo{{Peer: nodeOf("bob"), Address: "bob", Connected: true}}
	if got := list("alice"); !reflect.DeepEqual(got, want) {
		t.Fatal(got)
	}
	want = []messages.PeerInfo{{Peer: nodeOf("alice"), Connected: true, Inbound: true}}
	if got := list("bob"); !reflect.DeepEqual(got, want) {
		t.Fatal(got)
	}
	user.Send("alice", messages.PeersAddr, messages.DisconnectPeer{Peer: nodeOf("bob"), ReplyTo: user.Addr()})
	w.sim.Advance(time.Hour, 1_000_000)
	if got := user.Take(); !reflect.DeepEqual(got, []any{messages.ConnectReply{}}) {
		t.Fatal(got)
	}
	if got := list("alice"); len(got) != 0 || w.net.Links() != 0 || w.books["alice"].session == 0 {
		t.Fatal(got, w.net.Links())
	}
	if want := []string{"+nowhere", "+bob", "+bob", "-"}; !reflect.DeepEqual(remembered, want) {
		t.Fatal(remembered)
	}
}

// Bob loses power. Nothing tells alice, but her pings do; she dials until he is back.
func TestHalfOpenAndBackoff(t *testing.T) {
	w := newWorld(2)
	dials := &counter{}
	w.alter = func(name string, cfg *peers.Config) {
		if name == "alice" {
			dials.Transport, cfg.Transport = cfg.Transport, dials
		}
	}
	w.boot("alice", "bob", true)
	w.boot("bob", "alice", false)
	w.sim.Advance(10*time.Minute, 1_000_000)
	if w.books["alice"].rounds == 0 || len(dials.at) != 1 {
		t.Fatal("not connected", w.sim)
	}
	w.sim.Crash("bob")
	dials.now, dials.at = w.sim.Now, nil
	crashed := w.sim.Now()
	w.sim.Advance(3*time.Minute, 1_000_000)
	if len(dials.at) == 0 {
		t.Fatal("alice did not notice", w.sim)
	}
	if gap := dials.at[0].Sub(crashed); gap < 30*time.Second || gap > 2*time.Minute+35*time.Second {
		t.Fatal("noticed after", gap)
	}
	w.net.Drop("bob")
	w.sim.Advance(2*time.Hour, 1_000_000)
	if n := len(dials.at); n < 60 || n > 140 { // every one to two minutes after the first ones
		t.Fatal(n, "attempts")
	}
	for i := 2; i < len(dials.at); i++ {
		if gap := dials.at[i].Sub(dials.at[i-1]); gap > 2*time.Minute+time.Second {
			t.Fatal("gap", gap)
		}
	}
	rounds := w.books["alice"].rounds
	w.boot("bob", "alice", false)
	w.sim.Advance(3*time.Minute, 1_000_000)
	if w.books["alice"].rounds == rounds || len(w.books["alice"].faults) > 0 {
		t.Fatal("not connected again", w.books["alice"])
	}
}

// counter notes when a node dials.
type counter struct {
	peer.Transport
	now func() time.Time
	at  []time.Time
}

func (c *counter) Dial(to ln.NodeID, address string, done func(peer.Conn, error)) func() {
	var at time.Time
	if c.now != nil {
		at = c.now()
	}
	c.at = append(c.at, at)
	return c.Transport.Dial(to, address, done)
}

func TestStrangersLeaveNothingBehind(t *testing.T) {
	w := newWorld(3)
	w.alter = func(_ string, cfg *peers.Config) { cfg.MaxStrangers = 3 }
	w.boot("alice", "bob", false)
	var all []*stranger
	for index := range byte(5) {
		s := w.stranger(100 + index)
		s.dial(t, "alice")
		all = append(all, s)
	}
	for i, s := range all {
		if refused := s.over != nil; refused != (i >= 3) {
			t.Fatal(i, s.over)
		}
	}
	all[0].conn.Close()
	all[0].settle(t)
	all[4].dial(t, "alice")
	if all[4].over != nil {
		t.Fatal("no place became free:", all[4].over)
	}
	w.sim.Advance(time.Hour, 100_000) // none of them says init
	user := w.sim.Probe("user")
	user.Send("alice", messages.PeersAddr, messages.ListPeers{ReplyTo: user.Addr()})
	w.sim.Settle(1000)
	if got := user.Take(); !reflect.DeepEqual(got, []any{messages.PeerList{}}) || w.net.Links() != 0 {
		t.Fatal(got, w.net.Links())
	}
}

// A peer with a channel that only ever dials us is let in however many strangers there are, also by the next incarnation of Peers, until the channel
// is archived.
func TestStrangersTakeNoReservedPlace(t *testing.T) {
	w := newWorld(8)
	w.alter = func(name string, cfg *peers.Config) {
		if name == "alice" {
			cfg.MaxStrangers = 3
		}
	}
	w.boot("alice", "bob", false)
	flood := func() (refused int) {
		for index := range byte(6) {
			s := w.stranger(100 + index)
			s.dial(t, "alice")
			s.send(t, lnwire.NewInitMessage(lnwire.NewRawFeatureVector(), lnwire.NewRawFeatureVector(0, 8, 12, 14, 44)))
			if s.over != nil {
				refused++
			}
		}
		return refused
	}
	if n := flood(); n != 3 {
		t.Fatal(n, "strangers refused, want 3")
	}
	w.boot("bob", "alice", true)
	connected := func(when string, want bool) {
		t.Helper()
		w.sim.Advance(time.Minute, 100_000)
		if got := w.books["alice"].session != 0 && w.books["bob"].synced; got != want {
			t.Fatalf("%s: bob's channel talks: %t, want %t", when, got, want)
		}
	}
	connected("among strangers", true)
	if n := flood(); n != 3 { // each replaces its own connection, and bob counts as none of them
		t.Fatal(n, "strangers refused beside bob, want 3")
	}

	crashed := false
	w.sim.Faults.Before = func(p sim.Point) sim.Fault {
		if p.Kind == "peers" && p.Node == "alice" && !crashed {
			crashed = true
			return sim.Fault{Kind: sim.CrashActor}
		}
		return sim.Fault{}
	}
	w.sim.Crash("bob")
	w.net.Drop("bob")
	w.books["alice"].session, w.books["bob"].synced = 0, false
	if flood(); !crashed {
		t.Fatal("no crash")
	}
	w.boot("bob", "alice", true)
	connected("after a crash of Peers", true)

	user, owner := w.sim.Probe("user"), w.stranger(150)
	for _, step := range []struct {
		says    any
		refused bool
	}{
		{nil, true},
		{messages.ChannelPeer{Channel: ln.ChannelID{1}, Peer: owner.id}, false},
		{messages.ChannelPeer{Channel: ln.ChannelID{1}, Peer: owner.id}, false},
		{messages.ChannelPeer{Channel: ln.ChannelID{2}, Peer: owner.id}, false},
		{messages.ChannelArchived{Channel: ln.ChannelID{1}}, false},
		{messages.ChannelArchived{Channel: ln.ChannelID{2}}, true},
		{messages.ChannelArchived{Channel: ln.ChannelID{2}}, true},
	} {
		if step.says != nil {
			user.Send("alice", messages.PeersAddr, step.says)
		}
		if owner.dial(t, "alice"); (owner.over != nil) != step.refused {
			t.Fatalf("after %+v: %v", step.says, owner.over)
		}
		if owner.conn.Close(); !step.refused {
			owner.settle(t)
		}
	}
}

// What a hostile peer does costs its own connection; alice and bob talk on.
func TestHostilePeers(t *testing.T) {
	w := newWorld(4)
	w.boot("alice", "bob", true)
	w.boot("bob", "alice", false)
	w.sim.Advance(10*time.Second, 100_000)
	session := w.books["alice"].session
	channel := lnwire.ChannelID(channelID)
	hello := func() lnwire.Message {
		init := lnwire.NewInitMessage(lnwire.NewRawFeatureVector(), lnwire.NewRawFeatureVector(0, 8, 12, 14, 44))
		return init
	}
	bad := hello().(*lnwire.Init)
	bad.Features.Set(200)
	for i, c := range []struct {
		msgs []lnwire.Message
		raw  []byte
		dies bool
	}{
		{msgs: []lnwire.Message{bad}, dies: true},
		{msgs: []lnwire.Message{&lnwire.Pong{}}, dies: true},
		{raw: []byte{}, dies: true},
		{raw: make([]byte, 70_000), dies: true},
		{msgs: []lnwire.Message{hello(), hello()}, dies: true},
		{msgs: []lnwire.Message{hello()}, raw: []byte{0, 132, 1}, dies: true},
		// bob's channel is not this peer's, whatever it says about it
		{msgs: []lnwire.Message{hello(), &lnwire.Error{ChanID: channel}, &lnwire.Error{}, &lnwire.UpdateFee{ChanID: channel}}},
		{msgs: []lnwire.Message{hello(), &lnwire.UpdateFee{}, &lnwire.UpdateFee{ChanID: lnwire.ChannelID{1}}}},
	} {
		s := w.stranger(120 + byte(i))
		s.dial(t, "alice")
		s.send(t, c.msgs...)
		if c.raw != nil {
			s.conn.Send(c.raw)
			s.settle(t)
		}
		if (s.over != nil) != c.dies {
			t.Fatal(i, s.over, s.got)
		}
		last := s.got[len(s.got)-1]
		switch last.(type) {
		case *lnwire.Warning:
			if !c.dies {
				t.Fatal(i, s.got)
			}
		case *lnwire.Error: // the last case: unknown channels
		default:
			if c.dies {
				t.Fatal(i, "no reason given:", s.got)
			}
		}
	}
	// A flood of unknown channels.
	s := w.stranger(150)
	s.dial(t, "alice")
	s.send(t, hello())
	for i := range 20_000 {
		raw, _ := peer.Encode(&lnwire.UpdateFee{ChanID: lnwire.ChannelID{byte(i), byte(i >> 8), 1}})
		s.conn.Send(raw)
	}
	if !w.sim.Advance(5*time.Minute, 1_000_000) {
		t.Fatal("busy", w.sim)
	}
	a, b := w.books["alice"], w.books["bob"]
	if a.session != session || len(a.faults)+len(b.faults) > 0 || a.rounds < 200 {
		t.Fatal(a, b)
	}
	if c := w.sim.Crashes(); len(c) > 0 {
		t.Fatal(c)
	}
}

// A session that crashes whenever it starts is stopped, tried again later, and lives once it can.
func TestSessionThatCannotStart(t *testing.T) {
	w := newWorld(5)
	w.boot("bob", "alice", false)
	starts := 0
	w.sim.Faults.Before = func(p sim.Point) sim.Fault {
		if p.Kind == "peer" && p.Node == "alice" && isStart(p.Msg) {
			if starts++; starts <= 20 {
				return sim.Fault{Kind: sim.CrashActor}
			}
		}
		return sim.Fault{}
	}
	w.boot("alice", "bob", true)
	w.sim.Advance(5*time.Second, 100_000)
	if starts > 10 {
		t.Fatal("started", starts, "times without a break")
	}
	w.sim.Advance(2*time.Minute, 1_000_000)
	if w.books["alice"].rounds == 0 {
		t.Fatal("never connected after", starts, "starts", w.sim)
	}
}

// The actor of a session crashes: channels learn that the session is over before they can have another.
func TestCrashedSessionIsDown(t *testing.T) {
	w := newWorld(6)
	w.boot("alice", "bob", true)
	w.boot("bob", "alice", false)
	w.sim.Advance(5*time.Second, 100_000)
	session := w.books["alice"].session
	var told []any
	w.sim.Faults.Before = func(p sim.Point) sim.Fault {
		if p.Node == "alice" && p.Kind == "channel" {
			switch m := p.Msg.(type) {
			case messages.PeerUp, messages.PeerDown:
				told = append(told, m)
			}
		}
		if p.Node == "alice" && p.Kind == "peer" && len(told) == 0 && !isStart(p.Msg) {
			return sim.Fault{Kind: sim.CrashActor}
		}
		return sim.Fault{}
	}
	w.sim.RunUntil(func() bool { return len(told) >= 2 }, 100_000)
	if len(told) < 2 || told[0] != (messages.PeerDown{Session: session}) || told[1].(messages.PeerUp).Session <= session {
		t.Fatal(told, session)
	}
}

// A connection that is lost with the message that hands it over is closed at once, or its other end would wait for our init. It does not keep a stranger
// on the books.
func TestLostHandOver(t *testing.T) {
	for _, way := range []string{"peers.inbound", "peer.Adopt", "peer.dialled"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(7)
			w.boot("alice", "bob", false)
			w.boot("bob", "alice", way == "peer.dialled")
			lost := 0
			w.sim.Faults.Before = func(p sim.Point) sim.Fault {
				m, again := p.Msg.(peer.Adopt)
				if fmt.Sprintf("%T", p.Msg) != way || again && m.Conn == nil || lost > 0 {
					return sim.Fault{}
				}
				lost++
				return sim.Fault{Kind: sim.CrashActor}
			}
			if way == "peer.dialled" {
				w.sim.RunUntil(func() bool { return lost > 0 }, 100_000)
				w.sim.Advance(200*time.Millisecond, 1000) // less than until bob dials again
				if lost != 1 || w.net.Links() != 0 {
					t.Fatal(lost, w.net.Links())
				}
				return
			}
			s := w.stranger(100)
			s.dial(t, "alice")
			if lost != 1 || s.over == nil || w.net.Links() != 0 {
				t.Fatal(lost, s.over, w.net.Links())
			}
			w.sim.Advance(5*time.Minute, 100_000)
			user := w.sim.Probe("user")
			user.Send("alice", messages.PeersAddr, messages.ListPeers{ReplyTo: user.Addr()})
			w.sim.Settle(1000)
			if got := user.Take(); !reflect.DeepEqual(got, []any{messages.PeerList{}}) {
				t.Fatal(got)
			}
		})
	}
}
