// Package commitment builds, checks and completes the transactions of one
// channel: commitment transactions, the second-stage HTLC transactions that
// spend them, and the mutual close (BOLT 3, and the closing part of BOLT 2).
//
// The channel type is fixed: single-funded, option_static_remotekey and
// option_anchors with zero-fee HTLC transactions.
//
// # Words
//
// A commitment has an owner, who holds the transaction and may broadcast it,
// and an other side, who signed it. Holder and counterparty are the two peers
// as seen from this node; View.OwnerIsHolder maps one pair onto the other. An
// HTLC is Offered when the owner of the commitment at hand offered it, so the
// same HTLC is Offered on one of the two commitments and not on the other.
//
// # Units
//
// Balances and HTLCs are in millisatoshi and are rounded down to whole satoshi
// only when they become outputs; what is rounded away goes to the fee.
// Amounts of transactions are btcutil.Amount (satoshi). Fee rates are satoshi
// per 1000 weight units. Commitment numbers count from 0.
//
// # Contract
//
// Everything is a pure function of its arguments: no clock, no randomness, no
// IO, and the same arguments give the same bytes, so a commitment can be built
// again after a crash instead of being stored. The helpers that check or make
// many signatures spread them over goroutines that all end before the helper
// returns; their result does not depend on how the goroutines ran.
//
// Arguments that come from a peer may be anything: they lead to an error, never
// to a panic. Build demands that balances and HTLCs add up to the capacity of
// the channel, to the millisatoshi (S13).
//
// Values returned by Build are shared: treat the transactions in them as
// read-only. Functions that complete a transaction return a copy.
package commitment
