package graph

import (
	"image/color"
	"net"
	"slices"
	"time"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
)

// unsigned is the announcement of an own channel without signatures.
func (c *core) unsigned(o *ownChannel) *lnwire.ChannelAnnouncement1 {
	m := &lnwire.ChannelAnnouncement1{
		Features: lnwire.NewRawFeatureVector(), ChainHash: c.cfg.Chain, ShortChannelID: lnwire.NewShortChanIDFromInt(o.SCID),
		NodeID1: c.cfg.Self, NodeID2: o.Peer, BitcoinKey1: o.HolderKey, BitcoinKey2: o.CounterpartyKey,
	}
	if c.dir(o) == 1 {
		m.NodeID1, m.NodeID2, m.BitcoinKey1, m.BitcoinKey2 = m.NodeID2, m.NodeID1, m.BitcoinKey2, m.BitcoinKey1
	}
	return m
}

// half makes our announcement_signatures.
func (c *core) half(o *ownChannel) (*lnwire.AnnounceSignatures1, error) {
	digest, err := store.Sign(c.unsigned(o))
	if err != nil {
		return nil, err
	}
	node, err := c.cfg.Sign(digest)
	if err != nil {
		return nil, err
	}
	bitcoin, err := c.cfg.Signer.SignAnnouncement(o.KeyIndex, digest)
	if err != nil {
		return nil, err
	}
	return &lnwire.AnnounceSignatures1{
		ChannelID: lnwire.ChannelID(o.Channel), ShortChannelID: lnwire.NewShortChanIDFromInt(o.SCID), NodeSignature: node, BitcoinSignature: bitcoin,
	}, nil
}

// announceChannel puts an own channel into the graph, with both halves, and on its way to all.
func (c *core) announceChannel(o *ownChannel, now time.Time) error {
	ours, err := c.half(o)
	if err != nil {
		return err
	}
	m := c.unsigned(o)
	m.NodeSig1, m.BitcoinSig1, m.NodeSig2, m.BitcoinSig2 = ours.NodeSignature, ours.BitcoinSignature, o.theirs.NodeSignature, o.theirs.BitcoinSignature
	if c.dir(o) == 1 {
		m.NodeSig1, m.BitcoinSig1, m.NodeSig2, m.BitcoinSig2 = m.NodeSig2, m.BitcoinSig2, m.NodeSig1, m.BitcoinSig1
	}
	p, err := store.ParseChannel(m, c.cfg.Chain)
	if err != nil {
		return err
	}
	if err := p.Verify(); err != nil {
		return err
	}
	if err := c.g.AddChannel(p, store.Funding{Outpoint: o.Funding, CapacitySat: o.CapacitySat}, now); err != nil {
		return err
	}
	c.watchNew(store.Height(o.SCID), []wire.OutPoint{o.Funding})
	c.post(key{kindChannel, o.SCID, 0, ln.NodeID{}}, m, 0)
	o.theirs, o.told = nil, 0
	c.publishTheirs(o)
	return nil
}

// publishTheirs takes what the peer said of its side to us alone, under the place that the channel now has in the graph: it is good for all.
func (c *core) publishTheirs(o *ownChannel) {
	if o.policy == nil {
		return
	}
	if u, err := store.Message(o.policy.Raw); err == nil {
		if u, ok := u.(*lnwire.ChannelUpdate1); ok && u.ShortChannelID.ToUint64() == o.SCID {
			c.queue = append(c.queue, item{from: o.Peer, msg: u})
		}
	}
}

