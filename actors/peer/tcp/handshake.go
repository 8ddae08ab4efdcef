package tcp

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/brontide"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/lnactor/lnactor/internal/ln"
)

// ErrHandshake says that the other side did not prove to be who it should be.
var ErrHandshake = errors.New("tcp: BOLT 8 handshake failed; is this the right node id for the address?")

// NodeKey is a node's secret key behind the one operation that BOLT 8 needs: SHA256 of the compressed product with a public key. The keys of
// lnd's keychain and of package onion have it.
type NodeKey interface {
	PubKey() *btcec.PublicKey
	ECDH(*btcec.PublicKey) ([32]byte, error)
}

// initiate is the handshake of the side that connects.
func initiate(c net.Conn, key NodeKey, to *btcec.PublicKey) (*brontide.Machine, error) {
	m := brontide.NewBrontideMachine(true, key, to)
	one, err := m.GenActOne()
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(one[:]); err != nil {
		return nil, err
	}
	var two [brontide.ActTwoSize]byte
	if _, err := io.ReadFull(c, two[:]); err != nil {
		return nil, fmt.Errorf("%w (act two: %w)", ErrHandshake, err)
	}
	if err := m.RecvActTwo(two); err != nil {
		return nil, fmt.Errorf("%w (act two: %w)", ErrHandshake, err)
	}
	three, err := m.GenActThree()
	if err != nil {
		return nil, err
	}
	_, err = c.Write(three[:])
	return m, err
}

// respond is the handshake of the side that is connected to. It learns who the other is.
func respond(c net.Conn, key NodeKey) (*brontide.Machine, ln.NodeID, error) {
	fail := func(act string, err error) (*brontide.Machine, ln.NodeID, error) {
		return nil, ln.NodeID{}, fmt.Errorf("%w (act %s: %w)", ErrHandshake, act, err)
	}
	secrets := &recorder{NodeKey: key}
	var ephemeral *btcec.PrivateKey
	m := brontide.NewBrontideMachine(false, secrets, nil, brontide.EphemeralGenerator(func() (key *btcec.PrivateKey, err error) {
		ephemeral, err = btcec.NewPrivateKey()
		return ephemeral, err
	}))
	var one [brontide.ActOneSize]byte
	if _, err := io.ReadFull(c, one[:]); err != nil {
		return fail("one", err)
	}
	if err := m.RecvActOne(one); err != nil {
		return fail("one", err)
	}
	two, err := m.GenActTwo()
	if err != nil {
		return fail("two", err)
	}
	if _, err := c.Write(two[:]); err != nil {
		return fail("two", err)
	}
	var three [brontide.ActThreeSize]byte
	if _, err := io.ReadFull(c, three[:]); err != nil {
		return fail("three", err)
	}
	if err := m.RecvActThree(three); err != nil {
		return fail("three", err)
	}
	id, err := initiator(key.PubKey(), ephemeral, secrets.es, one, two, three)
	if err != nil {
		return fail("three", err)
	}
	return m, id, nil
}

// recorder keeps the one secret that the responder's static key takes part in.
type recorder struct {
	NodeKey
	es [32]byte
}

func (r *recorder) ECDH(pub *btcec.PublicKey) (secret [32]byte, err error) {
	r.es, err = r.NodeKey.ECDH(pub)
	return r.es, err
}

// initiator reads the initiator's static key out of a handshake that the machine has accepted, which verified it but does not show it. It
// follows "Handshake Exchange" of BOLT 8 up to the first decryption of act three.
func initiator(static *btcec.PublicKey, ephemeral *btcec.PrivateKey, es [32]byte, one [brontide.ActOneSize]byte,
	two [brontide.ActTwoSize]byte, three [brontide.ActThreeSize]byte,
) (ln.NodeID, error) {
	var id ln.NodeID
	ck := sha256.Sum256([]byte("Noise_XK_secp256k1_ChaChaPoly_SHA256"))
	h := mix(ck, []byte("lightning"))
	h = mix(h, static.SerializeCompressed())

	h = mix(mix(h, one[1:34]), one[34:])
	ck, _, err := ratchet(ck, es)
	if err != nil {
		return id, err
	}
	remote, err := btcec.ParsePubKey(one[1:34])
	if err != nil {
		return id, err
	}
	h = mix(mix(h, two[1:34]), two[34:])
	ee := ecdh(ephemeral, remote)
	_, temp, err := ratchet(ck, ee)
	if err != nil {
		return id, err
	}

	aead, err := chacha20poly1305.New(temp[:])
	if err != nil {
		return id, err
	}
	nonce := [chacha20poly1305.NonceSize]byte{4: 1} // 0 was the tag of act two
	rs, err := aead.Open(nil, nonce[:], three[1:50], h[:])
	if err != nil || len(rs) != len(id) {
		return id, fmt.Errorf("static key of the initiator: %w", err)
	}
	copy(id[:], rs)
	return id, nil
}

func mix(h [32]byte, data []byte) [32]byte {
	return sha256.Sum256(bytes.Join([][]byte{h[:], data}, nil))
}

func ratchet(ck, secret [32]byte) (next, temp [32]byte, err error) {
	out, err := hkdf.Key(sha256.New, secret[:], ck[:], "", 64)
	if err != nil {
		return next, temp, err
	}
	return [32]byte(out[:32]), [32]byte(out[32:]), nil
}

func ecdh(priv *btcec.PrivateKey, pub *btcec.PublicKey) [32]byte {
	var point, product btcec.JacobianPoint
	pub.AsJacobian(&point)
	btcec.ScalarMultNonConst(&priv.Key, &point, &product)
	product.ToAffine()
	return sha256.Sum256(btcec.NewPublicKey(&product.X, &product.Y).SerializeCompressed())
}
