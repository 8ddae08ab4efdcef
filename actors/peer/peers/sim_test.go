package peers_test

import (
	"bytes"
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/actors/peer/peers"
	"github.com/lnactor/lnactor/actors/peer/simnet"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// world is two nodes whose channels do what real ones do at the level of sessions: say channel_reestablish first, and then count.
type world struct {
	sim   *sim.Sim
	net   *simnet.Network
	books map[string]*book
	alter func(node string, cfg *peers.Config) // nil: as it is
}

// book is what a node's channel has seen. It is the test's, and survives crashes.
type book struct {
	session uint64
	synced  bool // channel_reestablish came in this session
	last    uint32
	sent    uint32
	faults  []string
	rounds  int // messages of the peer in order
}

var channelID = ln.ChannelID{9}

func newWorld(seed uint64) *world {
	s := sim.New(seed)
	return &world{sim: s, net: simnet.New(s), books: map[string]*book{}}
}

func nodeOf(name string) ln.NodeID {
	_, id := key(name[0])
	return id
}

func (w *world) boot(name, other string, lasting bool) {
	env := w.sim.Env(name)
	b := w.books[name]
	if b == nil {
		b = &book{}
		w.books[name] = b
	}
	b.session = 0
	w.sim.Spawn(name, messages.MonitorsAddr, func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case messages.PeersReattach, messages.PeersStarted:
				env.Tell(messages.ChannelAddr(channelID), m)
			case messages.KnownChannel:
				if m.ID != channelID {
					env.Tell(m.ReplyTo, messages.ChannelUnknown{ID: m.ID, Session: m.Session})
				}
			}
		})
	})
	w.sim.Spawn(name, messages.ChannelAddr(channelID), func() actor.Actor { return &counting{w: w, env: env, peer: nodeOf(other), b: b} })
	cfg := peers.Config{Session: peer.Config{Self: nodeOf(name), Chain: chain}, Transport: w.net.Node(name, nodeOf(name))}
	if lasting {
		cfg.Lasting = func() []peers.Lasting { return []peers.Lasting{{Peer: nodeOf(other), Address: other}} }
	}
	if w.alter != nil {
		w.alter(name, &cfg)
	}
	if _, err := env.Spawn(nil, messages.PeersAddr, peers.Props(env, cfg)); err != nil {
		panic(err)
	}
}

type beat struct{ inc uint64 }

// counting is a channel that numbers its messages within each session.
type counting struct {
	w    *world
	env  *kit.Env
	peer ln.NodeID
	b    *book
	inc  uint64
	self uint64 // session of this incarnation
}

func (c *counting) attach() {
	c.env.Tell(messages.PeerAddr(c.peer), messages.PeerAttach{ID: channelID, Incarnation: c.inc, To: messages.ChannelAddr(channelID)})
}

func (c *counting) say(msg lnwire.Message) {
	c.env.Tell(messages.PeerAddr(c.peer), messages.PeerSend{Session: c.self, Msgs: []lnwire.Message{msg}})
}

func (c *counting) Receive(ctx actor.Context) {
	b := c.b
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.inc = c.env.NextIncarnation()
		c.attach()
		c.env.Clock.After(time.Second, ctx.Self(), beat{c.inc})
	case messages.PeersReattach:
		c.attach()
	case messages.PeersStarted:
		c.env.Tell(messages.PeersAddr, messages.ChannelPeer{Channel: channelID, Peer: c.peer})
	case beat:
		if m.inc != c.inc {
			return
		}
		c.env.Clock.After(time.Second, ctx.Self(), beat{c.inc})
		if c.self != 0 && b.synced {
			b.sent++
			c.say(&lnwire.UpdateFee{ChanID: lnwire.ChannelID(channelID), FeePerKw: b.sent})
		}
	case messages.PeerUp:
		if m.Session == c.self {
			return
		}
		if m.Session < b.session || m.Established || (m.Session == b.session && b.session != 0) {
			b.faults = append(b.faults, "PeerUp of a session that another incarnation has used, or established")
		}
		c.self, b.session, b.synced, b.last, b.sent = m.Session, m.Session, false, 0, 0
		c.say(&lnwire.ChannelReestablish{ChanID: lnwire.ChannelID(channelID), LocalUnrevokedCommitPoint: pub()})
	case messages.PeerDown:
		if m.Session == c.self {
			c.self = 0
		}
	case messages.PeerMsg:
		if m.Session != c.self {
			return
		}
		c.heard(m.Msg)
	}
}

func (c *counting) heard(msg lnwire.Message) {
	b := c.b
	switch m := msg.(type) {
	case *lnwire.ChannelReestablish:
		if b.synced {
			b.faults = append(b.faults, "channel_reestablish twice in a session")
		}
		b.synced = true
	case *lnwire.UpdateFee:
		if !b.synced || m.FeePerKw != b.last+1 {
			b.faults = append(b.faults, "message lost, repeated or early")
		}
		b.last = m.FeePerKw
		b.rounds++
	case *lnwire.Error:
		b.faults = append(b.faults, "error: "+string(m.Data))
	}
}

var (
	seeds = flag.Uint64("seeds", 60, "how many seeds TestSimulatedSessions runs")
	first = flag.Uint64("seed", 0, "the first of them")
)

