package channel

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// say lets bob say something to alice, out of the blue.
func (w *world) say(msgs ...lnwire.Message) {
	for _, m := range msgs {
		w.a.toChannel = append(w.a.toChannel, messages.PeerMsg{Session: w.a.sessionID, Msg: m})
	}
	for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
	}
}

// heard is what alice said since she was last asked.
func (w *world) heard() string {
	said := strings.Join(w.a.said, "\n")
	w.a.said = nil
	return said
}

func addMsg(id, amount uint64) *lnwire.UpdateAddHTLC {
	return &lnwire.UpdateAddHTLC{ID: id, Amount: lnwire.MilliSatoshi(amount), Expiry: 500}
}

// BOLT 2: each breach fails the channel or costs the connection, and leaves the facts as they were. Alice owes bob one committed HTLC, id 0, and
// bob has one of hers; bob then says what he must not.
func TestBreaches(t *testing.T) {
	key, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{7}, 32))
	const fails, warns, nothing = "error", "warning", ""
	long := make([]lnwire.Message, 0, 40)
	for i := range uint64(40) {
		long = append(long, addMsg(1+i, 2_000_000))
	}
	one := func(m ...lnwire.Message) []lnwire.Message { return m }
	for _, c := range []struct {
		name string
		says []lnwire.Message
		want string
		part string
	}{
		{"add: id skipped", one(addMsg(2, 2_000_000)), fails, "id 2, want 1"},
		{"add: id used", one(addMsg(0, 2_000_000)), fails, "id 0, want 1"},
		{"add: id repeated", one(addMsg(1, 2_000_000), addMsg(1, 2_000_000)), fails, "id 1, want 2"},
		{"add: nothing", one(addMsg(1, 0)), fails, "0 msat"},
		{"add: below the minimum", one(addMsg(1, 999)), fails, "htlc_minimum_msat"},
		{"add: more than bob has", one(addMsg(1, 390_000_000)), fails, "above reserve"},
		{"add: all that is above the reserve, twice", one(addMsg(1, 200_000_000), addMsg(2, 200_000_000)), fails, "above reserve"},
		{"add: absurd amount", one(addMsg(1, ^uint64(0))), fails, "in flight"},
		{"add: a time as expiry", one(&lnwire.UpdateAddHTLC{ID: 1, Amount: 2_000_000, Expiry: 500_000_000}), fails, "not a height"},
		{"add: too many", long, fails, "more than 30"},
		{"fulfill: no such HTLC", one(&lnwire.UpdateFulfillHTLC{ID: 5}), fails, "not there"},
		{"fulfill: wrong preimage", one(&lnwire.UpdateFulfillHTLC{ID: 0, PaymentPreimage: [32]byte{1}}), fails, "wrong preimage"},
		{"fulfill: twice", one(&lnwire.UpdateFulfillHTLC{ID: 0, PaymentPreimage: preimage(1)}, &lnwire.UpdateFulfillHTLC{ID: 0, PaymentPreimage: preimage(1)}), fails, "not there"},
		{"fail: after fulfill", one(&lnwire.UpdateFulfillHTLC{ID: 0, PaymentPreimage: preimage(1)}, &lnwire.UpdateFailHTLC{ID: 0}), fails, "not there"},
		{"fail: no such HTLC", one(&lnwire.UpdateFailHTLC{ID: 1}), fails, "not there"},
		{"malformed: without BADONION", one(&lnwire.UpdateFailMalformedHTLC{ID: 0, FailureCode: 5}), fails, "BADONION"},
		{"fee: not the funder", one(&lnwire.UpdateFee{FeePerKw: 3000}), fails, "does not pay"},
		{"commitment_signed: garbage", one(&lnwire.CommitSig{}), fails, "bad signature"},
		{"commitment_signed: garbage for an add", one(addMsg(1, 2_000_000), &lnwire.CommitSig{HtlcSigs: make([]lnwire.Sig, 3)}), fails, "bad signature"},
		{"commitment_signed: too many signatures", one(&lnwire.CommitSig{HtlcSigs: make([]lnwire.Sig, 400)}), fails, "number of htlc signatures"},
		{"revoke_and_ack: nothing to revoke", one(&lnwire.RevokeAndAck{NextRevocationKey: key.PubKey()}), fails, "without a commitment_signed"},
		{"shutdown: script", one(&lnwire.Shutdown{Address: []byte{0x51}}), warns, "does not allow"},
		{"shutdown: with an add on its way", one(addMsg(1, 2_000_000), &lnwire.Shutdown{Address: script("bob")}), fails, "before commitment_signed"},
		{"add: after shutdown", one(&lnwire.Shutdown{Address: script("bob")}, addMsg(1, 2_000_000)), fails, "after shutdown"},
		{"shutdown: another script", one(&lnwire.Shutdown{Address: script("bob")}, &lnwire.Shutdown{Address: script("x")}), warns, "another script"},
		{"closing_signed: too early", one(&lnwire.ClosingSigned{}), warns, "closing_signed before"},
		{"channel_reestablish: twice", one(&lnwire.ChannelReestablish{}), warns, "twice"},
		{"channel_ready: again", one(&lnwire.ChannelReady{NextPerCommitmentPoint: key.PubKey()}), nothing, ""},
		{"warning", one(&lnwire.Warning{Data: []byte("careful")}), nothing, ""},
		{"unknown", one(&lnwire.Stfu{}), nothing, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.a.add(1, 2_000_000)
			w.b.add(2, 2_000_000)
			w.run()
			before := w.a.durable.Clone()
			w.heard()
			before.CounterpartyShutdown, before.HolderShutdown = nil, nil
			w.say(c.says...)
			said := w.heard()
			if c.want == nothing && said != "" {
				t.Fatalf("alice says %s", said)
			}
			if !strings.Contains(said, c.want) || !strings.Contains(said, c.part) {
				t.Fatalf("alice says %q, want %s with %q", said, c.want, c.part)
			}
			if got := len(w.a.forced); (got == 1) != (c.want == fails) {
				t.Fatalf("%d closes", got)
			}
			after := w.a.durable.Clone()
			if after.ForceClose != nil && after.ForceClose.Reason != facts.CloseByProtocolError {
				t.Fatal(after.ForceClose)
			}
			after.ForceClose, after.CounterpartyShutdown, after.HolderShutdown = nil, nil, nil
			// A preimage is kept whatever came with it (S4).
			after.Outbound[0].Preimage = nil
			if !reflect.DeepEqual(before, after) {
				t.Fatal("the facts changed")
			}
			if c.want == fails {
				w.say(addMsg(1, 2_000_000), &lnwire.CommitSig{})
				if more := w.heard(); more != "" {
					t.Fatalf("alice goes on: %s", more)
				}
			}
		})
	}
}

