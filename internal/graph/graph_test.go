package graph

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
	"pgregory.net/rapid"
)

func TestVerifyChannel(t *testing.T) {
	good := announcement(t, scid(700, 3, 1), 1, 2)
	m, err := ParseChannel(good, testChain)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Verify(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*lnwire.ChannelAnnouncement1){
		"node 1":    func(a *lnwire.ChannelAnnouncement1) { a.NodeSig1 = a.BitcoinSig2 },
		"node 2":    func(a *lnwire.ChannelAnnouncement1) { a.NodeSig2 = a.BitcoinSig1 },
		"bitcoin 1": func(a *lnwire.ChannelAnnouncement1) { a.BitcoinSig1 = a.NodeSig1 },
		"bitcoin 2": func(a *lnwire.ChannelAnnouncement1) { a.BitcoinSig2 = a.NodeSig2 },
		"place":     func(a *lnwire.ChannelAnnouncement1) { a.ShortChannelID.TxIndex++ },
		"extra":     func(a *lnwire.ChannelAnnouncement1) { a.ExtraOpaqueData = []byte{1, 1, 1} },
	} {
		bad := *good
		spoil(&bad)
		m, err := ParseChannel(&bad, testChain)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := m.Verify(); !errors.Is(err, ErrSignature) {
			t.Error(name, err)
		}
	}
	swapped := *good
	swapped.NodeID1, swapped.NodeID2 = good.NodeID2, good.NodeID1
	if _, err := ParseChannel(&swapped, testChain); !errors.Is(err, ErrMalformed) {
		t.Error("order", err)
	}
	if _, err := ParseChannel(good, [32]byte{9}); !errors.Is(err, ErrChain) {
		t.Error("chain", err)
	}
	odd := *good
	odd.Features = lnwire.NewRawFeatureVector(lnwire.FeatureBit(101))
	even := *good
	even.Features = lnwire.NewRawFeatureVector(lnwire.FeatureBit(100))
	mo, _ := ParseChannel(&odd, testChain)
	me, _ := ParseChannel(&even, testChain)
	if mo.Unroutable || !me.Unroutable {
		t.Error("features", mo.Unroutable, me.Unroutable)
	}
}

func TestVerifyUpdate(t *testing.T) {
	id := scid(700, 3, 1)
	u, err := ParseUpdate(update(t, id, 1, 2, testNow, nil), testChain)
	if err != nil {
		t.Fatal(err)
	}
	_, one := key(1)
	_, two := key(2)
	if err := u.Verify(one); err != nil {
		t.Fatal(err)
	}
	if err := u.Verify(two); !errors.Is(err, ErrSignature) {
		t.Fatal(err)
	}
	raw := update(t, id, 1, 2, testNow, nil)
	raw.BaseFee++
	u, _ = ParseUpdate(raw, testChain)
	if err := u.Verify(one); !errors.Is(err, ErrSignature) {
		t.Fatal(err)
	}
	raw.MessageFlags = 0
	if _, err := ParseUpdate(raw, testChain); !errors.Is(err, ErrMalformed) {
		t.Fatal(err)
	}
	n, err := ParseNode(nodeAnnouncement(t, 1, testNow))
	if err != nil || n.Verify() != nil || n.Info.Alias != "node ? name" {
		t.Fatal(err, n)
	}
	n.Info.Raw[70]++
	if err := n.Verify(); !errors.Is(err, ErrSignature) {
		t.Fatal(err)
	}
}

