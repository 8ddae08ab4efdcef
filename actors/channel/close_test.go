package channel

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

func (n *node) close(name string, feePerKw uint32) {
	n.toChannel = append(n.toChannel, messages.CloseChannel{Script: script(name), FeePerKw: feePerKw, ReplyTo: "test"})
}

// closed checks that both sides have the same valid closing transaction with the right balances.
func (w *world) closed() *wire.MsgTx {
	w.t.Helper()
	a, b := w.a.durable.MutualClose, w.b.durable.MutualClose
	if a == nil || b == nil {
		w.t.Fatalf("closing transaction at alice: %t, at bob: %t", a != nil, b != nil)
	}
	if a.TxHash() != b.TxHash() || len(w.a.broadcast) == 0 || len(w.b.broadcast) == 0 {
		w.t.Fatal("the two sides closed with different transactions, or one was not broadcast")
	}
	tx := &w.a.durable.Tx
	_, pk, err := commitment.FundingScript(tx.Holder.Funding, tx.Counterparty.Funding)
	check(w.t, err)
	for _, m := range []*wire.MsgTx{a, b} {
		fetcher := txscript.NewCannedPrevOutputFetcher(pk, int64(tx.Capacity))
		e, err := txscript.NewEngine(pk, m, 0, txscript.StandardVerifyFlags, nil, txscript.NewTxSigHashes(m, fetcher), int64(tx.Capacity), fetcher)
		check(w.t, err)
		check(w.t, e.Execute())
	}
	return a
}

func pays(tx *wire.MsgTx, script []byte) int64 {
	for _, o := range tx.TxOut {
		if bytes.Equal(o.PkScript, script) {
			return o.Value
		}
	}
	return 0
}

// BOLT 2, Channel Close: either side may start, whoever pays.
func TestClose(t *testing.T) {
	for _, by := range []string{"alice", "bob", "both"} {
		t.Run(by, func(t *testing.T) {
			w := newWorld(t)
			w.a.add(1, 50_000_000)
			w.a.toChannel = append(w.a.toChannel, updateFee(3000))
			w.run()
			if by != "bob" {
				w.a.close("alice", 1000)
			}
			if by != "alice" {
				w.b.close("bob", 0)
			}
			w.run()
			if w.a.durable.MutualClose != nil {
				t.Fatal("closed with an HTLC in flight")
			}
			w.a.add(2, 1_000_000)
			w.b.add(3, 1_000_000)
			w.b.decide(0, "fulfill")
			w.run()
			for _, n := range []*node{w.a, w.b} {
				if len(n.refused) != 1 || !errors.Is(n.refused[0].Why, ErrClosing) {
					t.Fatalf("%s: the add after shutdown was answered %v", n.name, n.refused)
				}
			}
			for _, r := range append(w.a.replies, w.b.replies...) {
				check(t, r.Err)
			}
			tx := w.closed()
			if got := pays(tx, script("bob")); got != 450_000 {
				t.Fatalf("bob, who pays no fee, gets %d", got)
			}
			if got := pays(tx, script("alice")); got < 547_500 || got >= 550_000 {
				t.Fatalf("alice gets %d", got)
			}
		})
	}
}

// A close through crashes and disconnects at any message ends in one closing transaction.
func TestRandomClose(t *testing.T) {
	for seed := range uint64(*seeds) * 4 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomClose(t, seed) })
	}
}

func randomClose(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	w := newWorld(t)
	nodes := []*node{w.a, w.b}
	for i := range uint64(4) {
		nodes[r.IntN(2)].add(i, 2_000_000+i)
	}
	who := r.IntN(3)
	for step := range 1500 {
		n := nodes[r.IntN(2)]
		p := r.IntN(1000)
		switch {
		case step == 100:
			if who != 0 {
				w.a.close("alice", uint32(r.IntN(5000)))
			}
			if who != 1 {
				w.b.close("bob", uint32(r.IntN(5000)))
			}
		case p < 20:
			n.decideOne(r)
		case p < 25:
			w.disconnect()
		case p < 28:
			n.restart(false)
		case p < 31:
			w.disconnect()
			n.restart(true)
		case p < 90 && !w.up:
			w.connect()
		default:
			turns := []func() bool{n.turnChannel, n.turnMonitor, n.turnPeer, n.turnWire}
			turns[r.IntN(len(turns))]()
		}
	}
	w.connect()
	w.run()
	for range 2 {
		for _, n := range nodes {
			for len(n.accepted) > 0 {
				n.decideOne(r)
			}
		}
		w.run()
	}
	if w.a.durable.HolderShutdown == nil && w.b.durable.HolderShutdown == nil {
		w.a.close("alice", 0) // the request was lost in a crash
		w.run()
	}
	for _, n := range nodes {
		if len(n.forced) > 0 {
			t.Fatalf("%s closed alone: %s", n.name, n.forced[0].Detail)
		}
	}
	w.closed()
}

