package graph

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"
	"pgregory.net/rapid"

	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

func localTo(n int) route.Local { return route.Local{SCID: 7, Peer: nodeID(n), SendMsat: 1e10} }

func TestSync(t *testing.T) {
	r := newRig(t)
	for n := range 4 {
		r.up(n + 1)
	}
	for n := range 4 {
		got := kindsOf(r.heard(n + 1))
		want := []lnwire.MessageType{lnwire.MsgGossipTimestampRange, lnwire.MsgQueryChannelRange}
		if n == 3 {
			want = nil // three are enough
		}
		if !slices.Equal(got, want) {
			t.Fatal(n, got)
		}
	}
	r.say(9, r.channel(scid(700, 0, 0), 10, 11)...) // not connected
	r.say(1, r.channel(scid(700, 0, 0), 10, 11)...)

	// The range comes in two messages, with one channel that we know.
	reply := func(first, blocks uint32, from, to uint64) *lnwire.ReplyChannelRange {
		m := &lnwire.ReplyChannelRange{ChainHash: testChain, FirstBlockHeight: first, NumBlocks: blocks, Complete: 1}
		for i := from; i < to; i++ {
			m.ShortChanIDs = append(m.ShortChanIDs, lnwire.NewShortChanIDFromInt(scid(700, i, 0)))
		}
		return m
	}
	r.say(1, reply(0, 701, 0, 200))
	if got := r.heard(1); len(got) != 0 {
		t.Fatal("the range is not complete", kindsOf(got))
	}
	r.say(1, reply(700, math.MaxUint32-700, 199, 301))
	q := of[*lnwire.QueryShortChanIDs](r.heard(1))
	if len(q) != 1 || len(q[0].ShortChanIDs) != askFor || q[0].ShortChanIDs[0].ToUint64() != scid(700, 1, 0) {
		t.Fatal(q)
	}
	r.say(1, &lnwire.ReplyShortChanIDsEnd{ChainHash: testChain, Complete: 1})
	q = of[*lnwire.QueryShortChanIDs](r.heard(1))
	if len(q) != 1 || len(q[0].ShortChanIDs) != 50 {
		t.Fatal(q)
	}
	r.say(1, &lnwire.ReplyShortChanIDsEnd{ChainHash: testChain, Complete: 1})
	if got := r.heard(1); len(got) != 0 || r.core.peers[nodeID(1)].sync.stage != syncDone {
		t.Fatal(kindsOf(got))
	}

	// One that leaves, and one that does not answer, make room for others.
	r.tell(messages.GossipDown{Peer: nodeID(1), Session: 1})
	if got := kindsOf(r.heard(4)); len(got) != 2 {
		t.Fatal("nobody takes its place", got)
	}
	r.up(5)
	r.wait(r.cfg.Times.Query + time.Second)
	if got := kindsOf(r.heard(5)); len(got) != 2 {
		t.Fatal("the silent ones keep their place", got)
	}
	for n := range 6 {
		r.heard(n)
	}
	r.say(5, reply(0, math.MaxUint32, 0, 1))
	r.wait(r.cfg.Times.Resync + time.Second)
	if got := r.heard(5); len(of[*lnwire.QueryChannelRange](got)) != 1 {
		t.Fatal("it is not asked again", kindsOf(got))
	}
	r.tell(messages.GossipUp{Peer: nodeID(8), Session: 8}) // without queries
	if got := r.heard(8); len(got) != 0 {
		t.Fatal(kindsOf(got))
	}
}

// Peers that keep their places with answers that say nothing, or that answer well and keep things back, give way to others.
func TestSyncIsNotHeldUp(t *testing.T) {
	idle := func(uint32) *lnwire.ReplyChannelRange {
		return &lnwire.ReplyChannelRange{ChainHash: testChain, NumBlocks: 1}
	}
	slow := func(i uint32) *lnwire.ReplyChannelRange {
		return &lnwire.ReplyChannelRange{ChainHash: testChain, FirstBlockHeight: i, NumBlocks: 1}
	}
	empty := func(uint32) *lnwire.ReplyChannelRange {
		return &lnwire.ReplyChannelRange{ChainHash: testChain, NumBlocks: math.MaxUint32}
	}
	for _, x := range []struct {
		name  string
		reply func(i uint32) *lnwire.ReplyChannelRange
		after time.Duration
	}{{"idle", idle, 2 * time.Minute}, {"slow", slow, 6 * time.Minute}, {"empty", empty, 61 * time.Minute}} {
		t.Run(x.name, func(t *testing.T) {
			r := newRig(t)
			for n := 1; n <= 4; n++ {
				r.up(n)
			}
			r.heard(4)
			for i := uint32(0); time.Duration(i)*30*time.Second < x.after; i++ {
				for n := 1; n <= 3; n++ {
					r.say(n, x.reply(i))
				}
				r.wait(30 * time.Second)
			}
			if got := of[*lnwire.QueryChannelRange](r.heard(4)); len(got) != 1 {
				t.Fatal("the honest peer was asked", len(got), "times")
			}
		})
	}
}

