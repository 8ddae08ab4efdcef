// Package regtest is a Bitcoin regtest chain inside the process. Every
// transaction is validated by btcd's own consensus code and every broadcast by
// btcd's own mempool policy; nothing is mocked but the peers and the clock.
//
// It serves tests, simulations and the demo. A prepared chain (height
// [PreparedHeight], with mature coins for the faucet) costs well under a
// millisecond: the blocks are made once per process and then shared, see New
// and Clone.
//
// Rules: the parameters are btcd's regtest with BIP 65 (CLTV), BIP 66, BIP
// 68/112/113 (CSV), segwit and taproot active from block 1, as in Bitcoin
// Core's regtest. The mempool refuses non-standard transactions and anything below 1
// sat/vB, as on mainnet.
//
// Determinism: the same calls in the same order give the same block and
// transaction hashes. Time is block time, 10 minutes per block, counted from
// the start of 2026; the wall clock is never read for a decision.
// Blocks take mempool transactions in the order in which they arrived.
//
// All methods of Chain are safe for concurrent use. Blocks and transactions
// that are returned belong to the caller.
package regtest
