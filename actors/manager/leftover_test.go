package manager

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Reading an onion is what takes time, and one that is left is as good as 10,000.
var many = flag.Int("manager.many", 50, "HTLCs of TestNothingIsLeft")

// leftovers is what a manager still keeps of HTLCs, payments and events, by what it is; empty when all of them have ended.
func (m *Manager) leftovers() string {
	n := map[string]int{
		"timers": len(m.timers.queue), "heights": len(m.heights.queue), "open": len(m.open), "users": len(m.users), "lookups": len(m.lookups),
		"inbound": len(m.inbound), "byHTLC": len(m.byHTLC), "sets": len(m.sets), "setOf": len(m.setOf), "dirty": len(m.dirty),
		"forwards": len(m.forwards), "asked": len(m.asked), "unknown": len(m.unknown), "homing": len(m.homing), "preimages": len(m.preimages),
		"payments": len(m.payments), "starting": len(m.starting), "attempts": len(m.attempts), "searches": len(m.searches), "touched": len(m.touched),
		"later": len(m.later), "stuck": len(m.stuck), "requests": len(m.requests), "sweeps": len(m.sweeps), "parked": m.parked,
	}
	for _, c := range m.channels {
		n["channel.later"] += len(c.later)
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(n)) {
		if n[k] != 0 {
			out = append(out, fmt.Sprintf("%s: %d", k, n[k]))
		}
	}
	return strings.Join(out, ", ")
}

// bench is a manager with three channels that are told what the test likes, and monitors that answer each decision at once.
type bench struct {
	m    *Manager
	s    *script // for its onions
	now  time.Time
	seq  uint64
	htlc uint64
	next func(messages.AddHTLC) any // what a channel answers
}

func newBench(cfg Config) *bench {
	b := &bench{m: New(cfg, quiet, 1, newState()), s: &script{}, now: epoch}
	b.out(b.m.Start())
	b.step(messages.ChainTip{Height: startHeight})
	b.step(messages.MonitorList{ManagerIncarnation: 1, Channels: []ln.ChannelID{channelID("c1"), channelID("c2"), channelID("c3")}})
	for i, peer := range []string{"payer", "peer", "peer"} {
		id := channelID(fmt.Sprintf("c%d", i+1))
		b.step(messages.MonitorReport{ManagerIncarnation: 1, Fence: b.m.channels[id].fence, Channel: id, Summary: messages.ChannelSummary{
			Channel: id, Peer: peerNamed(peer), Phase: messages.PhaseOpen, HolderMsat: 1 << 40, ShortChannelID: uint64(i+1) * 100,
		}})
	}
	return b
}

func (b *bench) step(msg any) { b.out(b.m.Step(msg, b.now)) }

func (b *bench) out(e Effects) {
	for _, a := range e.Appends {
		b.deliver(a.Then)
	}
	b.deliver(e.Tell)
}

func (b *bench) deliver(ds []messages.Delivery) {
	for _, d := range ds {
		switch msg := d.Msg.(type) {
		case messages.GetRows:
			b.step(messages.GotRows{Incarnation: msg.Incarnation, Token: msg.Token})
		case messages.DecideHTLC:
			b.step(messages.InboundDecided{Channel: msg.Channel, HTLCID: msg.HTLCID, Resolution: &msg.Resolution})
			b.step(messages.InboundResolved{Channel: msg.Channel, HTLCID: msg.HTLCID, Fulfilled: msg.Resolution.Fulfilled()})
		case messages.AddHTLC:
			b.step(b.next(msg))
		case messages.UserEvents:
			for _, ev := range msg.Events {
				b.step(messages.UserEventHandled{ID: ev.ID})
			}
		}
	}
}

// emit has a channel tell of an HTLC, which is like others but for its number.
func (b *bench) emit(channel string, k facts.HTLCAccepted) {
	b.seq++
	k.HTLCID = b.htlc
	b.htlc++
	b.event(channel, k)
}

func (b *bench) event(channel string, k facts.EventKind) {
	id := channelID(channel)
	b.step(messages.EmitEvents{Channel: id, Fence: b.m.channels[id].fence, Events: []facts.Event{{Seq: b.seq, Kind: k}}})
}

