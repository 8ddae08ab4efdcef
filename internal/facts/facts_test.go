package facts

import (
	"crypto/sha256"
	"errors"
	"reflect"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/lightningnetwork/lnd/shachain"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/ln"
)

func key(b byte) *btcec.PublicKey {
	k, _ := btcec.PrivKeyFromBytes([]byte{b, 1})
	return k.PubKey()
}

func basepoints(b byte) commitment.Basepoints {
	return commitment.Basepoints{Funding: key(b), Revocation: key(b + 1), Payment: key(b + 2), DelayedPayment: key(b + 3), HTLC: key(b + 4)}
}

// ready is an open channel of a million satoshi, all of it the holder's but 100,000.
func ready(t *testing.T) *Channel {
	t.Helper()
	c := New(Opened{
		Static: &Static{ID: ln.ChannelID{1}, Tx: commitment.Static{
			Capacity: btcutil.Amount(1_000_000), HolderIsFunder: true, Holder: basepoints(10), Counterparty: basepoints(20),
			HolderDustLimit: 354, CounterpartyDustLimit: 354, HolderToSelfDelay: 144, CounterpartyToSelfDelay: 144,
		}},
		HolderMsat: 900_000_000, CounterpartyMsat: 100_000_000, FeePerKw: 253, CounterpartyPoint: point(0),
	})
	apply(t, c, FundingConfirmed{Height: 100}, HolderReady{}, CounterpartyReady{NextPoint: point(1)})
	return c
}

var producer = shachain.NewRevocationProducer([32]byte{7})

func point(n uint64) (out [33]byte) {
	h, _ := producer.AtIndex(n)
	_, p := btcec.PrivKeyFromBytes(h[:])
	copy(out[:], p.SerializeCompressed())
	return out
}

func secret(n uint64) [32]byte {
	h, _ := producer.AtIndex(n)
	return *h
}

func apply(t *testing.T, c *Channel, updates ...Update) (last Changes) {
	t.Helper()
	for _, u := range updates {
		ch, err := c.Apply(u)
		if err != nil {
			t.Fatal(err)
		}
		last = ch
	}
	return last
}

// revoke is the counterparty's answer to our last commitment_signed.
func revoke(c *Channel) Revocation {
	return Revocation{Secret: secret(c.CounterpartyNumber), NextPoint: point(c.CounterpartyNumber + 2)}
}

func preimage(b byte) (ln.Preimage, ln.Hash) {
	p := ln.Preimage{b}
	return p, sha256.Sum256(p[:])
}

// total is what both sides and all HTLCs of a commitment add up to (S13).
func total(t *testing.T, c *Channel, w Which) uint64 {
	t.Helper()
	v, err := c.View(w, key(1))
	if err != nil {
		t.Fatal(err)
	}
	sum := uint64(v.OwnerMsat + v.OtherMsat)
	for _, h := range v.HTLCs {
		sum += uint64(h.Amount)
	}
	if _, err := commitment.Build(&c.Tx, v); err != nil {
		t.Fatal(err)
	}
	return sum
}

func conserved(t *testing.T, c *Channel) {
	t.Helper()
	for _, w := range []Which{Holder, Counterparty, CounterpartyNext} {
		if got := total(t, c, w); got != 1_000_000_000 {
			t.Fatalf("commitment %d holds %d msat", w, got)
		}
	}
}

// TestLifeOfAnOutboundHTLC follows an HTLC that we offer through both commitments and out of them again (BOLT 2, Normal Operation), fulfilled and
// failed. Each step says in which commitments it is.
func TestLifeOfAnOutboundHTLC(t *testing.T) {
	for _, fulfil := range []bool{true, false} {
		c := ready(t)
		p, hash := preimage(5)
		res := Resolution{Reason: []byte("no")}
		if fulfil {
			res = Resolution{Preimage: &p}
		}
		h := HTLC{ID: 0, AmountMsat: 50_000_000, Hash: hash, CLTVExpiry: 500, Source: &ln.Source{Payment: &ln.PaymentSource{}}}
		state := func(want State) {
			t.Helper()
			conserved(t, c)
			if got := c.Outbound[0]; want == RcvdRemoveAckRevocation && got != nil || want != RcvdRemoveAckRevocation && got.State != want {
				t.Fatalf("state %+v, want %v", got, want)
			}
		}
		apply(t, c, CounterpartyCommitment{Adds: []HTLC{h}})
		state(SentAddCommit)
		apply(t, c, revoke(c))
		state(RcvdAddRevocation)
		apply(t, c, HolderCommitment{})
		state(SentAddAckRevocation)
		if fulfil {
			if ch := apply(t, c, PreimageLearned{HTLCID: 0, Preimage: p}); len(ch.Claimed) != 1 {
				t.Fatal("a preimage is a claim at once (rule 10)")
			}
		}
		ch := apply(t, c, HolderCommitment{Removes: []Removal{{HTLCID: 0, Resolution: res}}})
		state(SentRemoveRevocation)
		if len(ch.Claimed) != 0 {
			t.Fatal("claimed twice")
		}
		apply(t, c, CounterpartyCommitment{})
		state(SentRemoveAckCommit)
		ch = apply(t, c, revoke(c))
		state(RcvdRemoveAckRevocation)
		if len(ch.Failed) == 1 == fulfil || len(ch.OutboundEnd) != 1 {
			t.Fatalf("fulfilled %v: failed %v", fulfil, ch.Failed)
		}
		if ch.Revoked == nil || len(ch.Revoked.HTLCs) != 1 {
			t.Fatal("the revoked commitment held the HTLC: its data is needed to punish it")
		}
		want := uint64(900_000_000)
		if fulfil {
			want -= 50_000_000
		}
		if c.HolderMsat != want || len(c.Outbound) != 0 {
			t.Fatalf("holder has %d", c.HolderMsat)
		}
	}
}

