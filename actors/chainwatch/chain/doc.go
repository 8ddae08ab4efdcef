// Package chain is the contract between the chain watcher and whatever
// technology it sees the chain through: the Source interface and the typed
// errors every source speaks. The embedded chain (package regtest) implements
// it today; a btcd or bitcoind connection and an embedded light client fit the
// same few methods.
//
// Units: heights are int32 as in btcd, the genesis block has height 0. Fee
// rates are satoshi per 1,000 weight units (FeePerKW). Hashes and outpoints
// are btcd's wire types.
//
// Calls may block on the network, so an actor never calls a Source from its
// mailbox turn unless Local reports true.
package chain
