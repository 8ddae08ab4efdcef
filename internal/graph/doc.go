// Package graph is the public channel graph as gossip tells it (BOLT 7): channels with the policies of both directions, and nodes.
//
// The graph is a cache. Nothing in it is a fact of this node's: losing it costs asking peers again, and nothing of it may decide about money but how
// a payment is routed. It is bounded ([Limits]) whatever peers send.
//
// # Two steps
//
// A message is first parsed (ParseChannel, ParseUpdate, ParseNode: what can be seen of the message alone) and asked for (WantChannel and so on: is it
// new, would it fit). Only what is wanted is worth its signatures, which Verify checks; Verify needs no graph, so it may run elsewhere. Then Add or Set
// takes it in, and checks again what may have changed meanwhile.
//
// That a channel exists on chain is for the caller to find out, before AddChannel: an output at the place that the short_channel_id names, that pays to
// [FundingScript].
//
// # Units
//
// Amounts are millisatoshis where a name ends in Msat, else satoshis. Timestamps of gossip are seconds since 1970 in 32 bits, as on the wire. A short
// channel id is a uint64: height<<40 | transaction index<<16 | output index. Policies[0] is that of Nodes[0], for HTLCs that it sends to Nodes[1].
//
// Errors are the sentinels of errors.go. Bad input never panics.
//
// The package is pure: no clock, randomness or IO. The same calls in the same order make the same graph, and Encode writes equal graphs as equal bytes.
package graph
