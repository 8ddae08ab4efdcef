package messages

import (
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
)

// GraphAddr is the actor that keeps the channel graph and speaks BOLT 7.
const GraphAddr Addr = "graph"

// Gossip is what a peer says of BOLT 7, in order. Nothing of it can't be had again, so it may be dropped anywhere on its way.
type Gossip struct {
	Peer    ln.NodeID
	Session uint64
	Msgs    []lnwire.Message
}

// GossipUp tells the graph that a session with a peer is up, and again after GraphStarted.
type GossipUp struct {
	Peer    ln.NodeID
	Session uint64
	Queries bool // the peer offers gossip_queries
}

// GossipDown tells the graph that a session is over.
type GossipDown struct {
	Peer    ln.NodeID
	Session uint64
}

// GraphStarted goes from a new incarnation of the graph to Peers and Monitors, which pass it on: sessions and channels tell of themselves again. The
// manager asks again for the routes that it waits for.
type GraphStarted struct{ Incarnation uint64 }

// OwnChannel tells the graph of a channel of this node, whenever something here changes. It comes from the channel, so it is at most ahead of what is
// durable by what is on its way to the disk; what is announced of it is in the chain.
type OwnChannel struct {
	Channel           ln.ChannelID
	Peer              ln.NodeID
	KeyIndex          uint32
	Announce          bool
	Funding           wire.OutPoint
	CapacitySat       uint64
	SCID              uint64 // 0 until the funding transaction confirmed
	Alias             uint64 // that we gave the peer
	CounterpartyAlias uint64 // that the peer gave us, 0 if none
	HolderKey         [33]byte
	CounterpartyKey   [33]byte
	MinMsat           uint64       // of HTLCs that we may offer
	MaxMsat           uint64       // of all HTLCs that we may offer
	Policy            facts.Policy // zero: the node's default
	Open              bool         // both sides are ready, nothing ends it
	Up                bool         // the peer is connected and HTLCs can be offered now
	Ended             bool         // it has ended and will not be open again
}

// GetGraph asks the graph for GraphSummary.
type GetGraph struct{ ReplyTo Addr }

// GraphSummary answers GetGraph.
type GraphSummary struct {
	Nodes     int // with a public channel
	Announced int // of these, those that announced themselves
	Channels  int // public
	Policies  int // directions of public channels whose policy is known
	Bytes     int // of memory, about
	Syncing   int // peers that are being asked for what we do not know
	Synced    int // peers that told all they know
	Dropped   uint64
}

// ListGraph asks for public channels by short channel id, the first Limit (0: 100) after one. The answer is GraphList.
type ListGraph struct {
	After   uint64
	Limit   int
	ReplyTo Addr
}

// GraphList answers ListGraph.
type GraphList struct{ Channels []GraphChannel }

// GraphChannel is a public channel. Policies[0] is that of Nodes[0], zero where it is not known.
type GraphChannel struct {
	SCID        uint64
	CapacitySat uint64
	Nodes       [2]ln.NodeID
	Aliases     [2]string // of the nodes, printable
	Policies    [2]ChannelPolicy
}

// ChannelPolicy is what one side of a channel asks for forwarding over it.
type ChannelPolicy struct {
	Known          bool
	Disabled       bool
	CLTVDelta      uint16
	MinMsat        uint64
	MaxMsat        uint64
	BaseMsat       uint32
	PropMillionths uint32
	Timestamp      uint32
}

// ListPolicies asks for what both sides of this node's channels ask for, private ones included. The answer is PolicyList.
type ListPolicies struct{ ReplyTo Addr }

// PolicyList answers ListPolicies, by channel id.
type PolicyList struct{ Channels []OwnPolicies }

// OwnPolicies are those of a channel of this node. Theirs, with Alias, is what a route hint of an invoice is made of.
type OwnPolicies struct {
	Channel   ln.ChannelID
	Peer      ln.NodeID
	SCID      uint64
	Alias     uint64 // that the peer knows the channel by when it forwards to us
	Announced bool
	Policy    facts.Policy  // what counts now: the channel's own, or the node's default
	Default   bool          // it is the node's default
	Ours      ChannelPolicy // as it was told to others last
	Theirs    ChannelPolicy
}

// FindRoutes asks for routes over what the graph knows. The answer is RoutesFound.
type FindRoutes struct {
	ID      uint64 // the asker's
	Request route.Request
	ReplyTo Addr
}

// RoutesFound answers FindRoutes. Err is one of package route.
type RoutesFound struct {
	ID     uint64
	Routes []route.Route
	Err    error
}

// RouteOutcome tells the graph what became of an attempt, for the next ones. Only a hint.
type RouteOutcome struct {
	Passed     []route.Hop            // channels that carried the HTLC
	Failed     *route.Hop             // the one that did not
	FailedNode *ln.NodeID             // a node that fails by itself
	Update     *lnwire.ChannelUpdate1 // that a node on the way answered with, not verified; it is not passed on
}
