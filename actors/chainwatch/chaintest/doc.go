// Package chaintest holds the tests that every chain source passes: [Run]
// drives a chain (a [Backend]) behind a source and asks the source about it.
//
// What is asked for is the contract of package chain as chainwatch relies on
// it: whoever follows a source by its notifications alone, and walks back from
// its tip to the last block it knows, sees every block that becomes part of
// the best chain and stays there, whatever is reorganised, lost or restarted
// in between.
//
// A source behind a network learns of its backend's doings later. So the tests
// wait for a notification and then for the tip they expect, at most
// [Harness.Wait] long; they never sleep and never poll.
package chaintest
