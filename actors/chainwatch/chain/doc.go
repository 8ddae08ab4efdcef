// Package chain is the contract between the chain watcher and whatever
// technology it sees the chain through: the Source interface and the typed
// errors every source speaks. Implemented by the embedded chain (regtest), by
// connections to a full node (btcd with notifications, rpcpoll for btcd and
// bitcoind) and by the embedded light client (neutrino). Package chaintest is
// the contract as tests, which all of them pass.
//
// Units: heights are int32 as in btcd, the genesis block has height 0. Fee
// rates are satoshi per 1,000 weight units (FeePerKW). Hashes and outpoints
// are btcd's wire types.
//
// Calls may block on the network, so an actor never calls a Source from its
// mailbox turn unless Local reports true.
package chain
