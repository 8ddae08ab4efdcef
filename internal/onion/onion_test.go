package onion

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	sphinx "github.com/lightningnetwork/lightning-onion"
	"github.com/lightningnetwork/lnd/htlcswitch/hop"
	"github.com/lightningnetwork/lnd/lnwire"
	"github.com/lightningnetwork/lnd/record"
	"github.com/lightningnetwork/lnd/routing/route"
)

func testKey(name string) *btcec.PrivateKey {
	h := sha256.Sum256([]byte(name))
	key, _ := btcec.PrivKeyFromBytes(h[:])
	return key
}

func nodeName(i int) string { return fmt.Sprintf("node %d", i) }

var (
	session = testKey("session")
	hash    = sha256.Sum256([]byte("preimage"))
	secret  = sha256.Sum256([]byte("payment secret"))
)

// testRoute is a route of n hops.
func testRoute(n int) []Hop {
	hops := make([]Hop, n)
	for i := range hops {
		hops[i] = Hop{
			PubKey: testKey(nodeName(i)).PubKey(), AmountMsat: uint64(1_000_000 - i*1000), CLTVExpiry: uint32(800_000 - i*40),
			NextSCID: uint64(i+1)<<40 | 7<<16 | 1,
		}
	}
	last := &hops[n-1]
	last.NextSCID, last.PaymentSecret, last.TotalMsat = 0, secret, last.AmountMsat
	return hops
}

func path(hops []Hop) []*btcec.PublicKey {
	keys := make([]*btcec.PublicKey, len(hops))
	for i := range hops {
		keys[i] = hops[i].PubKey
	}
	return keys
}

// walk peels an onion hop by hop.
func walk(t *testing.T, hops []Hop, packet [PacketSize]byte) []Packet {
	t.Helper()
	var peeled []Packet
	for i := range hops {
		p, err := Process(KeyOf(testKey(nodeName(i))), packet, hash)
		if err != nil {
			t.Fatalf("hop %d: %v", i, err)
		}
		peeled = append(peeled, p)
		packet = p.Next
	}
	return peeled
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{1, 2, 5, 15} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			hops := testRoute(n)
			hops[n-1].Metadata = []byte{1, 2, 3}
			packet, err := Build(session, hops, hash)
			if err != nil {
				t.Fatal(err)
			}
			for i, p := range walk(t, hops, packet) {
				h, got := hops[i], p.Payload
				if got.AmountMsat != h.AmountMsat || got.CLTVExpiry != h.CLTVExpiry || got.NextSCID != h.NextSCID ||
					got.Final != (i == n-1) || got.PaymentSecret != h.PaymentSecret || got.TotalMsat != h.TotalMsat ||
					!bytes.Equal(got.Metadata, h.Metadata) {
					t.Errorf("hop %d: sent %+v, got %+v", i, h, got)
				}
			}
		})
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	a, _ := Build(session, testRoute(2), hash)
	b, _ := Build(session, testRoute(2), hash)
	if a != b {
		t.Error("one session key, two onions")
	}
	c, _ := Build(testKey("another"), testRoute(2), hash)
	if a == c {
		t.Error("two session keys, one onion")
	}
}