func TestUpdates(t *testing.T) {
	g := New(Limits{})
	id := scid(700, 3, 1)
	put(t, g, id, 1, 2, testNow)
	set := func(at time.Time, change func(*lnwire.ChannelUpdate1)) error {
		m, err := ParseUpdate(update(t, id, 1, 2, at, change), testChain)
		if err != nil {
			return err
		}
		return g.SetPolicy(m, testNow, false)
	}
	c := g.Channel(id)
	dir := 0
	if _, one := key(1); c.Nodes[0].ID != one {
		dir = 1
	}
	for _, x := range []struct {
		name   string
		at     time.Time
		change func(*lnwire.ChannelUpdate1)
		want   error
	}{
		{"the same again", testNow, nil, ErrStale},
		{"older", testNow.Add(-time.Second), nil, ErrStale},
		{"newer", testNow.Add(time.Second), func(u *lnwire.ChannelUpdate1) { u.ChannelFlags |= lnwire.ChanUpdateDisabled }, nil},
		{"far future", testNow.Add(25 * time.Hour), nil, ErrFuture},
		{"more than it holds", testNow.Add(2 * time.Second), func(u *lnwire.ChannelUpdate1) { u.HtlcMaximumMsat = 1_000_001_000 }, ErrMalformed},
		{"unknown", testNow.Add(2 * time.Second), func(u *lnwire.ChannelUpdate1) { u.ShortChannelID.TxIndex++ }, ErrUnknownChannel},
	} {
		if err := set(x.at, x.change); !errors.Is(err, x.want) {
			t.Error(x.name, err)
		}
	}
	if p := c.Policies[dir]; !p.Disabled || c.Policies[1-dir].Disabled {
		t.Error("direction", dir, p.Disabled)
	}
	// A channel that changes all the time is heard ten times, then once a minute.
	taken := 2 // of the ten: by put and by "newer"
	for i := range 20 {
		switch err := set(testNow.Add(time.Duration(i+2)*time.Second), nil); {
		case err == nil:
			taken++
		case !errors.Is(err, ErrRate):
			t.Fatal(err)
		}
	}
	if taken != 10 {
		t.Errorf("%d updates at once", taken)
	}
}

func TestNodes(t *testing.T) {
	g := New(Limits{})
	set := func(n int, at time.Time) error {
		m, err := ParseNode(nodeAnnouncement(t, n, at))
		if err != nil {
			return err
		}
		return g.SetNode(m, testNow)
	}
	if err := set(1, testNow); !errors.Is(err, ErrUnknownNode) {
		t.Fatal(err)
	}
	a, b := scid(700, 3, 1), scid(700, 4, 1)
	put(t, g, a, 1, 2, testNow)
	put(t, g, b, 2, 3, testNow)
	for _, x := range []struct {
		at   time.Time
		want error
	}{{testNow, nil}, {testNow, ErrStale}, {testNow.Add(25 * time.Hour), ErrFuture}, {testNow.Add(time.Hour), nil}} {
		if err := set(1, x.at); !errors.Is(err, x.want) {
			t.Fatal(x, err)
		}
	}
	before := g.Stats()
	if before.Nodes != 3 || before.Announced != 1 || before.Channels != 2 || before.Policies != 4 {
		t.Fatal(before)
	}
	g.Bury(a)
	if s := g.Stats(); s.Nodes != 2 || s.Announced != 0 || s.Channels != 1 || s.Policies != 2 || s.Bytes >= before.Bytes {
		t.Fatal(s)
	}
	if m, _ := ParseChannel(announcement(t, a, 1, 2), testChain); !errors.Is(g.WantChannel(m), ErrDead) {
		t.Fatal("a closed channel is welcome again")
	}
	put(t, g, scid(700, 5, 1), 4, 2, testNow)
	if g.Slots() != 3 {
		t.Fatal("the place of a node that left is not used again", g.Slots())
	}
	for _, n := range g.SortedNodes() {
		if g.At(n.Index) != n {
			t.Fatal("index")
		}
	}
}

