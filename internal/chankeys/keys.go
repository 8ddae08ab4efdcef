package chankeys

import (
	"crypto/sha256"
	"sync"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/keychain"
	"github.com/lightningnetwork/lnd/shachain"
)

// shachainTag separates the root of the per-commitment secrets from the key it
// is made of. Changing it loses every channel.
const shachainTag = "lnactor/shachain-root/v0"

// channel is what is derived of one channel key index, each key when it is first
// asked for: at a restart with many channels only the keys that are used cost
// anything.
type channel struct {
	funding, revocation, payment, delayed, htlc func() (*pair, error)
	secrets                                     func() (*shachain.RevocationProducer, error)
}

// pair is a private key with its public key, which takes a scalar
// multiplication to compute.
type pair struct {
	private *btcec.PrivateKey
	public  *btcec.PublicKey
}

func newChannel(source Source, index uint32) *channel {
	lazy := func(family keychain.KeyFamily) func() (*pair, error) {
		return retry(func() (*pair, error) {
			key, err := source(family, index)
			if err != nil {
				return nil, err
			}
			return &pair{key, key.PubKey()}, nil
		})
	}
	return &channel{
		funding:    lazy(keychain.KeyFamilyMultiSig),
		revocation: lazy(keychain.KeyFamilyRevocationBase),
		payment:    lazy(keychain.KeyFamilyPaymentBase),
		delayed:    lazy(keychain.KeyFamilyDelayBase),
		htlc:       lazy(keychain.KeyFamilyHtlcBase),
		secrets: retry(func() (*shachain.RevocationProducer, error) {
			key, err := source(keychain.KeyFamilyRevocationRoot, index)
			if err != nil {
				return nil, err
			}
			root := sha256.Sum256(append([]byte(shachainTag), key.Serialize()...))
			return shachain.NewRevocationProducer(chainhash.Hash(root)), nil
		}),
	}
}

// retry remembers the first success of f. Unlike sync.OnceValues it does not
// remember an error: a key source may be locked at first.
func retry[T any](f func() (*T, error)) func() (*T, error) {
	var mu sync.Mutex
	var value *T
	return func() (*T, error) {
		mu.Lock()
		defer mu.Unlock()
		if value == nil {
			v, err := f()
			if err != nil {
				return nil, err
			}
			value = v
		}
		return value, nil
	}
}
