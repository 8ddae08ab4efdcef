// Package neutrino is a chain.Source that needs nothing installed: a light client (BIP 157) inside the process, which finds the best chain among its
// peers by headers and proof of work and asks them for blocks.
//
// # Peers
//
// With Config.Peers it connects to those alone; they must serve witnesses and compact filters (btcd does by default, bitcoind with
// blockfilterindex=1 and peerblockfilters=1). Without, it finds peers by the DNS seeds of the network; regtest and simnet have none. Whoever
// controls all peers can hide blocks from the node, but cannot make any up: give several.
//
// # What a light client can and cannot do
//
//   - Tip is ErrUnreachable while no peer is connected, and ErrSyncing, which is an ErrUnreachable, until the headers have caught up with the peers
//     once: chainwatch would fetch every block of the time before. Afterwards Tip is the last block whose filter header is known, too. Headers are
//     kept in the data directory, so that the next start has only the news to fetch.
//   - A chain whose last block is more than a day old is never taken for caught up. On regtest and simnet mine a block.
//   - HashAt and Header answer from the data directory. Headers of abandoned branches are kept, the newest of them, also over a restart.
//   - Block asks one peer after the other and checks proof of work, merkle root and witness commitment. Blocks of abandoned branches are
//     ErrNotFound.
//   - Broadcast has no mempool to ask. Nil means that a peer has taken the transaction, or that none wants it, as is so when they have it already.
//     It is a BroadcastError only if all peers that took it say that they refuse it, as btcd does and bitcoind no longer does. So codes may not be
//     had, not even Confirmed. ErrUnreachable: there was nobody to give it to.
//   - FeeRate is ErrNoFeeEstimate: package fees adds a URL.
//   - [Source.MayMatch] tells by a block's compact filter (BIP 158), about 1 % of its size, that the block need not be fetched.
//
// The library's own broadcaster is not used: it would offer for ever what chainwatch has withdrawn, one transaction at a time.
//
// # Wrong chain, useless and lying peers
//
// A data directory of another network is ErrWrongChain at Open. Peers of another network hang up without a word, as do some for other reasons. So
// when the configured peers have been away for a while, Tip asks them in the manner of the other networks; if all that answer at all are of
// another one, the answer is ErrWrongChain.
//
// A peer that serves a bad block or filter is banned for a day, as is one without compact filters. When none is left, Tip's error says so; it is
// chain.ErrInvalidBlock for the liar. Configured peers get another chance ten minutes later, or after a restart if named by IP address: all that
// they say is checked, and one that was banned by mistake may be the only one there is.
//
// # Structure
//
// open.go builds the client, source.go answers from it, offer.go hands out transactions and reject.go (pure) reads refusals, probe.go asks after
// other networks and judges, filter.go has the filters and stale.go the abandoned branches. The library keeps its tuning in package variables; none is
// changed here.
package neutrino