// TestLifeOfAnInboundHTLC is the mirror of it: accepted, decided, removed.
func TestLifeOfAnInboundHTLC(t *testing.T) {
	c := ready(t)
	p, hash := preimage(6)
	apply(t, c, HolderCommitment{Adds: []HTLC{{ID: 0, AmountMsat: 40_000_000, Hash: hash, CLTVExpiry: 500}}})
	if _, err := c.Apply(Decided{HTLCID: 0, Resolution: Resolution{Preimage: &p}}); err == nil {
		t.Fatal("decided before it was irrevocably committed")
	}
	apply(t, c, CounterpartyCommitment{})
	conserved(t, c)
	if ch := apply(t, c, revoke(c)); len(ch.Accepted) != 1 {
		t.Fatal("not accepted (rule 8)")
	}
	apply(t, c, Decided{HTLCID: 0, Resolution: Resolution{Preimage: &p, Parts: []Part{{Channel: c.ID}}}})
	apply(t, c, Decided{HTLCID: 0, Resolution: Resolution{Reason: []byte("late")}})
	if !c.Inbound[0].Resolution.Fulfilled() {
		t.Fatal("a decision is final")
	}
	apply(t, c, CounterpartyCommitment{Removes: []uint64{0}})
	conserved(t, c)
	if ch := apply(t, c, revoke(c)); len(ch.Resolved) != 1 {
		t.Fatal("not resolved")
	}
	apply(t, c, HolderCommitment{})
	conserved(t, c)
	if c.HolderMsat != 940_000_000 || len(c.Inbound) != 0 {
		t.Fatalf("holder has %d", c.HolderMsat)
	}
}

// TestInvalidUpdatesChangeNothing: what does not fit is refused as a whole.
func TestInvalidUpdatesChangeNothing(t *testing.T) {
	c := ready(t)
	_, hash := preimage(1)
	add := HTLC{ID: 0, AmountMsat: 1_000_000, Hash: hash, CLTVExpiry: 500}
	apply(t, c, CounterpartyCommitment{Adds: []HTLC{add}})
	for _, u := range []Update{
		Opened{},
		CounterpartyReady{},
		CounterpartyCommitment{}, // the last one is not acknowledged
		HolderCommitment{Adds: []HTLC{{ID: 1}}},
		HolderCommitment{Removes: []Removal{{HTLCID: 0}}}, // not committed yet
		HolderCommitment{FeePerKw: 300},                   // we are the funder
		PreimageLearned{HTLCID: 8},
		PreimageLearned{HTLCID: 0, Preimage: ln.Preimage{99}},
		Decided{HTLCID: 3},
		nil,
	} {
		before := c.Clone()
		_, err := c.Apply(u)
		var invalid *InvalidUpdateError
		if !errors.As(err, &invalid) {
			t.Errorf("%T %+v: %v", u, u, err)
		}
		if !reflect.DeepEqual(before, c) {
			t.Errorf("%T changed the facts", u)
		}
	}
	apply(t, c, revoke(c))
	if _, err := c.Apply(revoke(c)); err == nil {
		t.Error("revoked what was not signed")
	}
	apply(t, c, CounterpartyCommitment{}) // the secret of commitment 1 gives that of 0 (BOLT 3)
	if _, err := c.Apply(Revocation{Secret: [32]byte{9}, NextPoint: point(4)}); err == nil {
		t.Error("a secret that does not follow from the earlier ones")
	}
}

// TestNothingIsSignedAfterTheEnd: from the decision to close on, no commitment is signed or revoked (rule 18), whatever a reorganisation does.
func TestNothingIsSignedAfterTheEnd(t *testing.T) {
	for _, end := range [][]Update{
		{ForceClosed{Reason: CloseByUser}},
		{ProvenBehind{}},
		{FundingSpent{Height: 7}},
		{FundingSpent{Height: 7}, FundingUnspent{}},
	} {
		c := ready(t)
		apply(t, c, end...)
		if !c.Ended() || c.Open() {
			t.Fatalf("%T does not end the channel", end[len(end)-1])
		}
		for _, u := range []Update{CounterpartyCommitment{}, HolderCommitment{}} {
			if _, err := c.Apply(u); err == nil {
				t.Errorf("%T after %T", u, end[0])
			}
		}
	}
}

