package lnactor

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/lightningnetwork/lnd/zpay32"

	"github.com/lnactor/lnactor/messages"
)

// maxHints are enough ways for a payment in parts, and few enough for a QR code.
const maxHints = 4

// wantsHints tells whether payers need to be told of channels: there is one that the graph does not tell of, and none that it tells of, unless they are
// to be told all the same.
func wantsHints(channels []messages.ChannelSummary, private bool) bool {
	unannounced := false
	for i := range channels {
		switch c := &channels[i]; {
		case c.Phase != messages.PhaseOpen:
		case !c.Announce:
			unannounced = true
		case !private:
			return false
		}
	}
	return unannounced
}

// chooseHints are ways over unannounced channels (BOLT 11, field r), those that can bring most first. Only what can bring the whole amount is named, if
// anything can: more would tell the payer more of us, to no use.
func chooseHints(channels []messages.ChannelSummary, policies []messages.OwnPolicies, amountMsat uint64) [][]zpay32.HopHint {
	policyOf := policiesByChannel(policies)
	type way struct {
		channel *messages.ChannelSummary
		policy  messages.ChannelPolicy
		msat    uint64
	}
	var ways []way
	for i := range channels {
		c := &channels[i]
		p := policyOf[c.Channel]
		switch {
		case !namable(c):
		case p == nil || !p.Theirs.Known || p.Theirs.Disabled: // what it costs is not known, or the peer does not forward
		default:
			ways = append(ways, way{channel: c, policy: p.Theirs, msat: c.CounterpartyMsat - c.Reserves.CounterpartyMsat})
		}
	}
	slices.SortFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(b.msat, a.msat), bytes.Compare(a.channel.Channel[:], b.channel.Channel[:]))
	})
	if few := slices.IndexFunc(ways, func(w way) bool { return w.msat < amountMsat }); few > 0 {
		ways = ways[:few]
	}
	var out [][]zpay32.HopHint
	for _, w := range ways[:min(len(ways), maxHints)] {
		key, err := btcec.ParsePubKey(w.channel.Peer[:])
		if err != nil {
			continue
		}
		out = append(out, []zpay32.HopHint{{
			NodeID: key, ChannelID: hintID(w.channel), FeeBaseMSat: w.policy.BaseMsat,
			FeeProportionalMillionths: w.policy.PropMillionths, CLTVExpiryDelta: w.policy.CLTVDelta,
		}})
	}
	return out
}

// namable tells whether a payment can come over an unannounced channel.
func namable(c *messages.ChannelSummary) bool {
	return !c.Announce && c.Phase == messages.PhaseOpen && hintID(c) != 0 && c.CounterpartyMsat > c.Reserves.CounterpartyMsat
}

// awaitsPolicy tells whether a channel could be named if its peer had told what it asks for. A peer does as soon as it is connected; after a start that
// takes a moment.
func awaitsPolicy(channels []messages.ChannelSummary, policies []messages.OwnPolicies) bool {
	policyOf := policiesByChannel(policies)
	return slices.ContainsFunc(channels, func(c messages.ChannelSummary) bool {
		p := policyOf[c.Channel]
		return namable(&c) && (p == nil || !p.Theirs.Known)
	})
}

func policiesByChannel(policies []messages.OwnPolicies) map[ChannelID]*messages.OwnPolicies {
	out := map[ChannelID]*messages.OwnPolicies{}
	for i := range policies {
		out[policies[i].Channel] = &policies[i]
	}
	return out
}

// hintID is what the peer knows the channel by when it forwards to us: the alias that it gave us, not the one that we gave it (BOLT 2, channel_ready). An
// alias tells a payer nothing of the funding transaction.
func hintID(c *messages.ChannelSummary) uint64 { return cmp.Or(c.CounterpartyAlias, c.ShortChannelID) }
