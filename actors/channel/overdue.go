package channel

import "time"

// A peer that gets a commitment_signed and does not revoke holds up all that waits for the next one: adds, and removals of HTLCs that expire, while it
// answers pings. Nothing is lost by a new connection, at which both sides say again what the other lacks, so that is what we do about it. It also refuses the
// adds that wait: who asked for them goes elsewhere.

// patience with a revoke_and_ack. The channel waits between once and twice as long, since one timer is enough for all commitments.
const patience = time.Minute

// Unanswered is what the shell says to a Channel when what it names was owed by the peer the time before.
type Unanswered struct {
	session uint64
	number  uint64 // of the commitment that is to be revoked
}

// Owed tells what the peer owes an answer to now.
func (c *Channel) Owed() (Unanswered, bool) {
	if c.facts == nil || !c.up() || !c.facts.Unrevoked {
		return Unanswered{}, false
	}
	return Unanswered{session: c.session.id, number: c.facts.CounterpartyNumber}, true
}

func (c *Channel) unanswered(m Unanswered) {
	if owed, ok := c.Owed(); ok && owed == m {
		c.reconnect("the peer does not answer commitment_signed")
	}
}
