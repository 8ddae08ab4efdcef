package channel

import (
	"strings"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// maxDetail bounds what is kept of a text that the peer wrote.
const maxDetail = 200

// fail ends the channel because the peer broke the protocol: it is told (BOLT 1), and the monitor decides to close. The working copy may hold
// nothing of the broken message; from here on it is never signed from.
func (c *Channel) fail(text string) {
	c.sayError(text)
	c.giveUp(facts.CloseByProtocolError, text)
}

// giveUp asks for a close by us alone. Should the request be lost with the monitor's mailbox, the channel comes back and the peer repeats itself.
func (c *Channel) giveUp(why facts.CloseReason, text string) {
	if c.facts.Unverified {
		c.doubt()
		return
	}
	c.failed = true
	c.session.link = linkMute
	c.refuseQueue(ErrClosing)
	c.tell(messages.MonitorAddr(c.id), messages.ForceCloseChannel{Reason: why, Detail: text})
}

func (c *Channel) sayError(text string) {
	c.say(&lnwire.Error{ChanID: c.wireID(), Data: lnwire.ErrorData(text)})
}

// warnPeer drops the connection with a warning, which leaves first (BOLT 1).
func (c *Channel) warnPeer(text string) {
	c.reconnect(text, c.toPeer(&lnwire.Warning{ChanID: c.wireID(), Data: lnwire.WarningData(text)}))
}

// reconnect drops the connection once all that was recorded has left, and first something more. The proposals of both sides are void with it.
func (c *Channel) reconnect(why string, first ...messages.Delivery) {
	c.session.link = linkMute
	c.refuseQueue(ErrPeerNotConnected)
	c.behind(append(first, messages.Delivery{
		To: messages.PeerAddr(c.facts.Peer), Msg: messages.PeerReconnect{Session: c.session.id, Why: why},
	})...)
}

// internalError is what lnd says of a channel when something of its own fails, which is also when it is stopped while payments are under way. It
// sends that as an error, but keeps the channel and re-establishes it with the next connection.
const internalError = "internal error"

// peerError: the peer failed the channel (BOLT 1: "MUST fail the channel(s) referred to by the message"). The one exception is internalError: to
// close over it would cost both sides a channel at every restart of the peer. What else it may mean is safe: nothing more is said on this
// connection, so nothing is added, and a peer that has closed is seen on the chain.
func (c *Channel) peerError(m *lnwire.Error) error {
	if c.over() {
		return nil
	}
	if c.facts.MutualClose != nil {
		return nil // the closing transaction is as good as any other
	}
	if string(m.Data) == internalError {
		c.reconnect("the peer has an internal error")
		return nil
	}
	c.giveUp(facts.CloseByPeerError, sanitize(string(m.Data)))
	return nil
}

// sanitize keeps printable ASCII only (BOLT 1), and not much of it: it ends in logs and on terminals.
func sanitize(s string) string {
	s = s[:min(len(s), maxDetail)]
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r > 0x7e {
			return '?'
		}
		return r
	}, s)
}
