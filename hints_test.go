package lnactor

import (
	"reflect"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/messages"
)

// hintChannel is an open channel that is not announced, with a peer of the same number.
func hintChannel(n byte, inboundMsat uint64) messages.ChannelSummary {
	_, pub := btcec.PrivKeyFromBytes([]byte{n})
	c := messages.ChannelSummary{
		Channel: ChannelID{n}, Peer: NodeID(pub.SerializeCompressed()), Phase: messages.PhaseOpen, CounterpartyMsat: inboundMsat + 1000,
		Reserves: messages.Reserves{CounterpartyMsat: 1000}, ShortChannelID: 1000 + uint64(n), Alias: 2000 + uint64(n), CounterpartyAlias: 3000 + uint64(n),
	}
	return c
}

func hintPolicy(n byte) messages.OwnPolicies {
	return messages.OwnPolicies{
		Channel: ChannelID{n}, Ours: messages.ChannelPolicy{Known: true, BaseMsat: 9, PropMillionths: 9, CLTVDelta: 9},
		Theirs: messages.ChannelPolicy{Known: true, BaseMsat: 100 + uint32(n), PropMillionths: 200 + uint32(n), CLTVDelta: 40 + uint16(n)},
	}
}

// chosen are the short channel ids of the hints.
func chosen(channels []messages.ChannelSummary, policies []messages.OwnPolicies, msat uint64) (ids []uint64) {
	for _, h := range chooseHints(channels, policies, msat) {
		ids = append(ids, h[0].ChannelID)
	}
	return ids
}

func TestHints(t *testing.T) {
	c := []messages.ChannelSummary{hintChannel(1, 500), hintChannel(2, 3000), hintChannel(3, 1000), hintChannel(4, 1000), hintChannel(5, 1)}
	p := []messages.OwnPolicies{hintPolicy(1), hintPolicy(2), hintPolicy(3), hintPolicy(4), hintPolicy(5)}
	for _, tc := range []struct {
		name   string
		change func()
		msat   uint64
		want   []uint64
	}{
		{"any amount: the largest ones", nil, 0, []uint64{3002, 3003, 3004, 3001}},
		{"those that can bring all of it", nil, 1000, []uint64{3002, 3003, 3004}},
		{"none can: in parts", nil, 4000, []uint64{3002, 3003, 3004, 3001}},
		{"closing", func() { c[1].Phase = messages.PhaseClosing }, 1000, []uint64{3003, 3004}},
		{"announced", func() { c[2].Announce = true }, 1000, []uint64{3004}},
		{"the peer does not forward", func() { p[3].Theirs.Disabled = true }, 400, []uint64{3001}},
		{"what it asks for is not known", func() { p[0].Theirs.Known = false }, 0, []uint64{3005}},
		{"nothing but the reserve", func() { c[4].CounterpartyMsat = 1000 }, 0, nil},
	} {
		if tc.change != nil {
			tc.change()
		}
		if got := chosen(c, p, tc.msat); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// BOLT 11, field r: the peer's key, what it knows the channel by, and what it asks for.
func TestHintSaysWhatThePeerAsksFor(t *testing.T) {
	c, p := hintChannel(7, 5000), hintPolicy(7)
	h := chooseHints([]messages.ChannelSummary{c}, []messages.OwnPolicies{p}, 0)
	if len(h) != 1 || len(h[0]) != 1 {
		t.Fatalf("%v", h)
	}
	got := h[0][0]
	if NodeID(got.NodeID.SerializeCompressed()) != c.Peer || got.ChannelID != 3007 || got.FeeBaseMSat != 107 || got.FeeProportionalMillionths != 207 ||
		got.CLTVExpiryDelta != 47 {
		t.Errorf("%+v", got)
	}
	c.CounterpartyAlias = 0
	if ids := chosen([]messages.ChannelSummary{c}, []messages.OwnPolicies{p}, 0); !reflect.DeepEqual(ids, []uint64{1007}) {
		t.Errorf("a peer that gave no alias: %v", ids)
	}
}

func TestWantsHints(t *testing.T) {
	private, public, closed := hintChannel(1, 1), hintChannel(2, 1), hintChannel(3, 1)
	public.Announce = true
	closed.Phase, closed.Announce = messages.PhaseClosed, true
	for name, tc := range map[string]struct {
		channels []messages.ChannelSummary
		asked    bool
		want     bool
	}{
		"no channel":                {nil, true, false},
		"unannounced":               {[]messages.ChannelSummary{private}, false, true},
		"a public one is enough":    {[]messages.ChannelSummary{private, public}, false, false},
		"unless they are asked for": {[]messages.ChannelSummary{public, private}, true, true},
		"nothing to name":           {[]messages.ChannelSummary{public}, true, false},
		"a public one that closed":  {[]messages.ChannelSummary{closed, private}, false, true},
	} {
		if got := wantsHints(tc.channels, tc.asked); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A channel is waited for that could be named but for what its peer asks for, and no other.
func TestAwaitsPolicy(t *testing.T) {
	known, unknown, disabled := hintPolicy(1), hintPolicy(1), hintPolicy(1)
	unknown.Theirs.Known, disabled.Theirs.Disabled = false, true
	channel, public, closing, empty := hintChannel(1, 500), hintChannel(1, 500), hintChannel(1, 500), hintChannel(1, 0)
	public.Announce, closing.Phase = true, messages.PhaseClosing
	for name, tc := range map[string]struct {
		channel  messages.ChannelSummary
		policies []messages.OwnPolicies
		want     bool
	}{
		"the graph does not know it yet": {channel, nil, true},
		"nor its peer's terms":           {channel, []messages.OwnPolicies{unknown}, true},
		"known":                          {channel, []messages.OwnPolicies{known}, false},
		"the peer does not forward":      {channel, []messages.OwnPolicies{disabled}, false},
		"announced":                      {public, nil, false},
		"closing":                        {closing, nil, false},
		"nothing can come over it":       {empty, nil, false},
	} {
		if got := awaitsPolicy([]messages.ChannelSummary{tc.channel}, tc.policies); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
