package graph

import (
	"slices"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/messages"
)

func (r *rig) stats(channels, policies, announced int) {
	r.t.Helper()
	if s := r.core.g.Stats(); s.Channels != channels || s.Policies != policies || s.Announced != announced {
		r.t.Fatalf("%+v, want %d channels, %d policies, %d announced nodes", s, channels, policies, announced)
	}
}

func TestIntake(t *testing.T) {
	r := newRig(t)
	r.up(1)
	// One batch: updates and nodes may follow their channel at once.
	r.say(1, append(r.channel(scid(700, 1, 0), 10, 11), nodeAnnouncement(10, r.now))...)
	r.stats(1, 2, 1)
	ch := r.core.g.Channel(scid(700, 1, 0))
	if ch.CapacitySat != 1_000_000 || ch.Outpoint != outpoint(scid(700, 1, 0)) {
		t.Fatalf("%+v", ch)
	}
	asked := r.chain.asked
	r.say(1, r.channel(scid(700, 1, 0), 10, 11)...)
	if r.chain.asked != asked {
		t.Error("a known channel is looked up again")
	}
	r.say(1, nodeAnnouncement(12, r.now), update(scid(700, 9, 0), 10, 11, r.now, nil))
	r.stats(1, 2, 1)
}

func TestHostileGossip(t *testing.T) {
	id := scid(700, 1, 0)
	for _, x := range []struct {
		name   string
		make   func(r *rig) []lnwire.Message
		lookup bool // the chain is asked
		buried bool // and what it says settles the matter
	}{
		{"signature", func(r *rig) []lnwire.Message {
			r.chain.fund(id, 10, 11)
			m := announcement(id, 10, 11)
			m.BitcoinSig2 = m.NodeSig1
			return []lnwire.Message{m}
		}, false, false},
		{"no output", func(*rig) []lnwire.Message { return []lnwire.Message{announcement(id, 10, 11)} }, true, true},
		{"other output", func(r *rig) []lnwire.Message {
			r.chain.fund(id, 10, 12)
			return []lnwire.Message{announcement(id, 10, 11)}
		}, true, false},
		{"no output near the tip", func(*rig) []lnwire.Message { return []lnwire.Message{announcement(scid(798, 1, 0), 10, 11)} }, true, false},
		{"chain away", func(r *rig) []lnwire.Message {
			r.chain.fund(id, 10, 11)
			r.chain.err = errAway
			return []lnwire.Message{announcement(id, 10, 11)}
		}, true, false},
		{"other chain", func(r *rig) []lnwire.Message {
			r.chain.fund(id, 10, 11)
			m := announcement(id, 10, 11)
			m.ChainHash[5]++
			return []lnwire.Message{m}
		}, false, false},
		{"far ahead of the chain", func(r *rig) []lnwire.Message {
			r.chain.fund(scid(900, 1, 0), 10, 11)
			return []lnwire.Message{announcement(scid(900, 1, 0), 10, 11)}
		}, false, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t)
			r.up(1)
			r.say(1, x.make(r)...)
			r.stats(0, 0, 0)
			if r.chain.asked > 0 != x.lookup {
				t.Error("looked up", r.chain.asked)
			}
			if got := !r.core.g.Wants(id); got != x.buried {
				t.Error("buried", got)
			}
			if x.buried || x.name == "other output" {
				asked := r.chain.asked
				r.say(1, announcement(id, 10, 11))
				if r.chain.asked != asked {
					t.Error("the chain is asked again")
				}
			}
		})
	}
	// Updates and nodes of somebody else's making.
	r := newRig(t)
	r.up(1)
	r.say(1, r.channel(id, 10, 11)...)
	forged := update(id, 12, 11, r.now.Add(time.Second), func(u *lnwire.ChannelUpdate1) { u.ChannelFlags = 0; u.BaseFee = 5 })
	future := update(id, 10, 11, r.now.Add(48*time.Hour), func(u *lnwire.ChannelUpdate1) { u.BaseFee = 6 })
	node := nodeAnnouncement(10, r.now)
	node.Alias[0]++
	r.say(1, forged, future, node)
	r.stats(1, 2, 0)
	for _, p := range r.core.g.Channel(id).Policies {
		if p.BaseMsat != 1000 {
			t.Error("a false update was taken", p)
		}
	}
}

