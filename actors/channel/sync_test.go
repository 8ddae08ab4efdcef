package channel

import (
	"fmt"
	"testing"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// BOLT 2, Message Retransmission: every case.
func TestCheckSync(t *testing.T) {
	rest := position{holder: 5, counterparty: 7}
	unrevoked := position{holder: 5, counterparty: 7, unrevoked: true}
	after := position{holder: 5, counterparty: 7, unrevoked: true, commitmentAfterRAA: true}
	closing := position{holder: 5, counterparty: 7, closingReceived: true}
	fresh := position{}
	const far = ^uint64(0)
	for _, c := range []struct {
		name string
		p    position
		peer claim
		want syncResult
	}{
		{"nothing missed", rest, claim{8, 5, true}, inSync{}},
		{"nothing missed, commitment_signed arrived", unrevoked, claim{9, 5, true}, inSync{}},
		{"revoke_and_ack missed", rest, claim{8, 4, true}, inSync{revocation: true, revocationFirst: true}},
		{"revoke_and_ack missed, commitment_signed arrived", unrevoked, claim{9, 4, true}, inSync{revocation: true, revocationFirst: true}},
		{"commitment_signed missed", unrevoked, claim{8, 5, true}, inSync{commitment: true}},
		{"both missed, commitment_signed was first", unrevoked, claim{8, 4, true}, inSync{revocation: true, commitment: true}},
		{"both missed, revoke_and_ack was first", after, claim{8, 4, true}, inSync{revocation: true, commitment: true, revocationFirst: true}},
		{"revoke_and_ack missed after closing_signed", closing, claim{8, 4, true}, inSync{}},
		{"peer late by two", rest, claim{8, 3, true}, peerLate{3, 5}},
		{"peer forgot all", rest, claim{1, 0, true}, peerLate{0, 5}},
		{"peer late, with other nonsense", rest, claim{99, 2, true}, peerLate{2, 5}},
		{"we are behind", rest, claim{8, 6, true}, provenBehind{}},
		{"we are far behind, whatever else it says", rest, claim{0, 900, true}, provenBehind{}},
		{"claims that we are behind, and can't prove it", rest, claim{8, 6, false}, wrongSecret{}},
		{"no number that large exists", rest, claim{8, far, false}, wrongSecret{}},
		{"wrong secret at the right number", rest, claim{8, 5, false}, wrongSecret{}},
		{"wrong secret at the last number", rest, claim{8, 4, false}, wrongSecret{}},
		{"wrong secret at an old number", rest, claim{8, 1, false}, wrongSecret{}},
		{"next_commitment_number 0", rest, claim{0, 5, true}, wrongCommitment{0, 7}},
		{"next_commitment_number revoked", rest, claim{7, 5, true}, wrongCommitment{7, 7}},
		{"next_commitment_number never signed", rest, claim{9, 5, true}, wrongCommitment{9, 7}},
		{"next_commitment_number never signed, one more", unrevoked, claim{10, 5, true}, wrongCommitment{10, 8}},
		{"next_commitment_number acknowledged already", unrevoked, claim{7, 5, true}, wrongCommitment{7, 8}},
		{"next_commitment_number as large as can be", rest, claim{far, 5, true}, wrongCommitment{far, 7}},
		{"both numbers 1", fresh, claim{1, 0, true}, inSync{ready: true}},
		{"ours is 1, theirs is not: our first commitment arrived", position{unrevoked: true}, claim{2, 0, true}, inSync{}},
		{"our first commitment did not arrive", position{unrevoked: true}, claim{1, 0, true}, inSync{ready: true, commitment: true}},
		{"theirs is 1, ours is not", position{holder: 1}, claim{1, 1, true}, inSync{}},
		{"our first revocation did not arrive", position{holder: 1}, claim{1, 0, true}, inSync{revocation: true, revocationFirst: true}},
		{"behind at the very start", fresh, claim{1, 1, true}, provenBehind{}},
		{"next_commitment_number 0 at the very start", fresh, claim{0, 0, true}, wrongCommitment{0, 0}},
	} {
		if got := checkSync(c.p, c.peer); got != c.want {
			t.Errorf("%s: got %T%+v, want %T%+v", c.name, got, got, c.want, c.want)
		}
	}
}

// What each result makes of the channel, with a peer that says anything in channel_reestablish.
func TestReestablishFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(w *world, m *lnwire.ChannelReestablish)
		forced facts.CloseReason // 0 for none
		behind bool
		says   string
	}{
		{"late", func(w *world, m *lnwire.ChannelReestablish) {
			m.RemoteCommitTailHeight, m.LastRemoteCommitSecret = 0, [32]byte{}
		}, facts.CloseByProtocolError, false, `error "next_revocation_number is 0, but commitment 1 was revoked: you have lost data"`},
		{"wrong secret", func(w *world, m *lnwire.ChannelReestablish) {
			m.LastRemoteCommitSecret[0]++
		}, facts.CloseByProtocolError, false, `error "wrong your_last_per_commitment_secret for next_revocation_number 2"`},
		{"secret where none can be", func(w *world, m *lnwire.ChannelReestablish) {
			m.RemoteCommitTailHeight = 0
		}, facts.CloseByProtocolError, false, `error "wrong your_last_per_commitment_secret for next_revocation_number 0"`},
		{"number out of range", func(w *world, m *lnwire.ChannelReestablish) {
			m.RemoteCommitTailHeight = ^uint64(0)
		}, facts.CloseByProtocolError, false, `error "wrong your_last_per_commitment_secret for next_revocation_number 18446744073709551615"`},
		{"never signed", func(w *world, m *lnwire.ChannelReestablish) {
			m.NextLocalCommitHeight = 90
		}, facts.CloseByProtocolError, false, `error "next_commitment_number is 90, the last one signed is 2"`},
		{"behind", func(w *world, m *lnwire.ChannelReestablish) {
			secret, err := w.a.keys.ReleaseSecret(1, 6)
			check(w.t, err)
			m.RemoteCommitTailHeight, m.LastRemoteCommitSecret = 7, secret
		}, 0, true, `error "we have lost data: please close the channel with your newest commitment"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.a.add(1, 2_000_000)
			w.run()
			w.b.decide(0, "fulfill")
			w.run()
			w.connect()
			m := w.runUntil(w.a, func(m lnwire.Message) bool { _, ok := m.(*lnwire.ChannelReestablish); return ok }).(*lnwire.ChannelReestablish)
			c.change(w, m)
			w.b.wire = nil
			w.a.wire = nil
			w.a.toChannel = append(w.a.toChannel, messages.PeerMsg{Session: w.a.sessionID, Msg: m})
			for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
			}
			if len(w.a.wire) != 1 || describe(decode(t, w.a.wire[0])) != c.says {
				for _, raw := range w.a.wire {
					t.Log(describe(decode(t, raw)))
				}
				t.Fatalf("want %s", c.says)
			}
			if c.forced == 0 && len(w.a.forced) > 0 || c.forced != 0 && (len(w.a.forced) != 1 || w.a.forced[0].Reason != c.forced) {
				t.Fatalf("closes: %v", w.a.forced)
			}
			if w.a.durable.ProvenBehind != c.behind {
				t.Fatal("proven behind?")
			}
			// Whatever comes after it, nothing is signed, and the peer is told again on a new connection.
			before := fmt.Sprint(w.a.durable.HolderNumber, w.a.durable.CounterpartyNumber, w.a.durable.Unrevoked)
			w.b.add(9, 2_000_000)
			w.a.add(10, 2_000_000)
			w.run()
			w.connect()
			w.run()
			w.heard()
			w.say(&lnwire.ChannelReestablish{NextLocalCommitHeight: 3, RemoteCommitTailHeight: 2})
			told := w.heard() == "channel_reestablish next_commitment=3 next_revocation=2\nerror \"the channel is closed\""
			if after := fmt.Sprint(w.a.durable.HolderNumber, w.a.durable.CounterpartyNumber, w.a.durable.Unrevoked); after != before || !told {
				t.Fatalf("went on from %s to %s, told the peer: %t", before, after, told)
			}
		})
	}
}

// Rule 18, S12: the monitor decides to close while commitment_signed is under way, and the connection breaks before the channel hears of the
// decision. The revocation that the peer then asks for again was never allowed, and would forfeit what is broadcast.
func TestNoRevocationOfWhatIsBroadcast(t *testing.T) {
	w := newWorld(t)
	b := w.b
	w.a.add(1, 2_000_000)
	for len(b.toChannel) == 0 { // until commitment_signed has come
		for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
		}
		for w.a.turnWire() {
		}
	}
	decision := facts.ForceClosed{Reason: facts.CloseByHTLCDeadline}
	b.apply(decision) // on its way to the disk, and to the channel behind that
	for b.turnChannel() {
	}
	w.connect()
	for range 10 { // the harness checks each message that leaves
		for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() || w.a.turnWire() {
		}
		for b.turnChannel() || b.turnMonitor() {
		}
	}
	b.toChannel = append(b.toChannel, messages.MonitorFact{Update: decision})
	w.run()
	if b.durable.HolderNumber != 0 || w.a.durable.CounterpartyNumber != 0 {
		t.Fatal("a commitment was revoked after the decision to broadcast it")
	}
}
