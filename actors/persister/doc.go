// Package persister makes records durable and only then lets what follows from them leave the node.
//
// It is the one committer of a node. Actors send it messages.Append; it writes all that came in while the last commit ran as one batch (group
// commit), and after the sync delivers every Append's Then, in the order in which the Appends came (rule 1 of package actors). A batch grows
// with load and a lone Append waits for nothing: there is no timer.
//
// # Files
//
//   - persister.go, build.go, index.go: the pure core. It validates, numbers and batches records, keeps the index of the log, and trims.
//   - actor.go: the actor around it. No goroutines and no timers; a commit runs on the actor's own turn.
//   - store.go: the Store interface, implemented by bboltstore (disk) and memstore (tests and simulation).
//
// # Log
//
// All owners share one log with ascending keys. A record names its owner and carries the owner's own sequence number, which counts from 1
// without gaps. A snapshot speaks for all records of its owner up to a sequence number; records that a snapshot covers are dead. Dead records
// are deleted from the front of the log in the commits that come anyway; if a record that is still needed is in the way and more than half of
// the log is dead, it is moved to the tail. The order of an owner's records is that of their sequence numbers, so moving one is invisible, and
// as it is one transaction no crash can see it half done. Hence neither the file nor a restart grows with history.
//
// # Errors
//
// An Append that is not acceptable (empty owner, too large, of a dead incarnation) is answered by messages.Refused and changes nothing.
//
// A failed commit is ambiguous: it may or may not be on disk. So any error or panic of a commit stops the node through kit.Env.Stop with an
// *Error of kind ErrStoreFailed; all waiting Appends are refused with that error, nothing of them is delivered, and nothing is ever retried.
// A Refused whose Err is ErrStoreFailed therefore says nothing about the disk: after the restart the disk decides.
//
// Data that does not verify is reported where it can be attributed: a channel's Load is answered by messages.LoadFailed, a row's read by an
// error in messages.GotRows. Only what cannot be attributed to an owner stops the node, with an *Error of kind ErrCorrupt.
package persister
