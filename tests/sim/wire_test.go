package sim

import (
	"bytes"
	"encoding/binary"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/actors/peer"
	"github.com/lnactor/lnactor/internal/ln"
)

// transport is a node's network with a guard on all that it sends.
type transport struct {
	peer.Transport
	node *node
}

func (t *transport) Dial(to ln.NodeID, address string, done func(peer.Conn, error)) (cancel func()) {
	return t.Transport.Dial(to, address, func(c peer.Conn, err error) {
		if err != nil {
			done(nil, err)
			return
		}
		done(&conn{c, t.node, to}, nil)
	})
}

func (t *transport) Accept(accept func(ln.NodeID, peer.Conn)) {
	if accept == nil {
		t.Transport.Accept(nil)
		return
	}
	t.Transport.Accept(func(from ln.NodeID, c peer.Conn) { accept(from, &conn{c, t.node, from}) })
}

type conn struct {
	peer.Conn
	node *node
	to   ln.NodeID
}

func (c *conn) Send(msg []byte) {
	c.node.sends(msg)
	if mute := c.node.w.plan.mute; mute != nil && mute(c.node, msg) {
		return
	}
	c.Conn.Send(msg)
	if e := c.node.strayError(c.to); e != nil {
		c.Conn.Send(e)
	}
}

// sends checks a message that leaves the node against what is durable at that moment.
func (n *node) sends(raw []byte) {
	switch lnwire.MessageType(binary.BigEndian.Uint16(raw)) {
	case lnwire.MsgFundingSigned, lnwire.MsgChannelReady, lnwire.MsgShutdown, lnwire.MsgClosingSigned, lnwire.MsgCommitSig, lnwire.MsgRevokeAndAck,
		lnwire.MsgUpdateFulfillHTLC, lnwire.MsgUpdateFailHTLC, lnwire.MsgUpdateFailMalformedHTLC, lnwire.MsgError:
	default:
		return
	}
	msg, err := lnwire.ReadMessage(bytes.NewReader(raw), 0)
	if err != nil {
		n.w.wrong("%s sends what does not decode: %v", n.name, err)
		return
	}
	if n.w.plan.sent != nil {
		n.w.plan.sent(n, msg)
	}
	if e, ok := msg.(*lnwire.Error); ok {
		if c := n.shadow.channels[ln.ChannelID(e.ChanID)]; c != nil && c.facts.Spent != nil {
			return // it says that the channel is closed, and it is
		}
		if !n.w.plan.errors {
			n.w.wrong("%s sends an error: %s", n.name, e.Data)
		}
		return
	}
	id := channelOf(msg)
	c := n.shadow.channels[id]
	if c == nil {
		n.w.guard("%s sends %T for %s, which is not durable (rules 2, 3)", n.name, msg, id)
		return
	}
	f := c.facts
	if signs(msg) {
		n.doubts(f, "signs")
	}
	early := func(rule int) { n.w.guard("rule %d: %s sends %T before what it says is durable", rule, n.name, msg) }
	switch m := msg.(type) {
	case *lnwire.ChannelReady:
		if !f.HolderReady {
			early(4)
		}
	case *lnwire.CommitSig:
		if !f.Unrevoked {
			early(5)
		}
	case *lnwire.RevokeAndAck:
		n.revokes(c, m.Revocation, early)
	case *lnwire.UpdateFulfillHTLC:
		if h := f.Inbound[m.ID]; h == nil || !h.Resolution.Fulfilled() {
			early(13)
		}
	case *lnwire.UpdateFailHTLC:
		if h := f.Inbound[m.ID]; h == nil || h.Resolution == nil || !bytes.Equal(h.Resolution.Reason, m.Reason) {
			early(12) // that it is the very same each time is scenario 15
		}
	case *lnwire.UpdateFailMalformedHTLC:
		if h := f.Inbound[m.ID]; h == nil || h.Resolution == nil || h.Resolution.Malformed == nil {
			early(12)
		}
	case *lnwire.Shutdown:
		if !bytes.Equal(f.HolderShutdown, m.Address) {
			early(16)
		}
	case *lnwire.ClosingSigned:
		if f.ClosingFeeSat != uint64(m.FeeSatoshis) && f.MutualClose == nil {
			early(17)
		}
	}
}

// revokes: the secret must be of a commitment that is not the durable one any more (rule 6, S12).
func (n *node) revokes(c *shadowChannel, secret [32]byte, early func(int)) {
	f := c.facts
	if f.HolderNumber == 0 {
		early(6)
		return
	}
	last, err := n.signer.ReleaseSecret(f.KeyIndex, f.HolderNumber-1)
	if err != nil {
		n.w.wrong("%s: %v", n.name, err)
		return
	}
	if secret == last {
		n.revoked[f.ID] = max(n.revoked[f.ID], f.HolderNumber)
		return
	}
	early(6)
}

func channelOf(msg lnwire.Message) ln.ChannelID {
	switch m := msg.(type) {
	case *lnwire.FundingSigned:
		return ln.ChannelID(m.ChanID)
	case *lnwire.ChannelReady:
		return ln.ChannelID(m.ChanID)
	case *lnwire.Shutdown:
		return ln.ChannelID(m.ChannelID)
	case *lnwire.ClosingSigned:
		return ln.ChannelID(m.ChannelID)
	case *lnwire.CommitSig:
		return ln.ChannelID(m.ChanID)
	case *lnwire.RevokeAndAck:
		return ln.ChannelID(m.ChanID)
	case *lnwire.UpdateFulfillHTLC:
		return ln.ChannelID(m.ChanID)
	case *lnwire.UpdateFailHTLC:
		return ln.ChannelID(m.ChanID)
	case *lnwire.UpdateFailMalformedHTLC:
		return ln.ChannelID(m.ChanID)
	}
	return ln.ChannelID{}
}
