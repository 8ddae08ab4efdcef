package messages

import (
	"strings"

	"github.com/lnactor/lnactor/internal/ln"
)

// Addr names an actor of the same node, such as "manager" or "monitor/<channel id>". Names are deterministic, so that no registry has to
// survive a crash. An address that begins with "~" is absolute: it names an actor outside the node, such as the future of an API call.
type Addr string

// The singletons of a node.
const (
	PersisterAddr  Addr = "persister"
	ChainWatchAddr Addr = "chainwatch"
	ManagerAddr    Addr = "manager"
	MonitorsAddr   Addr = "monitors" // supervisor of the monitor/channel pairs
	PeersAddr      Addr = "peers"    // supervisor of the peers
)

// MonitorAddr is the address of the channel's ChannelMonitor.
func MonitorAddr(id ln.ChannelID) Addr { return Addr("monitor/" + id.String()) }

// ChannelAddr is the address of the channel's BOLT 2 state machine.
func ChannelAddr(id ln.ChannelID) Addr { return Addr("channel/" + id.String()) }

// OpeningAddr is the address of the negotiation that has only a temporary channel id yet.
func OpeningAddr(temporary ln.ChannelID) Addr { return Addr("opening/" + temporary.String()) }

// PeerAddr is the address of the session with a peer.
func PeerAddr(id ln.NodeID) Addr { return Addr("peer/" + id.String()) }

// Absolute turns the id of an actor outside the node into an address.
func Absolute(pid string) Addr { return Addr("~" + pid) }

// AbsoluteID returns the id behind an absolute address.
func (a Addr) AbsoluteID() (string, bool) { return strings.CutPrefix(string(a), "~") }

// Delivery is a message on its way to an actor, not sent before something else is durable.
type Delivery struct {
	To  Addr
	Msg any
}
