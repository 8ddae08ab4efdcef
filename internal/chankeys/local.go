package chankeys

import (
	"crypto/subtle"
	"log/slog"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/input"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
)

// Source gives the private key of a family at an index. It must give the same
// key for ever and may be called from many goroutines.
type Source func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error)

// Ring makes a Source of lnd's key ring.
func Ring(ring keychain.SecretKeyRing) Source {
	return func(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
		return ring.DerivePrivKey(keychain.KeyDescriptor{
			KeyLocator: keychain.KeyLocator{Family: family, Index: index},
		})
	}
}

// Local is a Signer with the private keys in this process. Keys once derived are
// kept, about a kilobyte for a channel in use.
type Local struct {
	source   Source
	channels sync.Map // uint32 -> *channel; reading takes no lock
}

var _ Signer = (*Local)(nil)

// NewLocal returns a Signer over a source of keys.
func NewLocal(source Source) *Local { return &Local{source: source} }

// String and LogValue keep keys out of logs and crash dumps.
func (l *Local) String() string { return "chankeys.Local(secret)" }

// GoString is for %#v.
func (l *Local) GoString() string { return l.String() }

// LogValue implements slog.LogValuer.
func (l *Local) LogValue() slog.Value { return slog.StringValue(l.String()) }

// Forget implements Signer: what is kept of a channel is dropped. Using the index
// again derives it anew.
func (l *Local) Forget(index uint32) { l.channels.Delete(index) }

func (l *Local) channel(index uint32) *channel {
	if c, ok := l.channels.Load(index); ok {
		return c.(*channel)
	}
	c, _ := l.channels.LoadOrStore(index, newChannel(l.source, index))
	return c.(*channel)
}

// Basepoints implements Signer.
func (l *Local) Basepoints(index uint32) (commitment.Basepoints, error) {
	c := l.channel(index)
	var b commitment.Basepoints
	for _, k := range []struct {
		get func() (*pair, error)
		to  **btcec.PublicKey
	}{
		{c.funding, &b.Funding},
		{c.revocation, &b.Revocation},
		{c.payment, &b.Payment},
		{c.delayed, &b.DelayedPayment},
		{c.htlc, &b.HTLC},
	} {
		key, err := k.get()
		if err != nil {
			return commitment.Basepoints{}, err
		}
		*k.to = key.public
	}
	return b, nil
}

// PerCommitmentPoint implements Signer.
func (l *Local) PerCommitmentPoint(index uint32, n uint64) (*btcec.PublicKey, error) {
	secret, err := l.ReleaseSecret(index, n)
	if err != nil {
		return nil, err
	}
	return input.ComputeCommitmentPoint(secret[:]), nil
}

// ReleaseSecret implements Signer.
func (l *Local) ReleaseSecret(index uint32, n uint64) ([32]byte, error) {
	if n > commitment.MaxNumber {
		return [32]byte{}, ErrNumber
	}
	secrets, err := l.channel(index).secrets()
	if err != nil {
		return [32]byte{}, err
	}
	// The library's index counts commitments from 0 and turns it into BOLT 3's
	// own, which counts down.
	secret, err := secrets.AtIndex(n)
	if err != nil {
		return [32]byte{}, err
	}
	return *secret, nil
}

// CheckSecret implements Signer.
func (l *Local) CheckSecret(index uint32, n uint64, secret [32]byte) (bool, error) {
	want, err := l.ReleaseSecret(index, n)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(want[:], secret[:]) == 1, nil
}

// SignCounterparty implements Signer.
func (l *Local) SignCounterparty(index uint32, s *commitment.Static, tx *commitment.Tx) (lnwire.Sig, []lnwire.Sig, error) {
	if tx.OwnerIsHolder {
		return lnwire.Sig{}, nil, ErrWrongOwner
	}
	sig, err := l.signFunding(index, s, tx)
	if err != nil || len(tx.HTLCs) == 0 {
		return sig, nil, err
	}
	key, err := l.htlcKey(index, s, tx)
	if err != nil {
		return lnwire.Sig{}, nil, err
	}
	htlcSigs := make([]lnwire.Sig, len(tx.HTLCs))
	err = commitment.ForEachHTLC(len(htlcSigs), func(i int) error {
		hash, err := tx.CounterSigHash(i)
		if err != nil {
			return err
		}
		htlcSigs[i], err = commitment.Sign(key, hash)
		return err
	})
	if err != nil {
		return lnwire.Sig{}, nil, err
	}
	return sig, htlcSigs, nil
}

// SignHolder implements Signer.
func (l *Local) SignHolder(index uint32, s *commitment.Static, tx *commitment.Tx) (lnwire.Sig, error) {
	if !tx.OwnerIsHolder {
		return lnwire.Sig{}, ErrWrongOwner
	}
	return l.signFunding(index, s, tx)
}

// SignHolderHTLC implements Signer.
func (l *Local) SignHolderHTLC(index uint32, s *commitment.Static, tx *commitment.Tx, i int, spend *wire.MsgTx) (lnwire.Sig, error) {
	if !tx.OwnerIsHolder {
		return lnwire.Sig{}, ErrWrongOwner
	}
	hash, err := tx.OwnerSigHash(i, spend)
	if err != nil {
		return lnwire.Sig{}, err
	}
	key, err := l.htlcKey(index, s, tx)
	if err != nil {
		return lnwire.Sig{}, err
	}
	return commitment.Sign(key, hash)
}

// SignMutualClose implements Signer.
func (l *Local) SignMutualClose(index uint32, s *commitment.Static, tx *commitment.CloseTx) (lnwire.Sig, error) {
	return l.signFunding(index, s, tx)
}

// SignAnnouncement implements Signer.
func (l *Local) SignAnnouncement(index uint32, digest [32]byte) (lnwire.Sig, error) {
	key, err := l.channel(index).funding()
	if err != nil {
		return lnwire.Sig{}, err
	}
	return commitment.Sign(key.private, digest[:])
}

// signFunding signs a transaction that spends the funding output.
func (l *Local) signFunding(index uint32, s *commitment.Static, tx interface{ SigHash() ([]byte, error) }) (lnwire.Sig, error) {
	key, err := l.channel(index).funding()
	if err != nil {
		return lnwire.Sig{}, err
	}
	if s == nil || s.Holder.Funding == nil || !key.public.IsEqual(s.Holder.Funding) {
		return lnwire.Sig{}, ErrWrongChannel
	}
	hash, err := tx.SigHash()
	if err != nil {
		return lnwire.Sig{}, err
	}
	return commitment.Sign(key.private, hash)
}

// htlcKey is the holder's HTLC key of one commitment of either side.
func (l *Local) htlcKey(index uint32, s *commitment.Static, tx *commitment.Tx) (*btcec.PrivateKey, error) {
	key, err := l.channel(index).htlc()
	if err != nil {
		return nil, err
	}
	if s == nil || s.Holder.HTLC == nil || !key.public.IsEqual(s.Holder.HTLC) {
		return nil, ErrWrongChannel
	}
	return input.TweakPrivKey(key.private,
		input.SingleTweakBytes(tx.Keys.PerCommitmentPoint, key.public)), nil
}