// A preimage counts also when it comes with a breach, and after the channel has ended (S4).
func TestPreimageAlwaysCounts(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 2_000_000)
	w.run()
	w.say(&lnwire.UpdateFee{FeePerKw: 1}, &lnwire.UpdateFulfillHTLC{ID: 0, PaymentPreimage: preimage(1)})
	if len(w.a.forced) != 1 || w.a.outcome[0] != "claimed" {
		t.Fatalf("closed %d times, outcome %q", len(w.a.forced), w.a.outcome[0])
	}
}

// revoke_and_ack with a secret that is not the one of the commitment reveals nothing and is worth nothing.
func TestWrongRevocation(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 2_000_000)
	m := w.runUntil(w.a, func(m lnwire.Message) bool { _, ok := m.(*lnwire.RevokeAndAck); return ok }).(*lnwire.RevokeAndAck)
	m.Revocation[3]++
	w.say(m)
	if len(w.a.forced) != 1 || w.a.durable.CounterpartyNumber != 0 || !w.a.durable.Unrevoked {
		t.Fatal("a wrong secret was taken")
	}
}

// What the peer has offered and not committed counts against it also after a revoke_and_ack moved our own HTLCs.
func TestOffersAddUp(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 2_000_000)
	raa := w.runUntil(w.a, func(m lnwire.Message) bool { _, ok := m.(*lnwire.RevokeAndAck); return ok })
	w.say(addMsg(0, 200_000_000), raa, addMsg(1, 200_000_000))
	if w.a.durable.CounterpartyNumber != 1 || len(w.a.forced) != 1 || !strings.Contains(w.a.forced[0].Detail, "above reserve") {
		t.Fatalf("closes: %v", w.a.forced)
	}
}

// BOLT 1: error for the channel fails it; the text is kept, but only what is printable and not much of it.
func TestPeerError(t *testing.T) {
	w := newWorld(t)
	w.say(&lnwire.Error{Data: []byte("bad \x1b[31mnews\n" + strings.Repeat("x", 1000))})
	if len(w.a.forced) != 1 || w.a.forced[0].Reason != facts.CloseByPeerError {
		t.Fatal(w.a.forced)
	}
	if d := w.a.forced[0].Detail; !strings.HasPrefix(d, "bad ?[31mnews?xxx") || len(d) != maxDetail {
		t.Fatalf("%q", d)
	}
}