// TestSimulatedSessions: whatever crashes and wherever the network is cut, sessions come back, each begins with channel_reestablish, and
// within one nothing is lost or repeated.
func TestSimulatedSessions(t *testing.T) {
	for seed := *first; seed < *first+*seeds; seed++ {
		if problem := newWorld(seed).storm(seed%2 == 0, seed%3 == 0); problem != "" {
			t.Fatalf("%s\nagain with: go test ./actors/peer/peers -run TestSimulatedSessions -seed %d -seeds 1", problem, seed)
		}
	}
}

const stormy = 3 * time.Minute

// storm is what happens; the answer is what is wrong.
func (w *world) storm(bobDials, bobCrashes bool) string {
	w.boot("alice", "bob", true)
	w.boot("bob", "alice", bobDials)
	calm := func() bool { return w.sim.Now().Sub(begin) > stormy }
	w.net.Fault = func(string, string, []byte) bool { return !calm() && w.sim.Rand().IntN(200) == 0 }
	crash := w.sim.CrashRate(sim.CrashActor, map[string]float64{"peer": 0.003, "peers": 0.01, "channel": 0.005})
	faults := func(p sim.Point) sim.Fault {
		if calm() {
			return sim.Fault{}
		}
		return crash(p)
	}
	w.sim.Faults.Before, w.sim.Faults.After = faults, faults
	if bobCrashes {
		w.sim.After(time.Minute, "bob crashes", func() { w.sim.Crash("bob") })
		w.sim.After(time.Minute+10*time.Second, "bob is back", func() { w.boot("bob", "alice", bobDials) })
	}
	if !w.sim.Advance(stormy+6*time.Minute, 2_000_000) {
		return fmt.Sprint("too busy ", w.sim)
	}
	alice, bob := w.books["alice"], w.books["bob"]
	before := [2]int{alice.rounds, bob.rounds}
	if !w.sim.Advance(time.Minute, 2_000_000) {
		return fmt.Sprint("too busy ", w.sim)
	}
	switch {
	case len(alice.faults)+len(bob.faults) > 0:
		return fmt.Sprint("alice: ", alice.faults, ", bob: ", bob.faults, " ", w.sim)
	case alice.rounds-before[0] < 50 || bob.rounds-before[1] < 50:
		return fmt.Sprint("they do not talk: ", alice.rounds-before[0], " and ", bob.rounds-before[1], " rounds ", w.sim)
	case w.net.Links() != 1:
		return fmt.Sprint(w.net.Links(), " connections ", w.sim)
	case len(w.sim.Crashes()) > 0:
		return fmt.Sprintf("%v\n%s", w.sim.Crashes()[0], w.sim.Crashes()[0].Stack)
	}
	return ""
}

// begin is the first instant of every simulation.
var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func pub() *btcec.PublicKey { k, _ := key(5); return k.PubKey() }

func isStart(msg any) bool {
	switch msg.(type) {
	case *actor.Started, *actor.Restart:
		return true
	}
	return false
}

func decodeAny(raw []byte) (lnwire.Message, error) {
	return lnwire.ReadMessage(bytes.NewReader(raw), 0)
}

// cutOnce cuts at the 20th update_fee that alice sends or gets.
type cutOnce struct {
	at   peer.Point
	left int
}

func (c *cutOnce) Cut(_ ln.NodeID, at peer.Point, kind lnwire.MessageType) bool {
	if at != c.at || kind != lnwire.MsgUpdateFee {
		return false
	}
	c.left--
	return c.left == 0
}

// TestCutAtEachPoint: a connection that a fault cuts is lost there, before or after the message, and comes back.
func TestCutAtEachPoint(t *testing.T) {
	for at := peer.BeforeSend; at <= peer.AfterReceive; at++ {
		t.Run(at.String(), func(t *testing.T) {
			w := newWorld(1)
			cut := &cutOnce{at: at, left: 20}
			w.alter = func(node string, cfg *peers.Config) {
				if node == "alice" {
					cfg.Session.Cutter = cut
				}
			}
			w.boot("alice", "bob", true)
			w.boot("bob", "alice", false)
			alice, bob := w.books["alice"], w.books["bob"]
			for w.sim.Now().Sub(begin) < time.Minute && cut.left > 0 {
				w.sim.Advance(10*time.Millisecond, 100_000)
			}
			sent, session := alice.sent, alice.session
			if cut.left != 0 {
				t.Fatal("nothing was cut")
			}
			w.sim.Advance(time.Second/2, 100_000) // less than it takes to connect again
			switch got := bob.last; {
			case at == peer.BeforeSend && got != sent-1:
				t.Errorf("cut before %d was sent, and %d came", sent, got)
			case at == peer.AfterSend && got != sent:
				t.Errorf("cut after %d was sent, and %d came", sent, got)
			case at == peer.BeforeReceive && alice.last != bob.sent-1:
				t.Errorf("cut before %d was handled, and %d was", bob.sent, alice.last)
			case at == peer.AfterReceive && alice.last != bob.sent:
				t.Errorf("cut after %d was handled, and %d was", bob.sent, alice.last)
			}
			w.sim.Advance(2*time.Minute, 2_000_000)
			if alice.session == session || alice.rounds < 60 || bob.rounds < 60 || w.net.Links() != 1 {
				t.Errorf("they do not go on: %d and %d rounds, %d connections", alice.rounds, bob.rounds, w.net.Links())
			}
			if faults := append(alice.faults, bob.faults...); len(faults) > 0 {
				t.Error(faults)
			}
		})
	}
}
