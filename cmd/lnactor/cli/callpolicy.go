package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
)

// policyCommand shows what channels ask for, and changes it if there is a flag that says so.
func policyCommand() *cobra.Command {
	var base, ppm, delta uint32
	var least, most, inFlight, dust string
	var byDefault bool
	return newCall(call[*apiv1.ListPoliciesResponse]{
		use: "policy [CHANNEL_ID]", short: "Show or change what channels ask for forwarding",
		long: "Shows what both sides of our channels ask for forwarding over them, and our limits. A flag that says so changes\nCHANNEL_ID's; " +
			"what is not given stays as it is. A change counts at once and is told to others; those who have not\nheard of it yet are refused.\n\n" +
			"The reserve of a channel, which neither side can spend, is no policy: both sides agreed on it\nwhen the channel was opened, and it can't be changed.\n\n" +
			"'default' in the list: the channel has no policy of its own, the node's counts.",
		example: "  lnactor channels policy\n  lnactor channels policy 5f3a... --base-msat 1000 --ppm 250\n  lnactor channels policy 5f3a... --max-in-flight 0.01btc --max-htlc 200000\n" +
			"  lnactor channels policy 5f3a... --default",
		args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return wants("CHANNEL_ID")(cmd, args)
		},
		flags: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.Uint32Var(&base, "base-msat", 0, "fee of each HTLC, in millisatoshis")
			f.Uint32Var(&ppm, "ppm", 0, "fee in millionths of the amount")
			f.Uint32Var(&delta, "cltv-delta", 0, "blocks between the two expiries, at least 46")
			f.StringVar(&least, "min-htlc", "", "least amount that is forwarded")
			f.StringVar(&most, "max-htlc", "", "most in one HTLC of ours; 0: what the channel can carry")
			f.StringVar(&inFlight, "max-in-flight", "", "most in all HTLCs of ours; 0: what the peer takes")
			f.StringVar(&dust, "max-dust", "", "most in HTLCs that are too small for an output; 0: the node's default")
			f.BoolVar(&byDefault, "default", false, "back to the node's policy, before what else is given")
		},
		make: func(ctx context.Context, n *node, args []string) (*apiv1.ListPoliciesResponse, error) {
			given := n.cmd.Flags().Changed
			r := &apiv1.SetPolicyRequest{UseDefault: byDefault}
			changed := byDefault
			for _, x := range []struct {
				flag string
				from *uint32
				to   **uint32
			}{{"base-msat", &base, &r.BaseMsat}, {"ppm", &ppm, &r.Ppm}, {"cltv-delta", &delta, &r.CltvDelta}} {
				if given(x.flag) {
					*x.to, changed = x.from, true
				}
			}
			for _, x := range []struct {
				flag, from string
				to         **uint64
			}{
				{"min-htlc", least, &r.MinHtlcMsat}, {"max-htlc", most, &r.MaxHtlcMsat}, {"max-in-flight", inFlight, &r.MaxInFlightMsat}, {"max-dust", dust, &r.MaxDustMsat},
			} {
				if given(x.flag) {
					v, err := parseMsat(x.from)
					if err != nil {
						return nil, err
					}
					*x.to, changed = &v, true
				}
			}
			var only apiv1.ListPoliciesRequest
			if len(args) > 0 {
				only.ChannelId, r.ChannelId = args[0], args[0]
			} else if changed {
				return nil, &usageError{fmt.Errorf("CHANNEL_ID is missing"), "a change is for one channel; 'lnactor channels' lists them"}
			}
			if !changed {
				return n.ListPolicies(ctx, &only)
			}
			set, err := n.SetPolicy(ctx, r)
			if err != nil {
				return nil, err
			}
			a, err := n.ListPolicies(ctx, &only)
			if err == nil && len(a.GetChannels()) == 1 {
				// It is durable, also if the part of the node that tells others has not heard of it yet.
				a.Channels[0].Policy, a.Channels[0].IsDefault = set.GetPolicy(), set.GetIsDefault()
			}
			return a, err
		},
		show: showPolicies,
	})
}

func showPolicies(p *page, a *apiv1.ListPoliciesResponse) {
	if len(a.GetChannels()) == 0 {
		p.none("channels")
		return
	}
	for _, c := range a.GetChannels() {
		name := c.GetShortChannelId()
		if name == "" {
			name = "unconfirmed"
		}
		if c.GetAnnounced() {
			name += ", public"
		}
		p.row("channel", c.GetChannelId())
		p.row("", name)
		p.row("peer", c.GetPeer())
		q, own := c.GetPolicy(), "ours"
		if c.GetIsDefault() {
			own = "ours, default"
		}
		p.row(own, terms(q.GetBaseMsat(), q.GetPpm(), q.GetCltvDelta(), q.GetMinHtlcMsat(), q.GetMaxHtlcMsat()))
		p.row("  limits", fmt.Sprintf("in flight %s, in HTLCs without an output %s", limit(q.GetMaxInFlightMsat()), msat(q.GetMaxDustMsat())))
		p.row("  told", told(c.GetOurs()))
		p.row("theirs", told(c.GetTheirs()))
	}
}

func terms(base, ppm, delta uint32, least, most uint64) string {
	return fmt.Sprintf("%d msat + %d ppm, %d blocks, HTLCs from %s to %s", base, ppm, delta, msat(least), limit(most))
}

func limit(n uint64) string {
	if n == 0 {
		return "any"
	}
	return msat(n)
}

func told(u *apiv1.PolicyUpdate) string {
	if u.GetUnknown() {
		return "nothing yet"
	}
	text := terms(u.GetBaseMsat(), u.GetPpm(), u.GetCltvDelta(), u.GetMinHtlcMsat(), u.GetMaxHtlcMsat())
	if u.GetDisabled() {
		text += ", disabled"
	}
	return text + ", since " + time.Unix(u.GetTimestamp(), 0).UTC().Format(time.DateTime) + " UTC"
}
