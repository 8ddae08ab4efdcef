package onion

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"

	sphinx "github.com/lightningnetwork/lightning-onion"
	"github.com/lightningnetwork/lnd/htlcswitch/hop"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/record"
	"github.com/lightningnetwork/lnd/routing/route"

	"github.com/lnactor/lnactor/internal/ln"
)

var keysend = ln.Preimage(sha256.Sum256([]byte("keysend")))

func keysendRoute(secret [32]byte, total uint64, records ...Record) []Hop {
	hops := testRoute(2)
	last := &hops[1]
	last.Keysend, last.PaymentSecret, last.TotalMsat, last.Custom = &keysend, secret, total, records
	return hops
}

func TestKeysendRoundTrip(t *testing.T) {
	amount := testRoute(2)[1].AmountMsat
	for _, tc := range []struct {
		name    string
		secret  [32]byte
		total   uint64
		records []Record
		want    uint64
	}{
		{"as lnd has it, without payment_data", [32]byte{}, 0, nil, amount},
		{"a total, but no secret", [32]byte{}, amount, nil, amount},
		{"a part of a set", secret, 2 * amount, nil, 2 * amount},
		{"with records", [32]byte{}, 0, []Record{{696969, []byte("odd")}, {5482373485, []byte{}}, {1 << 40, []byte("even")}}, amount},
	} {
		t.Run(tc.name, func(t *testing.T) {
			hops := keysendRoute(tc.secret, tc.total, tc.records...)
			packet, err := Build(session, hops, hash)
			if err != nil {
				t.Fatal(err)
			}
			got := walk(t, hops, packet)[1].Payload
			want := &Payload{
				AmountMsat: amount, CLTVExpiry: hops[1].CLTVExpiry, Final: true, PaymentSecret: tc.secret, TotalMsat: tc.want, Keysend: &keysend, Custom: tc.records,
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestBuildRefusesRecords(t *testing.T) {
	for name, change := range map[string]func(h []Hop){
		"keysend on the way":   func(h []Hop) { h[0].Keysend = &keysend },
		"records on the way":   func(h []Hop) { h[0].Custom = []Record{{70001, nil}} },
		"a BOLT's record":      func(h []Hop) { h[1].Custom = []Record{{65535, nil}} },
		"keysend, as a record": func(h []Hop) { h[1].Custom = []Record{{uint64(typeKeysend), keysend[:]}} },
		"a record twice":       func(h []Hop) { h[1].Custom = []Record{{70001, nil}, {70001, nil}} },
		"records do not fit":   func(h []Hop) { h[1].Custom = []Record{{70001, make([]byte, 1300)}} },
	} {
		hops := testRoute(2)
		change(hops)
		if _, err := Build(session, hops, hash); !errors.Is(err, ErrRoute) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadKeysend(t *testing.T) {
	const amount, typ = "\x02\x01\x05\x04\x01\x09", "\xff\x00\x00\x00\x01\x46\xc6\x61\x6c"
	full := typ + "\x20" + strings.Repeat("k", 32)
	if _, err := decodePayload([]byte(amount+full), true); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, tc := range []struct {
		name, raw string
		final     bool
		typ       uint64
		want      error
	}{
		{"too short", amount + typ + "\x1f" + strings.Repeat("k", 31), true, 0, ErrUnreadable},
		{"on the way", amount + "\x06\x08\x00\x00\x01\x00\x00\x01\x00\x01" + full, false, uint64(typeKeysend), ErrUnexpected},
		{"an even record on the way", amount + "\x06\x08\x00\x00\x01\x00\x00\x01\x00\x01\xfe\x00\x01\x00\x00\x00", false, 1 << 16, ErrUnknownRecord},
		{"below the applications' range", amount + "\xfd\xff\xfe\x00" + full, true, 65534, ErrUnknownRecord},
	} {
		var bad *PayloadError
		if _, err := decodePayload([]byte(tc.raw), tc.final); !errors.As(err, &bad) || !errors.Is(err, tc.want) || bad.Type != tc.typ {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// lnd reads our keysend and its records, and we read lnd's; both write the same bytes.
func TestKeysendWithLnd(t *testing.T) {
	hops := keysendRoute([32]byte{}, 0, Record{696969, []byte("hi")})[1:]
	ours, err := Build(session, hops, hash)
	if err != nil {
		t.Fatal(err)
	}
	r := &route.Route{Hops: []*route.Hop{{
		PubKeyBytes: route.NewVertex(hops[0].PubKey), ChannelID: 1, AmtToForward: lnwire.MilliSatoshi(hops[0].AmountMsat), OutgoingTimeLock: hops[0].CLTVExpiry,
		CustomRecords: record.CustomSet{record.KeySendType: keysend[:], 696969: []byte("hi")},
	}}}
	path, err := r.ToSphinxPath()
	if err != nil {
		t.Fatal(err)
	}
	onion, err := sphinx.NewOnionPacket(path, session, hash[:], sphinx.DeterministicPacketFiller)
	if err != nil {
		t.Fatal(err)
	}
	if lnds, err := encodePacket(onion); err != nil || lnds != ours {
		t.Errorf("our onion differs from lnd's (%v)", err)
	}
	processor := hop.NewOnionProcessor(sphinx.NewRouter(&sphinx.PrivKeyECDH{PrivKey: testKey(nodeName(1))}, sphinx.NewNoOpReplayLog()))
	iterator, err := processor.ReconstructHopIterator(bytes.NewReader(ours[:]), hash[:], hop.ReconstructBlindingInfo{})
	if err != nil {
		t.Fatal(err)
	}
	payload, _, err := iterator.HopPayload()
	if err != nil {
		t.Fatal(err)
	}
	if got := payload.CustomRecords(); !bytes.Equal(got[record.KeySendType], keysend[:]) || string(got[696969]) != "hi" {
		t.Errorf("lnd reads %v", got)
	}
}