// What a stranger says of a place with keys of its own must not keep the channel out that is there.
func TestAnotherChannelsPlace(t *testing.T) {
	id := scid(700, 1, 0)
	for name, say := range map[string]func(r *rig, truth []lnwire.Message){
		"before": func(r *rig, truth []lnwire.Message) {
			r.say(1, announcement(id, 98, 99))
			r.stats(0, 0, 0)
			r.say(2, truth...)
		},
		"in the same batch": func(r *rig, truth []lnwire.Message) {
			lies := []lnwire.Message{announcement(id, 98, 99), update(id, 98, 99, r.now, nil), announcement(id, 97, 99)}
			r.say(1, append(lies, truth...)...)
		},
		"in the same batch, the same with wrong signatures": func(r *rig, truth []lnwire.Message) {
			bad := *truth[0].(*lnwire.ChannelAnnouncement1)
			bad.NodeSig1 = bad.NodeSig2
			r.say(1, append([]lnwire.Message{&bad}, truth...)...)
		},
		"after": func(r *rig, truth []lnwire.Message) {
			r.say(2, truth...)
			r.say(1, announcement(id, 98, 99))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.up(1)
			r.up(2)
			say(r, append(r.channel(id, 10, 11), nodeAnnouncement(10, r.now)))
			r.stats(1, 2, 1)
			if len(r.core.queue) != 0 || r.core.peers[nodeID(1)].waiting != 0 || r.core.peers[nodeID(2)].waiting != 0 {
				t.Error("the queue is not worked off", len(r.core.queue))
			}
		})
	}
}

// A peer that tells of many channels that are not there is not listened to for a while; others are.
func TestLiar(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.up(2)
	id := scid(700, 1, 0)
	truth := r.channel(id, 10, 11)
	for i := range 30 {
		r.say(1, announcement(id, 100+i, 99))
	}
	if want := int(lieRate.Burst) + 1; r.chain.asked != want {
		t.Fatal("the chain was asked", r.chain.asked, "times, want", want)
	}
	r.say(1, truth...)
	r.stats(0, 0, 0)
	r.say(2, truth...)
	r.stats(1, 2, 0)
	r.now = r.now.Add(deaf)
	r.say(1, r.channel(scid(700, 2, 0), 10, 11)...)
	r.stats(2, 4, 0)

	for i := range maxLies + 5 {
		r.core.lies.add(lie{byte(i), byte(i >> 8), byte(i >> 16)})
		r.core.lies.add(lie{1})
	}
	if l := &r.core.lies; len(l.all) != maxLies || len(l.ring) != maxLies {
		t.Fatal("what is remembered as false is not bounded", len(l.all), len(l.ring))
	}
}

func TestABlockAhead(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.say(1, r.channel(scid(801, 1, 0), 10, 11)...)
	r.stats(0, 0, 0)
	r.tell(messages.ChainTip{Height: 801})
	r.stats(1, 2, 0)
}

