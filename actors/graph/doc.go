// Package graph keeps the channel graph by gossip (BOLT 7) and announces this node's channels; the graph itself is package internal/graph.
//
// Nothing here is durable but a cache file, given to Config.Save now and then and at an orderly stop. Losing it costs asking peers again, and the
// announcement_signatures of our peers, which they repeat after the next connection. No money depends on anything in this package.
//
// # What comes in
//
// Peers hand over gossip as messages.Gossip. It waits in a bounded queue, of which each peer has a share, and is worked off in batches, one at a
// time: what is new is parsed in the actor's turn; signatures are checked and funding outputs looked up in the chain aside, unless the chain is in
// memory; then the results are applied in the order of arrival. Whatever does not fit is dropped: what matters is asked for again.
//
// A channel is taken in when its funding output is in the best chain, pays to the two bitcoin keys, and was not spent in any block that this node
// follows. It leaves when a block spends the output, when a reorganisation takes the funding away, or after two weeks without an update. Chain sources
// have no set of unspent outputs, so a channel that was closed before this node heard of it (more than Config.LookBack blocks ago) stays in the graph
// until it is stale; a payment that tries it fails and goes elsewhere. One whose close is reorganised away is not taken back in before the next start.
//
// # What goes out
//
// A few peers (Config.SyncPeers) are asked for all short channel ids, then for the channels that are unknown, and send what is new from then on; one of
// them gives way to another every hour (Times.Resync), since nobody is to be believed to have told all. What
// was accepted is passed on at intervals (Times.Trickle) to the peers whose filter wants it, sorted, each message once. Own announcements go to all
// peers. Queries are answered in portions, as fast as Config.Queries allows.
//
// # Own channels
//
// Channels tell of themselves with messages.OwnChannel. A public one, six blocks deep, has its announcement_signatures sent once in each session until
// both halves are known, and again whenever the peer sends its half (BOLT 7). Then channel_announcement, channel_update and node_announcement are
// made, and repeated before they are stale; the channel's peer is told of our update and our node in each session, as it may have been away when all
// were. A private one has its channel_update sent to the peer alone, under the alias that the peer gave. A
// channel whose peer is away for long (Times.Disable) is announced as disabled, and as enabled when the peer is back.
//
// Routes are found here too (messages.FindRoutes), since this is where the graph is, with the memory of attempts that messages.RouteOutcome feeds.
//
// Files: core.go, intake.go, lies.go, verify.go, sync.go, answer.go, relay.go, own.go, announce.go and look.go are plain; actor.go alone knows of actors, time
// and IO. The core is told the time.
package graph
