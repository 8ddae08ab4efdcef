package channel

import (
	"bytes"
	"slices"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// closing is how far a cooperative close has come, beside what the facts say.
type closing struct {
	wanted  *messages.CloseChannel // shutdown is to be sent once our updates are committed
	replyTo []messages.Addr        // to be told when it is durable
	target  uint32                 // fee rate aimed at, 0 for the channel's

	// The negotiation, which starts anew with every connection (BOLT 2).
	sent      bool   // closing_signed was sent
	last      uint64 // with this fee
	theirs    bool   // closing_signed was received
	theirLast uint64 // with this fee
}

func (c *closing) restart() { c.sent, c.last, c.theirs, c.theirLast = false, 0, false, 0 }

// closeChannel starts a cooperative close. The answer comes when shutdown is durable, or at once when it can't be.
func (c *Channel) closeChannel(m messages.CloseChannel) error {
	f := c.facts
	upfront := f.Holder.UpfrontShutdownScript
	switch {
	case f.HolderShutdown != nil: // said, perhaps because the peer began: the script stays, though whoever asks has another one each time
		m.Script = f.HolderShutdown
	case c.closing.wanted != nil:
		m.Script = c.closing.wanted.Script
	case len(m.Script) == 0:
		m.Script = upfront
	}
	switch {
	case c.failed || f.Ended():
		c.tellClose(m.ReplyTo, ErrAlreadyClosed)
		return nil
	case f.Unverified:
		c.tellClose(m.ReplyTo, facts.ErrUnverified)
		return nil
	case !validShutdownScript(m.Script), len(upfront) > 0 && !bytes.Equal(upfront, m.Script):
		c.tellClose(m.ReplyTo, ErrBadScript)
		return nil
	}
	c.closing.target = m.FeePerKw
	if f.HolderShutdown != nil {
		if m.ReplyTo != "" {
			c.behind(messages.Delivery{To: m.ReplyTo, Msg: messages.CloseReply{}})
		}
		return nil
	}
	c.refuseQueue(ErrClosing)
	c.closing.wanted = &m
	if m.ReplyTo != "" {
		c.closing.replyTo = append(c.closing.replyTo, m.ReplyTo)
	}
	return c.advanceClosing()
}

func (c *Channel) tellClose(to messages.Addr, err error) { c.tell(to, messages.CloseReply{Err: err}) }

// sendShutdown makes our shutdown durable with its script (rule 16) and then sends it; when there is no connection, resume does. It waits while
// we said an update that is not signed (BOLT 2: "MUST NOT send a shutdown if there are updates pending on the receiving node's commitment").
func (c *Channel) sendShutdown() error {
	if c.facts.HolderShutdown != nil || c.facts.Unverified || len(c.session.proposed) > 0 {
		return nil
	}
	var script []byte
	switch {
	case c.closing.wanted != nil:
		script = c.closing.wanted.Script
	case c.facts.CounterpartyShutdown == nil:
		return nil
	case len(c.facts.Holder.UpfrontShutdownScript) > 0:
		script = c.facts.Holder.UpfrontShutdownScript
	case c.cfg.Script == nil:
		return nil
	default:
		var err error
		if script, err = c.cfg.Script(c.id); err != nil || !validShutdownScript(script) {
			return nil //nolint:nilerr // asked again with the next occasion; the peer waits
		}
	}
	var then []messages.Delivery
	if c.up() {
		then = append(then, c.toPeer(lnwire.NewShutdown(c.wireID(), slices.Clone(script))))
	}
	for _, to := range c.closing.replyTo {
		then = append(then, messages.Delivery{To: to, Msg: messages.CloseReply{}})
	}
	c.closing.wanted, c.closing.replyTo = nil, nil
	c.refuseQueue(ErrClosing)
	return c.apply(facts.HolderShutdown{Script: script}, then...)
}

// sayShutdown sends the shutdown that is durable again (BOLT 2, Message Retransmission).
func (c *Channel) sayShutdown() {
	c.say(lnwire.NewShutdown(c.wireID(), slices.Clone(c.facts.HolderShutdown)))
}

// shutdown handles the peer's, and answers with ours (BOLT 2, Closing Initiation).
func (c *Channel) shutdown(m *lnwire.Shutdown) error {
	script := slices.Clone([]byte(m.Address))
	upfront := c.facts.Counterparty.UpfrontShutdownScript
	switch {
	case len(c.session.adds) > 0:
		return broken("shutdown before commitment_signed for %d HTLCs", len(c.session.adds))
	case len(upfront) > 0 && !bytes.Equal(upfront, script):
		return warn("shutdown with a script that is not the upfront_shutdown_script")
	case !validShutdownScript(script):
		return warn("shutdown with a script that BOLT 2 does not allow")
	}
	switch was := c.facts.CounterpartyShutdown; {
	case was != nil && !bytes.Equal(was, script):
		return warn("shutdown with another script than before")
	case was == nil && c.facts.MutualClose == nil:
		c.refuseQueue(ErrClosing)
		if err := c.apply(facts.CounterpartyShutdown{Script: script}); err != nil {
			return err
		}
	}
	return c.advanceClosing()
}

// clear tells whether no HTLC and no update is left in or on its way into any commitment, so that fees can be negotiated.
func (c *Channel) clear() bool {
	f, s := c.facts, &c.session
	return len(f.Outbound) == 0 && len(f.Inbound) == 0 && len(f.FeeUpdates) == 0 && !f.Unrevoked &&
		len(s.adds) == 0 && len(s.removes) == 0 && len(s.proposed) == 0 && s.fee == 0
}
