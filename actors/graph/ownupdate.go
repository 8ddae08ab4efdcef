package graph

import (
	"time"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/messages"
)

// managerHas is the update that the manager was told last.
type managerHas struct {
	scid uint64
	at   uint32
}

// tellManager gives our update of a channel to the manager, for failures (BOLT 4). The payer of a channel that is not public knows it by the alias that
// we gave the peer, who put it into an invoice, and can only use an update that says the same.
func (c *core) tellManager(o *ownChannel, place uint64, p *store.Policy, private bool) {
	has := managerHas{place, p.Timestamp}
	if o.managerHas == has {
		return
	}
	o.managerHas = has
	c.tell(messages.ManagerAddr, messages.OwnUpdate{Channel: o.Channel, SCID: place, Raw: p.Raw})
	if !private || o.Alias == 0 {
		return
	}
	_, m, err := c.makeUpdate(o, o.Alias, p.Timestamp, c.terms(o), p.Disabled, true)
	if err != nil {
		c.complain("channel_update can't be made", err)
		return
	}
	c.tell(messages.ManagerAddr, messages.OwnUpdate{Channel: o.Channel, SCID: o.Alias, Raw: m.Policy.Raw})
}

// tellManagerAgain is for a manager that asks, because it has none.
func (c *core) tellManagerAgain(now time.Time) {
	for _, o := range c.owns() {
		o.managerHas = managerHas{}
		c.update(o, now)
	}
}
