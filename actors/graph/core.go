package graph

import (
	"bytes"
	"log/slog"
	"slices"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// core is the actor without the actor: what comes in, what goes out. It asks nobody, waits for nothing and is told the time.
type core struct {
	cfg Config
	log *slog.Logger
	inc uint64
	out []messages.Delivery

	g      *store.Graph
	memory *route.Memory
	finder route.Finder

	tip     uint32 // height, 0: not heard yet
	cursor  uint32 // up to which spends were looked for, as the cache had it; 0: none
	watched bool   // chainwatch has our registration
	live    bool   // and has caught up with it

	peers map[ln.NodeID]*peer
	order []ln.NodeID // of peers, by arrival

	queue   []item
	early   []item // channels in blocks above the tip
	lies    lies
	reply   int  // channels in one reply_channel_range
	busy    bool // a batch is being verified
	dropped uint64

	own       map[ln.ChannelID]*ownChannel
	places    map[uint64]ln.ChannelID // own channels by short channel id and by alias
	outbox    map[key]parcel
	flushed   time.Time
	complaint string    // last thing that was logged as an error
	rotated   time.Time // when the peers that are asked changed last
	pruned    time.Time
	saved     time.Time
}

// peer is a session.
type peer struct {
	id      ln.NodeID
	session uint64
	queries bool // it offers gossip_queries
	waiting int  // its messages in the queue
	bucket  store.Bucket
	filter  *lnwire.GossipTimestampRange // what it wants to hear
	sync    syncState
	chosen  time.Time // for it, last; zero: never
	answer  answer
	lies    store.Bucket // channels that were not what it said
	deaf    time.Time    // until when we do not listen to its channels
	backlog backlog

	nodeToldAt time.Time // when it was told of our node for itself
}

func newCore(cfg Config, log *slog.Logger, inc uint64, g *store.Graph, cursor uint32, now time.Time) *core {
	return &core{
		cfg: cfg, log: log, inc: inc, g: g, cursor: cursor, memory: route.NewMemory(cfg.Memory),
		peers: map[ln.NodeID]*peer{}, own: map[ln.ChannelID]*ownChannel{}, places: map[uint64]ln.ChannelID{}, outbox: map[key]parcel{},
		reply: maxReply, flushed: now, pruned: now, saved: now,
	}
}

func (c *core) tell(to messages.Addr, msg any) {
	if to != "" {
		c.out = append(c.out, messages.Delivery{To: to, Msg: msg})
	}
}

// flush is what there is to send.
func (c *core) flush() []messages.Delivery {
	out := c.out
	c.out = nil
	return out
}

// send says something to a peer. Gossip is left out where it would pile up; what is part of a conversation is not.
func (c *core) send(p *peer, optional bool, msgs ...lnwire.Message) {
	if len(msgs) > 0 {
		c.tell(messages.PeerAddr(p.id), messages.PeerSend{Session: p.session, Msgs: msgs, Optional: optional})
	}
}

// start asks everybody to tell of themselves.
func (c *core) start() {
	started := messages.GraphStarted{Incarnation: c.inc}
	c.tell(messages.PeersAddr, started)
	c.tell(messages.MonitorsAddr, started)
	c.tell(messages.ManagerAddr, started)
	c.tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.GraphAddr})
}

// handle takes one message in.
func (c *core) handle(in any, now time.Time) {
	switch m := in.(type) {
	case messages.Gossip:
		c.gossip(m, now)
	case messages.GossipUp:
		c.up(m, now)
	case messages.GossipDown:
		c.down(m, now)
	case messages.OwnChannel:
		c.ownChannel(m, now)
	case messages.ChainStarted:
		c.watched, c.live = false, false
		c.tell(messages.ChainWatchAddr, messages.ChainSubscribe{To: messages.GraphAddr})
		c.watch()
	case messages.ChainTip:
		c.chainTip(m, now)
	case messages.ChainBlock:
		c.chainBlock(m)
	case messages.GetGraph:
		c.summary(m)
	case messages.ListGraph:
		c.list(m)
	case messages.ListPolicies:
		c.policies(m)
	case messages.GetOwnUpdates:
		c.tellManagerAgain(now)
	case messages.FindRoutes:
		routes, err := c.finder.Find(c.g, c.memory, &m.Request, now)
		c.tell(m.ReplyTo, messages.RoutesFound{ID: m.ID, Routes: routes, Err: err})
	case messages.RouteOutcome:
		c.learn(m, now)
	}
}

// tick does what is due.
func (c *core) tick(now time.Time) {
	for _, id := range slices.Clone(c.order) {
		p := c.peers[id]
		c.proceedSync(p, now)
		c.proceedAnswer(p)
		c.proceedBacklog(p)
	}
	c.rotate(now)
	c.tendAll(now)
	if now.Sub(c.flushed) >= c.cfg.Times.Trickle {
		c.flushed = now
		c.pass()
	}
	if now.Sub(c.pruned) >= c.cfg.Times.Prune {
		c.pruned = now
		if gone := c.g.Prune(now); len(gone) > 0 {
			c.log.Info("channels without updates left the graph", slog.Int("channels", len(gone)))
		}
	}
}

