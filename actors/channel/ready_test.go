package channel

import (
	"testing"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// A peer that says channel_ready before channel_reestablish (lnd, when the connection was lost before the funding confirmed) waits for our channel_ready.
func TestReadyBeforeReestablish(t *testing.T) {
	const reestablish, ready = "channel_reestablish next_commitment=1 next_revocation=0", "channel_ready alias=97"
	setup := func(t *testing.T) (w *world, theirs *lnwire.ChannelReady, confirm func()) {
		w = newWorld(t, func(tm *terms) { tm.unconfirmed, tm.disconnected = true, true })
		w.connect()
		w.say()
		if said := w.heard(); said != reestablish {
			t.Fatal(said)
		}
		point, err := w.b.keys.PerCommitmentPoint(1, 1)
		check(t, err)
		return w, lnwire.NewChannelReady(lnwire.ChannelID(w.a.id()), point), func() {
			w.a.fact(facts.FundingConfirmed{Height: 100, TxIndex: 1})
			w.a.fact(facts.HolderReady{})
			w.say()
		}
	}
	said := func(t *testing.T, w *world, when, want string) {
		t.Helper()
		if got := w.heard(); got != want {
			t.Fatalf("%s we say %q, want %q", when, got, want)
		}
	}
	goesOn := func(t *testing.T, w *world, theirs *lnwire.ChannelReady) {
		t.Helper()
		w.say(theirs)
		said(t, w, "when it is repeated", "")
		w.a.add(1, 2_000_000)
		w.say()
		said(t, w, "before its channel_reestablish", "")
		w.say(&lnwire.ChannelReestablish{ChanID: lnwire.ChannelID(w.a.id()), NextLocalCommitHeight: 1})
		if w.heard(); !w.a.ch.up() || !w.a.durable.Open() {
			t.Fatal("the channel does not go on")
		}
	}
	t.Run("theirs first", func(t *testing.T) {
		w, theirs, confirm := setup(t)
		w.say(theirs)
		said(t, w, "before the funding is deep enough", "")
		confirm()
		said(t, w, "when it is", ready)
		goesOn(t, w, theirs)
	})
	t.Run("ours first", func(t *testing.T) {
		w, theirs, confirm := setup(t)
		confirm()
		said(t, w, "without a channel_ready of the peer's", "")
		w.say(theirs)
		said(t, w, "with it", ready)
		goesOn(t, w, theirs)
	})
	t.Run("in another session", func(t *testing.T) {
		w, theirs, confirm := setup(t)
		w.say(theirs)
		w.connect()
		w.say()
		said(t, w, "on a new connection", reestablish)
		confirm()
		said(t, w, "without channel_ready on this connection", "")
		w.say(theirs)
		said(t, w, "with it", ready)
	})
}

// Peers is told of a channel's peer once coins stand behind the channel, and again when it asks.
func TestPlace(t *testing.T) {
	w := newWorld(t, func(tm *terms) { tm.unconfirmed, tm.disconnected = true, true })
	want := func(when string, funder, fundee int) {
		t.Helper()
		if w.a.placed != funder || w.b.placed != fundee {
			t.Fatalf("%s: told %d and %d times, want %d and %d", when, w.a.placed, w.b.placed, funder, fundee)
		}
	}
	tell := func(msg any) {
		t.Helper()
		for _, n := range []*node{w.a, w.b} {
			out, err := n.ch.Step(msg)
			check(t, err)
			n.deliver(out)
		}
	}
	want("unfunded", 1, 0)
	tell(messages.PeersStarted{})
	want("unfunded, asked", 2, 0)
	w.b.fact(facts.FundingConfirmed{Height: 100, TxIndex: 1})
	for w.b.turnChannel() {
	}
	want("funded", 2, 1)
	tell(messages.PeersStarted{})
	want("asked again", 3, 2)
}
