// Package manager is the ChannelManager: it turns monitor events into effects and acknowledges each one only when its effect can no longer be
// lost (rule 24: effect durable, then ack durable, then row deleted).
//
// It makes outbound payments under ids that the caller chooses, receives payments for its own invoices, allots channel key indices, and keeps the
// list of user events. Its durable records are payments under way (its log) and rows of finished payments and paid invoices. All of them may be
// lost or rolled back (S18): monitors know every part of every payment, and invoice secrets and preimages derive from the seed.
//
// # Start
//
// At every start the manager draws a fence in front of each channel and decides nothing before all monitors have reported, what they told was
// looked up, and the height is known (L1, S15): an attempt that no monitor holds behind the fence was never committed and never will be; an HTLC
// for an invoice is new only if no monitor has claimed its hash. Requests wait for that, a bounded number of them. The fence is drawn again for
// one channel when its monitor or channel has a new incarnation. A quarantined monitor is not waited for: its attempts are unknown until it comes
// back. Nothing is left to a timer.
//
// # What must come before what
//
// Everything that follows from a record of the manager is in the Append of that record, or in one behind it: the HTLC and the reply behind the
// payment (rule 14), the user event behind an outcome that no monitor event holds (rule 15), the preimage behind the invoice's row (rule 13), the
// ack behind the tombstone or the note that ChannelClosed was handled. Effects.Tell is for what needs no record of ours.
//
// # Payments of ours
//
// A payment is made in parts, each an HTLC over a route of its own with a number of its own, which is never used again. Routes are those that cost
// least within the limits of the call: over channels to the payee, or found by the graph, which is asked again when it restarts or is silent, or by the
// invoice's hints alone when it does not answer. A part is in the log with its route before its HTLC leaves (rule 14). When one fails, what is missing
// is looked for anew, at the end of the step that tells of it: with less of the fee limit and of the channels that live parts use, and without what failed,
// for good or, where the reason may pass, for a while that grows: four times at most if no other part is live, so that a payment with no other way has
// failed after seven seconds.
// That is read out of the answers of the hops, so it is known again after a restart, when monitors tell the same events; the graph is told of it too.
//
// A payment begins with its first parts: until then nothing of it is durable, so calls about its id wait, and it is refused when its time is over. That
// counts from the call, whatever it waited for.
//
// No part is made after the deadline, beyond 64, once the payee has refused, after AbandonPayment, and after a part was claimed. Nor are any while a part
// is where nobody can see it (a quarantined monitor, one restored from a copy), for a payment that only monitors know, and by a record that lacks a
// part which a monitor has. A payment of an earlier incarnation first looks for outcomes that were acknowledged: then the user has handled it.
//
// A part that its channel could not commit to, because the peer takes its time to revoke, is taken back at the deadline, five seconds from its start at the
// earliest, and 6 blocks before its expiry. One that is committed may be settled by the payee until it expires, whatever the deadline.
//
// One claimed part means that the payment is sent. It has failed when no part is live, unknown or claimed and none will be made; that is durable before it
// is told, because it is for us to say (rule 15). So is what a payment of several parts cost. Events of parts are acknowledged when the outcome was handled.
//
// # Payments to us
//
// The HTLCs of one payment hash are a set, one a hash at a time, over any channels. It gathers in memory until its sum is the total that all of its parts
// name (BOLT 4), or fails whole: after 60 s, 24 blocks before a part expires, when a part names another total, when a part is gone on chain. While a
// channel that was restored from a backup withholds HTLCs, a set from before the start is not timed out: its rest may be there. Complete, it is claimed, or held for the
// user: by Config.ManualClaim, or by the invoice, whose secret says so. A part in a quarantined channel is waited for, since without it the payment would
// be ours in part only.
//
// What is decided is decided once and of all parts. The row with the list of the parts is durable before any monitor gets the preimage, and each monitor
// gets the list with it (rule 13). A list found in any monitor is a claim, whatever the row says, and whether there is one: the other listed parts are
// claimed, and every other HTLC of that hash is failed. A claim that only the row knows is taken back if a part can't be claimed safely any more, 24
// blocks before its expiry: nobody knows the preimage yet. PaymentClaimed is told once a monitor has the claim; it names the set by its parts, so that it
// is the same event after any loss. A listed part that ends without the preimage is told as ClaimLost.
//
// An HTLC of a claimed set is acknowledged when the list is durable with every part, PaymentClaimed was handled, and its own end is irrevocable. So an
// event that is still there brings all that is needed to end the claim of its set, and one that is not says that the user was told.
//
// Invoices need no record: the payment secret says what was asked (package invoice), also that of an invoice whose hash was given to the node. Its
// preimage comes with ClaimHeld, and is in the row and in the monitors from then on. A keysend payment brings its own.
//
// CancelInvoice makes a row that refuses every payment of a hash, whether an invoice of ours has it or not. It is durable before the answer, and before
// the parts of a set that gathers are failed. What is held or claimed can't be cancelled; a claim that only a monitor knows counts more than the row.
//
// What was received, and what was cancelled, is listed by rows of bucket "received", which are written and deleted with those of "invoices".
//
// # Forwards
//
// An HTLC for somebody else is offered to the channel that the payer names, by short channel id or alias, or to another one with the same peer. No record
// of ours is about it: the outbound monitor holds the name of the inbound HTLC with its own (rule 9), so HTLCAccepted is acknowledged when that is durable
// (HTLCCommitted, or a report), when a failure of ours is durable in the inbound monitor, or when the HTLC is gone. A claim goes upstream at once, a
// failure when all monitors have reported, since one of them may tell the preimage of another part; both are given to the inbound monitor again behind
// each of its reports, and acknowledged when the inbound HTLC is irrevocably gone (a failure also when the inbound channel's end is 6 blocks deep) and, of a
// claim, PaymentForwarded was handled. An HTLC that an older incarnation may have offered waits while a channel is quarantined or restored and not
// verified; 3 blocks before its expiry it is failed, and that is logged. docs/forwarding.md tells it message by message.
//
// One that was there before the start waits up to 10 s for the next node, since all peers are away then.
//
// An interceptor is asked before an HTLC is offered, and again by each incarnation until a monitor holds what came of it. An HTLC that it claims with the
// preimage is acknowledged when its own end is irrevocable, and told as ClaimLost before that if it ended otherwise.
//
// # A channel's end on chain
//
// Outputs that only the wallet can spend are handed to it with every report of their monitor, until the monitor says that they are irrevocably spent:
// that is the ack of SpendableOutputs, and nothing of it is a record of ours. A claimed HTLC is acknowledged when its end is irrevocable: if it ended
// without our preimage, ClaimLost is told first. Of an HTLC of ours the first event counts: a claim behind a failure (a reorganisation deeper than 6
// blocks) changes neither what was told nor the payment's outcome (S5, S7), but is told as PaymentLost and kept in the payment's row. An archived
// channel is forgotten; that its ChannelClosed was handled is kept until ChannelResolved was, which its row makes.
//
// # Limits
//
// Amounts are in msat. A payment to us may have 128 parts, and 4096 bytes of its application's records are kept. More parts are failed with
// temporary_node_failure, as are payments, to us or through us, when too many user events are not handled. What would be locked for more than 4032
// blocks is neither taken nor forwarded. Nothing is kept of an HTLC that has ended, alarms included.
//
// If all records of the manager are lost, then
//   - an invoice that was paid by HTLCs that are all gone and acknowledged can be paid again until it expires: the payer pays twice, and both payments are
//     reported;
//   - an invoice that was cancelled can be paid again until it expires;
//   - that a payment was held is forgotten if no part of it was decided: it is judged anew, and fails if the invoice has expired or too few blocks are left;
//   - PaymentClaimed of a set with a part in a quarantined channel waits for that channel, which alone knows the part's amount;
//   - a payment id whose payment never left the node is unused again;
//   - a payment id that only a quarantined monitor knows, in a live HTLC, is not recognised until that monitor comes back;
//   - a payment whose failure was handled, and that a reorganisation deeper than 6 blocks lets the payee claim after that, is told as sent;
//   - a payment whose part failed and was claimed after that by such a reorganisation, and that was told as sent, may be told as failed and lost;
//   - ChannelResolved is not told of channels whose ChannelClosed had been handled.
//
// If they are from an earlier moment, a payment that was told as failed after that is tried again until its deadline.
package manager
