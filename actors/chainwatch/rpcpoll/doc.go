// Package rpcpoll is the chain source for a full node that is asked over
// HTTP(S) at intervals: anything that speaks the JSON-RPC which bitcoind and
// btcd share. It needs no notifications, wallet or index of the node.
//
// A block is noticed at most one [Config.Interval] late, which costs one small
// call each. Where btcd is at hand, package btcd hears of blocks at once.
//
// The node may prune as long as it keeps the blocks since the opening of the
// oldest channel; a block that is gone is chain.ErrPruned. With an index of
// transactions (txindex) refusals of broadcasts are told apart better, see
// chain.BroadcastMissingInputs.
//
// Errors, checks and what is trusted: see package rpc. Tested against btcd and
// against an imitation of bitcoind; bitcoind itself has never been run with it.
package rpcpoll
