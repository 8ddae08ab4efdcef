// Package monitor is the ChannelMonitor: the one durable owner of a channel's facts and of the events that are not acknowledged.
//
// # Parts
//
//   - Monitor (monitor.go, update.go, block.go, close.go, deadline.go, unfunded.go) is the durable state and what changes it. Each change gives a Step: the
//     record to append, keyed rows, and what follows once they are durable.
//   - Session (session.go, report.go) is one incarnation of a monitor among its neighbours: which channel incarnation is current, which fence
//     was drawn, what chainwatch was asked. It turns messages into Steps and Steps into deliveries. Nothing of it is durable.
//   - restored.go: a channel that was restored from a copy of unknown age is silent until its peer has spoken. explain.go: where an HTLC stands,
//     for people.
//   - package record below is the durable form; actor.go is the actor.
//
// Monitor and Session are pure: same inputs, same outputs, to the byte.
//
// # The queue of events
//
// An event is in the record of the fact that caused it (rules 8, 10, 20). Its Seq is assigned then, counts up by one, and is never derived
// again: replay takes events from the records. Events leave after their record is durable, and again with every MonitorReport; nothing deletes
// one but the durable record of its acknowledgement (rule 24).
//
//	cause                                                        event
//	the channel is recorded                                      ChannelPending
//	both sides sent channel_ready                                ChannelReady
//	the preimage of an outbound HTLC is learned                  Claimed, in that record, once
//	revoke_and_ack: a removed outbound HTLC without preimage     Failed, with the reason stored before
//	revoke_and_ack: an inbound HTLC is irrevocably committed     HTLCAccepted
//	a confirmed transaction spends the funding output            CommitmentTxConfirmed; again when another one takes its place
//	we decide to broadcast the holder commitment                 HolderForceClosed
//
// A block that leaves the chain takes facts back, never an event.
//
// # The end of a channel
//
// After the channel has ended, an update of the channel that signs or revokes is dropped together with what it wanted to say (rule 18). The
// monitor decides to close by itself (HTLCs near their deadline, see deadline.go) or when told to, never when it is proven to be behind. It
// broadcasts the holder commitment; claiming its outputs is not done here.
//
// # Errors
//
// What must not go on is a *QuarantineError: a *GapError (S11), an update that does not fit (facts.InvalidUpdateError), records that do not
// decode (record.CorruptError) or do not follow from each other (*ReplayError). All else is refused and changes nothing.
package monitor