func TestPrune(t *testing.T) {
	g := New(Limits{})
	old, young := scid(700, 3, 1), scid(700, 4, 1)
	put(t, g, old, 1, 2, testNow)
	put(t, g, young, 2, 3, testNow.Add(7*24*time.Hour))
	if gone := g.Prune(testNow.Add(14 * 24 * time.Hour)); len(gone) != 0 {
		t.Fatal(gone)
	}
	// Its age does not matter, only when it was spoken of.
	u, err := ParseUpdate(update(t, young, 2, 3, testNow.Add(20*24*time.Hour), nil), testChain)
	if err != nil || g.SetPolicy(u, testNow.Add(20*24*time.Hour), false) != nil {
		t.Fatal(err)
	}
	first := g.Channel(old).Nodes
	if gone := g.Prune(testNow.Add(30 * 24 * time.Hour)); !slices.Equal(gone, []uint64{old}) {
		t.Fatal(gone)
	}
	left := 0
	for _, n := range first {
		if g.Node(n.ID) == nil {
			left++
			if g.At(n.Index) != nil {
				t.Fatal("a node that left keeps its place")
			}
		}
	}
	if left != 1 {
		t.Fatal(left)
	}
	if m, _ := ParseChannel(announcement(t, old, 1, 2), testChain); g.WantChannel(m) != nil {
		t.Fatal("an abandoned channel must be welcome when it comes back")
	}
}

func TestLimits(t *testing.T) {
	g := New(Limits{MaxChannels: 2, MaxDead: 2})
	put(t, g, scid(1, 1, 0), 1, 2, testNow)
	put(t, g, scid(1, 2, 0), 1, 2, testNow)
	m, _ := ParseChannel(announcement(t, scid(1, 3, 0), 1, 2), testChain)
	if err := g.AddChannel(m, funding(m.SCID), testNow); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	for i := range uint64(10) {
		g.Bury(i)
	}
	if len(g.dead.all) != 2 || len(g.dead.ring) != 2 || !g.dead.has(9) || !g.dead.has(8) {
		t.Fatal(g.dead)
	}
	u := update(t, scid(1, 1, 0), 1, 2, testNow, func(u *lnwire.ChannelUpdate1) {
		u.ExtraOpaqueData = append([]byte{1, 0xfd, 2, 0}, make([]byte, 512)...)
	})
	if _, err := ParseUpdate(u, testChain); !errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

func TestRange(t *testing.T) {
	g := New(Limits{})
	ids := []uint64{scid(5, 0, 0), scid(5, 1, 0), scid(7, 0, 3), scid(1<<24-1, 1, 1)}
	for _, i := range []int{2, 0, 3, 1} {
		put(t, g, ids[i], 1, 2, testNow)
	}
	for _, x := range []struct {
		first, count uint32
		want         []uint64
	}{
		{0, math.MaxUint32, ids},
		{5, 1, ids[:2]},
		{6, 1, nil},
		{6, 2, ids[2:3]},
		{5, 0, nil},
		{7, 1 << 30, ids[2:]},
		{math.MaxUint32, math.MaxUint32, nil},
		{1<<24 - 1, 1, ids[3:]},
	} {
		var got []uint64
		for _, c := range g.Range(x.first, x.count) {
			got = append(got, c.SCID)
		}
		if !slices.Equal(got, x.want) {
			t.Error(x, got)
		}
	}
}

func TestSnapshot(t *testing.T) {
	g := New(Limits{})
	for i := range 6 {
		put(t, g, scid(700, uint64(6-i), 1), i, i+1, testNow)
	}
	m, _ := ParseNode(nodeAnnouncement(t, 3, testNow))
	if err := g.SetNode(m, testNow); err != nil {
		t.Fatal(err)
	}
	cursor := Cursor{Height: 812, Hash: [32]byte{4}}
	raw := g.Encode(testChain, cursor)
	h, at, err := Decode(raw, testChain, Limits{}, testNow)
	if err != nil || at != cursor {
		t.Fatal(err, at)
	}
	if !bytes.Equal(h.Encode(testChain, cursor), raw) || h.Stats() != g.Stats() {
		t.Fatal("it is not the same", h.Stats(), g.Stats())
	}
	if h.Spends(funding(scid(700, 2, 1)).Outpoint) == nil {
		t.Fatal("outpoint")
	}
	if _, _, err := Decode(raw, [32]byte{7}, Limits{}, testNow); !errors.Is(err, ErrCache) {
		t.Fatal(err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 0x40
		if _, _, err := Decode(bad, testChain, Limits{}, testNow); !errors.Is(err, ErrCache) {
			t.Fatal(i, err)
		}
		if _, _, err := Decode(raw[:i], testChain, Limits{}, testNow); !errors.Is(err, ErrCache) {
			t.Fatal(i, err)
		}
	}
	late, _, err := Decode(raw, testChain, Limits{}, testNow.Add(15*24*time.Hour))
	if err != nil || late.Stats().Channels != 0 {
		t.Fatal("stale channels come back", err, late.Stats())
	}
}

func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rate{Burst: rapid.Int64Range(1, 1000).Draw(t, "burst"), PerMinute: rapid.Int64Range(1, 100_000).Draw(t, "rate")}
		var b Bucket
		start, taken := testNow, int64(0)
		now := start
		for range 200 {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "wait")))
			n := rapid.Int64Range(0, r.Burst).Draw(t, "tokens")
			if b.Take(r, now, n) {
				taken += n
			}
			if most := r.Burst + int64(now.Sub(start)/(time.Minute/time.Duration(r.PerMinute))) + 1; taken > most {
				t.Fatalf("%d tokens, at most %d", taken, most)
			}
		}
		now = now.Add(time.Duration(r.Burst) * (time.Minute/time.Duration(r.PerMinute) + 1))
		if !b.Take(r, now, r.Burst) {
			t.Fatal("it does not fill")
		}
		if b.Take(r, now.Add(-time.Hour), 1) {
			t.Fatal("the clock went back and it filled")
		}
	})
}

