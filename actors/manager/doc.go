// Package manager is the ChannelManager: it turns monitor events into effects and acknowledges each one only when its effect can no longer be
// lost (rule 24: effect durable, then ack durable, then row deleted).
//
// It makes outbound payments under ids that the caller chooses, receives payments for its own invoices, allots channel key indices, and keeps the
// list of user events. Its durable records are payments under way (its log) and rows of finished payments and paid invoices. All of them may be
// lost or rolled back (S18): monitors know every part of every payment, and invoice secrets and preimages derive from the seed.
//
// At every start the manager draws a fence in front of each channel and decides nothing before the monitors have reported (L1, S15): an attempt
// that no monitor holds behind the fence was never committed and never will be. The same happens for one channel when its monitor or channel has
// a new incarnation. Nothing is left to a timer.
//
// Amounts are in msat. This release pays direct peers only and refuses to forward: an HTLC for somebody else is failed with unknown_next_peer.
package manager
