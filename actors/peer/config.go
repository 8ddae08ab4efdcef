package peer

import (
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"

	"github.com/lnactor/lnactor/internal/ln"
)

// Config is what all sessions of a node have in common.
type Config struct {
	Self   ln.NodeID
	Chain  chainhash.Hash // genesis hash of the chain
	Gossip bool           // there is an actor at messages.GraphAddr: BOLT 7 is spoken; else gossip is skipped unread
	Times  Times          // zero fields: defaults
	Limits Limits         // zero fields: defaults
	Cutter Cutter         // nil: no faults, at no cost
}

// Times are the delays and deadlines of sessions.
type Times struct {
	Init       time.Duration // for the peer's init
	Ping       time.Duration // of silence before we ping
	Pong       time.Duration // for anything to come after a ping
	Stable     time.Duration // after which a session ends a row of failures; one that ends sooner shortens it, see answered
	BackoffMin time.Duration // before the first retry
	BackoffMax time.Duration // before any retry
}

// Limits bound what a peer can make us keep.
type Limits struct {
	Opens     int // channels that the peer is opening at once
	HeldIDs   int // channel ids with messages that wait for their channel
	HeldEach  int // messages that wait for one channel
	HeldBytes int // of all messages that wait
	Window    int // messages read but not handled
	Backlog   int // bytes not yet written beyond which pings stay unanswered
	Depth     int // messages waiting in a channel's mailbox beyond which the peer is not read

	// Gossip that comes faster is dropped unread: it never holds up what concerns channels.
	GossipBytes  int // at once
	GossipMinute int // bytes a minute in the long run
	GossipDepth  int // messages waiting in the graph's mailbox beyond which gossip is dropped
}

func (c Config) withDefaults() Config {
	t, l := &c.Times, &c.Limits
	orTime(&t.Init, 30*time.Second)
	orTime(&t.Ping, time.Minute)
	orTime(&t.Pong, 30*time.Second)
	orTime(&t.Stable, time.Minute)
	orTime(&t.BackoffMin, 500*time.Millisecond)
	orTime(&t.BackoffMax, 2*time.Minute)
	orInt(&l.Opens, 4)
	orInt(&l.HeldIDs, 4096)
	orInt(&l.HeldEach, 32)
	orInt(&l.HeldBytes, 1<<20)
	orInt(&l.Window, 32)
	orInt(&l.Backlog, 256<<10)
	orInt(&l.Depth, 1024)
	orInt(&l.GossipBytes, 8<<20)
	orInt(&l.GossipMinute, 64<<20)
	orInt(&l.GossipDepth, 4096)
	return c
}

func orTime(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

func orInt(n *int, value int) {
	if *n <= 0 {
		*n = value
	}
}

// answered is what a session that came up leaves of a row of failures at most: a peer that is there is not waited for as one that is not, 8 s by
// default. Only a session that lasts ends the row, so one that closes all connections at once isn't dialled faster.
const answered = 4

// backoff is the delay before the retry after so many failures in a row.
func (t Times) backoff(failures int) time.Duration {
	d := t.BackoffMin
	for range failures {
		if d *= 2; d >= t.BackoffMax {
			return t.BackoffMax
		}
	}
	return min(d, t.BackoffMax)
}
