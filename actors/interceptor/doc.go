// Package interceptor hands the HTLCs that the manager asks about to whoever embeds the node, one at a time and in the order in which they came.
//
// The queue is in memory: the manager tells all that is not decided again to each incarnation of the actor, and with each incarnation of its own. So an
// HTLC may be handed out more than once; the first decision that is durable counts.
package interceptor
