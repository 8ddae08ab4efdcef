package facts

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/lightningnetwork/lnd/shachain"
)

// EncodeSecrets writes the compact store of the counterparty's revocation secrets (BOLT 3, Efficient Per-commitment Secret Storage).
func EncodeSecrets(s *shachain.RevocationStore) []byte {
	var b bytes.Buffer
	if err := s.Encode(&b); err != nil {
		panic(fmt.Sprintf("facts: a buffer refused to grow: %v", err))
	}
	return b.Bytes()
}

// DecodeSecrets reads what EncodeSecrets wrote, and refuses anything else: the library would index past its buckets.
func DecodeSecrets(b []byte) (*shachain.RevocationStore, error) {
	const maxBuckets, bucket, index = 49, 8 + 32, 8 // BOLT 3: one bucket for each of 48 bits, and one more
	if len(b) == 0 || b[0] > maxBuckets || len(b) != 1+int(b[0])*bucket+index {
		return nil, fmt.Errorf("%d bytes are no secret store", len(b))
	}
	return shachain.NewRevocationStoreFromBytes(bytes.NewReader(b))
}

func cloneSecrets(s *shachain.RevocationStore) *shachain.RevocationStore {
	t, err := DecodeSecrets(EncodeSecrets(s))
	if err != nil {
		panic(fmt.Sprintf("facts: secrets do not survive a copy: %v", err))
	}
	return t
}

// Secret returns the counterparty's revocation secret of its commitment n, which must be revoked.
func (c *Channel) Secret(n uint64) ([32]byte, error) {
	if n >= c.CounterpartyNumber {
		return [32]byte{}, fmt.Errorf("commitment %d is not revoked, the oldest valid one is %d", n, c.CounterpartyNumber)
	}
	h, err := c.Secrets.LookUp(n)
	if err != nil {
		return [32]byte{}, err
	}
	return *h, nil
}

func (c *Channel) addSecret(secret [32]byte) error {
	h := chainhash.Hash(secret)
	return c.Secrets.AddNextEntry(&h)
}
