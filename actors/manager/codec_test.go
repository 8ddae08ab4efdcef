package manager

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

func genID[T ~[32]byte]() *rapid.Generator[T] {
	return rapid.Custom(func(t *rapid.T) T { return T(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "id")) })
}

var genOutcome = rapid.Custom(func(t *rapid.T) *Outcome {
	switch rapid.IntRange(0, 3).Draw(t, "outcome") {
	case 0:
		return nil
	case 1:
		p := genID[ln.Preimage]().Draw(t, "preimage")
		return &Outcome{Preimage: &p}
	case 2:
		p := genID[ln.Preimage]().Draw(t, "preimage")
		return &Outcome{Reason: rapid.String().Draw(t, "reason"), Unproven: rapid.Bool().Draw(t, "unproven"), Lost: &p}
	}
	return &Outcome{Reason: rapid.String().Draw(t, "reason"), Unproven: rapid.Bool().Draw(t, "unproven")}
})

var genPayment = rapid.Custom(func(t *rapid.T) PaymentRecord {
	r := PaymentRecord{
		ID: genID[ln.PaymentID]().Draw(t, "id"), Hash: genID[ln.Hash]().Draw(t, "hash"), AmountMsat: rapid.Uint64().Draw(t, "amount"),
		Payee: ln.NodeID(rapid.SliceOfN(rapid.Byte(), 33, 33).Draw(t, "payee")), Bolt11: rapid.String().Draw(t, "bolt11"),
		Outcome: genOutcome.Draw(t, "outcome"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "parts") {
		r.Parts = append(r.Parts, PartRecord{ID: rapid.Uint64().Draw(t, "part"), Channel: genID[ln.ChannelID]().Draw(t, "channel")})
	}
	return r
})

var genRecord = rapid.Custom(func(t *rapid.T) Record {
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return PaymentStarted{Payment: genPayment.Draw(t, "payment")}
	case 1:
		o := genOutcome.Filter(func(o *Outcome) bool { return o != nil }).Draw(t, "outcome")
		return PaymentOutcome{ID: genID[ln.PaymentID]().Draw(t, "id"), Outcome: *o}
	case 2:
		return PaymentHandled{ID: genID[ln.PaymentID]().Draw(t, "id")}
	case 3:
		return ResolvedHandled{Channel: genChannel.Draw(t, "channel")}
	}
	return ClosedHandled{Channel: genChannel.Draw(t, "channel")}
})

// genChannel draws from few, so that the records of a channel meet.
var genChannel = rapid.Custom(func(t *rapid.T) ln.ChannelID { return ln.ChannelID{rapid.ByteRange(0, 2).Draw(t, "channel")} })

// S10: write, read, write is the identity.
func TestRecordsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := genRecord.Draw(t, "record")
		b := EncodeRecord(r)
		got, err := DecodeRecord(b)
		if err != nil || !reflect.DeepEqual(got, r) || !bytes.Equal(EncodeRecord(got), b) {
			t.Fatalf("%#v read back as %#v (%v)", r, got, err)
		}
		p := genPayment.Draw(t, "row")
		if got, err := decodePayment(encodePayment(p)); err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("%#v read back as %#v (%v)", p, got, err)
		}
		i := InvoiceRecord{Held: rapid.Bool().Draw(t, "held")}
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			i.Parts = append(i.Parts, InvoicePart{
				Channel: genID[ln.ChannelID]().Draw(t, "channel"), HTLCID: rapid.Uint64().Draw(t, "htlc"), AmountMsat: rapid.Uint64().Draw(t, "amount"),
			})
		}
		if !i.Held {
			p := genID[ln.Preimage]().Draw(t, "preimage")
			i.Preimage = &p
		}
		for range rapid.IntRange(0, 2).Draw(t, "records") {
			i.Records = append(i.Records, messages.CustomRecord{Type: rapid.Uint64().Draw(t, "type"), Value: rapid.SliceOfN(rapid.Byte(), 1, 3).Draw(t, "value")})
		}
		if rapid.Bool().Draw(t, "has a time") {
			i.At = time.Unix(0, rapid.Int64Range(1, 1<<62).Draw(t, "at")).UTC()
		}
		if rapid.Bool().Draw(t, "cancelled") {
			i = InvoiceRecord{Cancelled: true, At: i.At}
		}
		if got, err := decodeInvoice(encodeInvoice(i)); err != nil || !reflect.DeepEqual(got, i) {
			t.Fatalf("%#v read back as %#v (%v)", i, got, err)
		}
	})
}