func (c *core) up(m messages.GossipUp, now time.Time) {
	p := c.peers[m.Peer]
	switch {
	case p != nil && p.session >= m.Session:
		return // a repeat
	case p == nil:
		c.order = append(c.order, m.Peer)
	default:
		c.forget(p)
	}
	c.peers[m.Peer] = &peer{id: m.Peer, session: m.Session, queries: m.Queries}
	c.chooseSync(now)
	c.tendPeer(m.Peer, now)
}

func (c *core) down(m messages.GossipDown, now time.Time) {
	p := c.peers[m.Peer]
	if p == nil || p.session != m.Session {
		return
	}
	c.forget(p)
	delete(c.peers, m.Peer)
	c.order = slices.DeleteFunc(c.order, func(id ln.NodeID) bool { return id == m.Peer })
	c.chooseSync(now)
}

// forget takes a session's messages out of the queue's accounts; they are worked off all the same.
func (c *core) forget(p *peer) { p.waiting = 0 }

// chainTip follows the chain's height.
func (c *core) chainTip(m messages.ChainTip, now time.Time) {
	if m.Disconnected > 0 && c.tip > m.Disconnected {
		c.unwind(c.tip - m.Disconnected)
	}
	first := c.tip == 0
	c.tip = m.Height
	if first || !c.watched {
		c.watch()
	}
	if c.live {
		c.cursor = m.Height
	}
	early := c.early
	c.early = nil
	c.queue = append(c.queue, early...)
	c.tendAll(now)
}

// unwind takes out the channels whose funding transactions left the chain. They may come back at another place.
func (c *core) unwind(fork uint32) {
	c.cursor = min(c.cursor, fork)
	var gone []uint64
	for _, ch := range c.g.Range(fork+1, 1<<24) {
		gone = append(gone, ch.SCID)
	}
	for _, scid := range gone {
		c.g.Remove(scid)
	}
}

// safety is how many blocks before the cursor are looked at again: a spend may be on its way to us when the tip is.
const safety = 6

// watch registers the funding outputs with chainwatch, from where the cache ended.
func (c *core) watch() {
	if c.tip == 0 {
		return
	}
	from := c.tip
	if c.cursor != 0 {
		from = min(c.cursor, c.tip)
	}
	c.watched, c.live, c.cursor = true, false, from
	m := messages.ChainRegister{Graph: true, Incarnation: c.inc, Height: from - min(safety, from), To: messages.GraphAddr}
	for _, ch := range c.g.Sorted() {
		m.Outpoints = append(m.Outpoints, ch.Outpoint)
	}
	c.tell(messages.ChainWatchAddr, m)
}

// watchNew adds outputs to the registration.
func (c *core) watchNew(lowest uint32, outpoints []wire.OutPoint) {
	if len(outpoints) == 0 || !c.watched {
		return
	}
	c.tell(messages.ChainWatchAddr, messages.ChainWatch{
		Graph: true, Incarnation: c.inc, FromHeight: max(lowest, c.tip-min(c.cfg.LookBack, c.tip)), Outpoints: outpoints,
	})
}

// chainBlock takes out the channels that a block closes.
func (c *core) chainBlock(m messages.ChainBlock) {
	if m.Incarnation != c.inc {
		return
	}
	c.live = c.live || m.Height >= c.tip
	for _, match := range m.Matches {
		for _, in := range match.Tx.TxIn {
			if ch := c.g.Spends(in.PreviousOutPoint); ch != nil {
				c.g.Bury(ch.SCID)
			}
		}
	}
}

// learn takes the outcome of an attempt into the memory.
func (c *core) learn(m messages.RouteOutcome, now time.Time) {
	for _, h := range m.Passed {
		c.memory.Passed(route.Edge{SCID: h.SCID, From: h.From}, h.AmountMsat)
	}
	if h := m.Failed; h != nil {
		c.memory.Failed(route.Edge{SCID: h.SCID, From: h.From}, h.AmountMsat, now)
	}
	if m.FailedNode != nil {
		c.memory.NodeFailed(*m.FailedNode, now)
	}
	if m.Update != nil {
		c.correct(m.Update, now)
	}
}

// correct takes in a policy that came with a failure, for payments of this node. It is not passed on: whoever made it up for this payment alone
// could see by that who pays.
func (c *core) correct(u *lnwire.ChannelUpdate1, now time.Time) {
	p, err := store.ParseUpdate(u, c.cfg.Chain)
	if err != nil || c.g.WantUpdate(p, now) != nil || p.Verify(c.g.Channel(p.SCID).Nodes[p.Dir].ID) != nil {
		return
	}
	_ = c.g.SetPolicy(p, now, false)
}

// snapshot is the cache file.
func (c *core) snapshot() []byte {
	return c.g.Encode(c.cfg.Chain, store.Cursor{Height: c.cursor})
}

func compareNodes(a, b ln.NodeID) int { return bytes.Compare(a[:], b[:]) }
