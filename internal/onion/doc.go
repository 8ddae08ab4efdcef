// Package onion builds, peels and answers the onions of BOLT 4, on lightning-onion's sphinx and lnd's tlv. It is pure: no clock, no
// randomness (the filler derives from the session key), no state.
//
// A payer calls Build with a fresh session key and one Hop per node, the last one being the payee; a node calls Process with its key. What
// comes back from Process decides how the HTLC ends:
//
//   - nil: the Packet's Payload is for us (Final) or names the next channel (Next is its onion).
//   - *BadOnionError: no secret is shared with the payer, so the answer is update_fail_malformed_htlc with its Code and SHA256.
//   - *PayloadError: peeled but not understood. The answer is update_fail_htlc with EncryptFailure(SharedSecret, Failure()).
//
// Failures travel back as opaque reasons: EncryptFailure at the failing node, Wrap at each node before it, DecryptFailure at the payer.
//
// Process keeps no record of the onions it has seen, and needs none: the HMAC binds an onion to its payment hash, an HTLC is decided once
// by its (channel, htlc id), durably, and decides the same again after a restart. A peer that replays an onion in a second HTLC of the same
// hash pays again; it can thereby learn nothing but the answer to a payment it could make anyway, and a payee answers a paid hash as unknown.
//
// Amounts are millisatoshis, expiries block heights. Every byte that is not ours may be hostile: nothing here panics on it.
package onion
