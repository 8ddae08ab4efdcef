package peers_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"
	"go.uber.org/goleak"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/actors/peer/peers"
	"github.com/lnactor/lnactor/actors/peer/tcp"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

var chain = chainhash.Hash{7}

// key is a node's key; index keys differ.
func key(index byte) (*keychain.PrivKeyECDH, ln.NodeID) {
	priv, pub := btcec.PrivKeyFromBytes([]byte{31: index})
	return &keychain.PrivKeyECDH{PrivKey: priv}, ln.NodeID(pub.SerializeCompressed())
}

// realNode is a node on real time and sockets whose channels, manager and monitors are the test.
type realNode struct {
	t    *testing.T
	env  *kit.Env
	id   ln.NodeID
	tcp  *tcp.Transport
	pid  *actor.PID
	mail chan any // what channels, manager and monitors got
}

func newRealNode(t *testing.T, index byte, cfg tcp.Config, session peer.Config) *realNode {
	t.Helper()
	k, id := key(index)
	cfg.Key, cfg.Listen = k, "127.0.0.1:0"
	transport, err := tcp.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	env, err := kit.NewEnv(kit.NewSystem(nil), "n", kit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := &realNode{t: t, env: env, id: id, tcp: transport, mail: make(chan any, 1<<16)}
	for _, at := range []messages.Addr{messages.ManagerAddr, messages.MonitorsAddr, "channel/a", "channel/b"} {
		n.spawn(at, env.Props(func() actor.Actor { return actor.ReceiveFunc(n.record) }))
	}
	session.Self, session.Chain = id, chain
	ready := make(chan struct{}, 1) // it accepts connections from then on
	lasting := func() []peers.Lasting { ready <- struct{}{}; return nil }
	n.pid = n.spawn(messages.PeersAddr, peers.Props(env, peers.Config{Session: session, Transport: transport, Lasting: lasting}))
	<-ready
	t.Cleanup(func() {
		if err := env.System.Root.StopFuture(n.pid).Wait(); err != nil {
			t.Error("peers do not stop: ", err)
		}
		transport.Close()
		env.Close()
	})
	return n
}

func (n *realNode) spawn(at messages.Addr, props *actor.Props) *actor.PID {
	n.t.Helper()
	pid, err := n.env.Spawn(nil, at, props)
	if err != nil {
		n.t.Fatal(err)
	}
	return pid
}

func (n *realNode) record(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case messages.PeerUp, messages.PeerDown, messages.PeerMsg, messages.InboundOpen, messages.KnownChannel:
		n.mail <- m
	}
}

// next is the next message of a type; others before it are dropped.
func next[T any](n *realNode) T {
	n.t.Helper()
	patience := time.After(2 * time.Minute)
	for {
		select {
		case m := <-n.mail:
			if got, ok := m.(T); ok {
				return got
			}
		case <-patience:
			var want T
			n.t.Fatalf("no %T", want)
		}
	}
}