// Whoever is asked changes every hour, one of them keeps a channel with us, and who is not asked any more sends nothing more by itself.
func TestSyncRotates(t *testing.T) {
	r := newRig(t)
	asked := map[int]int{}
	chosen := func() (out []int) {
		for n := 1; n <= 7; n++ {
			if r.core.peers[nodeID(n)].sync.chosen {
				out = append(out, n)
			}
		}
		return out
	}
	r.tell(mine(7))
	for n := 1; n <= 7; n++ {
		r.up(n)
	}
	for hour := range 10 {
		for range 61 {
			for n := 1; n <= 7; n++ {
				got := r.heard(n)
				if f := of[*lnwire.GossipTimestampRange](got); len(f) > 0 {
					if on := f[len(f)-1].TimestampRange != 0; on != r.core.peers[nodeID(n)].sync.chosen {
						t.Fatal(n, "is told to send:", on)
					}
				}
				for range of[*lnwire.QueryChannelRange](got) {
					asked[n]++
					r.say(n, &lnwire.ReplyChannelRange{ChainHash: testChain, NumBlocks: math.MaxUint32})
				}
			}
			r.wait(time.Minute)
		}
		got := chosen()
		if len(got) != 3 || hour > 3 && !slices.Contains(got, 7) {
			t.Fatal(hour, got)
		}
	}
	for n := 1; n <= 7; n++ {
		if asked[n] == 0 {
			t.Error(n, "was never asked")
		}
	}
}

func TestAbsurdReplies(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.heard(1)
	// Replies that never end, with channels that can't be.
	for i := range uint64(100) {
		m := &lnwire.ReplyChannelRange{ChainHash: testChain}
		for j := range uint64(8000) {
			m.ShortChanIDs = append(m.ShortChanIDs, lnwire.NewShortChanIDFromInt(i<<40|j))
		}
		r.say(1, m)
	}
	if s := r.core.peers[nodeID(1)].sync; s.stage != syncDone || s.ids != nil {
		t.Fatal("it goes on collecting", len(s.ids))
	}
	// Answers that were not asked for.
	r.up(2)
	r.say(2, &lnwire.ReplyShortChanIDsEnd{}, &lnwire.ReplyChannelRange{ChainHash: testChain, FirstBlockHeight: math.MaxUint32, NumBlocks: math.MaxUint32})
	r.say(2, &lnwire.ReplyShortChanIDsEnd{}, &lnwire.ReplyShortChanIDsEnd{})
}

func TestRelay(t *testing.T) {
	r := newRig(t)
	for n := range 3 {
		r.up(n + 1)
		r.heard(n + 1)
	}
	r.listen(1)
	r.listen(2)
	id := scid(700, 1, 0)
	r.chain.fund(id, 10, 11)
	r.say(1, announcement(id, 10, 11))
	r.wait(r.cfg.Times.Trickle)
	if got := r.heard(2); len(got) != 0 {
		t.Fatal("a channel is told of before it has an update", kindsOf(got))
	}
	r.say(1, nodeAnnouncement(11, r.now), update(id, 10, 11, r.now, nil))
	if got := r.heard(2); len(got) != 0 {
		t.Fatal("not staggered", kindsOf(got))
	}
	r.wait(r.cfg.Times.Trickle)
	if got := kindsOf(r.heard(2)); !slices.Equal(got, []lnwire.MessageType{lnwire.MsgChannelAnnouncement, lnwire.MsgChannelUpdate, lnwire.MsgNodeAnnouncement}) {
		t.Fatal(got)
	}
	for _, n := range []int{1, 3} {
		if got := r.heard(n); len(got) != 0 {
			t.Fatal("told to whom it came from, or to who did not ask", n, kindsOf(got))
		}
	}
	r.wait(r.cfg.Times.Trickle)
	if got := r.heard(2); len(got) != 0 {
		t.Fatal("told again", kindsOf(got))
	}
	// Of many updates only the last is told; a filter that has ended gets none.
	r.say(2, &lnwire.GossipTimestampRange{ChainHash: testChain, FirstTimestamp: uint32(r.now.Unix()), TimestampRange: 10})
	r.heard(2)
	for i := range 3 {
		r.say(1, update(id, 10, 11, r.now.Add(time.Duration(i+1)*time.Second), nil))
	}
	r.say(1, update(id, 11, 10, r.now.Add(10*time.Second), nil))
	r.wait(r.cfg.Times.Trickle)
	got := of[*lnwire.ChannelUpdate1](r.heard(2))
	if len(got) != 1 || got[0].Timestamp != uint32(r.now.Add(-r.cfg.Times.Trickle).Unix())+3 {
		t.Fatal(got)
	}
}

func TestBacklog(t *testing.T) {
	r := newRig(t)
	r.up(1)
	for i := range uint64(3) {
		r.say(1, r.channel(scid(700, i, 0), 10, 11)...)
	}
	r.say(1, nodeAnnouncement(10, r.now))
	r.up(2)
	r.heard(2)
	r.listen(2)
	r.wait(time.Second)
	got := r.heard(2)
	if len(of[*lnwire.ChannelAnnouncement1](got)) != 3 || len(of[*lnwire.ChannelUpdate1](got)) != 6 || len(of[*lnwire.NodeAnnouncement1](got)) != 1 {
		t.Fatal(kindsOf(got))
	}
	r.say(2, &lnwire.GossipTimestampRange{ChainHash: testChain, FirstTimestamp: uint32(r.now.Add(time.Hour).Unix()), TimestampRange: math.MaxUint32})
	r.wait(5 * time.Second)
	if got := r.heard(2); len(got) != 0 {
		t.Fatal("older than asked for", kindsOf(got))
	}
}

