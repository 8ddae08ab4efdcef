package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
)

// What a stranger says of a place in the chain must not keep the truth about that place out. So an announcement whose keys are not those of the output
// is remembered with its keys, and the place stays open for whoever has the right ones; and a peer that hands over many such is not listened to.

// maxLies bounds what is remembered as false.
const maxLies = 20_000

// deaf is for how long the channels that a peer announces are not looked at, after more than lieRate allows were false. Its updates, and what it is
// asked about its own channels, count on.
const deaf = time.Hour

// lieRate leaves room for nodes that pass on what they can't check themselves, such as those without blocks.
var lieRate = store.Rate{Burst: 20, PerMinute: 1}

// lie is an announcement that names these keys for this place.
type lie [sha256.Size]byte

func lieOf(m *store.ChannelMsg) lie {
	b := binary.BigEndian.AppendUint64(nil, m.SCID)
	b = append(b, m.BitcoinKeys[0][:]...)
	return sha256.Sum256(append(b, m.BitcoinKeys[1][:]...))
}

// lies is a bounded set that forgets the oldest.
type lies struct {
	all  map[lie]bool
	ring []lie
	next int
}

func (l *lies) has(x lie) bool { return l.all[x] }

func (l *lies) add(x lie) {
	switch {
	case l.all[x]:
		return
	case l.all == nil:
		l.all = map[lie]bool{}
	}
	if len(l.ring) < maxLies {
		l.ring = append(l.ring, x)
	} else {
		delete(l.all, l.ring[l.next])
		l.ring[l.next] = x
		l.next = (l.next + 1) % maxLies
	}
	l.all[x] = true
}

// lied charges a peer for an announcement that the chain or a signature contradicts.
func (c *core) lied(it item, now time.Time) {
	p := c.peers[it.from]
	if p != nil && p.session == it.session && !p.lies.Take(lieRate, now, 1) {
		p.deaf = now.Add(deaf)
	}
}

// heeded tells whether channels that a peer announces are looked at. What comes from nobody is our own.
func (c *core) heeded(it item, now time.Time) bool {
	p := c.peers[it.from]
	return p == nil || !now.Before(p.deaf)
}

// usurps tells whether an announcement is about the place of an own channel, and not of that channel.
func (c *core) usurps(m *store.ChannelMsg) bool {
	o := c.at(m.SCID)
	if o == nil {
		return false
	}
	u := c.unsigned(o)
	return u.ShortChannelID.ToUint64() != m.SCID || m.Nodes != [2]ln.NodeID{u.NodeID1, u.NodeID2} ||
		m.BitcoinKeys != [2][33]byte{u.BitcoinKey1, u.BitcoinKey2}
}