// lnd says "internal error" when it is stopped under payments, and means no close: the channel is re-established and goes on.
func TestInternalErrorOfThePeer(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 2_000_000)
	w.run()
	w.b.add(2, 3_000_000) // proposed and signed, and void if it was not recorded
	w.a.add(3, 4_000_000)
	session := w.a.sessionID
	w.say(&lnwire.Error{Data: []byte("internal error")})
	w.run()
	if len(w.a.forced) != 0 || w.a.durable.ForceClose != nil {
		t.Fatalf("closes: %v", w.a.forced)
	}
	if w.a.sessionID == session {
		t.Fatal("the connection goes on, over which the peer has given the channel up")
	}
	w.a.add(4, 5_000_000)
	w.run()
	w.agree()
	if n := w.a.durable.NextOutboundHTLCID; n < 2 {
		t.Fatalf("%d HTLCs of ours", n)
	}
}

// What can be refused is refused with its reason, and never reaches the peer.
func TestAddIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		amount uint64
		change func(*world, *messages.AddHTLC)
		want   error
	}{
		{"minimum", 999, nil, ErrBelowMinimum},
		{"nothing", 0, nil, ErrInvalidAdd},
		{"onion", 2_000_000, func(_ *world, m *messages.AddHTLC) { m.Onion = nil }, ErrInvalidAdd},
		{"expiry", 2_000_000, func(_ *world, m *messages.AddHTLC) { m.CLTVExpiry = maxExpiry }, ErrInvalidAdd},
		{"balance", 595_000_000, nil, ErrInsufficientBalance},
		{"fee", 588_000_000, nil, ErrFeeUnaffordable},
		{"absurd", ^uint64(0), nil, ErrInFlightLimit},
		{"policy: most", 2_000_001, limited(facts.Policy{HTLCMaximumMsat: 2_000_000}), ErrAboveMaximum},
		{"policy: in flight", 2_000_001, limited(facts.Policy{MaxInFlightMsat: 2_000_000}), ErrInFlightLimit},
		{"policy: dust", 100_001, limited(facts.Policy{MaxDustExposureMsat: 100_000}), ErrDustExposure},
		{"down", 2_000_000, func(w *world, _ *messages.AddHTLC) { w.disconnect() }, ErrPeerNotConnected},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			m := messages.AddHTLC{Fence: w.a.fence, AmountMsat: c.amount, CLTVExpiry: 500, Onion: make([]byte, lnwire.OnionPacketSize)}
			if c.change != nil {
				c.change(w, &m)
			}
			w.a.toChannel = append(w.a.toChannel, m)
			w.run()
			var e *AddError
			if len(w.a.refused) != 1 || !errors.As(w.a.refused[0].Why, &e) || !errors.Is(e, c.want) || w.a.durable.NextOutboundHTLCID != 0 {
				t.Fatalf("got %+v", w.a.refused)
			}
		})
	}
}

// limited gives alice's channel a policy.
func limited(p facts.Policy) func(*world, *messages.AddHTLC) {
	return func(w *world, _ *messages.AddHTLC) {
		p.CLTVDelta = facts.MinCLTVDelta
		w.a.fact(facts.PolicySet{Policy: p})
	}
}

// TestPolicyLimits: the channel's own policy counts from when it is durable, the node's before and after it; what is at a limit passes, and what is
// in flight counts.
func TestPolicyLimits(t *testing.T) {
	w := newWorld(t)
	add := func(number, msat uint64, want error) {
		t.Helper()
		w.a.refused = nil
		w.a.add(number, msat)
		w.run()
		switch {
		case want == nil && len(w.a.refused) > 0:
			t.Fatal(w.a.refused[0].Why)
		case want != nil && (len(w.a.refused) != 1 || !errors.Is(w.a.refused[0].Why, want)):
			t.Fatalf("%+v, want %v", w.a.refused, want)
		}
	}
	add(1, 3_000_000, nil)
	limited(facts.Policy{HTLCMaximumMsat: 2_000_000, MaxInFlightMsat: 6_000_000, MaxDustExposureMsat: 300_000})(w, nil)
	add(2, 2_000_000, nil)
	add(3, 2_000_001, ErrAboveMaximum)
	add(4, 1_100_000, ErrInFlightLimit)
	add(5, 300_000, nil) // dust
	add(6, 1_000, ErrDustExposure)
	add(7, 700_000, nil) // no dust
	w.a.restart(true)    // facts survive, the link does not
	w.disconnect()
	w.connect()
	w.run()
	add(8, 1_000, ErrInFlightLimit)
	w.a.fact(facts.PolicySet{})
	add(9, 5_000_000, nil)
	add(10, 5_000, nil)
}