func TestCloseIsRefused(t *testing.T) {
	w := newWorld(t, func(tm *terms) { tm.alice.UpfrontShutdownScript = script("upfront") })
	w.a.close("alice", 0)
	w.run()
	w.a.toChannel = append(w.a.toChannel, messages.CloseChannel{Script: []byte{txscript.OP_TRUE}, ReplyTo: "test"})
	w.run()
	if len(w.a.replies) != 2 || !errors.Is(w.a.replies[0].Err, ErrBadScript) || !errors.Is(w.a.replies[1].Err, ErrBadScript) {
		t.Fatal(w.a.replies)
	}
	w.a.close("upfront", 0)
	w.run()
	w.a.close("upfront", 0)
	w.run()
	if len(w.a.replies) != 4 || w.a.replies[2].Err != nil || !errors.Is(w.a.replies[3].Err, ErrAlreadyClosed) {
		t.Fatal(w.a.replies)
	}
	w.closed()
}

// A close is repeated with another script each time, before and after it was said, also over a restart and where the peer began: the first stays.
func TestCloseIsRepeated(t *testing.T) {
	w := newWorld(t)
	w.a.add(1, 50_000_000)
	w.run()
	w.disconnect()
	w.a.close("alice", 0)
	w.a.close("alice again", 0)
	w.run()
	w.connect()
	w.run()
	w.a.close("alice once more", 0)
	w.b.close("bob", 0)
	w.run()
	w.a.restart(true)
	w.connect()
	w.run()
	w.a.close("alice at last", 0)
	w.run()
	if len(w.a.replies) != 4 || len(w.b.replies) != 1 || w.b.durable.HolderShutdown == nil {
		t.Fatal(w.a.replies, w.b.replies)
	}
	for _, r := range append(w.a.replies, w.b.replies...) {
		check(t, r.Err)
	}
	said := w.b.durable.HolderShutdown // bob's own, since it was asked for by alice first
	w.b.decide(0, "fulfill")
	w.run()
	tx := w.closed()
	if pays(tx, script("alice")) == 0 || pays(tx, said) == 0 {
		t.Fatal("closed to another script")
	}
}

// BOLT 2, closing_signed: fee_range survives the wire, and its absence is seen.
func TestFeeRange(t *testing.T) {
	m := &ClosingSigned{ClosingSigned: lnwire.ClosingSigned{FeeSatoshis: 7}, Range: FeeRange{Min: 5, Max: 1 << 40}}
	got, ok := decode(t, encode(t, m)).(*lnwire.ClosingSigned)
	if !ok || got.FeeSatoshis != 7 {
		t.Fatalf("got %v", got)
	}
	for _, d := range []*lnwire.ClosingSigned{got, m.received()} {
		if r, err := feeRangeOf(d); err != nil || r == nil || *r != m.Range {
			t.Fatalf("got %v, %v", r, err)
		}
	}
	for extra, bad := range map[string]bool{"": false, "\x03\x01x": false, "\x01\x02xx": true, "\x01": true} {
		r, err := feeRangeOf(&lnwire.ClosingSigned{ExtraData: []byte(extra)})
		if r != nil || (err != nil) != bad {
			t.Errorf("%q: got %v, %v", extra, r, err)
		}
	}
}

// BOLT 2, closing_signed without fee_range: each proposal strictly between the last ones, until one is accepted.
func TestLegacyNegotiation(t *testing.T) {
	w := newWorld(t)
	w.a.close("alice", 5000)
	w.runUntil(w.b, func(m lnwire.Message) bool { _, ok := m.(*lnwire.ClosingSigned); return ok })
	if w.b.durable.CounterpartyShutdown == nil || w.b.durable.MutualClose != nil {
		t.Fatal("not at the negotiation")
	}
	// Bob is played by the test: it asks for more than the most, then gives way.
	first := int64(w.a.durable.ClosingFeeSat)
	want := first * 4
	for round := 0; w.a.durable.MutualClose == nil; round++ {
		if round > 20 {
			t.Fatal("no end")
		}
		w.a.toChannel = append(w.a.toChannel, messages.PeerMsg{Session: w.a.sessionID, Msg: w.b.legacyClosing(want)})
		for w.a.turnChannel() || w.a.turnMonitor() || w.a.turnPeer() {
		}
		if len(w.a.wire) == 0 {
			t.Fatal("alice says nothing")
		}
		last := decode(t, w.a.wire[len(w.a.wire)-1])
		m, ok := last.(*lnwire.ClosingSigned)
		if !ok {
			t.Fatalf("alice says %s", describe(last))
		}
		want = (want + int64(m.FeeSatoshis)) / 2
	}
	if fee := int64(w.a.durable.ClosingFeeSat); fee <= first || fee > 3*first {
		t.Fatalf("agreed on %d after %d", fee, first)
	}
}