// Numbers at the edges of their truncated encoding.
func TestExtremeValues(t *testing.T) {
	for _, v := range []uint64{0, 1, 255, 256, 1<<32 - 1, 1<<64 - 1} {
		hops := []Hop{{PubKey: testKey(nodeName(0)).PubKey(), AmountMsat: v, CLTVExpiry: uint32(v), TotalMsat: v}}
		packet, err := Build(session, hops, hash)
		if err != nil {
			t.Fatal(err)
		}
		got := walk(t, hops, packet)[0].Payload
		if got.AmountMsat != v || got.CLTVExpiry != uint32(v) || got.TotalMsat != v || got.Metadata != nil {
			t.Errorf("%d: %+v", v, got)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(hops []Hop) []Hop
	}{
		{"no hops", func([]Hop) []Hop { return nil }},
		{"too many hops", func([]Hop) []Hop { return testRoute(MaxHops + 1) }},
		{"hops that do not fit", func([]Hop) []Hop { return testRoute(MaxHops) }},
		{"no key", func(h []Hop) []Hop { h[1].PubKey = nil; return h }},
		{"zero key", func(h []Hop) []Hop { h[0].PubKey = new(btcec.PublicKey); return h }},
		{"last hop forwards", func(h []Hop) []Hop { h[1].NextSCID = 1; return h }},
		{"first hop does not", func(h []Hop) []Hop { h[0].NextSCID = 0; return h }},
		{"secret shown on the way", func(h []Hop) []Hop { h[0].PaymentSecret = secret; return h }},
		{"huge metadata", func(h []Hop) []Hop { h[1].Metadata = make([]byte, 2000); return h }},
	} {
		if _, err := Build(session, tc.change(testRoute(2)), hash); !errors.Is(err, ErrRoute) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	if _, err := Build(nil, testRoute(1), hash); !errors.Is(err, ErrRoute) {
		t.Errorf("no session key: %v", err)
	}
}

// BOLT 4: "MUST report a malformed onion with the code for what was wrong and the SHA256 of the onion".
func TestBadOnion(t *testing.T) {
	good, err := Build(session, testRoute(1), hash)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		at   int
		code lnwire.FailCode
	}{
		{"version", 0, lnwire.CodeInvalidOnionVersion},
		{"key", 1, lnwire.CodeInvalidOnionKey},
		{"first payload byte", 34, lnwire.CodeInvalidOnionHmac},
		{"last payload byte", 1333, lnwire.CodeInvalidOnionHmac},
		{"hmac", 1365, lnwire.CodeInvalidOnionHmac},
	} {
		packet := good
		packet[tc.at] ^= 0x40
		p, err := Process(KeyOf(testKey(nodeName(0))), packet, hash)
		var bad *BadOnionError
		if !errors.As(err, &bad) || bad.Code != tc.code || bad.SHA256 != sha256.Sum256(packet[:]) || p.Payload != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		// What the peer makes of it is what we meant.
		failure, err := MalformedFailure(bad.Code, bad.SHA256)
		if err != nil || failure.Code() != tc.code {
			t.Errorf("%s: as a failure: %v, %v", tc.name, failure, err)
		}
	}
	var bad *BadOnionError
	if _, err := Process(KeyOf(testKey(nodeName(0))), good, sha256.Sum256([]byte("another hash"))); !errors.As(err, &bad) || bad.Code != lnwire.CodeInvalidOnionHmac {
		t.Errorf("another payment's onion: %v", err)
	}
	if _, err := Process(KeyOf(testKey("stranger")), good, hash); !errors.As(err, &bad) || bad.Code != lnwire.CodeInvalidOnionHmac {
		t.Errorf("another node's onion: %v", err)
	}
}

func TestMalformedWithoutBadOnionBit(t *testing.T) {
	if _, err := MalformedFailure(lnwire.CodeTemporaryChannelFailure, [32]byte{}); !errors.Is(err, ErrNotMalformed) {
		t.Errorf("got %v", err)
	}
	if f, err := MalformedFailure(lnwire.FlagBadOnion|lnwire.FlagPerm|99, [32]byte{}); err != nil || f == nil {
		t.Errorf("a future code: %v, %v", f, err)
	}
}

// rawOnion is an onion of one hop whose payload is given.
func rawOnion(t *testing.T, raw []byte) [PacketSize]byte {
	t.Helper()
	var route sphinx.PaymentPath
	route[0] = sphinx.OnionHop{NodePub: *testKey(nodeName(0)).PubKey(), HopPayload: sphinx.HopPayload{Type: sphinx.PayloadTLV, Payload: raw}}
	onion, err := sphinx.NewOnionPacket(&route, session, hash[:], sphinx.DeterministicPacketFiller)
	if err != nil {
		t.Fatal(err)
	}
	packet, err := encodePacket(onion)
	if err != nil {
		t.Fatal(err)
	}
	return packet
}

func TestBadPayload(t *testing.T) {
	data := "\x08\x21" + strings.Repeat("s", 32) + "\x05"
	for _, tc := range []struct {
		name, raw string
		typ       uint64
		want      error
	}{
		{"empty", "", 2, ErrMissing},
		{"no amount", "\x04\x01\x09" + data, 2, ErrMissing},
		{"no expiry", "\x02\x01\x05" + data, 4, ErrMissing},
		{"no payment data", "\x02\x01\x05\x04\x01\x09", 8, ErrMissing},
		{"scid at the end", "\x02\x01\x05\x04\x01\x09\x06\x08\x00\x00\x01\x00\x00\x01\x00\x01" + data, 6, ErrUnexpected},
		{"unknown even", "\x02\x01\x05\x04\x01\x09" + data + "\x14\x01\x00\x16\x01\x00", 20, ErrUnknownRecord},
		{"unknown even, empty", "\x02\x01\x05\x04\x01\x09" + data + "\x14\x00", 20, ErrUnknownRecord},
		{"blinded", "\x0a\x01\x00", 10, ErrUnknownRecord},
		{"out of order", "\x04\x01\x09\x02\x01\x05" + data, 0, ErrUnreadable},
		{"twice", "\x02\x01\x05\x02\x01\x05", 0, ErrUnreadable},
		{"leading zero", "\x02\x02\x00\x05\x04\x01\x09" + data, 0, ErrUnreadable},
		{"cut off", "\x02\x08\x05", 0, ErrUnreadable},
		{"endless record", "\x15\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 0, ErrUnreadable},
		{"short secret", "\x02\x01\x05\x04\x01\x09\x08\x01\x00", 0, ErrUnreadable},
	} {
		p, err := Process(KeyOf(testKey(nodeName(0))), rawOnion(t, []byte(tc.raw)), hash)
		var bad *PayloadError
		if !errors.As(err, &bad) || !errors.Is(err, tc.want) || bad.Type != tc.typ || p.Payload != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		// The payer must get to know, so the secret has to be there.
		reason, err := EncryptFailure(p.Secret, bad.Failure())
		if err != nil {
			t.Fatal(err)
		}
		f, err := DecryptFailure(session, path(testRoute(1)), reason)
		if err != nil || f.Hop != 0 || f.Code != lnwire.CodeInvalidOnionPayload {
			t.Errorf("%s: the payer got %+v, %v", tc.name, f, err)
		}
	}
	// Odd records are for others to understand.
	if _, err := Process(KeyOf(testKey(nodeName(0))), rawOnion(t, []byte("\x02\x01\x05\x04\x01\x09"+data+"\x15\x01\x00")), hash); err != nil {
		t.Errorf("unknown odd: %v", err)
	}
}

// lnd reads what Build writes.
func TestLndReadsOurs(t *testing.T) {
	hops := testRoute(3)
	packet, err := Build(session, hops, hash)
	if err != nil {
		t.Fatal(err)
	}
	for i := range hops {
		router := sphinx.NewRouter(&sphinx.PrivKeyECDH{PrivKey: testKey(nodeName(i))}, sphinx.NewNoOpReplayLog())
		processor := hop.NewOnionProcessor(router)
		iterator, err := processor.ReconstructHopIterator(bytes.NewReader(packet[:]), hash[:], hop.ReconstructBlindingInfo{})
		if err != nil {
			t.Fatalf("hop %d: %v", i, err)
		}
		payload, _, err := iterator.HopPayload()
		if err != nil {
			t.Fatalf("hop %d: %v", i, err)
		}
		info := payload.ForwardingInfo()
		if uint64(info.AmountToForward) != hops[i].AmountMsat || info.OutgoingCLTV != hops[i].CLTVExpiry {
			t.Errorf("hop %d: lnd reads %+v", i, info)
		}
		if i == len(hops)-1 {
			if mpp := payload.MultiPath(); mpp == nil || mpp.PaymentAddr() != secret || uint64(mpp.TotalMsat()) != hops[i].TotalMsat {
				t.Errorf("lnd reads payment data %v", mpp)
			}
			break
		}
		var next bytes.Buffer
		if err := iterator.EncodeNextHop(&next); err != nil {
			t.Fatal(err)
		}
		copy(packet[:], next.Bytes())
	}
}

// Process reads what lnd writes.
func TestWeReadLnds(t *testing.T) {
	hops := testRoute(3)
	r := &route.Route{}
	for i, h := range hops {
		rh := &route.Hop{PubKeyBytes: route.NewVertex(h.PubKey), ChannelID: uint64(i) + 10, AmtToForward: lnwire.MilliSatoshi(h.AmountMsat), OutgoingTimeLock: h.CLTVExpiry}
		if i == len(hops)-1 {
			rh.MPP = record.NewMPP(lnwire.MilliSatoshi(h.TotalMsat), h.PaymentSecret)
			rh.Metadata = []byte{9}
		}
		r.Hops = append(r.Hops, rh)
	}
	sphinxPath, err := r.ToSphinxPath()
	if err != nil {
		t.Fatal(err)
	}
	onion, err := sphinx.NewOnionPacket(sphinxPath, session, hash[:], sphinx.DeterministicPacketFiller)
	if err != nil {
		t.Fatal(err)
	}
	packet, err := encodePacket(onion)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range walk(t, hops, packet) {
		want := Payload{AmountMsat: hops[i].AmountMsat, CLTVExpiry: hops[i].CLTVExpiry, NextSCID: uint64(i) + 11}
		if i == len(hops)-1 {
			want = Payload{AmountMsat: hops[i].AmountMsat, CLTVExpiry: hops[i].CLTVExpiry, Final: true, PaymentSecret: secret, TotalMsat: hops[i].TotalMsat, Metadata: []byte{9}}
		}
		if fmt.Sprintf("%+v", *p.Payload) != fmt.Sprintf("%+v", want) {
			t.Errorf("hop %d: got %+v, want %+v", i, *p.Payload, want)
		}
	}
	// And the two write the same bytes.
	for i := range hops {
		hops[i].NextSCID = uint64(i) + 11
	}
	hops[2].NextSCID, hops[2].Metadata = 0, []byte{9}
	if ours, err := Build(session, hops, hash); err != nil || ours != packet {
		t.Errorf("our onion differs from lnd's (%v)", err)
	}
}

func FuzzProcess(f *testing.F) {
	good, err := Build(session, testRoute(2), hash)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good[:], []byte{})
	f.Add([]byte{}, []byte("\x02\x01\x05\x04\x01\x09"))
	f.Add(bytes.Repeat([]byte{2}, PacketSize), []byte("\x08\x21"))
	f.Fuzz(func(t *testing.T, raw, payload []byte) {
		var packet [PacketSize]byte
		copy(packet[:], raw)
		if p, err := Process(KeyOf(testKey(nodeName(0))), packet, hash); (err == nil) != (p.Payload != nil) {
			t.Errorf("payload %v with error %v", p.Payload, err)
		}
		for _, final := range []bool{true, false} {
			p, err := decodePayload(payload, final)
			if err != nil {
				var bad *PayloadError
				if !errors.As(err, &bad) {
					t.Errorf("untyped error %v", err)
				}
				continue
			}
			again, err := p.encode()
			if err != nil {
				t.Fatal(err)
			}
			if q, err := decodePayload(again, final); err != nil || fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", q) {
				t.Errorf("%+v is read back as %+v, %v", p, q, err)
			}
		}
	})
}