// update makes our channel_update when there is none, when it says something else than it should, or when it is old. It goes to all for a public
// channel, and to the peer alone for others, under the alias that the peer gave (BOLT 7).
func (c *core) update(o *ownChannel, now time.Time) {
	public := c.public(o)
	place, private := o.SCID, public == nil
	if private && o.CounterpartyAlias != 0 {
		place = o.CounterpartyAlias
	}
	var last *store.Policy
	if o.ours != nil && o.ours.SCID == place {
		last = &o.ours.Policy
	}
	if !private {
		last = public.Policies[c.dir(o)]
	}
	disabled := !o.Open || !o.away.IsZero() && now.Sub(o.away) >= c.cfg.Times.Disable
	switch {
	case place == 0 || last == nil && (disabled || !o.Up): // it is announced when it can be used
		return
	case !o.Up && !disabled && last.Disabled: // the peer was away and is on its way back: enabled when it is there
		return
	}
	want := c.terms(o)
	// A change that comes too soon is made by a later tick: nodes drop what changes too often.
	if last == nil || now.Sub(time.Unix(int64(last.Timestamp), 0)) >= c.cfg.Times.Refresh ||
		(last.Disabled != disabled || !sameTerms(last, want)) && o.changes.Take(c.cfg.Updates, now, 1) {
		at := uint32(now.Unix()) //nolint:gosec // until 2106
		for _, old := range []*store.Policy{last, ourPolicy(o)} {
			if old != nil {
				at = max(at, old.Timestamp+1)
			}
		}
		u, m, err := c.makeUpdate(o, place, at, want, disabled, private)
		if err != nil {
			c.complain("channel_update can't be made", err)
			return
		}
		if !private {
			if err := c.g.SetPolicy(m, now, true); err != nil {
				c.complain("own channel_update is not accepted; is the clock right?", err)
				return
			}
			c.post(key{kindUpdate, place, m.Dir, ln.NodeID{}}, u, at)
		}
		o.ours, o.told = m, 0
		last = &m.Policy
	}
	c.tellManager(o, place, last, private)
	if p := c.peers[o.Peer]; p != nil && o.Up && (o.toldAs != place || c.again(o.told, o.toldAt, p, now)) {
		if u, err := store.Message(last.Raw); err == nil {
			o.told, o.toldAt, o.toldAs = p.session, now, place
			c.send(p, false, u)
			if !private {
				c.tellNode(p, now)
			}
		}
	}
}

// complain logs what will be tried again with every tick, once.
func (c *core) complain(what string, err error) {
	if c.complaint != what {
		c.complaint = what
		c.log.Error(what, "error", err)
	}
}

func ourPolicy(o *ownChannel) *store.Policy {
	if o.ours == nil {
		return nil
	}
	return &o.ours.Policy
}

// terms are what our update asks for.
func (c *core) terms(o *ownChannel) facts.Policy {
	p := c.policy(o)
	p.HTLCMinimumMsat = max(p.HTLCMinimumMsat, o.MinMsat, 1)
	most := o.CapacitySat * 1000
	for _, limit := range []uint64{o.MaxMsat, p.MaxInFlightMsat, p.HTLCMaximumMsat} {
		if limit != 0 {
			most = min(most, limit)
		}
	}
	p.HTLCMaximumMsat = max(most, p.HTLCMinimumMsat)
	return p
}

// policy is the one that counts.
func (c *core) policy(o *ownChannel) facts.Policy { return o.Policy.Or(c.cfg.Policy) }

func sameTerms(a *store.Policy, b facts.Policy) bool {
	return a.BaseMsat == b.BaseMsat && a.PropMillionths == b.PropMillionths && a.CLTVDelta == b.CLTVDelta &&
		a.MinMsat == b.HTLCMinimumMsat && a.MaxMsat == b.HTLCMaximumMsat
}

// dontForward marks an update that is for the peer alone (BOLT 7, message_flags).
const dontForward lnwire.ChanUpdateMsgFlags = 1 << 1

func (c *core) makeUpdate(o *ownChannel, place uint64, at uint32, p facts.Policy, disabled, private bool) (*lnwire.ChannelUpdate1, *store.UpdateMsg, error) {
	u := &lnwire.ChannelUpdate1{
		ChainHash: c.cfg.Chain, ShortChannelID: lnwire.NewShortChanIDFromInt(place), Timestamp: at, MessageFlags: lnwire.ChanUpdateRequiredMaxHtlc,
		TimeLockDelta: p.CLTVDelta, HtlcMinimumMsat: lnwire.MilliSatoshi(p.HTLCMinimumMsat), HtlcMaximumMsat: lnwire.MilliSatoshi(p.HTLCMaximumMsat),
		BaseFee: p.BaseMsat, FeeRate: p.PropMillionths, ExtraOpaqueData: []byte{},
	}
	if private {
		u.MessageFlags |= dontForward
	}
	if c.dir(o) == 1 {
		u.ChannelFlags |= lnwire.ChanUpdateDirection
	}
	if disabled {
		u.ChannelFlags |= lnwire.ChanUpdateDisabled
	}
	data, err := u.DataToSign()
	if err != nil {
		return nil, nil, err
	}
	if u.Signature, err = c.cfg.Sign(chainhash.DoubleHashH(data)); err != nil {
		return nil, nil, err
	}
	m, err := store.ParseUpdate(u, c.cfg.Chain)
	return u, m, err
}

