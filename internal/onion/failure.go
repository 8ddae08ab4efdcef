package onion

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	sphinx "github.com/lightningnetwork/lightning-onion"
	"github.com/lightningnetwork/lnd/lnwire"
)

// ErrUnattributable: the reason was garbled on the way, or made by nobody on the route. The payment failed all the same.
var ErrUnattributable = errors.New("onion: the failure names no hop of the route")

// ErrNotMalformed: a failure code that update_fail_malformed_htlc may not carry (BOLT 2: the BADONION bit must be set).
var ErrNotMalformed = errors.New("onion: not a BADONION failure code")

// EncryptFailure is the reason of update_fail_htlc at the node that fails the HTLC.
func EncryptFailure(secret SharedSecret, failure lnwire.FailureMessage) ([]byte, error) {
	var b bytes.Buffer
	if err := lnwire.EncodeFailure(&b, failure, 0); err != nil {
		return nil, fmt.Errorf("onion: encode failure %v: %w", failure.Code(), err)
	}
	return encrypt(secret, true, b.Bytes())
}

// Wrap is the reason to send upstream for one that came from downstream. It accepts any bytes.
func Wrap(secret SharedSecret, reason []byte) ([]byte, error) {
	return encrypt(secret, false, reason)
}

func encrypt(secret SharedSecret, initial bool, data []byte) ([]byte, error) {
	var e sphinx.OnionErrorEncrypter
	if err := e.Decode(bytes.NewReader(secret[:])); err != nil {
		return nil, err
	}
	return e.EncryptError(initial, data), nil
}

// Failure is a decrypted failure.
type Failure struct {
	// Hop is the index into the route of the node that failed the HTLC.
	Hop int

	// Code is the failure code, lnwire.CodeNone if there is not even that.
	Code lnwire.FailCode

	// Message is the failure, nil if its code is unknown or its body does not parse.
	Message lnwire.FailureMessage

	// Raw is the failure message as sent, with lengths and padding.
	Raw []byte
}

// DecryptFailure opens the reason of a failed HTLC. path are the keys of the hops the onion was built for. The only error is ErrUnattributable:
// a message that a hop really sent but that cannot be parsed comes back with its Hop, since that is who to avoid.
func DecryptFailure(sessionKey *btcec.PrivateKey, path []*btcec.PublicKey, reason []byte) (Failure, error) {
	if sessionKey == nil || len(path) == 0 || len(path) > MaxHops {
		return Failure{}, fmt.Errorf("%w: no session key, or a route of %d hops", ErrUnattributable, len(path))
	}
	opened, err := decrypt(sessionKey, path, reason)
	if err != nil {
		return Failure{}, err
	}
	f := Failure{Hop: opened.SenderIdx - 1, Code: codeOf(opened.Message), Raw: opened.Message}
	if message, err := lnwire.DecodeFailure(bytes.NewReader(opened.Message), 0); err == nil {
		f.Message, f.Code = message, message.Code()
	}
	return f, nil
}

// decrypt calls sphinx, which panics on a hostile reason: past the end of the route it goes on with a constant, public secret (for constant
// time), and if a hop has sealed the reason under that one, it looks up a sender beyond the route.
func decrypt(sessionKey *btcec.PrivateKey, path []*btcec.PublicKey, reason []byte) (opened *sphinx.DecryptedError, err error) {
	defer func() {
		if recover() != nil {
			opened, err = nil, ErrUnattributable
		}
	}()
	decrypter := sphinx.NewOnionErrorDecrypter(&sphinx.Circuit{SessionKey: sessionKey, PaymentPath: path})
	opened, err = decrypter.DecryptError(reason)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnattributable, err)
	}
	return opened, nil
}

// codeOf reads the failure code of a message whose body may be unreadable: u16 length, then u16 code.
func codeOf(raw []byte) lnwire.FailCode {
	if len(raw) < 4 || binary.BigEndian.Uint16(raw) < 2 {
		return lnwire.CodeNone
	}
	return lnwire.FailCode(binary.BigEndian.Uint16(raw[2:]))
}

// MalformedFailure is the failure that update_fail_malformed_htlc stands for: what a forwarding node encrypts for the payer, and what a payer takes
// from its own peer. Without the BADONION bit it is ErrNotMalformed, for which BOLT 2 lets the channel fail.
func MalformedFailure(code lnwire.FailCode, sha256OfOnion [32]byte) (lnwire.FailureMessage, error) {
	if code&lnwire.FlagBadOnion == 0 {
		return nil, fmt.Errorf("%w: %d", ErrNotMalformed, uint16(code))
	}
	switch code {
	case lnwire.CodeInvalidOnionVersion:
		return &lnwire.FailInvalidOnionVersion{OnionSHA256: sha256OfOnion}, nil
	case lnwire.CodeInvalidOnionKey:
		return &lnwire.FailInvalidOnionKey{OnionSHA256: sha256OfOnion}, nil
	case lnwire.CodeInvalidBlinding:
		return &lnwire.FailInvalidBlinding{OnionSHA256: sha256OfOnion}, nil
	default:
		// A BADONION code of the future is passed on as the commonest of them: the peer could not read the onion.
		return &lnwire.FailInvalidOnionHmac{OnionSHA256: sha256OfOnion}, nil
	}
}
