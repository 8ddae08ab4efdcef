// Package fees answers what a transaction must pay, for every kind of chain source.
//
// [New] wraps a chain.Source into one whose FeeRate is answered from memory, from the first of these that has an answer:
//
//  1. the source's own estimator (btcd, bitcoind),
//  2. a URL in the web format that lnd reads (its option fee.url), which is what a light client needs,
//  3. a fixed rate, which is all that regtest and simnet need ([DefaultFixed]).
//
// Both estimators are asked again every Refresh; the URL only when the source has no estimate, so that the outside learns as little as possible.
//
// # Web format
//
//	{"fee_by_block_target": {"2": 25000, "6": 12000, "144": 1100}, "min_relay_feerate": 1000}
//
// Rates are satoshis per 1,000 virtual bytes, the keys are numbers of blocks, min_relay_feerate may be missing. The body may have 256 KiB and the
// whole answer may take ten seconds.
//
// # Rates
//
// A rate (satoshis per 1,000 weight units) is never below 253, which every node relays, nor above the ceiling: 500,000, which is 2,000 satoshis per
// virtual byte and about the most that blocks have ever asked, unless configured. A shorter target is never cheaper than a longer one, whatever the
// estimator says. A target between two estimates gets the one of the shorter.
//
// # Stale and missing
//
// An estimate may be used for MaxAge: 30 minutes unless configured, six times the refresh. Then it is stale. What must confirm by a deadline is
// better paid by a stale estimate than not at all, so FeeRate goes on with it, at least with the fixed rate. What need not be done now, such as
// opening a channel, asks [Source.Ready] first: [ErrStaleEstimate], or [ErrNoFeeSource] while nothing was ever estimated. A fixed rate makes the
// source ready at all times: it is the operator's word for just this case. [Source.Health] says what the node shows.
//
// # Structure
//
// table.go and book.go are pure: answers and instants go in, rates and health come out. fetch.go talks to the URL, source.go polls.
package fees
