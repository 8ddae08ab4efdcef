// Package facts holds the durable facts of one channel and says how an update changes them.
//
// A Channel is what its ChannelMonitor owns: the parameters, both commitments as a set of HTLCs in states, balances, revocation secrets, the
// decisions about inbound HTLCs and how the channel ends. It changes by Apply only, one Update at a time, in order (S11); applying the same
// updates to the same start always gives the same facts, so a log of updates is the channel. The BOLT 2 state machine works on a Clone and
// hands each Update that it made to the monitor.
//
// Three updates move HTLCs between commitments, each one durable before the message that commits to it leaves:
//
//	CounterpartyCommitment  before our commitment_signed (rule 5)
//	HolderCommitment        before our revoke_and_ack (rule 6); it stands for "commitment_signed received and the old state revoked"
//	Revocation              before anything that relies on it (rule 7)
//
// The package is pure: no clock, no IO, no randomness, no goroutine.
package facts
