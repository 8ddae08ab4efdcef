package chainwatch

import (
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/messages"
)

// subscriber gets every block.
type subscriber struct {
	to messages.Addr

	// greeted: it was told of a tip. gone counts the blocks below what it was told that have left the chain since.
	greeted bool
	gone    uint32
}

// subscribe tells an address of the best block, now and at every change.
func (c *core) subscribe(m messages.ChainSubscribe) effects {
	for _, s := range c.subs {
		if s.to == m.To {
			s.greeted, s.gone = false, 0
			if c.ready {
				c.tellTip(s, nil)
			}
			return c.done()
		}
	}
	s := &subscriber{to: m.To}
	c.subs = append(c.subs, s)
	if c.ready {
		c.tellTip(s, nil)
	}
	return c.done()
}

func (c *core) tellTip(s *subscriber, blocks []*wire.MsgBlock) {
	tip := c.tip()
	c.send(s.to, messages.ChainTip{Height: tip.height, Hash: tip.hash, Disconnected: s.gone, Blocks: blocks})
	s.greeted, s.gone = true, 0
}

func (c *core) tellSubscribers(_ blockID, block *wire.MsgBlock) {
	for _, s := range c.subs {
		c.tellTip(s, []*wire.MsgBlock{block})
	}
}

func (c *core) disconnectSubscribers(blocks uint32) {
	for _, s := range c.subs {
		s.gone += blocks
	}
}

// flushSubscribers tells those that have heard nothing yet, or of a chain that became shorter.
func (c *core) flushSubscribers() {
	for _, s := range c.subs {
		if !s.greeted || s.gone > 0 {
			c.tellTip(s, nil)
		}
	}
}