// The fence: adds of any other fence are refused without an answer, and those that wait are dropped without one.
func TestFence(t *testing.T) {
	w := newWorld(t)
	m := messages.AddHTLC{Fence: w.a.fence + 1, AmountMsat: 2_000_000, CLTVExpiry: 500, Onion: make([]byte, lnwire.OnionPacketSize)}
	w.a.toChannel = append(w.a.toChannel, m)
	w.run()
	w.a.add(1, 2_000_000)
	w.a.fence++
	w.a.toChannel = append(w.a.toChannel, messages.ChannelFence{Fence: w.a.fence})
	w.run()
	if len(w.a.refused) != 0 || w.a.durable.NextOutboundHTLCID != 0 {
		t.Fatal("an add passed the fence, or was answered")
	}
	if got := w.a.fencedAt; len(got) != 2 || got[1] != w.a.fence {
		t.Fatal(got)
	}
	w.a.add(2, 2_000_000)
	w.run()
	if w.a.durable.NextOutboundHTLCID != 1 {
		t.Fatal("no add after the fence")
	}
}

// Random bytes of real messages, in random order, never panic, never change what is signed without a valid signature, and cost the peer at most
// the channel.
func TestGarbage(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t)
		w.a.add(1, 2_000_000)
		w.b.add(2, 2_000_000)
		w.run()
		for range 20 {
			raw := corpus(w)[r.IntN(len(corpus(w)))]
			for range r.IntN(4) {
				raw[2+r.IntN(len(raw)-2)] = byte(r.Uint32())
			}
			feed(w, raw)
		}
		w.a.conserved()
	}
}

// corpus are encoded messages of every kind that a channel hears.
func corpus(w *world) [][]byte {
	key, _ := btcec.PrivKeyFromBytes(bytes.Repeat([]byte{9}, 32))
	sig := w.a.durable.HolderSig
	var out [][]byte
	for _, m := range []lnwire.Message{
		&lnwire.ChannelReestablish{NextLocalCommitHeight: 2, RemoteCommitTailHeight: 1, LocalUnrevokedCommitPoint: key.PubKey()},
		lnwire.NewChannelReady(lnwire.ChannelID{}, key.PubKey()),
		addMsg(1, 3_000_000),
		&lnwire.UpdateFulfillHTLC{PaymentPreimage: preimage(1)},
		&lnwire.UpdateFailHTLC{Reason: bytes.Repeat([]byte{1}, 5000)},
		&lnwire.UpdateFailMalformedHTLC{ShaOnionBlob: sha256.Sum256(nil), FailureCode: lnwire.CodeInvalidOnionKey},
		&lnwire.UpdateFee{FeePerKw: 400},
		&lnwire.CommitSig{CommitSig: sig, HtlcSigs: []lnwire.Sig{sig, sig}},
		&lnwire.RevokeAndAck{NextRevocationKey: key.PubKey()},
		lnwire.NewShutdown(lnwire.ChannelID{}, script("bob")),
		&ClosingSigned{ClosingSigned: lnwire.ClosingSigned{FeeSatoshis: 900, Signature: sig}, Range: FeeRange{1, 9000}},
		&lnwire.Warning{Data: []byte("w")},
		&lnwire.Error{Data: []byte("e")},
	} {
		out = append(out, encode(w.t, m))
	}
	return out
}

// feed gives raw bytes to alice, as far as they decode.
func feed(w *world, raw []byte) {
	m, err := lnwire.ReadMessage(bytes.NewReader(raw), 0)
	if err != nil {
		return
	}
	w.say(m)
}

func FuzzMessages(f *testing.F) {
	for _, raw := range corpus(newWorld(f)) {
		f.Add(raw, raw)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		w := newWorld(t)
		w.a.add(1, 2_000_000)
		w.b.add(2, 2_000_000)
		w.run()
		feed(w, first)
		feed(w, second)
		w.a.conserved()
	})
}

// A preimage that comes after the decision to fail is told by the monitor, for which the HTLC is still live; the channel may have seen it go.
func TestLatePreimageForAnHTLCThatIsGone(t *testing.T) {
	w := newWorld(t)
	w.run()
	p := preimage(1)
	fact := messages.MonitorFact{Update: facts.Decided{HTLCID: 0, Resolution: facts.Resolution{Preimage: &p}}}
	if _, err := w.a.ch.Step(fact); err != nil {
		t.Fatal(err)
	}
}

