// Package feed is the event feed of a node process: a durable journal of its user events, and consumers that are cursors over it.
//
// # From the node
//
// Append makes the node's events durable (package journal); only then may they be acknowledged to the node (rule 24). Whatever consumers do, the node
// never waits for them.
//
// # Consumers
//
// A consumer is a name and a cursor: the position up to which it has acknowledged. It begins at the oldest event, at the end, or at an event. Everything
// behind the cursor is delivered, in order and at least once: again after an interruption, and again after a crash between a delivery and the cursor's
// being on disk. An event's id is the same each time, so that whoever remembers ids handles each exactly once. Ack is cumulative and idempotent, and
// returns when the cursor is on disk; acknowledgements that come while another is written are written together.
//
// A stream (Open, Reader) delivers from the cursor on without waiting for acknowledgements. A consumer has one stream: a newer one ends the older with
// ErrTakenOver, so that a client that lost its connection need not wait for the node to notice.
//
// A webhook is a consumer that the node drives itself: see webhook.go. 2xx is its Ack.
//
// # Limit
//
// The journal keeps Options.MaxEvents events and none older than Options.MaxAge. A consumer whose next event is over the limit is expired, durably and
// before anything it has not read is removed: each read fails with an *ExpiredError until somebody decides, by Set, where it goes on. Nothing is skipped
// silently. Damage of the journal is told to each consumer that reaches it, as a *journal.MissingError, until Set moves it on.
//
// # Files
//
// All in one directory, modes 0600 and 0700: the journal's; consumers.json, authoritative, with the cursors, replaced as a whole; dead-NAME.json, the events
// that a webhook refused; secret-NAME, the key of a webhook's signatures; feed, the name of this feed (name.go). They are no part of the channel store: cursors move as often as consumers like, and neither
// their writes nor their damage may reach what guards money. Losing all of it loses no payment (S18).
//
// Errors are lnactor.ErrStoreFailed, lnactor.ErrCorrupt and those in errors.go. A Feed is safe for concurrent use.
package feed
