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
// Amounts are in msat. This release pays direct peers only, in one part, and refuses to forward: an HTLC for somebody else is failed with
// unknown_next_peer. Invoices are paid by one HTLC.
//
// If all records of the manager are lost, then
//   - an invoice that was paid by an HTLC that is gone can be paid again: the payer pays twice, and both payments are reported;
//   - a payment id whose payment never left the node is unused again;
//   - a payment id that only a quarantined monitor knows, in a live HTLC, is not recognised until that monitor comes back;
//   - a payment whose failure was handled, and that a reorganisation deeper than 6 blocks lets the payee claim after that, is told as sent;
//   - ChannelResolved is not told of channels whose ChannelClosed had been handled.
package manager
