// Package userevents hands the manager's user events to whoever embeds the node, in order and at least once.
//
// The queue is in memory: the manager tells everything that was not handled again with each of its incarnations. A delivery is handled when its
// consumer says so (Ack); one that is given back is delivered again, before all later ones (S20).
package userevents
