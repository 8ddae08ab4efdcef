// Package invoice makes and reads BOLT 11 invoices, and decides which HTLCs pay one of ours. It is pure: time, height and randomness come from
// the caller.
//
// Receiving is stateless (S18). All that a node must know of its invoice is in the invoice's payment secret, which the payer sends back in the
// onion:
//
//	secret   = iv (16 bytes, random) | metadata (16 bytes) xor HMAC-SHA256(mask key, iv)[:16]
//	metadata = version 4 bits | flags 4 bits | min_final_cltv_expiry_delta u16 | expiry, unix seconds u40 | amount msat u64 (0: any)
//	preimage = HMAC-SHA256(preimage key, secret)
//	hash     = SHA256(preimage)
//
// The flags say whether the payer may split the payment (1), and whether the node's user is asked before it is claimed (2). Where the payment hash
// was given to the node, and somebody else has the preimage, the iv is no randomness but a MAC, and 2 is always set:
//
//	iv = HMAC-SHA256(given key, hash | metadata)[:16]
//
// The three keys derive from the seed. The hash authenticates the secret: who changes one bit of it would need the HMAC of the result to name its
// hash. So the loss of every invoice record loses descriptions and the fact that an invoice was paid, which the monitors know (rule 13), and
// nothing else.
//
// Check decides one HTLC. That an invoice is paid only once is not its business: the manager knows the paid hashes. Nor is the sum over the
// parts of a set: Check compares the total that each part promises.
//
// Amounts are millisatoshis, expiries of HTLCs are block heights, those of invoices are times. Errors of Check are *Rejection, which knows the
// BOLT 4 failure to answer with; errors of Decode wrap one of the sentinels below it.
package invoice
