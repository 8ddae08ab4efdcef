package channel

import (
	"errors"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// link is how far a connection has come.
type link uint8

const (
	linkDown    link = iota
	linkSyncing      // connected, the peer's channel_reestablish has not come
	linkUp           // re-established
	linkMute         // nothing more is said about this channel on this connection
)

// session holds all that ends with the connection: proposals that are in no commitment are void then, on both sides (BOLT 2, Message
// Retransmission).
type session struct {
	id   uint64
	link link

	// Proposed by the peer, not committed by it yet.
	adds    []facts.HTLC
	removes []facts.Removal
	removed map[uint64]bool // outbound ids in removes
	fee     uint32          // 0 if none
	tally   *tally          // of the holder's next commitment with all of it; nil until first needed

	// Proposed by us, not committed by us yet: inbound ids whose removal was said.
	proposed    []uint64
	wasProposed map[uint64]bool

	readySaid  bool // channel_ready was sent on this connection
	readyEarly bool // the peer's came before its channel_reestablish
}

func newSession(id uint64) session {
	return session{id: id, link: linkSyncing, removed: map[uint64]bool{}, wasProposed: map[uint64]bool{}}
}

// over tells whether nothing is left but to tell the peer so. A mutual close that has not confirmed is not over: the peer may have missed our
// last closing_signed.
func (c *Channel) over() bool {
	return c.failed || c.facts.ForceClose != nil || c.facts.ProvenBehind || c.facts.WasSpent
}

// up tells whether updates and commitments can be exchanged now.
func (c *Channel) up() bool { return c.session.link == linkUp && !c.failed && !c.facts.Ended() }

func (c *Channel) peerUp(m messages.PeerUp) error {
	if m.Session <= c.session.id && c.session.link != linkDown {
		return nil // a repeat, or overtaken
	}
	c.endSession()
	c.session = newSession(m.Session)
	if c.over() {
		return nil // answered when the peer speaks of the channel
	}
	if m.Established {
		return c.established()
	}
	return c.sayReestablish()
}

// established begins a connection within which the channel was made: there is nothing to re-establish, and the peer expects no
// channel_reestablish.
func (c *Channel) established() error {
	c.session.link = linkUp
	if c.facts.HolderReady {
		return c.sayReady()
	}
	return nil
}

func (c *Channel) peerDown(m messages.PeerDown) error {
	if m.Session != c.session.id {
		return nil
	}
	c.endSession()
	return c.advanceClosing() // a close may have waited for proposals that are void now
}

// endSession forgets the connection. Adds that wait were never said; who asked for them may try again or elsewhere.
func (c *Channel) endSession() {
	c.refuseQueue(ErrPeerNotConnected)
	c.session = session{id: c.session.id}
	c.ahead = ahead{}
	c.closing.restart()
}

// peerMsg handles a message of the peer. What it breaks costs it the channel or the connection, and never this process.
func (c *Channel) peerMsg(m messages.PeerMsg) error {
	if m.Session != c.session.id || c.session.link == linkDown {
		return nil
	}
	err := c.receive(m.Msg)
	var fatal *protocolError
	var soft *warned
	switch {
	case errors.As(err, &fatal):
		c.fail(fatal.text)
		return nil
	case errors.As(err, &soft):
		c.warnPeer(soft.text)
		return nil
	}
	return err
}

func (c *Channel) receive(msg lnwire.Message) error {
	switch m := msg.(type) {
	case *lnwire.Error:
		return c.peerError(m)
	case *lnwire.Warning:
		return nil // BOLT 1: for the log of the peer's session
	case *lnwire.ChannelReestablish:
		return c.reestablish(m)
	case *lnwire.UpdateFulfillHTLC:
		// A preimage is worth money whenever it comes (S4).
		if err := c.learnPreimage(m.ID, m.PaymentPreimage); err != nil {
			return err
		}
	}
	if c.failed || c.over() || c.session.link == linkMute {
		return nil
	}
	if m, ok := msg.(*lnwire.ChannelReady); ok {
		// Some nodes send it before channel_reestablish; it does no harm.
		return c.channelReady(m)
	}
	if c.session.link == linkSyncing {
		return warn("%T before channel_reestablish", msg)
	}
	switch m := msg.(type) {
	case *lnwire.Shutdown:
		return c.shutdown(m)
	case *lnwire.ClosingSigned:
		return c.closingSigned(m)
	case *ClosingSigned: // never decoded, but handed over by a link in memory
		return c.closingSigned(m.received())
	}
	if c.facts.MutualClose != nil {
		return warn("%T after the closing transaction was signed", msg)
	}
	switch m := msg.(type) {
	case *lnwire.UpdateAddHTLC:
		return c.updateAdd(m)
	case *lnwire.UpdateFulfillHTLC:
		return c.updateFulfill(m)
	case *lnwire.UpdateFailHTLC:
		return c.updateFail(m)
	case *lnwire.UpdateFailMalformedHTLC:
		return c.updateFailMalformed(m)
	case *lnwire.UpdateFee:
		return c.updateFee(m)
	case *lnwire.CommitSig:
		return c.commitmentSigned(m)
	case *lnwire.RevokeAndAck:
		return c.revokeAndAck(m)
	}
	return nil // not understood, and the session lets only what may be ignored get here
}

// refuseQueue answers the adds that wait.
func (c *Channel) refuseQueue(why error) {
	for i := range c.queue {
		c.refuse(&c.queue[i], why, 0)
	}
	c.queue = nil
}

func (c *Channel) refuse(m *messages.AddHTLC, why error, limitMsat uint64) {
	c.tell(messages.ManagerAddr, messages.NotCommitted{
		Channel: c.id, Fence: m.Fence, Source: m.Source, Down: why == ErrPeerNotConnected, //nolint:errorlint // not wrapped
		Why: &AddError{Channel: c.id, AmountMsat: m.AmountMsat, LimitMsat: limitMsat, Why: why},
	})
}
