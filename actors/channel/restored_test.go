package channel

import (
	"errors"
	"strings"
	"testing"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// restore puts a copy of the facts in the place of a node's own, as a restore does, and starts it.
func (n *node) restore(copied *facts.Channel) {
	n.durable = copied.Clone()
	_, err := n.durable.Apply(facts.Restored{})
	check(n.w.t, err)
	n.restart(true)
}

// A copy that is current goes on: the mark is gone from the disk before anything is signed, and payments pass again.
func TestRestoredAndCurrent(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 2_000_000)
	w.run()
	w.disconnect()
	w.a.restore(w.a.durable)
	w.run()
	w.a.add(2, 2_000_000) // before the connection: refused
	w.run()
	if len(w.a.refused) == 0 || !w.a.durable.Unverified {
		t.Fatal("unverified, and adds", w.a.refused)
	}
	w.connect()
	w.run()
	if w.a.durable.Unverified {
		t.Fatal("not verified")
	}
	before := w.a.durable.CounterpartyNumber
	w.b.decide(0, "fulfill")
	w.a.add(3, 2_000_000)
	w.run()
	if w.a.durable.CounterpartyNumber == before || len(w.a.forced)+len(w.b.forced) > 0 {
		t.Fatal("the channel does not go on")
	}
}

// A copy that fits although messages were lost after it: what is sent again is behind the record that ends the doubt.
func TestRestoredInTheMiddle(t *testing.T) {
	for steps := range 40 {
		w := newWorld(t)
		w.a.add(1, 2_000_000)
		w.b.add(2, 3_000_000)
		for range steps {
			w.a.turnChannel()
			w.a.turnMonitor()
			if steps%2 == 0 {
				w.a.turnPeer()
				w.a.turnWire()
			}
			w.b.turnChannel()
			w.b.turnMonitor()
			w.b.turnPeer()
			w.b.turnWire()
		}
		w.a.restore(w.a.durable)
		w.connect()
		w.run()
		if w.a.durable.Unverified || len(w.a.forced)+len(w.b.forced) > 0 || !w.a.ch.up() {
			t.Fatalf("%d steps: unverified %t, closes %v %v", steps, w.a.durable.Unverified, w.a.forced, w.b.forced)
		}
	}
}

// A copy that is behind: each way in which the peer's numbers do not fit. No request to close, the peer is told on each connection, and the mark stays
// unless it is proven.
func TestRestoredAndBehind(t *testing.T) {
	for _, c := range []struct {
		name   string
		after  func(w *world) // what happened after the copy
		behind bool
	}{
		{"a commitment was revoked", func(w *world) {
			w.b.add(5, 2_000_000)
			w.run()
		}, true},
		{"many were revoked", func(w *world) {
			for id := range uint64(5) {
				w.a.add(10+id, 2_000_000)
				w.run()
			}
		}, true},
		{"a commitment was signed, and the peer did not answer", func(w *world) {
			w.a.add(5, 2_000_000)
			for range 10 {
				w.a.turnChannel()
				w.a.turnMonitor()
				w.a.turnPeer()
				w.a.turnWire()
			}
			for w.b.turnChannel() || w.b.turnMonitor() {
			}
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.a.add(1, 2_000_000)
			w.run()
			old := w.a.durable.Clone()
			c.after(w)
			w.a.restore(old)
			for range 3 {
				w.a.wire, w.b.wire = nil, nil
				w.connect()
				for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() || w.b.turnChannel() || w.b.turnMonitor() || w.b.turnPeer() {
				}
				w.a.wire = nil // so that the peer does not close over it
				for w.b.turnWire() || w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
				}
				var said []string
				for _, raw := range w.a.wire {
					said = append(said, describe(decode(t, raw)))
				}
				all := strings.Join(said, "\n")
				if !strings.Contains(all, "error ") || strings.Contains(all, "commitment_signed") || strings.Contains(all, "revoke_and_ack") {
					t.Fatalf("said %q", all)
				}
				if w.a.ch.session.link != linkMute {
					t.Fatal("it would go on with this peer")
				}
				w.a.add(20, 2_000_000)
				for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
				}
			}
			if len(w.a.forced) > 0 || w.a.durable.ProvenBehind != c.behind || !w.a.durable.Unverified {
				t.Fatalf("closes %v, behind %t, unverified %t", w.a.forced, w.a.durable.ProvenBehind, w.a.durable.Unverified)
			}
			if w.a.durable.CounterpartyNumber != old.CounterpartyNumber || w.a.durable.HolderNumber != old.HolderNumber || w.a.durable.Unrevoked != old.Unrevoked {
				t.Fatal("it signed or revoked")
			}
		})
	}
}

// Whatever the peer does to an unverified channel, it is no reason to close; a close by the user is refused with what to do.
func TestUnverifiedNeverAsksToClose(t *testing.T) {
	for name, m := range map[string]lnwire.Message{
		"error":             &lnwire.Error{Data: lnwire.ErrorData("unknown channel")},
		"peer late":         &lnwire.ChannelReestablish{NextLocalCommitHeight: 1},
		"wrong secret":      &lnwire.ChannelReestablish{NextLocalCommitHeight: 3, RemoteCommitTailHeight: 2, LastRemoteCommitSecret: [32]byte{1}},
		"number never used": &lnwire.ChannelReestablish{NextLocalCommitHeight: 77, RemoteCommitTailHeight: 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.a.add(1, 2_000_000)
			w.run()
			w.b.decide(0, "fulfill")
			w.run()
			w.a.restore(w.a.durable)
			w.connect()
			for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
			}
			w.a.toChannel = append(w.a.toChannel,
				messages.PeerMsg{Session: w.a.sessionID, Msg: m}, messages.CloseChannel{ReplyTo: "test"})
			for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
			}
			if len(w.a.forced) > 0 || !w.a.durable.Unverified {
				t.Fatalf("closes %v", w.a.forced)
			}
			if n := len(w.a.replies); n == 0 || !errors.Is(w.a.replies[n-1].Err, facts.ErrUnverified) {
				t.Fatalf("replies %v", w.a.replies)
			}
			// The next connection tries again.
			w.a.wire, w.b.wire, w.a.toChannel = nil, nil, nil
			w.connect()
			w.run()
			if w.a.durable.Unverified || !w.a.ch.up() {
				t.Fatal("not verified on the next connection")
			}
		})
	}
}