func TestFee(t *testing.T) {
	for _, x := range []struct {
		base, prop uint32
		amount     uint64
		fee        uint64
		ok         bool
	}{
		{1000, 100, 1_000_000, 1100, true},
		{0, 1, 999_999, 0, true},
		{0, math.MaxUint32, 21e17, 0, false},
		{math.MaxUint32, 0, math.MaxUint64, math.MaxUint32, true},
		{5, 1_000_000, 7, 12, true},
	} {
		if fee, ok := Fee(x.base, x.prop, x.amount); ok != x.ok || ok && fee != x.fee {
			t.Error(x, fee, ok)
		}
	}
}

// FuzzGossip feeds wire bytes as they come from a stranger: nothing panics, and what is taken survives a snapshot.
func FuzzGossip(f *testing.F) {
	for _, m := range []lnwire.Message{
		announcement(f, scid(700, 3, 1), 1, 2), update(f, scid(700, 3, 1), 1, 2, testNow, nil), nodeAnnouncement(f, 1, testNow),
	} {
		raw, _ := encode(m, 1<<16)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > MaxNodeBytes {
			return // the session drops these unread
		}
		msg, err := Message(raw)
		if err != nil {
			return
		}
		g := New(Limits{})
		put(t, g, scid(700, 9, 1), 1, 2, testNow)
		switch m := msg.(type) {
		case *lnwire.ChannelAnnouncement1:
			if p, err := ParseChannel(m, testChain); err == nil {
				_ = p.Verify()
				_, _ = FundingScript(p.BitcoinKeys)
				_ = g.AddChannel(p, funding(p.SCID), testNow)
			}
		case *lnwire.ChannelUpdate1:
			if p, err := ParseUpdate(m, testChain); err == nil {
				_, one := key(1)
				_ = p.Verify(one)
				_ = g.SetPolicy(p, testNow, false)
			}
		case *lnwire.NodeAnnouncement1:
			if p, err := ParseNode(m); err == nil {
				_ = p.Verify()
				_ = g.SetNode(p, testNow)
			}
		default:
			return
		}
		snap := g.Encode(testChain, Cursor{})
		h, _, err := Decode(snap, testChain, Limits{}, testNow)
		if err != nil || !bytes.Equal(h.Encode(testChain, Cursor{}), snap) {
			t.Fatal("snapshot", err)
		}
	})
}