// A funder that never revokes may change the fee time and again: the newest counts, and the others leave nothing behind.
func TestFeeUpdatesWithoutRevocation(t *testing.T) {
	w := newWorld(t)
	for i := range uint32(50) {
		fee := 2500 + i%7
		w.b.alone(&lnwire.UpdateFee{FeePerKw: fee}, w.b.signFor(facts.HolderCommitment{FeePerKw: fee}))
		if f := w.b.durable; f.HolderNumber != uint64(i)+1 || f.Fee(facts.Holder) != fee || len(f.FeeUpdates) > 2 {
			t.Fatalf("after %d: commitment %d, fee %d, kept %v", i, f.HolderNumber, f.Fee(facts.Holder), f.FeeUpdates)
		}
	}
}

// The funder keeps its reserve above the fee that it raises (BOLT 2, update_fee): without the reserve it would have nothing to lose.
func TestFeeBelowReserve(t *testing.T) {
	// 20,000 sat, of which 10,000 are the reserve and 660 the anchors: at 8,310 sat/kw 1124 weight units cost the rest.
	for fee, want := range map[uint32]bool{8310: true, 8311: false, 17000: false} {
		w := newWorld(t, func(tm *terms) { tm.pushMsat = 980_000_000 })
		w.b.alone(&lnwire.UpdateFee{FeePerKw: fee}, w.b.signFor(facts.HolderCommitment{FeePerKw: fee}))
		if taken := w.b.durable.HolderNumber == 1; taken != want || want != (len(w.b.forced) == 0) {
			t.Errorf("%d sat/kw: taken %t, closes %v", fee, taken, w.b.forced)
		}
	}
	// What bob added meanwhile, and the funder can't have known, is not held against it.
	w := newWorld(t, func(tm *terms) { tm.pushMsat = 980_000_000 })
	w.b.add(1, 2_000_000)
	raa := w.runUntil(w.b, func(m lnwire.Message) bool { _, ok := m.(*lnwire.RevokeAndAck); return ok })
	w.b.alone(&lnwire.UpdateFee{FeePerKw: 8310}, raa)
	w.b.alone(w.b.signFor(facts.HolderCommitment{FeePerKw: 8310}))
	if f := w.b.durable; f.HolderNumber != 1 || f.Fee(facts.Holder) != 8310 || len(w.b.forced) != 0 || f.Outbound[0].State != facts.SentAddAckRevocation {
		t.Errorf("commitment %d, fee %d, closes %v", f.HolderNumber, f.Fee(facts.Holder), w.b.forced)
	}
}

// A reorganisation takes the funding transaction out: we add nothing, what waits is refused, what is in the channel stays and can be settled, and the
// peer's adds are taken, to be failed. When the transaction is deep again the channel goes on, and channel_ready is not said again.
func TestFundingLeavesTheChain(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 2_000_000)
	w.b.add(2, 2_000_000)
	w.run()
	w.a.add(3, 2_000_000)
	w.a.alone()
	w.a.add(4, 2_000_000) // waits for the peer's revoke_and_ack
	w.a.alone()
	w.a.fact(facts.FundingUnconfirmed{})
	w.a.alone()
	w.disconnect()
	w.connect()
	w.run()
	refusals := func(n int) {
		t.Helper()
		if len(w.a.refused) != n || !errors.Is(w.a.refused[n-1].Why, ErrUnburied) || len(w.a.forced)+len(w.b.forced) != 0 {
			t.Fatalf("refused %+v, closes %v %v", w.a.refused, w.a.forced, w.b.forced)
		}
	}
	refusals(1)
	w.a.fact(facts.FundingConfirmed{Height: 101, TxIndex: 1})
	w.a.add(5, 2_000_000)
	w.run()
	refusals(2)
	w.b.add(6, 3_000_000)
	w.run()
	w.b.decide(0, "fulfill")
	w.a.decide(0, "fail")
	w.run()
	if a := w.a.durable; a.Inbound[1] == nil || !a.Inbound[1].Decidable() || w.a.outcome[0] != "claimed" || w.b.outcome[0] != "failed" || a.Outbound[1] == nil {
		t.Fatalf("%s\n%s", show(w.a), show(w.b))
	}
	w.heard()
	w.a.fact(facts.HolderReady{})
	w.run()
	if said := w.heard(); said != "" {
		t.Fatalf("alice says %s", said)
	}
	w.a.add(7, 2_000_000)
	w.run()
	if w.a.durable.NextOutboundHTLCID != 3 {
		t.Fatal("the channel does not go on")
	}
	w.agree()
}
