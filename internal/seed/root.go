package seed

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/aezeed"
	"github.com/lightningnetwork/lnd/keychain"
)

// EntropySize is the number of secret bytes all keys come from.
const EntropySize = aezeed.EntropySize

// hardened is the first hardened child index of BIP 32.
const hardened = hdkeychain.HardenedKeyStart

// Purposes of the two trees (BIP 43).
const (
	purposeLightning = keychain.BIP0043Purpose
	purposeWallet    = 84
)

// redacted stands wherever a Root would be printed.
const redacted = "seed.Root(redacted)"

// Root derives every key of the node. It is safe for concurrent use and never changes. It prints as "seed.Root(redacted)".
type Root struct {
	entropy  [EntropySize]byte
	birthday time.Time
	coin     uint32

	// mnemonic is what the file holds; empty for a Root made from entropy, whose words are computed when asked for.
	mnemonic []string

	master *hdkeychain.ExtendedKey
	hmacer [32]byte

	mu       sync.RWMutex
	branches map[branch]*hdkeychain.ExtendedKey
}

// branch names the last level that is worth caching: the parent of the indexed keys.
type branch struct {
	purpose, account, change uint32
}

// FromEntropy is the Root of the given entropy. It runs no key stretching, so simulations and tests may call it freely.
// The birthday says from when on the chain can hold something for these keys.
func FromEntropy(entropy [EntropySize]byte, birthday time.Time, params *chaincfg.Params) (*Root, error) {
	if params == nil {
		return nil, errors.New("seed: chain parameters are missing")
	}
	master, err := hdkeychain.NewMaster(entropy[:], params)
	if err != nil {
		return nil, fmt.Errorf("seed: this entropy has no BIP 32 master key, use another: %w", err)
	}
	r := &Root{
		entropy:  entropy,
		birthday: birthday,
		coin:     coinType(params),
		master:   master,
		branches: make(map[branch]*hdkeychain.ExtendedKey),
	}
	// Derived now so that Derive cannot fail later.
	key, err := r.Key(keychain.KeyFamilyBaseEncryption, 0)
	if err != nil {
		return nil, err
	}
	r.hmacer = key.Key.Bytes()
	return r, nil
}

func coinType(params *chaincfg.Params) uint32 {
	if params.Net == chaincfg.MainNetParams.Net {
		return keychain.CoinTypeBitcoin
	}
	return keychain.CoinTypeTestnet
}

// Key is m/1017'/coin'/family'/0/index. It fails only for an index BIP 32 cannot derive: a hardened one, or with a chance of 2^-127.
func (r *Root) Key(family keychain.KeyFamily, index uint32) (*btcec.PrivateKey, error) {
	return r.leaf(branch{purpose: purposeLightning, account: uint32(family)}, index)
}

// WalletKey is m/84'/coin'/0'/change/index, for change 0 (receiving) or 1 (change).
func (r *Root) WalletKey(change, index uint32) (*btcec.PrivateKey, error) {
	return r.leaf(branch{purpose: purposeWallet, change: change}, index)
}

// NodeKey is the node's identity: KeyFamilyNodeKey, index 0.
func (r *Root) NodeKey() (*btcec.PrivateKey, error) {
	return r.Key(keychain.KeyFamilyNodeKey, 0)
}

// Derive is the symmetric key for label: HMAC-SHA256(m/1017'/coin'/7'/0/0, label). Labels are chosen by the package that uses the key
// and never change, since what they protect (invoice preimages, S18) outlives every record.
func (r *Root) Derive(label string) [32]byte {
	mac := hmac.New(sha256.New, r.hmacer[:])
	mac.Write([]byte(label))
	return [32]byte(mac.Sum(nil))
}

// Birthday is when the seed was made, to the day: where a rescan of the chain starts.
func (r *Root) Birthday() time.Time { return r.birthday }

func (r *Root) leaf(b branch, index uint32) (*btcec.PrivateKey, error) {
	if b.account >= hardened || b.change >= hardened || index >= hardened {
		return nil, fmt.Errorf("seed: key index %d of account %d is out of range, the highest is %d", index, b.account, hardened-1)
	}
	parent, err := r.parent(b)
	if err != nil {
		return nil, err
	}
	child, err := parent.Derive(index)
	if err != nil {
		return nil, fmt.Errorf("seed: key %d of account %d: %w", index, b.account, err)
	}
	return child.ECPrivKey()
}

// parent is the cached parent of a branch's keys: four derivations, three of them hardened, that each key would repeat.
func (r *Root) parent(b branch) (*hdkeychain.ExtendedKey, error) {
	r.mu.RLock()
	key := r.branches[b]
	r.mu.RUnlock()
	if key != nil {
		return key, nil
	}

	r.mu.Lock()
	defer r.mu.Unlock()
	if key := r.branches[b]; key != nil {
		return key, nil
	}
	key = r.master
	for _, step := range []uint32{hardened + b.purpose, hardened + r.coin, hardened + b.account, b.change} {
		child, err := key.Derive(step)
		if err != nil {
			return nil, fmt.Errorf("seed: account %d: %w", b.account, err)
		}
		key = child
	}
	// An ExtendedKey computes its public key on first use and keeps it. Doing that here, under the lock, leaves later derivations read-only.
	if _, err := key.ECPubKey(); err != nil {
		return nil, fmt.Errorf("seed: account %d: %w", b.account, err)
	}
	if _, err := key.Derive(0); err != nil {
		return nil, fmt.Errorf("seed: account %d: %w", b.account, err)
	}
	r.branches[b] = key
	return key, nil
}

// String, GoString, Format, LogValue and MarshalText keep the seed out of every log, error and dump.
func (r *Root) String() string { return redacted }

// GoString is for %#v.
func (r *Root) GoString() string { return redacted }

// Format covers every verb of package fmt.
func (r *Root) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue is for log/slog.
func (r *Root) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is for encoding/json and its like.
func (r *Root) MarshalText() ([]byte, error) { return []byte(redacted), nil }