// TestFeeTakesTheWayOfAnHTLC: a fee counts in a commitment from when it is in there.
func TestFeeTakesTheWayOfAnHTLC(t *testing.T) {
	c := ready(t)
	fees := func(holder, counterparty, next uint32) {
		t.Helper()
		if got := [3]uint32{c.Fee(Holder), c.Fee(Counterparty), c.Fee(CounterpartyNext)}; got != [3]uint32{holder, counterparty, next} {
			t.Fatalf("fees %v", got)
		}
	}
	apply(t, c, CounterpartyCommitment{FeePerKw: 500})
	fees(253, 253, 500)
	apply(t, c, revoke(c))
	fees(253, 500, 500)
	apply(t, c, HolderCommitment{})
	fees(500, 500, 500)
	if len(c.FeeUpdates) != 0 || c.FeePerKw != 500 {
		t.Fatalf("%+v", c.FeeUpdates)
	}
}

// TestUnburied: a channel takes nothing in from when its funding transaction leaves the chain until it is deep again, whether or not its leaving was
// told, and also if what is told of it was written before this was known.
func TestUnburied(t *testing.T) {
	c := ready(t)
	step := func(u Update, open, unburied bool) {
		t.Helper()
		if apply(t, c, u); c.Open() != open || c.Unburied() != unburied {
			t.Fatalf("after %T%+v: open %t, unburied %t", u, u, c.Open(), c.Unburied())
		}
	}
	step(FundingConfirmed{Height: 100}, true, false) // a repeat
	step(FundingUnconfirmed{}, false, true)
	step(FundingConfirmed{Height: 100}, false, true) // back, but not deep
	step(HolderReady{}, true, false)
	step(FundingConfirmed{Height: 101}, false, true)
	step(BlockSeen{Height: 200}, false, true)
	step(HolderReady{}, true, false)
	step(FundingUnconfirmed{}, false, true)
	step(ForceClosed{}, false, true)

	early := New(Opened{Static: c.Static, CounterpartyPoint: point(0)})
	for _, u := range []Update{FundingConfirmed{Height: 5}, FundingUnconfirmed{}, FundingConfirmed{Height: 6}} {
		if apply(t, early, u); early.Unburied() {
			t.Fatalf("%T: no HTLC was ever taken in", u)
		}
	}
}

// TestFeeUpdatesInOneState: of fee updates in one state the newest counts, wherever it counts, and it takes the others' place. Facts in which they were
// kept apart come to the same fees.
func TestFeeUpdatesInOneState(t *testing.T) {
	c := ready(t)
	c.Tx.HolderIsFunder = false
	fees := func(holder, counterparty, next uint32, kept int) {
		t.Helper()
		if got := [3]uint32{c.Fee(Holder), c.Fee(Counterparty), c.Fee(CounterpartyNext)}; got != [3]uint32{holder, counterparty, next} || len(c.FeeUpdates) != kept {
			t.Fatalf("fees %v, kept %+v", got, c.FeeUpdates)
		}
	}
	apply(t, c, HolderCommitment{FeePerKw: 300}, CounterpartyCommitment{}, HolderCommitment{FeePerKw: 400}, HolderCommitment{FeePerKw: 500})
	fees(500, 253, 300, 2)
	apply(t, c, revoke(c))
	fees(500, 300, 300, 1)
	c.FeeUpdates = append([]FeeUpdate{{FeePerKw: 450, State: SentAddRevocation}}, c.FeeUpdates...) // as they were written before
	fees(500, 300, 300, 2)
	apply(t, c, CounterpartyCommitment{})
	fees(500, 300, 500, 1)
	apply(t, c, revoke(c))
	fees(500, 500, 500, 0)
	if c.FeePerKw != 500 {
		t.Fatal(c.FeePerKw)
	}
}

// TestCloneIsIndependent: the channel's working copy and the monitor's facts share nothing that changes.
func TestCloneIsIndependent(t *testing.T) {
	c := ready(t)
	_, hash := preimage(1)
	apply(t, c, CounterpartyCommitment{Adds: []HTLC{{ID: 0, AmountMsat: 1_000_000, Hash: hash, CLTVExpiry: 500}}})
	before, copied := c.Clone(), c.Clone()
	apply(t, copied, revoke(copied), HolderCommitment{}, CounterpartyCommitment{FeePerKw: 400})
	if !reflect.DeepEqual(before, c) {
		t.Fatal("changing a copy changed the original")
	}
}