func TestFloods(t *testing.T) {
	r := newRig(t)
	r.core.tip = 0 // nothing is verified, so all of it waits
	r.up(1)
	r.up(2)
	u := update(scid(700, 1, 0), 10, 11, r.now, nil)
	for range r.cfg.Share + 100 {
		r.core.gossip(messages.Gossip{Peer: nodeID(1), Session: 1, Msgs: []lnwire.Message{u}}, r.now)
	}
	if len(r.core.queue) != r.cfg.Share || r.core.dropped != 100 {
		t.Fatal(len(r.core.queue), r.core.dropped)
	}
	// The others have room all the same.
	r.core.gossip(messages.Gossip{Peer: nodeID(2), Session: 2, Msgs: []lnwire.Message{u}}, r.now)
	if len(r.core.queue) != r.cfg.Share+1 {
		t.Fatal("one peer takes all the room")
	}
	for n := 3; n < 20; n++ {
		r.up(n)
		for range r.cfg.Share {
			r.core.gossip(messages.Gossip{Peer: nodeID(n), Session: uint64(n), Msgs: []lnwire.Message{u}}, r.now)
		}
	}
	if len(r.core.queue) != r.cfg.Queue {
		t.Fatal("the queue is not bounded", len(r.core.queue))
	}
	r.tell(messages.ChainTip{Height: 800})
	if len(r.core.queue) != 0 || r.core.peers[nodeID(1)].waiting != 0 {
		t.Fatal("the queue is not worked off", len(r.core.queue), r.core.peers[nodeID(1)].waiting)
	}
	for i := range uint64(3 * maxEarly) {
		r.core.tooEarly(item{}, scid(801, i, 0))
	}
	if len(r.core.early) != maxEarly {
		t.Fatal("what waits for a block is not bounded", len(r.core.early))
	}
}

func TestOldSessions(t *testing.T) {
	r := newRig(t)
	msgs := r.channel(scid(700, 1, 0), 10, 11)
	r.say(1, msgs...) // never connected
	r.up(1)
	r.tell(messages.GossipUp{Peer: nodeID(1), Session: 7, Queries: true})
	r.say(1, msgs...)
	r.tell(messages.GossipDown{Peer: nodeID(1), Session: 1})
	r.stats(0, 0, 0)
	if r.core.peers[nodeID(1)] == nil {
		t.Fatal("the end of an old session ends a new one")
	}
	r.tell(messages.GossipDown{Peer: nodeID(1), Session: 7})
	if len(r.core.peers)+len(r.core.order) != 0 {
		t.Fatal("a peer that left is kept")
	}
}

func spend(op wire.OutPoint) messages.ChainMatch {
	return messages.ChainMatch{Tx: &wire.MsgTx{TxIn: []*wire.TxIn{{PreviousOutPoint: op}}}}
}