func (n *realNode) connect(to *realNode) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	answer := make(chan error, 1)
	at := messages.Addr("user/" + to.id.String())
	pid, err := n.env.Spawn(nil, at, n.env.Props(func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			if m, ok := c.Message().(messages.ConnectReply); ok {
				answer <- m.Err
			}
		})
	}))
	if err != nil {
		return err
	}
	defer func() { _ = n.env.System.Root.StopFuture(pid).Wait() }()
	n.env.Tell(messages.PeersAddr, messages.ConnectPeer{Peer: to.id, Address: to.tcp.Addr(), ReplyTo: at})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestTwoNodesOverTCP(t *testing.T) {
	alice, bob := newRealNode(t, 1, tcp.Config{}, peer.Config{}), newRealNode(t, 2, tcp.Config{}, peer.Config{})
	if err := alice.connect(bob); err != nil {
		t.Fatal(err)
	}
	id := ln.ChannelID{1}
	alice.env.Tell(messages.PeerAddr(bob.id), messages.PeerAttach{ID: id, Incarnation: 1, To: "channel/a"})
	bob.env.Tell(messages.PeerAddr(alice.id), messages.PeerAttach{ID: id, Incarnation: 1, To: "channel/b"})
	up := next[messages.PeerUp](alice)
	if up.Peer != bob.id || up.Established {
		t.Fatal(up)
	}
	next[messages.PeerUp](bob)

	// Many more messages than the window has room for, in order.
	const many = 5000
	for i := range many {
		alice.env.Tell(messages.PeerAddr(bob.id), messages.PeerSend{
			Session: up.Session, Msgs: []lnwire.Message{&lnwire.UpdateFee{ChanID: lnwire.ChannelID(id), FeePerKw: uint32(i)}},
		})
	}
	for i := range many {
		got := next[messages.PeerMsg](bob).Msg.(*lnwire.UpdateFee)
		if got.FeePerKw != uint32(i) {
			t.Fatal("want", i, "got", got.FeePerKw)
		}
	}

	bob.env.Tell(messages.PeersAddr, messages.DisconnectPeer{Peer: alice.id})
	down := next[messages.PeerDown](alice)
	if down.Session != up.Session {
		t.Fatal(down, up)
	}
	again := next[messages.PeerUp](alice) // by itself
	if again.Session <= up.Session || again.Established {
		t.Fatal(again)
	}
}

func TestWrongNode(t *testing.T) {
	alice, bob := newRealNode(t, 1, tcp.Config{}, peer.Config{}), newRealNode(t, 2, tcp.Config{}, peer.Config{})
	_, bob.id = key(3)
	if err := alice.connect(bob); !errors.Is(err, tcp.ErrHandshake) {
		t.Fatal(err)
	}
	_, bob.id = key(1)
	if err := alice.connect(bob); !errors.Is(err, peers.ErrSelf) {
		t.Fatal(err)
	}
	bob.id = ln.NodeID{1}
	if err := alice.connect(bob); !errors.Is(err, peers.ErrNodeID) {
		t.Fatal(err)
	}
}

// A channel that is slow keeps its peer from being read, so that its mailbox stays short; other peers are read on.
func TestSlowChannel(t *testing.T) {
	limits := peer.Config{Limits: peer.Limits{Depth: 50, Window: 10}}
	alice, bob := newRealNode(t, 1, tcp.Config{}, peer.Config{}), newRealNode(t, 2, tcp.Config{}, limits)
	gate := make(chan struct{})
	deepest := make(chan int, 1)
	seen := 0
	bob.spawn("channel/slow", bob.env.Props(func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(messages.PeerMsg); !ok {
				return
			}
			if seen++; seen == 1 {
				<-gate
				deepest <- bob.env.Depth("channel/slow")
			}
			if seen == 1000 {
				close(deepest)
			}
		})
	}))
	if err := alice.connect(bob); err != nil {
		t.Fatal(err)
	}
	id := ln.ChannelID{1}
	alice.env.Tell(messages.PeerAddr(bob.id), messages.PeerAttach{ID: id, Incarnation: 1, To: "channel/a"})
	bob.env.Tell(messages.PeerAddr(alice.id), messages.PeerAttach{ID: id, Incarnation: 1, To: "channel/slow"})
	up := next[messages.PeerUp](alice)
	for i := range 1000 {
		alice.env.Tell(messages.PeerAddr(bob.id), messages.PeerSend{
			Session: up.Session, Msgs: []lnwire.Message{&lnwire.UpdateFee{ChanID: lnwire.ChannelID(id), FeePerKw: uint32(i)}},
		})
	}
	for bob.env.Depth("channel/slow") <= 50 {
		time.Sleep(time.Millisecond)
	}
	carol := newRealNode(t, 3, tcp.Config{}, peer.Config{})
	if err := carol.connect(bob); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if depth := <-deepest; depth > 50+10+1 {
		t.Fatal("depth", depth)
	}
	select {
	case <-deepest:
	case <-time.After(2 * time.Minute):
		t.Fatal("stuck")
	}
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
