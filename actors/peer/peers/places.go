package peers

import (
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// places are the nodes that have channels. Strangers cost nothing to make, so however many of them are connected, these nodes are let in: an HTLC
// of theirs may have to be settled in time. Their number is bounded by the coins in the channels.
type places struct {
	of    map[ln.ChannelID]ln.NodeID
	count map[ln.NodeID]int // channels, never 0
}

func newPlaces() places {
	return places{of: map[ln.ChannelID]ln.NodeID{}, count: map[ln.NodeID]int{}}
}

func (p places) reserved(id ln.NodeID) bool { return p.count[id] > 0 }

func (p places) take(m messages.ChannelPeer) {
	if _, known := p.of[m.Channel]; !known {
		p.of[m.Channel] = m.Peer
		p.count[m.Peer]++
	}
}

// leave returns the node whose channel it was.
func (p places) leave(id ln.ChannelID) ln.NodeID {
	node, known := p.of[id]
	if !known {
		return node
	}
	delete(p.of, id)
	if p.count[node]--; p.count[node] == 0 {
		delete(p.count, node)
	}
	return node
}