func TestQueryIDs(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.up(2)
	for i := range uint64(2*each + 50) {
		r.chain.fund(scid(700, i, 0), 10, 11)
		r.say(1, announcement(scid(700, i, 0), 10, 11))
	}
	r.say(1, nodeAnnouncement(10, r.now))
	r.heard(2)
	q := &lnwire.QueryShortChanIDs{ChainHash: testChain}
	for i := range uint64(2*each + 60) { // ten that nobody knows
		q.ShortChanIDs = append(q.ShortChanIDs, lnwire.NewShortChanIDFromInt(scid(700, i, 0)))
	}
	r.say(2, q, q) // the second one breaks the protocol
	for _, want := range []struct{ channels, nodes, ends int }{{each, 1, 0}, {each, 0, 0}, {50, 0, 1}, {0, 0, 0}} {
		got := r.heard(2)
		if len(of[*lnwire.ChannelAnnouncement1](got)) != want.channels || len(of[*lnwire.NodeAnnouncement1](got)) != want.nodes ||
			len(of[*lnwire.ReplyShortChanIDsEnd](got)) != want.ends {
			t.Fatal(want, kindsOf(got))
		}
		r.wait(time.Second)
	}
	refused := func(q *lnwire.QueryShortChanIDs) bool {
		r.say(2, q)
		got := r.heard(2)
		end := of[*lnwire.ReplyShortChanIDsEnd](got)
		return len(got) == 1 && len(end) == 1 && end[0].Complete == 0
	}
	if !refused(&lnwire.QueryShortChanIDs{}) {
		t.Error("another chain")
	}
	many := &lnwire.QueryShortChanIDs{ChainHash: testChain, ShortChanIDs: make([]lnwire.ShortChannelID, maxQuery+1)}
	if !refused(many) {
		t.Error("too many")
	}
	few := &lnwire.QueryShortChanIDs{ChainHash: testChain}
	for range r.cfg.Queries.Burst {
		r.say(2, few)
	}
	r.heard(2)
	if !refused(few) {
		t.Error("too often")
	}
}

func TestQueryRange(t *testing.T) {
	r := newRig(t)
	r.up(1)
	r.up(2)
	for i := range uint64(60) {
		r.say(1, r.channel(scid(700+i/7, i%7, 0), 10, 11)...)
	}
	r.heard(2)
	rapid.Check(t, func(t *rapid.T) {
		r.wait(time.Second)
		first := rapid.OneOf(rapid.Uint32Range(695, 715), rapid.Uint32()).Draw(t, "first")
		blocks := rapid.OneOf(rapid.Uint32Range(0, 20), rapid.Uint32()).Draw(t, "blocks")
		r.heard(2)
		r.core.reply = rapid.SampledFrom([]int{1, 5, 7, 100}).Draw(t, "each")
		r.say(2, &lnwire.QueryChannelRange{ChainHash: testChain, FirstBlockHeight: first, NumBlocks: blocks})
		replies := of[*lnwire.ReplyChannelRange](r.heard(2))
		checkReplies(t, r, replies, first, blocks)
	})
	r.say(2, &lnwire.QueryChannelRange{FirstBlockHeight: 1, NumBlocks: 2})
	if got := of[*lnwire.ReplyChannelRange](r.heard(2)); len(got) != 1 || got[0].Complete != 0 || len(got[0].ShortChanIDs) != 0 {
		t.Fatal("another chain", got)
	}
}

// checkReplies holds the replies to what BOLT 7 says of them.
func checkReplies(t *rapid.T, r *rig, replies []*lnwire.ReplyChannelRange, first, blocks uint32) {
	var got, want []uint64
	at := uint64(first)
	for i, m := range replies {
		if uint64(m.FirstBlockHeight) > at || i > 0 && m.FirstBlockHeight < replies[i-1].FirstBlockHeight || (m.Complete == 1) != (i == len(replies)-1) {
			t.Fatalf("reply %d: %+v", i, m)
		}
		at = uint64(m.FirstBlockHeight) + uint64(m.NumBlocks)
		for _, id := range m.ShortChanIDs {
			if uint64(id.BlockHeight) >= at || id.BlockHeight < m.FirstBlockHeight {
				t.Fatalf("reply %d has a channel outside of it: %+v", i, m)
			}
			got = append(got, id.ToUint64())
		}
	}
	for _, ch := range r.core.g.Range(first, blocks) {
		want = append(want, ch.SCID)
	}
	if !slices.Equal(got, want) || at != uint64(first)+uint64(blocks) || len(replies) == 0 {
		t.Fatalf("%d channels of %d, up to %d", len(got), len(want), at)
	}
}
