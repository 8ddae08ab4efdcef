package onion

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	sphinx "github.com/lightningnetwork/lightning-onion"
	"github.com/lightningnetwork/lnd/lnwire"
)

func TestFailureRoundTrip(t *testing.T) {
	messages := []lnwire.FailureMessage{
		lnwire.NewFailIncorrectDetails(123, 456), &lnwire.FailTemporaryNodeFailure{}, lnwire.NewFinalIncorrectHtlcAmount(7),
		lnwire.NewFinalIncorrectCltvExpiry(9), lnwire.NewTemporaryChannelFailure(nil), lnwire.NewInvalidOnionPayload(20, 0),
		&lnwire.FailInvalidOnionHmac{OnionSHA256: hash}, &lnwire.FailMPPTimeout{},
	}
	for n := 1; n <= 4; n++ {
		hops := testRoute(n)
		packet, err := Build(session, hops, hash)
		if err != nil {
			t.Fatal(err)
		}
		peeled := walk(t, hops, packet)
		for failing := range hops {
			for _, message := range messages {
				reason, err := EncryptFailure(peeled[failing].Secret, message)
				if err != nil {
					t.Fatal(err)
				}
				for i := failing - 1; i >= 0; i-- {
					if reason, err = Wrap(peeled[i].Secret, reason); err != nil {
						t.Fatal(err)
					}
				}
				if len(reason) != 292 {
					t.Errorf("%T: %d bytes; a length of its own gives away the failure", message, len(reason))
				}
				got, err := DecryptFailure(session, path(hops), reason)
				if err != nil || got.Hop != failing || got.Code != message.Code() || fmt.Sprintf("%+v", got.Message) != fmt.Sprintf("%+v", message) {
					t.Errorf("hop %d of %d sent %+v, got %+v, %v", failing, n, message, got, err)
				}
			}
		}
	}
}

// sealed is a reason made by hop 0 of a route of one, over any bytes.
func sealed(t *testing.T, raw []byte) []byte {
	t.Helper()
	packet, err := Build(session, testRoute(1), hash)
	if err != nil {
		t.Fatal(err)
	}
	reason, err := encrypt(walk(t, testRoute(1), packet)[0].Secret, true, raw)
	if err != nil {
		t.Fatal(err)
	}
	return reason
}

func TestUnparsableFailureNamesItsHop(t *testing.T) {
	padded := func(message []byte) []byte {
		raw := binary.BigEndian.AppendUint16(nil, uint16(len(message)))
		raw = append(raw, message...)
		raw = binary.BigEndian.AppendUint16(raw, uint16(256-len(message)))
		return append(raw, make([]byte, 256-len(message))...)
	}
	for _, tc := range []struct {
		name string
		raw  []byte
		code lnwire.FailCode
	}{
		{"unknown code", padded([]byte{0x40, 0xee}), 0x40ee},
		{"body missing", padded([]byte{0x40, 0x06}), 0x4006},
		{"no code", padded(nil), lnwire.CodeNone},
		{"garbage", bytes.Repeat([]byte{0xff}, 260), 0xffff},
	} {
		got, err := DecryptFailure(session, path(testRoute(1)), sealed(t, tc.raw))
		if err != nil || got.Hop != 0 || got.Code != tc.code || !bytes.Equal(got.Raw, tc.raw) {
			t.Errorf("%s: %+v, %v", tc.name, got, err)
		}
		if tc.name != "body missing" && got.Message != nil {
			t.Errorf("%s: parsed as %v", tc.name, got.Message)
		}
	}
}

func TestUnattributable(t *testing.T) {
	good := sealed(t, make([]byte, 260))
	flipped := bytes.Clone(good)
	flipped[100] ^= 1
	for name, reason := range map[string][]byte{
		"nil": nil, "short": good[:291], "flipped": flipped, "zeros": make([]byte, 292), "long": append(bytes.Clone(good), 0),
		"of another": mustWrap(t, SharedSecret{1}, good),
	} {
		if f, err := DecryptFailure(session, path(testRoute(1)), reason); !errors.Is(err, ErrUnattributable) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := DecryptFailure(nil, path(testRoute(1)), good); !errors.Is(err, ErrUnattributable) {
		t.Errorf("no session key: %v", err)
	}
	if _, err := DecryptFailure(session, nil, good); !errors.Is(err, ErrUnattributable) {
		t.Errorf("no route: %v", err)
	}
}

func mustWrap(t *testing.T, secret SharedSecret, reason []byte) []byte {
	t.Helper()
	out, err := Wrap(secret, reason)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Beyond the end of the route sphinx tries a constant secret. A hop that seals a reason under it made sphinx index past the route.
func TestReasonSealedUnderThePublicSecret(t *testing.T) {
	packet, err := Build(session, testRoute(1), hash)
	if err != nil {
		t.Fatal(err)
	}
	hop := walk(t, testRoute(1), packet)[0]
	dummy := SharedSecret(bytes.Repeat([]byte{1}, 32))
	reason, err := EncryptFailure(dummy, &lnwire.FailTemporaryNodeFailure{})
	if err != nil {
		t.Fatal(err)
	}
	reason = mustWrap(t, hop.Secret, reason)

	func() {
		defer func() {
			if recover() == nil {
				t.Log("sphinx no longer panics here: the guard in decrypt can go")
			}
		}()
		circuit := &sphinx.Circuit{SessionKey: session, PaymentPath: path(testRoute(1))}
		_, _ = sphinx.NewOnionErrorDecrypter(circuit).DecryptError(reason)
	}()
	if f, err := DecryptFailure(session, path(testRoute(1)), reason); !errors.Is(err, ErrUnattributable) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestSecretIsNotPrinted(t *testing.T) {
	s := SharedSecret{0xab, 0xcd}
	for _, verb := range []string{"%v", "%s", "%+v", "%#v", "%x", "%d"} {
		if got := fmt.Sprintf(verb, s); got != "onion.SharedSecret(redacted)" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

func FuzzDecryptFailure(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, 292), make([]byte, 260))
	f.Add(make([]byte, 1000), []byte{0, 2, 0x40, 15})
	packet, err := Build(session, testRoute(1), hash)
	if err != nil {
		f.Fatal(err)
	}
	hop, err := Process(KeyOf(testKey(nodeName(0))), packet, hash)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, reason, message []byte) {
		if _, err := DecryptFailure(session, path(testRoute(2)), reason); err != nil && !errors.Is(err, ErrUnattributable) {
			t.Errorf("untyped error %v", err)
		}
		own, err := encrypt(hop.Secret, true, message)
		if err != nil {
			t.Fatal(err)
		}
		// Any message of at least the length BOLT 4 wants is attributed, whatever is in it.
		if got, err := DecryptFailure(session, path(testRoute(1)), own); len(message) >= 260 && (err != nil || got.Hop != 0) {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func BenchmarkProcess(b *testing.B) {
	packet, err := Build(session, testRoute(1), hash)
	if err != nil {
		b.Fatal(err)
	}
	key := KeyOf(testKey(nodeName(0)))
	for b.Loop() {
		if _, err := Process(key, packet, hash); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	hops := testRoute(1)
	for b.Loop() {
		if _, err := Build(session, hops, hash); err != nil {
			b.Fatal(err)
		}
	}
}