func (b *bench) onward(opts map[string]string) facts.HTLCAccepted {
	b.s.target = "c1"
	return b.s.onward([]string{"accepted", "0", "p1"}, opts).(facts.HTLCAccepted)
}

func (b *bench) paying(invoice string, opts map[string]string) facts.HTLCAccepted {
	return b.s.accepted([]string{"accepted", "0", invoice}, "", opts).(facts.HTLCAccepted)
}

func (b *bench) refuse(msg messages.AddHTLC) any {
	return messages.NotCommitted{Channel: channelID("c2"), Fence: msg.Fence, Source: msg.Source}
}

// TestNothingIsLeft: what has ended, in whichever way, leaves nothing behind. Whoever sends us HTLCs could fill our memory with it otherwise: one that
// is refused costs nothing.
func TestNothingIsLeft(t *testing.T) {
	intercepting := testConfig()
	intercepting.Intercept = true
	holding := testConfig()
	holding.ManualClaim = true
	for name, c := range map[string]struct {
		cfg  Config
		each func(b *bench) func()
	}{
		"refused": {testConfig(), func(b *bench) func() {
			k := b.onward(map[string]string{"expiry": "499999999"})
			return func() { b.emit("c1", k) }
		}},
		"refused by its terms": {testConfig(), func(b *bench) func() {
			k := b.onward(map[string]string{"expiry": "5000", "in": "900"})
			return func() { b.emit("c1", k) }
		}},
		"refused by the channel": {testConfig(), func(b *bench) func() {
			k := b.onward(map[string]string{"expiry": "5000"})
			b.m.channels[channelID("c3")].down = true
			b.next = b.refuse
			return func() { b.emit("c1", k) }
		}},
		"failed downstream": {testConfig(), func(b *bench) func() {
			k := b.onward(map[string]string{"expiry": "5000"})
			b.next = func(msg messages.AddHTLC) any {
				return messages.HTLCCommitted{Channel: channelID("c2"), HTLCID: b.htlc, Source: *msg.Source.Forward}
			}
			return func() {
				b.emit("c1", k)
				src := &ln.ForwardSource{Channel: channelID("c1"), HTLCID: b.htlc - 1, CLTVExpiry: k.CLTVExpiry}
				b.event("c2", facts.Failed{HTLCID: b.htlc, Hash: k.Hash, Source: ln.Source{Forward: src}, Resolution: facts.Resolution{Reason: make([]byte, 292)}})
			}
		}},
		"intercepted": {intercepting, func(b *bench) func() {
			k := b.onward(map[string]string{"expiry": "5000"})
			return func() {
				b.emit("c1", k)
				b.step(messages.DecideIntercepted{Channel: channelID("c1"), HTLCID: b.htlc - 1, Action: messages.InterceptFail})
			}
		}},
		"sets that can't be": {testConfig(), func(b *bench) func() {
			one := b.paying("inv-any", map[string]string{"amount": "500", "total": "2000", "expiry": "5000"})
			other := b.paying("inv-any", map[string]string{"amount": "500", "total": "3000", "expiry": "5000"})
			return func() { b.emit("c1", one); b.emit("c3", other) }
		}},
		"sets that time out": {testConfig(), func(b *bench) func() {
			k := b.paying("inv-any", map[string]string{"amount": "500", "total": "2000", "expiry": "5000"})
			return func() { b.emit("c1", k); b.now = b.now.Add(SetTimeout); b.step(messages.Wake{}) }
		}},
		"sets that are refused": {holding, func(b *bench) func() {
			k := b.paying("inv-any", map[string]string{"amount": "2000", "expiry": "5000"})
			return func() { b.emit("c1", k); b.step(messages.ClaimHeld{Hash: k.Hash}) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(c.cfg)
			each := c.each(b)
			for range *many {
				each()
			}
			if left := b.m.leftovers(); left != "" {
				t.Fatalf("left of %d: %s", *many, left)
			}
		})
	}
}
