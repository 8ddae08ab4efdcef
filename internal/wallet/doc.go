// Package wallet holds the on-chain coins that fund channels and receives what channels pay out.
//
// Keys are m/84'/coin'/0'/branch/index under the node's seed (BIP 84: any wallet with the seed finds the coins), all P2WPKH, as BOLT 2 wants of
// funding inputs. Transactions are authored by btcwallet's txauthor; coin order is our own, because btcwallet's brings its chain clients into
// every binary and leaves coins of equal value in any order.
//
// Three parts, the first two pure: ledger (which coins are there, from blocks and transactions), scripts (which outputs are ours, with a
// lookahead), and HD, the Wallet that adds keys and a lock.
//
// What is durable: nothing here. Of the wallet's state
//
//   - coins are a cache of the chain. They come back by connecting blocks from the seed's birthday, or from a Snapshot and the blocks since;
//   - the next address index is the owner's to keep, through Config.SaveIndexes, called before an address is shown or a change output signed. An
//     index that is lost leads to a used address twice, or, more than Lookahead addresses on, to a coin that is not seen;
//   - reservations live in memory. At its start the owner calls Reserve for each transaction that may yet confirm (rule 22: reserved before
//     broadcast), that is, for the funding transaction of each channel that waits for it.
//
// Blocks are connected and disconnected in order. Reorganisations up to UndoDepth blocks are undone; deeper ones are ErrReorgTooDeep, upon which
// the owner builds the wallet anew. Transactions of disconnected blocks are unconfirmed again. Same inputs, same outputs: no clock, no
// randomness, no order that comes from a map.
//
// Amounts are satoshis, fee rates satoshis per 1000 weight units.
package wallet
