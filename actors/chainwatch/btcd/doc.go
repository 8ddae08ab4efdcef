// Package btcd is the chain source for btcd, which tells of new blocks over a
// websocket the moment they connect.
//
// The websocket carries notifications only; questions go over HTTPS like those
// of package rpcpoll. A connection that is lost, or that does not answer pings,
// is made again for ever, with growing pauses, and the tip is looked at after
// each time. Should a notification be lost nevertheless, the tip is also looked
// at once every [Config.Interval].
//
// btcd needs an index of transactions (txindex) only to tell refusals of
// broadcasts apart better, see chain.BroadcastMissingInputs. Its limited user
// (rpclimituser) is enough.
//
// Errors, checks and what is trusted: see package rpc. Tested against btcd on
// simnet; mainnet has never been run.
package btcd