// BOLT 2, closing_signed with fee_range: the funder answers a fee in both ranges with the same, and fails the channel over any other.
func TestFundeeAnswersOutOfRange(t *testing.T) {
	for _, c := range []struct {
		times int64
		r     FeeRange
		want  string
	}{
		{2, FeeRange{0, 100_000}, "closing_signed"},
		{9, FeeRange{0, 100_000}, "error"},
		{9, FeeRange{50_000, 100_000}, "warning"},
		{1, FeeRange{50_000, 100_000}, ""}, // its own fee is taken whatever the range
	} {
		w := newWorld(t)
		w.a.close("alice", 5000)
		w.runUntil(w.b, func(m lnwire.Message) bool { _, ok := m.(*lnwire.ClosingSigned); return ok })
		w.heard()
		w.say(&ClosingSigned{ClosingSigned: *w.b.legacyClosing(int64(w.a.durable.ClosingFeeSat) * c.times), Range: c.r})
		if said, _, _ := strings.Cut(w.heard(), " "); said != c.want {
			t.Errorf("%d times the fee in %v: %q, want %q", c.times, c.r, said, c.want)
		}
		if closed := w.a.durable.MutualClose != nil; closed != (c.want == "closing_signed" || c.want == "") {
			t.Errorf("%d times the fee in %v: closed %t", c.times, c.r, closed)
		}
	}
}

func (n *node) legacyClosing(fee int64) *lnwire.ClosingSigned {
	f := n.durable
	t, err := commitment.MutualClose(&f.Tx, &commitment.Close{
		HolderScript: script("bob"), CounterpartyScript: f.CounterpartyShutdown,
		HolderMsat: lnwire.MilliSatoshi(f.HolderMsat), CounterpartyMsat: lnwire.MilliSatoshi(f.CounterpartyMsat), Fee: btcutil.Amount(fee),
	})
	check(n.w.t, err)
	sig, err := n.keys.SignMutualClose(1, &f.Tx, t)
	check(n.w.t, err)
	return lnwire.NewClosingSigned(lnwire.ChannelID(f.ID), btcutil.Amount(fee), sig)
}

// runUntil runs until the first message for a node that matches, and keeps that one back.
func (w *world) runUntil(to *node, match func(lnwire.Message) bool) lnwire.Message {
	for range 10_000 {
		for _, n := range []*node{w.a, w.b} {
			for n.turnChannel() || n.turnMonitor() || n.turnPeer() {
			}
			if len(n.wire) > 0 && n.peer == to {
				if m := decode(w.t, n.wire[0]); match(m) {
					n.wire = n.wire[1:]
					return m
				}
			}
			n.turnWire()
		}
	}
	w.t.Fatal("the message did not come")
	return nil
}

// A close that waits for updates which were said and not signed does not wait for the next connection: they are void with this one.
func TestCloseGoesOnWithoutConnection(t *testing.T) {
	w := newWorld(t)
	w.run()
	w.a.ch.session.proposed = []uint64{7}
	w.a.toChannel = append(w.a.toChannel, messages.CloseChannel{Script: script("alice"), ReplyTo: "test"})
	w.run()
	if len(w.a.replies) != 0 || w.a.durable.HolderShutdown != nil {
		t.Fatal("shutdown over updates that the peer has not in its commitment (BOLT 2)")
	}
	w.disconnect()
	w.run()
	if len(w.a.replies) != 1 || w.a.replies[0].Err != nil || w.a.durable.HolderShutdown == nil {
		t.Fatalf("replies %v", w.a.replies)
	}
}

