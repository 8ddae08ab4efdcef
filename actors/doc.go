// Package actors holds the five rules that every actor of lnactor keeps; the actors are in its subdirectories.
//
// In actors/X the state machine (the core) is plain Go: no actors, clock, goroutine, randomness or IO. One file, actor.go (the shell), wraps it
// for the actor system. A core can be stepped, replayed and simulated by itself, and is.
//
// # The rules
//
// Rule 1: the core steps, the persister speaks. Step(input) returns records and effects. The shell hands both to the persister in one
// messages.Append; the persister makes the records durable and only then delivers the effects, in order. What an actor sends directly rests on
// no new record: greetings, questions, a channel's updates to its monitor. So nothing can leave the node before the fact it rests on is on disk,
// and the order of what leaves is the order of what is durable.
//
// Rule 2: actor.go is the only file that knows about actors. Whoever reads a core needs to know nothing of mailboxes, and the actor library
// could be exchanged without touching a line that moves money.
//
// Rule 3: anything in a mailbox may be lost; nothing in the log may be. Every input can be had again: blocks by the height a monitor has
// reached, monitor updates by their id, acknowledgements because the event is emitted again, peer messages by channel_reestablish. An input that
// cannot be had again must be in the log before it is relied on.
//
// Rule 4: every answer names the incarnation that asked. An actor keeps its address and its mailbox over a restart, so an answer to the dead
// incarnation reaches the living one, which must drop it. For the same reason state is loaded through the persister's mailbox, behind every append
// of the dead incarnation, never straight from the store.
//
// Rule 5: a monitor is never silently stopped. It restarts, or it is quarantined with an alarm while the others go on, or the node stops.
// An unwatched channel is money that the counterparty may take, which is what a quarantined one is in this release.
//
// # The actors
//
// Package monitor: the ChannelMonitor, the one durable owner of a channel's facts: both sides' commitments, preimages, revocation secrets, what
// the chain did, and the queue of MonitorEvents that are not acknowledged. It gives each event an id once, emits it when it is durable and again
// after every restart, and deletes it only on the manager's durable acknowledgement.
//
// Package channel: the BOLT 2 state machine of one channel, from channel_ready to closing_signed. It has no memory of its own: it is built from its
// monitor at every start and writes through it, so that the two can never disagree. Package channel/opening negotiates a channel until then, and
// may die at any moment.
//
// Package manager: the ChannelManager turns monitor events into outcomes (a payment is sent or failed, an HTLC is claimed), tells the user, and
// acknowledges an event when its effect can no longer be lost. What it keeps of payments and invoices may be lost as a whole without losing money,
// an outcome, or the promise that a payment id pays at most once.
//
// Package peer: the session with one peer (BOLT 1), over BOLT 8 and TCP, and who of the channels gets which of its messages. A hostile or broken peer
// costs its own connection only.
//
// Package chainwatch: follows the chain and tells each monitor what concerns it, from the height that the monitor has reached. It indexes watched
// outpoints, so that a block costs what matches in it and not the number of channels. Each chain technology has a folder; regtest is an embedded chain.
//
// Package funds: keeps the on-chain wallet in step with the chain. Nothing of it is durable.
//
// Package graph: keeps the channel graph by gossip (BOLT 7), announces this node's channels, and finds routes. Nothing of it is durable.
//
// Package userevents: hands the manager's user events to whoever embeds the node, in order, until each is handled.
//
// Package persister: the one writer. It commits whatever is waiting in one batch with one sync, then delivers what was to follow. A failed
// commit is never retried: nothing is delivered, the node stops, and the disk decides at the next start.
//
// Package kit: the wrapper over the actor library that every shell uses: addresses, clock, mailbox, dispatcher, fault handling.
package actors
