package chankeys

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcutil"
	"github.com/btcsuite/btcd/txscript"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/input"
)

// Path is a way to spend an output of a commitment transaction, or of a second stage, with the holder's keys alone (BOLT 5).
type Path uint8

// Paths.
const (
	PathDelayed        Path = iota + 1 // to_local of the holder's commitment and the output of its HTLC transactions, after to_self_delay
	PathToRemote                       // to_remote of the counterparty's commitment, after one confirmation
	PathAnchor                         // the holder's anchor on either commitment
	PathHTLCPreimage                   // an HTLC that the counterparty offered, on its commitment
	PathHTLCTimeout                    // an HTLC that the holder offered, on the counterparty's commitment, after its expiry
	PathRevokedDelayed                 // to_local of a revoked commitment and the output of its HTLC transactions
	PathRevokedHTLC                    // any HTLC of a revoked commitment
)

// ErrSpend means that a Spend lacks what its path needs, or has the wrong preimage or secret.
var ErrSpend = errors.New("chankeys: incomplete or contradictory spend")

// Spend says how an output is spent.
type Spend struct {
	Path          Path
	Point         *btcec.PublicKey // per-commitment point of the commitment; not for PathToRemote and PathAnchor
	Secret        *[32]byte        // of a revoked commitment
	Preimage      *[32]byte        // for PathHTLCPreimage
	WitnessScript []byte
	Value         btcutil.Amount
}

// sigWeight is the largest DER signature with its hash type: 72 bytes, and low S makes it 71 or less here.
const sigWeight = 73

// WitnessWeight is an upper bound of the witness, in weight units, its element count included.
func (s *Spend) WitnessWeight() int {
	script := wire.VarIntSerializeSize(uint64(len(s.WitnessScript))) + len(s.WitnessScript)
	base := 1 + sigWeight + script // count, signature, script
	switch s.Path {
	case PathDelayed, PathHTLCTimeout:
		return base + 1
	case PathHTLCPreimage:
		return base + 1 + sha256.Size
	case PathRevokedDelayed:
		return base + 2
	case PathRevokedHTLC:
		return base + 1 + btcec.PubKeyBytesLenCompressed
	case PathToRemote, PathAnchor:
	}
	return base
}

// SignSpend implements Signer.
func (l *Local) SignSpend(index uint32, s *Spend, tx *wire.MsgTx, in int) (wire.TxWitness, error) {
	if s == nil || tx == nil || in < 0 || in >= len(tx.TxIn) || len(s.WitnessScript) == 0 {
		return nil, ErrSpend
	}
	key, middle, err := l.spendKey(index, s)
	if err != nil {
		return nil, err
	}
	fetcher := txscript.NewCannedPrevOutputFetcher(nil, int64(s.Value)) // only tells the library that no input is taproot
	hash, err := txscript.CalcWitnessSigHash(s.WitnessScript, txscript.NewTxSigHashes(tx, fetcher), txscript.SigHashAll, tx, in, int64(s.Value))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpend, err)
	}
	sig := append(ecdsa.Sign(key, hash).Serialize(), byte(txscript.SigHashAll))
	return append(append(wire.TxWitness{sig}, middle...), s.WitnessScript), nil
}

// spendKey is the private key of a path, and what stands between signature and script in the witness.
func (l *Local) spendKey(index uint32, s *Spend) (*btcec.PrivateKey, [][]byte, error) {
	c := l.channel(index)
	switch s.Path {
	case PathToRemote:
		return private(c.payment())
	case PathAnchor:
		return private(c.funding())
	}
	if s.Point == nil {
		return nil, nil, fmt.Errorf("%w: no per-commitment point", ErrSpend)
	}
	switch s.Path {
	case PathDelayed:
		return tweaked(c.delayed, s.Point, nil)
	case PathHTLCTimeout:
		return tweaked(c.htlc, s.Point, nil)
	case PathHTLCPreimage:
		if s.Preimage == nil {
			return nil, nil, fmt.Errorf("%w: no preimage", ErrSpend)
		}
		return tweaked(c.htlc, s.Point, s.Preimage[:])
	case PathRevokedDelayed, PathRevokedHTLC:
		if s.Secret == nil {
			return nil, nil, fmt.Errorf("%w: no revocation secret", ErrSpend)
		}
		secret, point := btcec.PrivKeyFromBytes(s.Secret[:])
		if !point.IsEqual(s.Point) {
			return nil, nil, fmt.Errorf("%w: the secret is of another commitment", ErrSpend)
		}
		base, err := c.revocation()
		if err != nil {
			return nil, nil, err
		}
		key := input.DeriveRevocationPrivKey(base.private, secret)
		if s.Path == PathRevokedDelayed {
			return key, [][]byte{{1}}, nil
		}
		return key, [][]byte{key.PubKey().SerializeCompressed()}, nil
	case PathToRemote, PathAnchor:
	}
	return nil, nil, fmt.Errorf("%w: unknown path %d", ErrSpend, s.Path)
}

func private(p *pair, err error) (*btcec.PrivateKey, [][]byte, error) {
	if err != nil {
		return nil, nil, err
	}
	return p.private, nil, nil
}

// tweaked is the key of a basepoint at one commitment.
func tweaked(base func() (*pair, error), point *btcec.PublicKey, middle []byte) (*btcec.PrivateKey, [][]byte, error) {
	p, err := base()
	if err != nil {
		return nil, nil, err
	}
	return input.TweakPrivKey(p.private, input.SingleTweakBytes(point, p.public)), [][]byte{middle}, nil
}