// The funder says closing_signed with a fee_range that nothing but its whole balance is in, where the fundee has no output: what would be left is no
// transaction. It costs the peer its connection, and nothing else.
func TestCloseThatLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		r    FeeRange
		want string
	}{
		{FeeRange{1_000_000, 1_000_000}, "warning"},
		{FeeRange{1_000_000 - 353, 1_000_000}, "warning"},
		{FeeRange{900_000, 1_000_000}, "closing_signed fee=900000"},
		{FeeRange{1_000_000 - 546, 1_000_000}, "closing_signed fee=999454"}, // bob's dust limit is left
		{FeeRange{0, ^uint64(0)}, "closing_signed fee=1000"},
	} {
		w := newWorld(t, func(tm *terms) { tm.pushMsat = 0 })
		w.b.alone(&lnwire.Shutdown{Address: script("alice")})
		if w.b.durable.HolderShutdown == nil {
			t.Fatal("no shutdown")
		}
		w.b.said = nil
		const fee = 1000
		tx, err := commitment.MutualClose(&w.a.durable.Tx, &commitment.Close{
			HolderScript: script("alice"), CounterpartyScript: w.b.durable.HolderShutdown, HolderMsat: 1_000_000_000, Fee: fee,
		})
		check(t, err)
		sig, err := w.a.keys.SignMutualClose(1, &w.a.durable.Tx, tx)
		check(t, err)
		w.b.alone(&ClosingSigned{ClosingSigned: lnwire.ClosingSigned{FeeSatoshis: fee, Signature: sig}, Range: c.r})
		if said := strings.Join(w.b.said, "\n"); !strings.HasPrefix(said, c.want) || len(w.b.forced) != 0 {
			t.Errorf("%v: bob says %q, want %s; closes %v", c.r, said, c.want, w.b.forced)
		}
	}
}

// The fee that we aim at leaves the funder too little for an output with its old kind of script, and too much for none: with less of a fee it is enough,
// and where less does not relay, the rest goes to the fee.
func TestCloseWithAnotherFee(t *testing.T) {
	for _, c := range []struct {
		name        string
		floor, want int64
	}{
		{"less", 253, 546},
		{"more", 1000, 0},
	} {
		const rest = 450
		fee := int64(0)
		for range 2 { // the first world tells the fee
			w := newWorld(t, func(tm *terms) {
				tm.feePerKw = 253
				if fee != 0 {
					tm.pushMsat = uint64(1_000_000-fee-rest) * 1000
				}
			})
			w.a.ch.cfg.MinFeePerKw = uint32(c.floor)
			w.a.toChannel = append(w.a.toChannel, messages.CloseChannel{Script: p2pkh, FeePerKw: 1000})
			w.run()
			tx := w.closed()
			if fee == 0 {
				fee = int64(w.a.durable.ClosingFeeSat)
				continue
			}
			if got := pays(tx, p2pkh); got != c.want || len(w.a.forced)+len(w.b.forced) != 0 {
				t.Errorf("%s: alice gets %d, want %d; closes %v %v", c.name, got, c.want, w.a.forced, w.b.forced)
			}
			if got := pays(tx, w.b.durable.HolderShutdown); got != 1_000_000-fee-rest {
				t.Errorf("%s: bob gets %d", c.name, got)
			}
		}
	}
}

var p2pkh = append(append([]byte{txscript.OP_DUP, txscript.OP_HASH160, 20}, make([]byte, 20)...), txscript.OP_EQUALVERIFY, txscript.OP_CHECKSIG)

// An output that does not relay can't be closed with: the channel fails (BOLT 2, closing_signed), and neither the peer's shutdown nor a new
// connection does more than that.
func TestCloseWithDust(t *testing.T) {
	for name, shut := range map[string]func(w *world){
		"with shutdown": func(w *world) { w.a.alone(&lnwire.Shutdown{Address: p2pkh}) },
		"with a connection": func(w *world) {
			w.disconnect()
			w.run()
			w.a.apply(facts.HolderShutdown{Script: script("alice")})
			w.a.apply(facts.CounterpartyShutdown{Script: p2pkh})
			w.b.apply(facts.HolderShutdown{Script: p2pkh})
			w.b.apply(facts.CounterpartyShutdown{Script: script("alice")})
			w.a.restart(true)
			w.b.restart(true)
			w.connect()
			w.run()
		},
	} {
		w := newWorld(t, func(tm *terms) { tm.pushMsat = 400_000 })
		shut(w)
		if len(w.a.forced) != 1 || !strings.Contains(w.a.forced[0].Detail, "dust") {
			t.Errorf("%s: closes %v", name, w.a.forced)
		}
	}
}
