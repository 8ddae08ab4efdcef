package onion

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"

	"github.com/btcsuite/btcd/btcec/v2"
	sphinx "github.com/lightningnetwork/lightning-onion"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// PacketSize is the size of an onion in update_add_htlc.
const PacketSize = lnwire.OnionPacketSize

// MaxHops is the longest route an onion can hold.
const MaxHops = sphinx.NumMaxHops

// SharedSecret is what the payer and one hop share for one onion. It is the key of failure messages: keep it out of logs.
type SharedSecret [32]byte

// String hides the secret.
func (SharedSecret) String() string { return "onion.SharedSecret(redacted)" }

// Format hides it from every verb of package fmt.
func (s SharedSecret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// LogValue hides it from log/slog.
func (s SharedSecret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// NodeKey is a node's key as Process needs it, for use by several goroutines at once. keychain.PrivKeyECDH and keychain.PubKeyECDH have it, so a
// remote signer can.
type NodeKey interface {
	PubKey() *btcec.PublicKey

	// ECDH is SHA256 of the compressed product of the private key and pub.
	ECDH(pub *btcec.PublicKey) ([32]byte, error)
}

// KeyOf is the NodeKey of a private key at hand.
func KeyOf(priv *btcec.PrivateKey) NodeKey { return &sphinx.PrivKeyECDH{PrivKey: priv} }

// Hop is one node of a route and what it is told.
type Hop struct {
	// PubKey is the node's key.
	PubKey *btcec.PublicKey

	// AmountMsat and CLTVExpiry are of the HTLC the hop sends on; at the last hop, of the one it receives.
	AmountMsat uint64
	CLTVExpiry uint32

	// NextSCID is the channel to forward over, in all hops but the last, where it must be zero.
	NextSCID uint64

	// PaymentSecret, TotalMsat and Metadata are from the invoice, in the last hop only.
	PaymentSecret [32]byte
	TotalMsat     uint64
	Metadata      []byte

	// Keysend is the preimage, to a payee without an invoice, in the last hop only. Payees differ in whether they take a PaymentSecret with it: leave
	// it zero and payment_data is left out, but then the payment can't be split.
	Keysend *ln.Preimage

	// Custom are records of applications, in the last hop only: types from FirstCustomType on, none twice.
	Custom []Record
}

// ErrRoute is the error of a route that no onion can be built for.
var ErrRoute = errors.New("onion: bad route")

// Build makes the onion for a route. The session key must be fresh: one key in two onions lets a hop link and forge. The same arguments give the
// same bytes, so an onion need not be stored where its session key is (rule 14).
func Build(sessionKey *btcec.PrivateKey, hops []Hop, paymentHash [32]byte) ([PacketSize]byte, error) {
	var packet [PacketSize]byte
	switch {
	case sessionKey == nil:
		return packet, fmt.Errorf("%w: the session key is missing", ErrRoute)
	case len(hops) == 0 || len(hops) > MaxHops:
		return packet, fmt.Errorf("%w: it has %d hops, want 1 to %d", ErrRoute, len(hops), MaxHops)
	}
	var path sphinx.PaymentPath
	for i := range hops {
		hop, err := hops[i].sphinx(i == len(hops)-1)
		if err != nil {
			return packet, fmt.Errorf("%w: hop %d: %w", ErrRoute, i, err)
		}
		path[i] = hop
	}
	onion, err := sphinx.NewOnionPacket(&path, sessionKey, paymentHash[:], sphinx.DeterministicPacketFiller)
	if err != nil {
		return packet, fmt.Errorf("%w: %w", ErrRoute, err)
	}
	return encodePacket(onion)
}

func (h *Hop) sphinx(last bool) (sphinx.OnionHop, error) {
	switch {
	case h.PubKey == nil || !h.PubKey.IsOnCurve():
		return sphinx.OnionHop{}, errors.New("its public key is missing or invalid")
	case last && h.NextSCID != 0:
		return sphinx.OnionHop{}, errors.New("the last hop has a next channel")
	case !last && h.NextSCID == 0:
		return sphinx.OnionHop{}, errors.New("a hop before the last has no next channel")
	case !last && (h.TotalMsat != 0 || h.PaymentSecret != [32]byte{} || h.Metadata != nil || h.Keysend != nil || h.Custom != nil):
		return sphinx.OnionHop{}, errors.New("a hop before the last would see the payee's secrets")
	}
	for _, r := range h.Custom {
		if r.Type < FirstCustomType || r.Type == uint64(typeKeysend) {
			return sphinx.OnionHop{}, fmt.Errorf("record type %d is not an application's", r.Type)
		}
	}
	payload := Payload{
		AmountMsat: h.AmountMsat, CLTVExpiry: h.CLTVExpiry, Final: last,
		NextSCID: h.NextSCID, PaymentSecret: h.PaymentSecret, TotalMsat: h.TotalMsat, Metadata: h.Metadata,
		Keysend: h.Keysend, Custom: h.Custom,
	}
	raw, err := payload.encode()
	if err != nil {
		return sphinx.OnionHop{}, err
	}
	hopPayload, err := sphinx.NewTLVHopPayload(raw)
	if err != nil {
		return sphinx.OnionHop{}, err
	}
	return sphinx.OnionHop{NodePub: *h.PubKey, HopPayload: hopPayload}, nil
}

func encodePacket(onion *sphinx.OnionPacket) ([PacketSize]byte, error) {
	var packet [PacketSize]byte
	var b bytes.Buffer
	if err := onion.Encode(&b); err != nil {
		return packet, err
	}
	if b.Len() != PacketSize {
		return packet, fmt.Errorf("onion: it has %d bytes, want %d", b.Len(), PacketSize)
	}
	copy(packet[:], b.Bytes())
	return packet, nil
}

// Packet is a peeled onion.
type Packet struct {
	// Payload is nil when Process returned an error.
	Payload *Payload

	// Secret encrypts the failure of this HTLC. It is valid with a nil error and with a *PayloadError.
	Secret SharedSecret

	// Next is the onion for the next hop, unless Payload.Final.
	Next [PacketSize]byte
}

// BadOnionError says that an onion could not be peeled. No secret is shared, so the HTLC is answered with update_fail_malformed_htlc.
type BadOnionError struct {
	// Code is one of BOLT 4's BADONION failure codes.
	Code lnwire.FailCode

	// SHA256 is sha256_of_onion.
	SHA256 [32]byte
}

// Error names the code.
func (e *BadOnionError) Error() string { return fmt.Sprintf("onion cannot be peeled: %v", e.Code) }

// Process peels one layer off an onion. An error is a *BadOnionError, a *PayloadError (then the Secret is set), or the NodeKey's own.
func Process(key NodeKey, packet [PacketSize]byte, paymentHash [32]byte) (Packet, error) {
	var onion sphinx.OnionPacket
	if err := onion.Decode(bytes.NewReader(packet[:])); err != nil {
		return Packet{}, badOnion(err, packet)
	}
	// sphinx does not hand out the secret it computes. It is computed here, once (the key may be a remote signer's), and handed in.
	secret, err := key.ECDH(onion.EphemeralKey)
	if err != nil {
		return Packet{}, fmt.Errorf("onion: node key: %w", err)
	}
	once := &onceECDH{NodeKey: key, secret: secret}
	router := sphinx.NewRouter(once, nil) // Reconstruct uses no replay log, see the package comment
	peeled, err := router.ReconstructOnionPacket(&onion, paymentHash[:], sphinx.WithTLVPayloadOnly())
	out := Packet{Secret: SharedSecret(secret)}
	switch {
	case errors.Is(err, sphinx.ErrInvalidOnionHMAC), errors.Is(err, sphinx.ErrInvalidOnionKey), errors.Is(err, sphinx.ErrInvalidOnionVersion):
		return Packet{}, badOnion(err, packet)
	case err != nil:
		// The HMAC was right, so the payer wrote this: lengths that do not fit (BOLT 4, "invalid_onion_payload").
		return out, &PayloadError{Err: fmt.Errorf("%w: %w", ErrUnreadable, err)}
	}
	final := peeled.Action == sphinx.ExitNode
	payload, err := decodePayload(peeled.Payload.Payload, final)
	if err != nil {
		return out, err
	}
	if !final {
		if out.Next, err = encodePacket(peeled.NextPacket); err != nil {
			return out, &PayloadError{Err: err}
		}
	}
	out.Payload = payload
	return out, nil
}

// onceECDH answers sphinx with the secret that was just computed.
type onceECDH struct {
	NodeKey
	secret [32]byte
}

func (o *onceECDH) ECDH(*btcec.PublicKey) ([32]byte, error) { return o.secret, nil }

func badOnion(err error, packet [PacketSize]byte) *BadOnionError {
	code := lnwire.CodeInvalidOnionHmac
	switch {
	case errors.Is(err, sphinx.ErrInvalidOnionVersion):
		code = lnwire.CodeInvalidOnionVersion
	case errors.Is(err, sphinx.ErrInvalidOnionKey):
		code = lnwire.CodeInvalidOnionKey
	}
	return &BadOnionError{Code: code, SHA256: sha256.Sum256(packet[:])}
}
