// Package rpc is what the chain sources over a full node's JSON-RPC share: a
// client, the calls that bitcoind and btcd have in common, the check of every
// block and header that comes back, and the meaning of their errors.
//
// Trust: the node decides which chain is best and what confirms; there is no
// second opinion. But a block is only handed on if it is the one that was
// asked for, whole and unchanged: header and proof of work, the merkle root
// over its transactions and the commitment over their witnesses (a preimage is
// read from one). What can't be checked without the whole chain is not: the
// difficulty beyond the chain's lowest, scripts and amounts.
//
// Differences between the two nodes, which callers never see:
//
//   - btcd tells no height of a block off the best chain: it is counted down
//     to the fork.
//   - A pruned block is "not found" at btcd and "pruned data" at bitcoind:
//     chain.ErrPruned for both.
//   - estimatesmartfee is bitcoind's, estimatefee btcd's: whichever is there.
//   - Each refuses transactions in its own words, see classify.
//
// A refusal for a spent or unknown input is looked into, since both nodes use
// the same words for the two: with an index of transactions (txindex) a spent
// output is told from one that never was, and a confirmed transaction whose
// outputs are all spent is found.
//
// btcd runs in the tests. bitcoind has never been run against this package:
// its answers are imitated by a server in the tests, from its documentation.
//
// Each call is bounded by its context, by Config.Timeout and by a size.
package rpc