func TestChain(t *testing.T) {
	r := newRig(t)
	first := r.took()
	register := func(ds []messages.Delivery) *messages.ChainRegister {
		for _, d := range ds {
			if m, ok := d.Msg.(messages.ChainRegister); ok && d.To == messages.ChainWatchAddr {
				return &m
			}
		}
		return nil
	}
	if m := register(first); m == nil || !m.Graph || m.Height != 800-safety || len(m.Outpoints) != 0 {
		t.Fatalf("%+v", first)
	}
	r.up(1)
	old, young := scid(600, 1, 0), scid(799, 1, 0)
	r.say(1, append(r.channel(old, 10, 11), r.channel(young, 11, 12)...)...)
	r.stats(2, 4, 0)
	var watched []messages.ChainWatch
	for _, d := range r.took() {
		if m, ok := d.Msg.(messages.ChainWatch); ok {
			watched = append(watched, m)
		}
	}
	if len(watched) != 1 || len(watched[0].Outpoints) != 2 || watched[0].FromHeight != 800-144 {
		t.Fatalf("%+v", watched)
	}
	r.tell(messages.ChainBlock{Incarnation: r.inc + 1, Height: 801, Matches: []messages.ChainMatch{spend(outpoint(old))}})
	r.stats(2, 4, 0) // meant for another incarnation
	r.tell(messages.ChainBlock{Incarnation: r.inc, Height: 801, Matches: []messages.ChainMatch{spend(outpoint(old)), spend(wire.OutPoint{})}})
	r.stats(1, 2, 0)
	r.say(1, r.channel(old, 10, 11)...)
	r.stats(1, 2, 0) // closed is closed

	// What is known is watched again from where the cache ends, by the next incarnation.
	r.tell(messages.ChainTip{Height: 803})
	raw := r.core.snapshot()
	g, cursor, err := store.Decode(raw, testChain, store.Limits{}, r.now)
	if err != nil || cursor.Height != 803 {
		t.Fatal(err, cursor)
	}
	r.took()
	r.start(g, cursor.Height)
	r.tell(messages.ChainTip{Height: 900})
	if m := register(r.took()); m == nil || m.Height != 803-safety || !slices.Equal(m.Outpoints, []wire.OutPoint{outpoint(young)}) || m.Incarnation != r.inc {
		t.Fatalf("%+v", m)
	}
	if _, c, _ := store.Decode(r.core.snapshot(), testChain, store.Limits{}, r.now); c.Height != 803 {
		t.Fatal("spends before the watch has caught up would be missed", c.Height)
	}
	r.tell(messages.ChainBlock{Incarnation: r.inc, Height: 900}, messages.ChainTip{Height: 901})
	if _, c, _ := store.Decode(r.core.snapshot(), testChain, store.Limits{}, r.now); c.Height != 901 {
		t.Fatal("the cursor stays behind", c.Height)
	}
	// A reorganisation takes young channels out; they may come back elsewhere.
	r.tell(messages.ChainTip{Height: 799, Disconnected: 102})
	r.stats(1, 2, 0)
	r.tell(messages.ChainTip{Height: 799, Disconnected: 1})
	r.stats(0, 0, 0)
	if !r.core.g.Wants(young) {
		t.Fatal("it must be welcome again")
	}
	r.tell(messages.ChainStarted{Incarnation: 9})
	if m := register(r.took()); m == nil {
		t.Fatal("chainwatch's new incarnation knows of nothing")
	}
}

func TestPrunes(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.say(1, r.channel(scid(700, 1, 0), 10, 11)...)
	r.now = r.now.Add(15 * 24 * time.Hour)
	r.wait(time.Second)
	r.stats(0, 0, 0)
}

func TestRoutes(t *testing.T) {
	r := newRig(t)
	r.up(1)
	first, second, other := scid(700, 1, 0), scid(700, 2, 0), scid(700, 3, 0)
	r.say(1, r.channel(first, 10, 11)...)
	r.took()
	r.say(1, r.channel(second, 10, 11)...)
	r.took()
	r.say(1, r.channel(other, 12, 11)...)
	r.took()
	ask := func() messages.RoutesFound {
		m := messages.FindRoutes{ID: 5, ReplyTo: "asker"}
		m.Request.Self, m.Request.Target, m.Request.AmountMsat, m.Request.MaxFeeMsat = nodeID(self), nodeID(11), 1_000_000, 5000
		m.Request.Local = append(m.Request.Local, localTo(10), localTo(12))
		r.tell(m)
		return r.took()[0].Msg.(messages.RoutesFound)
	}
	got := ask()
	if got.ID != 5 || got.Err != nil || len(got.Routes) != 1 || len(got.Routes[0].Hops) != 2 || got.Routes[0].FeeMsat != 1000 {
		t.Fatalf("%+v", got)
	}
	r.tell(messages.RouteOutcome{Passed: got.Routes[0].Hops[:1], Failed: &got.Routes[0].Hops[1]})
	last := func(m messages.RoutesFound) uint64 {
		if m.Err != nil {
			t.Fatal(m.Err)
		}
		return m.Routes[0].Hops[1].SCID
	}
	if got := ask(); last(got) != second {
		t.Fatalf("what failed a moment ago is tried again: %+v", got)
	}
	id := nodeID(10)
	r.now = r.now.Add(48 * time.Hour)
	if got := ask(); last(got) != first {
		t.Fatalf("two days later it is not tried again: %+v", got)
	}
	r.tell(messages.RouteOutcome{FailedNode: &id})
	if got := ask(); last(got) != other {
		t.Fatal("a node that failed is tried again")
	}
}
