// Package chankeys holds the private keys of channels and signs with them.
//
// Signer is the seam: everything else in the node sees public keys, signatures
// and revealed per-commitment secrets, never a private key, so a remote signer
// can take the place of Local. A channel is named by its channel key index, a
// number that is never used twice (rule 1): all its keys and per-commitment
// secrets derive from the root and that index, and nothing here is stored.
//
// Signing is deterministic (RFC 6979): after a crash the same commitment gives
// the same commitment_signed, byte for byte. Per-commitment secrets follow BOLT
// 3's shachain; commitment numbers count from 0 and are converted inside.
//
// A Signer does what it is told. That a secret is released only for a commitment
// which is never broadcast again, and that a holder commitment is signed only
// once it is never revoked again (S12), is the duty of the caller, who has the
// durable state to know it.
//
// All methods may be called from many goroutines. Calls for different channels
// share no lock.
package chankeys
