package seed

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/btcsuite/btcd/chaincfg"
	"github.com/lightningnetwork/lnd/aezeed"
	"github.com/lightningnetwork/lnd/keychain"
)

// Errors of reading words.
var (
	// ErrPassphrase: the words are right, the passphrase is not.
	ErrPassphrase = errors.New("wrong passphrase for this seed")

	// ErrCorrupt: these are not the words of a seed.
	ErrCorrupt = errors.New("not a valid seed")
)

// WordCount is the number of words of a seed.
const WordCount = aezeed.NumMnemonicWords

// saltSize is the number of bytes aezeed reads as salt.
const saltSize = aezeed.SaltSize

// Words are the 24 words to write on paper, enciphered under the passphrase the Root was opened with (aezeed's default if that was empty,
// or if the Root came from entropy). They are the money: never log them.
func (r *Root) Words() ([]string, error) {
	if len(r.mnemonic) != 0 {
		return append([]string(nil), r.mnemonic...), nil
	}
	// The salt only has to differ between seeds; deriving it makes the words of one entropy always the same.
	salt := r.Derive("lnactor/seed/aezeed-salt")
	return encipher(r.entropy, r.birthday, salt[:saltSize], nil)
}

// FromWords opens the seed written down as words. It runs scrypt: about a tenth of a second and 32 MB.
func FromWords(words []string, passphrase []byte, params *chaincfg.Params) (*Root, error) {
	if len(words) != WordCount {
		return nil, fmt.Errorf("%w: it has %d words, want %d", ErrCorrupt, len(words), WordCount)
	}
	mnemonic := aezeed.Mnemonic(words)
	cipher, err := mnemonic.ToCipherSeed(passphrase)
	switch {
	case errors.Is(err, aezeed.ErrInvalidPass):
		return nil, ErrPassphrase
	case err != nil:
		// The library's error may quote a word; the position alone is enough to find a typing error.
		var unknown aezeed.ErrUnknownMnemonicWord
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("%w: word %d is not in the list", ErrCorrupt, unknown.Index+1)
		}
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case !keychain.IsKnownVersion(cipher.InternalVersion):
		return nil, fmt.Errorf("%w: its derivation version %d is unknown to this release", ErrCorrupt, cipher.InternalVersion)
	}
	root, err := FromEntropy(cipher.Entropy, cipher.BirthdayTime(), params)
	if err != nil {
		return nil, err
	}
	root.mnemonic = append([]string(nil), words...)
	return root, nil
}

// encipher writes entropy down as words. salt is saltSize bytes.
func encipher(entropy [EntropySize]byte, birthday time.Time, salt, passphrase []byte) ([]string, error) {
	if err := checkBirthday(birthday); err != nil {
		return nil, err
	}
	cipher, err := aezeed.New(keychain.CurrentKeyDerivationVersion, &entropy, birthday,
		aezeed.WithRandomnessSource(bytes.NewReader(salt)))
	if err != nil {
		return nil, fmt.Errorf("seed: encipher: %w", err)
	}
	mnemonic, err := cipher.ToMnemonic(passphrase)
	if err != nil {
		return nil, fmt.Errorf("seed: encipher: %w", err)
	}
	return mnemonic[:], nil
}

// checkBirthday refuses what aezeed's 16 bits of days since the genesis block would silently wrap.
func checkBirthday(t time.Time) error {
	days := t.Sub(aezeed.BitcoinGenesisDate) / (24 * time.Hour)
	if t.Before(aezeed.BitcoinGenesisDate) || days > 0xffff {
		return fmt.Errorf("seed: the clock says %s, which is before Bitcoin or after the year 2188: set the clock", t.UTC().Format(time.RFC3339))
	}
	return nil
}

// generate makes a fresh seed. aezeed's own generator accepts a short read as entropy, so the bytes are read here, in full.
func generate(rand io.Reader, now time.Time, passphrase []byte, params *chaincfg.Params) (*Root, error) {
	var secret [EntropySize + saltSize]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return nil, fmt.Errorf("seed: read randomness: %w", err)
	}
	entropy := [EntropySize]byte(secret[:EntropySize])
	words, err := encipher(entropy, now, secret[EntropySize:], passphrase)
	if err != nil {
		return nil, err
	}
	// The birthday is kept to the day, so that the Root now is the Root after Open.
	days := now.Sub(aezeed.BitcoinGenesisDate) / (24 * time.Hour)
	root, err := FromEntropy(entropy, aezeed.BitcoinGenesisDate.Add(days*24*time.Hour), params)
	if err != nil {
		return nil, err
	}
	root.mnemonic = words
	return root, nil
}