// A snapshot stands for the records before it, wherever it is taken.
func TestSnapshotStandsForItsRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfN(genID[ln.PaymentID](), 1, 4).Draw(t, "ids")
		var records [][]byte
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			r := genRecord.Draw(t, "record")
			id := rapid.SampledFrom(ids).Draw(t, "which") // few ids, so that records meet
			switch k := r.(type) {
			case PaymentStarted:
				k.Payment.ID = id
				r = k
			case PaymentOutcome:
				k.ID = id
				r = k
			case PaymentHandled:
				k.ID = id
				r = k
			}
			records = append(records, EncodeRecord(r))
		}
		whole, err := DecodeState(nil, records)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(records)).Draw(t, "at")
		half, err := DecodeState(nil, records[:at])
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeState(EncodeState(half), records[at:])
		if err != nil || !reflect.DeepEqual(got, whole) || !bytes.Equal(EncodeState(got), EncodeState(whole)) {
			t.Fatalf("snapshot at %d: %#v, want %#v (%v)", at, got, whole, err)
		}
	})
}

// Garbage is an error that names the records, and never a panic.
func FuzzDecode(f *testing.F) {
	pre := ln.Preimage{1}
	p := PaymentRecord{ID: ln.PaymentID{1}, Parts: []PartRecord{{ID: 1}}, Outcome: &Outcome{Preimage: &pre}}
	for _, r := range []Record{
		PaymentStarted{Payment: p},
		PaymentOutcome{Outcome: Outcome{Reason: "no"}},
		PaymentHandled{ID: p.ID},
		ClosedHandled{Channel: ln.ChannelID{2}},
		PaymentOutcome{Outcome: Outcome{Reason: "no", Lost: &pre}},
		ResolvedHandled{Channel: ln.ChannelID{2}},
	} {
		f.Add(EncodeRecord(r))
	}
	s := newState()
	s.Payments[p.ID], s.Closed[ln.ChannelID{3}] = p, true
	f.Add(EncodeState(s))
	f.Add(encodePayment(p))
	f.Add(encodeInvoice(InvoiceRecord{Parts: []InvoicePart{{HTLCID: 4}}, Held: true}))
	f.Add([]byte{8, 2}) // version 2
	f.Add([]byte{8, 1, 0x22, 3, 1, 2, 3})
	f.Add([]byte{8, 1, 0x1a, 2, 0x0a, 0}) // an outcome without a result
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(err error) {
			if err != nil && !errors.Is(err, ErrRecords) {
				t.Fatalf("not ErrRecords: %v", err)
			}
		}
		r, err := DecodeRecord(b)
		check(err)
		if err == nil {
			again, err := DecodeRecord(EncodeRecord(r))
			if err != nil || !reflect.DeepEqual(again, r) {
				t.Fatalf("%#v read back as %#v (%v)", r, again, err)
			}
		} else if r != nil {
			t.Fatalf("an error and a record: %#v", r)
		}
		_, err = decodePayment(b)
		check(err)
		_, err = decodeInvoice(b)
		check(err)
		state, err := DecodeState(b, nil)
		check(err)
		if err == nil {
			again, err := DecodeState(EncodeState(state), nil)
			if err != nil || !reflect.DeepEqual(again, state) {
				t.Fatalf("%#v read back as %#v (%v)", state, again, err)
			}
		}
	})
}
