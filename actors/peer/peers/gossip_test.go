package peers_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/peer/peers"
	"github.com/lnactor/lnactor/messages"
)

// A peer that floods us with gossip is heard up to the limit; what it says beside is handled all the same, and nobody else notices. A graph that
// starts again is told of all sessions.
func TestGossipFlood(t *testing.T) {
	w := newWorld(9)
	var gossip, signatures int
	var ups []messages.GossipUp
	const limit = 10_000
	w.alter = func(_ string, cfg *peers.Config) {
		cfg.Session.Gossip = true
		cfg.Session.Limits.GossipBytes, cfg.Session.Limits.GossipMinute = limit, 1
	}
	w.boot("alice", "bob", false)
	w.sim.Spawn("alice", messages.GraphAddr, func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case messages.Gossip:
				for _, msg := range m.Msgs {
					if msg.MsgType() == lnwire.MsgAnnounceSignatures {
						signatures++
					} else {
						gossip++
					}
				}
			case messages.GossipUp:
				ups = append(ups, m)
			}
		})
	})
	s := w.stranger(120)
	s.dial(t, "alice")
	s.send(t, lnwire.NewInitMessage(lnwire.NewRawFeatureVector(), lnwire.NewRawFeatureVector(0, 7, 8, 12, 14, 44)))
	var flood []lnwire.Message
	for range 1000 {
		flood = append(flood, &lnwire.GossipTimestampRange{})
	}
	flood = append(flood, lnwire.NewPing(5), &lnwire.AnnounceSignatures1{})
	s.send(t, flood...)
	for range 20 { // the network takes its time
		s.settle(t)
	}
	const size = 2 + 32 + 4 + 4
	if gossip != limit/size || signatures != 1 {
		t.Fatal(gossip, signatures)
	}
	if pong, ok := s.got[len(s.got)-1].(*lnwire.Pong); !ok || len(pong.PongBytes) != 5 || s.over != nil {
		t.Fatal("the flood holds up what is no gossip", s.over)
	}
	other := w.stranger(121)
	other.dial(t, "alice")
	other.send(t, lnwire.NewInitMessage(lnwire.NewRawFeatureVector(), lnwire.NewRawFeatureVector(0, 8, 12, 14, 44)), &lnwire.GossipTimestampRange{})
	if gossip != limit/size+1 {
		t.Fatal("another peer's gossip is lost")
	}
	if len(ups) != 2 || !ups[0].Queries || ups[1].Queries || ups[0].Peer != s.id {
		t.Fatal(ups)
	}
	was := ups
	ups = nil
	w.sim.Probe("graph").Send("alice", messages.PeersAddr, messages.GraphStarted{})
	w.sim.Settle(1000)
	if len(ups) != 2 || ups[0] != was[0] && ups[0] != was[1] || ups[0] == ups[1] {
		t.Fatal(ups)
	}
}
