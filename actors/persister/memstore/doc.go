// Package memstore is a persister.Store in memory, for tests and simulation. It can be cloned as a crash would leave it, and it fails on demand.
//
// A commit is a transaction: a crash while it runs leaves all of it or nothing (store.CrashStates lists both). Once Commit returned nil the batch
// survives every crash. With Unsynced set it does not: then a crash leaves any prefix of what was committed since the last Sync. That is how a
// store behaves whose commits are not durable when they return, and a test that does not notice it tests nothing.
//
// A store that a node is still using may be cloned at any time, from a fault hook inside a commit as well. The clone shares no state with it.
package memstore
