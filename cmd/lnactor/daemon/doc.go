// Package daemon is `lnactor run`: it opens the chain source and the node, serves the API, writes the feed of events and stops all of it in order.
//
// Order of a start: the seed (first start only), the chain source, the node, the feed, the API. What needs the data directory for itself fails with
// lnactor.ErrInUse if another process has it. Order of a stop: the API, the node, the chain; within stop-limit, after which the process ends
// as if it had been killed, which loses nothing.
//
// The feed is the consumer of the node's events: an event is on disk there before it is acknowledged. A feed that can't be written stops the node.
//
// Errors are those of lnactor.Open, ErrUsage and ErrUnreachable.
package daemon
