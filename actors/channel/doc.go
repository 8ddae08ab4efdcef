// Package channel is the BOLT 2 state machine of one channel in normal operation and in a cooperative close.
//
// Scenario: HTLCs go both ways, many in one commitment, while either node may lose all memory and the peer may say anything. The machine owns
// nothing durable. It is built from its monitor's facts at every start, works on a copy of them, and hands every change to the monitor as a
// facts.Update. What it says to the peer travels as Then of that update, so that the order on the wire is the order on disk and nothing is said
// before it is durable. It never waits for a completion: it goes on with the copy, and the monitor keeps the order.
//
// # Contract
//
// A Channel is a pure function of its inputs: no clock, no goroutine, no IO but through the Signer and the ScriptSource that it was given, both
// of which must answer the same question with the same answer. The caller
//
//  1. delivers Start's messages first, then those of every Step, in order, all before the next Step;
//  2. gives it everything that its mailbox brings, in order;
//  3. throws it away when Step returns an error, which means a bug or a signer that failed, never a bad peer, and starts a new one with a larger
//     incarnation. Nothing is lost by that: what was not recorded was not said.
//
// Everything between the peers that is not in a commitment (an update_add_htlc that no commitment_signed followed) is volatile: it ends with the
// session, on both sides (BOLT 2, Message Retransmission).
//
// # The dance
//
// Adds wait in a bounded queue. One Sign message to itself sits behind all that is in the mailbox when the first reason to sign appears, so that
// a commitment takes in everything that arrived meanwhile, and a lone add waits for nothing. At most one commitment_signed is unacknowledged. One that is not answered by revoke_and_ack within one or two minutes ends
// the connection, and with it what waits; so does RecallHTLC for one add. An add is refused when it is taken from the queue with too few blocks left.
//
// # Units and errors
//
// Amounts are in msat or sat as their names say, fee rates in sat per 1000 weight units. An add that is refused is answered with an *AddError. A
// peer that breaks BOLT 2 gets an error message and the monitor is asked to close (BOLT 1); where BOLT 2 leaves the choice and no money
// depends on it, it gets a warning and a new connection.
package channel
