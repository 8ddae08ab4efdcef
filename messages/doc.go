// Package messages holds what actors say to each other.
//
// Actor messages are plain Go values that live in this process only; they are never written to disk and never cross the network. What is
// durable is in the generated package recordspb, and what crosses the network are BOLT messages (lnwire).
//
// A message is immutable once it is sent: the sender keeps no reference through which it could change it, and the receiver changes nothing
// that it was given. Every message that answers a request carries the incarnation of the asker (rule 4 of package actors), because an actor
// keeps its address and its mailbox over a restart.
package messages