// announceNode makes our node_announcement when we have a public channel and it says something new, or is old.
func (c *core) announceNode(now time.Time) {
	n := c.g.Node(c.cfg.Self)
	if n == nil {
		return
	}
	if i := n.Info; i != nil && now.Sub(time.Unix(int64(i.Timestamp), 0)) < c.cfg.Times.Refresh && c.saysTheSame(i) {
		return
	}
	at := uint32(now.Unix()) //nolint:gosec // until 2106
	if n.Info != nil {
		at = max(at, n.Info.Timestamp+1)
	}
	m, p, err := c.makeNode(at)
	if err == nil {
		err = c.g.SetNode(p, now)
	}
	if err != nil {
		c.complain("node_announcement can't be made", err)
		return
	}
	c.post(key{kindNode, 0, 0, c.cfg.Self}, m, at)
}

// tellNode tells a peer that we share a public channel with of our node, once in a session and after a while again: it may have been away when all were
// told, and what it asks for when it is back may begin after that.
func (c *core) tellNode(p *peer, now time.Time) {
	n := c.g.Node(c.cfg.Self)
	if n == nil || n.Info == nil || now.Sub(p.nodeToldAt) < c.cfg.Times.Resync {
		return
	}
	if m, err := store.Message(n.Info.Raw); err == nil {
		p.nodeToldAt = now
		c.send(p, false, m)
	}
}

func (c *core) makeNode(at uint32) (*lnwire.NodeAnnouncement1, *store.NodeMsg, error) {
	me := &c.cfg.Node
	m := &lnwire.NodeAnnouncement1{
		Features: me.Features, Timestamp: at, NodeID: c.cfg.Self, RGBColor: color.RGBA{R: me.Color[0], G: me.Color[1], B: me.Color[2]},
		Addresses: slices.Clone(me.Addresses), ExtraOpaqueData: []byte{},
	}
	if m.Addresses == nil {
		m.Addresses = []net.Addr{}
	}
	copy(m.Alias[:], me.Alias)
	data, err := m.DataToSign()
	if err != nil {
		return nil, nil, err
	}
	if m.Signature, err = c.cfg.Sign(chainhash.DoubleHashH(data)); err != nil {
		return nil, nil, err
	}
	p, err := store.ParseNode(m)
	return m, p, err
}

// saysTheSame compares the newest announcement with what it should say. A fault in the configuration shows when it is made.
func (c *core) saysTheSame(i *store.NodeInfo) bool {
	old, err := store.Message(i.Raw)
	if err != nil {
		return false
	}
	was, ok := old.(*lnwire.NodeAnnouncement1)
	if !ok {
		return false
	}
	me := &c.cfg.Node
	var alias lnwire.NodeAlias
	copy(alias[:], me.Alias)
	return was.Alias == alias && was.RGBColor == color.RGBA{R: me.Color[0], G: me.Color[1], B: me.Color[2]} &&
		sameFeatures(was.Features, me.Features) && slices.EqualFunc(was.Addresses, me.Addresses, func(a, b net.Addr) bool { return a.String() == b.String() })
}

func sameFeatures(a, b *lnwire.RawFeatureVector) bool {
	if a.SerializeSize() != b.SerializeSize() {
		return false
	}
	for bit := lnwire.FeatureBit(0); int(bit) < 8*a.SerializeSize(); bit++ {
		if a.IsSet(bit) != b.IsSet(bit) {
			return false
		}
	}
	return true
}
