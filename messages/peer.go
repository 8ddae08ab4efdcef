package messages

import (
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/ln"
)

// PeerAttach registers a channel (or an opening) with the session of its peer: messages for ID go to To from now on. The answer is PeerUp, at
// once if the peer is connected, else when it is. A second incarnation for an ID within one session makes the peer reconnect first, because
// channel_reestablish belongs to the start of a connection.
type PeerAttach struct {
	ID          ln.ChannelID // may be a temporary id
	Incarnation uint64
	To          Addr
	// Opening: a temporary id, or the id of a channel that is being made. Messages for it go to To, or, if To is empty, wait (a bounded number of
	// them) for the channel to attach. When the channel itself attaches within the same session, PeerUp says Established.
	Opening bool
}

// PeerDetach takes an ID out.
type PeerDetach struct {
	ID          ln.ChannelID
	Incarnation uint64
}

// PeerUp tells that the connection is made and init messages are exchanged. Session is unique in the process and larger for later connections.
type PeerUp struct {
	Peer        ln.NodeID
	Session     uint64
	Established bool // the channel was made within this session: there is nothing to re-establish, channel_reestablish is not sent
}

// PeerDown tells that the session is over. Uncommitted proposals of either side are void (BOLT 2, Message Retransmission).
type PeerDown struct{ Session uint64 }

// PeerMsg is a decoded message from the peer. Malformed messages never get here.
type PeerMsg struct {
	Session uint64
	Msg     lnwire.Message
}

// PeerSend is a batch of messages for the peer, dropped if the session is not the current one: what was meant for an old connection must not
// appear on a new one.
type PeerSend struct {
	Session  uint64
	Msgs     []lnwire.Message
	Optional bool // left out if the peer does not read what it was sent already
}

// PeerReconnect asks to drop the session, if it is still the current one, and to connect again.
type PeerReconnect struct {
	Session uint64
	Why     string
}

// PeersReattach goes from a peer's new incarnation to Monitors, which passes it on to every channel: those of that peer attach again.
type PeersReattach struct{ Peer ln.NodeID }

// PeersStarted goes from a new incarnation of Peers by way of Monitors to every channel: each says ChannelPeer again.
type PeersStarted struct{}

// ChannelPeer tells Peers that coins stand behind a channel with a node: this node funded it, or its funding is in a block. The node has a reserved
// place until ChannelArchived. Repeats are no error.
type ChannelPeer struct {
	Channel ln.ChannelID
	Peer    ln.NodeID
}

// KnownChannel asks Monitors whether a channel exists that did not attach (yet). The answer is ChannelUnknown, or nothing if it exists.
type KnownChannel struct {
	ID      ln.ChannelID
	Session uint64
	ReplyTo Addr
}

// ChannelUnknown answers KnownChannel.
type ChannelUnknown struct {
	ID      ln.ChannelID
	Session uint64
}

// InboundOpen passes an open_channel that no one expects to the manager, which allots a key index and starts an opening.
type InboundOpen struct {
	Peer    ln.NodeID
	Session uint64
	Msg     *lnwire.OpenChannel
}

// ConnectPeer asks Peers for a lasting connection to a node; it reconnects with back-off until DisconnectPeer. The answer is ConnectReply once
// the first attempt has ended.
type ConnectPeer struct {
	Peer    ln.NodeID
	Address string // host:port
	ReplyTo Addr   // may be empty
}

// ConnectReply answers ConnectPeer.
type ConnectReply struct{ Err error }

// DisconnectPeer ends the connection and its retries.
type DisconnectPeer struct {
	Peer    ln.NodeID
	ReplyTo Addr
}

// ListPeers asks Peers for PeerList.
type ListPeers struct{ ReplyTo Addr }

// PeerList answers ListPeers, by node id.
type PeerList struct{ Peers []PeerInfo }

// PeerInfo describes a peer.
type PeerInfo struct {
	Peer      ln.NodeID
	Address   string
	Connected bool
	Inbound   bool
}
