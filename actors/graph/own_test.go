package graph

import (
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	store "github.com/lnactor/lnactor/internal/graph"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// ownKeyIndex is the key index of the channel with a peer; its funding key is that of key32.
const ownKeyIndex = 77

// mine is a public channel with peer n, confirmed in block 796: it has six confirmations at 801.
func mine(n int) messages.OwnChannel {
	return messages.OwnChannel{
		Channel: ln.ChannelID{byte(n)}, Peer: nodeID(n), KeyIndex: ownKeyIndex, Announce: true, Funding: outpoint(scid(796, 1, 0)), CapacitySat: 1_000_000,
		SCID: scid(796, 1, 0), Alias: scid(16_000_000, 1, 1), CounterpartyAlias: scid(16_000_000, 2, 2),
		HolderKey: nodeID(ownKeyIndex), CounterpartyKey: nodeID(fundingKey(n)), MinMsat: 5, MaxMsat: 900_000_000, Open: true, Up: true,
	}
}

// theirHalf is what peer n signs.
func theirHalf(r *rig, m messages.OwnChannel, n int) *lnwire.AnnounceSignatures1 {
	digest, err := store.Sign(r.core.unsigned(&ownChannel{OwnChannel: m}))
	if err != nil {
		r.t.Fatal(err)
	}
	return &lnwire.AnnounceSignatures1{
		ChannelID: lnwire.ChannelID(m.Channel), ShortChannelID: lnwire.NewShortChanIDFromInt(m.SCID),
		NodeSignature: sign(n, digest), BitcoinSignature: sign(fundingKey(n), digest),
	}
}

func TestAnnounces(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.up(2)
	r.heard(1)
	r.heard(2)
	m := mine(1)
	r.tell(m)
	got := r.heard(1)
	if u := of[*lnwire.ChannelUpdate1](got); len(got) != 1 || len(u) != 1 || u[0].ShortChannelID.ToUint64() != m.CounterpartyAlias || u[0].MessageFlags&dontForward == 0 {
		t.Fatal("before it is announced, the peer alone is told, under the alias", kindsOf(got))
	}
	r.wait(time.Second)
	if got := r.heard(1); len(got) != 0 {
		t.Fatal("before the sixth confirmation", kindsOf(got))
	}
	r.tell(messages.ChainTip{Height: 801})
	half := of[*lnwire.AnnounceSignatures1](r.heard(1))
	if len(half) != 1 || half[0].ShortChannelID.ToUint64() != m.SCID || half[0].ChannelID != lnwire.ChannelID(m.Channel) {
		t.Fatal("announcement_signatures", half)
	}
	r.wait(time.Minute)
	if got := r.heard(1); len(got) != 0 {
		t.Fatal("sent again in the same session", kindsOf(got))
	}
	r.wait(r.cfg.Times.Resync)
	if got := r.heard(1); len(of[*lnwire.AnnounceSignatures1](got)) != 1 || len(of[*lnwire.ChannelUpdate1](got)) != 1 {
		t.Fatal("a peer that forgot is never told again", kindsOf(got))
	}
	r.heard(2) // the questions to it come again too
	// The peer's half is wrong, then of another channel, then right.
	bad := theirHalf(r, m, 1)
	bad.BitcoinSignature = bad.NodeSignature
	other := theirHalf(r, m, 1)
	other.ShortChannelID.TxIndex++
	r.say(1, bad, other)
	r.say(2, theirHalf(r, m, 1)) // not from the peer
	r.stats(0, 0, 0)
	r.say(1, theirHalf(r, m, 1))
	r.stats(1, 1, 1)
	r.heard(1)
	r.wait(r.cfg.Times.Trickle)
	for _, n := range []int{1, 2} { // also to those who did not ask
		got := r.heard(n)
		u, a, node := of[*lnwire.ChannelUpdate1](got), of[*lnwire.ChannelAnnouncement1](got), of[*lnwire.NodeAnnouncement1](got)
		if len(got) != 3 || len(u)*len(a)*len(node) != 1 {
			t.Fatal(n, kindsOf(got))
		}
		p, err := store.ParseChannel(a[0], testChain)
		if err != nil || p.Verify() != nil {
			t.Fatal("the announcement is no good", err)
		}
		pu, err := store.ParseUpdate(u[0], testChain)
		if err != nil || pu.Verify(r.cfg.Self) != nil || pu.SCID != m.SCID || pu.Dir != r.core.dir(&ownChannel{OwnChannel: m}) {
			t.Fatal(err, pu)
		}
		want := store.Policy{Timestamp: pu.Policy.Timestamp, CLTVDelta: 80, MinMsat: 5, MaxMsat: 900_000_000}
		if q := pu.Policy; q.CLTVDelta != want.CLTVDelta || q.MinMsat != want.MinMsat || q.MaxMsat != want.MaxMsat || q.Disabled || u[0].MessageFlags&dontForward != 0 {
			t.Fatalf("%+v", pu.Policy)
		}
		if pn, err := store.ParseNode(node[0]); err != nil || pn.Verify() != nil || pn.Info.Alias != "us" {
			t.Fatal(err)
		}
	}
	// Verified by others as we verify others: the chain has the output of these keys.
	script, _ := store.FundingScript([2][33]byte{m.HolderKey, m.CounterpartyKey})
	if len(script) != 34 {
		t.Fatal("script")
	}

	// The peer lost our half: after the next connection it sends its own, and gets ours, once.
	r.tell(messages.GossipDown{Peer: nodeID(1), Session: 1}, messages.GossipUp{Peer: nodeID(1), Session: 101, Queries: true})
	if got := of[*lnwire.AnnounceSignatures1](r.heard(1)); len(got) != 0 {
		t.Fatal("both halves are known, and it is sent")
	}
	for range 2 {
		r.tell(messages.Gossip{Peer: nodeID(1), Session: 101, Msgs: []lnwire.Message{theirHalf(r, m, 1)}})
	}
	if got := of[*lnwire.AnnounceSignatures1](r.heard(1)); len(got) != 1 {
		t.Fatal(len(got), "answers to its half")
	}
}

// announced is a rig with a public channel.
func announced(t *testing.T) (*rig, messages.OwnChannel) {
	r := newRig(t)
	r.up(1)
	m := mine(1)
	r.tell(m, messages.ChainTip{Height: 801})
	r.say(1, theirHalf(r, m, 1))
	r.stats(1, 1, 1)
	r.wait(r.cfg.Times.Trickle)
	r.heard(1)
	return r, m
}

func (r *rig) ours(m messages.OwnChannel) *store.Policy {
	r.t.Helper()
	ch := r.core.g.Channel(m.SCID)
	if ch == nil {
		r.t.Fatal("it is not public")
	}
	return ch.Policies[r.core.dir(&ownChannel{OwnChannel: m})]
}

// Nobody else can have the place of a channel of ours, whatever was said of it before, and while the peer is late with its half.
func TestOwnPlace(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.up(2)
	m := mine(1)
	r.core.g.Bury(m.SCID) // as if the chain had been another one
	r.tell(m, messages.ChainTip{Height: 810})
	asked := r.chain.asked
	r.say(2, announcement(m.SCID, 98, 99))
	if r.chain.asked != asked {
		t.Error("the chain is asked what a channel of ours is")
	}
	r.say(1, theirHalf(r, m, 1))
	r.stats(1, 1, 1)
}

// The graph's memory is a cache: after a death the peer may tell us of our own channel as of any other. What it said of its side before that, to us alone as it
// seemed, is good for all, and does not come again.
func TestPolicyToldBeforeTheAnnouncement(t *testing.T) {
	r := newRig(t)
	r.up(1)
	m := mine(1)
	r.tell(m, messages.ChainTip{Height: 810})
	theirs := update(m.SCID, 1, self, r.now, nil)
	r.say(1, theirs)
	ch := r.core.unsigned(&ownChannel{OwnChannel: m})
	d, err := store.Sign(ch)
	if err != nil {
		t.Fatal(err)
	}
	ch.NodeSig1, ch.BitcoinSig1, ch.NodeSig2, ch.BitcoinSig2 = sign(self, d), sign(ownKeyIndex, d), sign(1, d), sign(fundingKey(1), d)
	if r.core.dir(&ownChannel{OwnChannel: m}) == 1 {
		ch.NodeSig1, ch.BitcoinSig1, ch.NodeSig2, ch.BitcoinSig2 = ch.NodeSig2, ch.BitcoinSig2, ch.NodeSig1, ch.BitcoinSig1
	}
	script, err := store.FundingScript([2][33]byte{m.HolderKey, m.CounterpartyKey})
	if err != nil {
		t.Fatal(err)
	}
	r.chain.out[m.SCID] = &wire.TxOut{Value: 1_000_000, PkScript: script}
	r.say(1, ch, theirs)
	r.wait(time.Second)
	r.stats(1, 2, 1)
}

// A peer that was away when we announced our node asks for what is new since it is there again: it is told of us in each session.
func TestNodeIsToldAgain(t *testing.T) {
	r, m := announced(t)
	if got := of[*lnwire.NodeAnnouncement1](r.heard(1)); len(got) != 0 {
		t.Fatal("twice in a session")
	}
	r.tell(messages.GossipDown{Peer: nodeID(1), Session: 1})
	m.Up = false
	r.tell(m, messages.GossipUp{Peer: nodeID(1), Session: 101, Queries: true})
	m.Up = true
	r.tell(m)
	r.wait(r.cfg.Times.Trickle)
	if got := of[*lnwire.NodeAnnouncement1](r.heard(1)); len(got) != 1 || got[0].NodeID != r.cfg.Self {
		t.Fatal(len(got), "announcements of our node in the next session")
	}
}

func TestTheCacheKnowsBothHalves(t *testing.T) {
	r, m := announced(t)
	g, cursor, err := store.Decode(r.core.snapshot(), testChain, store.Limits{}, r.now)
	if err != nil {
		t.Fatal(err)
	}
	was := *r.ours(m)
	r.start(g, cursor.Height)
	r.up(1)
	r.tell(messages.ChainTip{Height: 801}, m)
	if got := of[*lnwire.AnnounceSignatures1](r.heard(1)); len(got) != 0 {
		t.Fatal("announcement_signatures again, although both are known")
	}
	if p := r.ours(m); p.Timestamp != was.Timestamp {
		t.Fatal("announced anew without need")
	}
	// Without the cache the halves are exchanged again, and what we said before is still older than what we say now.
	r.now = r.now.Add(time.Second)
	r.start(store.New(store.Limits{}), 0)
	r.up(1)
	r.tell(messages.ChainTip{Height: 801}, m)
	if got := of[*lnwire.AnnounceSignatures1](r.heard(1)); len(got) != 1 {
		t.Fatal("the halves are not exchanged again")
	}
	r.say(1, theirHalf(r, m, 1))
	if p := r.ours(m); p.Timestamp <= was.Timestamp {
		t.Fatal(p.Timestamp, was.Timestamp)
	}
}

func TestDisables(t *testing.T) {
	r, m := announced(t)
	down := m
	down.Up = false
	r.tell(messages.GossipDown{Peer: nodeID(1), Session: 1}, down)
	r.up(2)
	r.heard(2)
	r.wait(r.cfg.Times.Disable - 5*time.Second)
	if r.ours(m).Disabled {
		t.Fatal("disabled at once")
	}
	r.wait(10*time.Second + r.cfg.Times.Trickle)
	if u := of[*lnwire.ChannelUpdate1](r.heard(2)); !r.ours(m).Disabled || len(u) != 1 || !u[0].IsDisabled() {
		t.Fatal("not disabled", u)
	}
	g, cursor, err := store.Decode(r.core.snapshot(), testChain, store.Limits{}, r.now)
	if err != nil {
		t.Fatal(err)
	}
	r.start(g, cursor.Height)
	r.up(2)
	r.tell(messages.ChainTip{Height: 801}, down)
	r.wait(time.Second)
	if !r.ours(m).Disabled {
		t.Fatal("a restart enables it")
	}
	r.heard(2)
	r.tell(messages.GossipUp{Peer: nodeID(1), Session: 5, Queries: true})
	if !r.ours(m).Disabled {
		t.Fatal("enabled before it can be used")
	}
	r.tell(m)
	r.wait(r.cfg.Times.Trickle)
	if u := of[*lnwire.ChannelUpdate1](r.heard(2)); r.ours(m).Disabled || len(u) != 1 || u[0].IsDisabled() {
		t.Fatal("not enabled", u)
	}
	// A short absence is not worth a word.
	r.tell(down)
	r.wait(r.cfg.Times.Disable / 2)
	r.tell(m)
	r.wait(r.cfg.Times.Trickle)
	if u := of[*lnwire.ChannelUpdate1](r.heard(2)); len(u) != 0 {
		t.Fatal("a word too much", u)
	}
	closing := m
	closing.Open, closing.Up = false, false
	r.tell(closing)
	if !r.ours(m).Disabled {
		t.Fatal("a channel that closes is not disabled")
	}
	closing.Ended = true
	r.tell(closing)
	r.tell(messages.ChainBlock{Incarnation: r.inc, Height: 802, Matches: []messages.ChainMatch{spend(m.Funding)}})
	r.stats(0, 0, 0)
	if len(r.core.own)+len(r.core.places) != 0 {
		t.Fatal("an ended channel is kept")
	}
	r.tell(closing)
	if len(r.core.own) != 0 {
		t.Fatal("an ended channel comes back")
	}
}

func TestRefreshes(t *testing.T) {
	r, m := announced(t)
	first := r.ours(m).Timestamp
	node := r.core.g.Node(r.cfg.Self).Info.Timestamp
	r.now = r.now.Add(r.cfg.Times.Refresh - 10*time.Minute)
	r.wait(time.Second)
	if r.ours(m).Timestamp != first {
		t.Fatal("too soon")
	}
	r.wait(11 * time.Minute)
	if r.ours(m).Timestamp == first || r.core.g.Node(r.cfg.Self).Info.Timestamp == node {
		t.Fatal("not made anew")
	}
	// Another policy and another name are told after a restart, also when the clock has gone back.
	g, cursor, err := store.Decode(r.core.snapshot(), testChain, store.Limits{}, r.now)
	if err != nil {
		t.Fatal(err)
	}
	last := r.ours(m).Timestamp
	r.cfg.Policy.BaseMsat, r.cfg.Node.Alias = 4321, "us, but better"
	r.now = r.now.Add(-time.Hour)
	r.start(g, cursor.Height)
	r.up(1)
	r.tell(messages.ChainTip{Height: 801}, m)
	if p := r.ours(m); p.BaseMsat != 4321 || p.Timestamp <= last {
		t.Fatalf("%+v", p)
	}
	if i := r.core.g.Node(r.cfg.Self).Info; i.Alias != "us, but better" {
		t.Fatal(i)
	}
}

func TestPrivateChannel(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.up(2)
	r.heard(1)
	m := mine(1)
	m.Announce = false
	down := m
	down.Up = false
	r.tell(messages.ChainTip{Height: 900}, down)
	if got := r.heard(1); len(got) != 0 {
		t.Fatal("before channel_ready on both sides and reestablish", kindsOf(got))
	}
	r.tell(m)
	if got := r.heard(1); len(got) != 1 || len(of[*lnwire.ChannelUpdate1](got)) != 1 {
		t.Fatal(kindsOf(got))
	}
	r.say(1, theirHalf(r, m, 1)) // whatever the peer wants, it was not opened to be announced
	r.wait(2 * r.cfg.Times.Trickle)
	r.stats(0, 0, 0)
	if got := r.heard(1); len(got) != 0 {
		t.Fatal(kindsOf(got))
	}
	r.tell(messages.GossipUp{Peer: nodeID(1), Session: 201, Queries: true})
	if got := of[*lnwire.ChannelUpdate1](r.heard(1)); len(got) != 1 || got[0].ShortChannelID.ToUint64() != m.CounterpartyAlias {
		t.Fatal("not told again in a new session", got)
	}

	// The peer's update comes under the alias that we gave. Only its own are taken.
	theirs := update(m.Alias, 1, self, r.now, func(u *lnwire.ChannelUpdate1) { u.BaseFee = 99 })
	say := func(u *lnwire.ChannelUpdate1) {
		r.tell(messages.Gossip{Peer: nodeID(1), Session: 201, Msgs: []lnwire.Message{u}})
	}
	r.say(2, theirs)
	forged := *theirs
	forged.BaseFee = 98
	say(&forged)
	own := update(m.Alias, self, 1, r.now, nil)
	say(own)
	policy := func() messages.OwnPolicies {
		r.took()
		r.tell(messages.ListPolicies{ReplyTo: "asker"})
		return r.took()[0].Msg.(messages.PolicyList).Channels[0]
	}
	if p := policy(); p.Theirs.Known || !p.Ours.Known || p.Announced {
		t.Fatalf("%+v", p)
	}
	say(theirs)
	say(update(m.Alias, 1, self, r.now.Add(-time.Second), nil)) // older
	if p := policy(); p.Theirs.BaseMsat != 99 || p.Alias != m.Alias {
		t.Fatalf("%+v", p)
	}
}

func TestReorganisedChannel(t *testing.T) {
	r, m := announced(t)
	m.SCID, m.Up = 0, true
	m.Open = true
	r.tell(messages.ChainTip{Height: 795, Disconnected: 6}, m)
	r.stats(0, 0, 0)
	m.SCID = scid(797, 3, 0)
	r.tell(m)
	r.heard(1)
	r.tell(messages.ChainTip{Height: 802})
	if got := of[*lnwire.AnnounceSignatures1](r.heard(1)); len(got) != 1 || got[0].ShortChannelID.ToUint64() != m.SCID {
		t.Fatal("not announced at its new place", got)
	}
}

// TestPolicyOfAChannel: a channel's own policy is told to all, or to the peer of a private channel, at once; too many changes wait; the newest counts.
func TestPolicyOfAChannel(t *testing.T) {
	r, m := announced(t)
	r.up(2)
	r.heard(2)
	m.Policy = facts.Policy{BaseMsat: 7, PropMillionths: 8, CLTVDelta: 50, HTLCMinimumMsat: 9000, HTLCMaximumMsat: 500_000, MaxInFlightMsat: 400_000}
	r.tell(m)
	p := r.ours(m)
	if p.BaseMsat != 7 || p.PropMillionths != 8 || p.CLTVDelta != 50 || p.MinMsat != 9000 || p.MaxMsat != 400_000 {
		t.Fatalf("%+v", p)
	}
	if u := of[*lnwire.ChannelUpdate1](r.heard(1)); len(u) != 1 || u[0].BaseFee != 7 {
		t.Fatal("the peer is not told", u)
	}
	r.wait(r.cfg.Times.Trickle)
	if u := of[*lnwire.ChannelUpdate1](r.heard(2)); len(u) != 1 || u[0].BaseFee != 7 {
		t.Fatal("others are not told", u)
	}
	r.took()
	r.tell(messages.ListPolicies{ReplyTo: "asker"})
	counts := m.Policy
	counts.MaxDustExposureMsat = facts.DefaultMaxDustExposureMsat
	if o := r.took()[0].Msg.(messages.PolicyList).Channels[0]; o.Default || o.Policy != counts || o.Ours.BaseMsat != 7 {
		t.Fatalf("%+v", o)
	}
	for i := range uint32(20) {
		m.Policy.BaseMsat = 100 + i
		r.tell(m)
	}
	if p := r.ours(m); p.BaseMsat < 103 || p.BaseMsat > 105 {
		t.Fatal("twenty changes at once are told, or none is", p.BaseMsat)
	}
	r.wait(2 * time.Minute)
	if p := r.ours(m); p.BaseMsat != 119 {
		t.Fatal("the last change is lost", p.BaseMsat)
	}
	// The least that the peer takes counts, whatever the policy says; and the node's default is back with the zero policy.
	m.Policy = facts.Policy{CLTVDelta: 50, HTLCMinimumMsat: 1}
	r.wait(5 * time.Minute)
	r.tell(m)
	if p := r.ours(m); p.MinMsat != 5 || p.MaxMsat != 900_000_000 {
		t.Fatalf("%+v", p)
	}
	m.Policy = facts.Policy{}
	r.tell(m)
	if p := r.ours(m); p.BaseMsat != 0 || p.CLTVDelta != 80 {
		t.Fatalf("%+v", p)
	}
	// A private channel.
	private := mine(2)
	private.Announce, private.SCID, private.Alias, private.CounterpartyAlias = false, scid(797, 1, 0), scid(16_000_000, 3, 3), scid(16_000_000, 4, 4)
	r.tell(private)
	r.heard(2)
	private.Policy = facts.Policy{BaseMsat: 11, CLTVDelta: 46}
	r.tell(private)
	if u := of[*lnwire.ChannelUpdate1](r.heard(2)); len(u) != 1 || u[0].BaseFee != 11 || u[0].ShortChannelID.ToUint64() != private.CounterpartyAlias || u[0].MessageFlags&dontForward == 0 {
		t.Fatal("the peer of a private channel is not told", u)
	}
}
