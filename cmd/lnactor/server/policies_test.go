package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/lnactor/lnactor"
	apiv1 "github.com/lnactor/lnactor/messages/api/v1"
	api "github.com/lnactor/lnactor/messages/api/v1/apiv1connect"
)

// TestPolicy: a change leaves what it does not name, the first one takes the node's policy as its base, and what is as the node's follows it again.
func TestPolicy(t *testing.T) {
	s := serve(t)
	client := api.NewNodeClient(s.unix, "http://x")
	id := strings.Repeat("00", 32)
	set := func(r *apiv1.SetPolicyRequest, want lnactor.ForwardingPolicy) {
		t.Helper()
		r.ChannelId = id
		a, err := client.SetPolicy(t.Context(), r)
		if err != nil || s.fake.policy != want || a.GetIsDefault() != want.IsDefault() {
			t.Fatalf("%+v, want %+v; %v %v", s.fake.policy, want, a, err)
		}
		if p := want.Or(s.fake.Forwarding()); a.GetPolicy().GetBaseMsat() != p.BaseMsat || a.GetPolicy().GetMaxDustMsat() != p.MaxDustExposureMsat {
			t.Fatal(a)
		}
	}
	set(&apiv1.SetPolicyRequest{Ppm: new(uint32(7))}, lnactor.ForwardingPolicy{BaseMsat: 1000, PropMillionths: 7, CLTVDelta: 80})
	set(&apiv1.SetPolicyRequest{CltvDelta: new(uint32(50)), MaxInFlightMsat: new(uint64(9000)), MaxHtlcMsat: new(uint64(8000)), MinHtlcMsat: new(uint64(5)), MaxDustMsat: new(uint64(3))},
		lnactor.ForwardingPolicy{BaseMsat: 1000, PropMillionths: 7, CLTVDelta: 50, HTLCMinimumMsat: 5, HTLCMaximumMsat: 8000, MaxInFlightMsat: 9000, MaxDustExposureMsat: 3})
	set(&apiv1.SetPolicyRequest{UseDefault: true, BaseMsat: new(uint32(0))}, lnactor.ForwardingPolicy{CLTVDelta: 80})
	set(&apiv1.SetPolicyRequest{BaseMsat: new(uint32(1000))}, lnactor.ForwardingPolicy{})
	set(&apiv1.SetPolicyRequest{BaseMsat: new(uint32(1))}, lnactor.ForwardingPolicy{BaseMsat: 1, CLTVDelta: 80})

	for reason, r := range map[string]*apiv1.SetPolicyRequest{
		"policy":           {ChannelId: id, CltvDelta: new(uint32(45))},
		"invalid_argument": {ChannelId: id, CltvDelta: new(uint32(65536 + 80))},
	} {
		_, err := client.SetPolicy(t.Context(), r)
		if got, hint := detail(err); connect.CodeOf(err) != connect.CodeInvalidArgument || got != reason || hint == "" {
			t.Errorf("%s: %v, %s, %s", reason, err, got, hint)
		}
	}
	if _, err := client.SetPolicy(t.Context(), &apiv1.SetPolicyRequest{ChannelId: strings.Repeat("11", 32)}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Error(err)
	}

	list, err := client.ListPolicies(t.Context(), &apiv1.ListPoliciesRequest{})
	if err != nil || len(list.GetChannels()) != 2 {
		t.Fatal(list, err)
	}
	c := list.GetChannels()[0]
	if c.GetShortChannelId() != "800x3x1" || c.GetPolicy().GetBaseMsat() != 1 || c.GetIsDefault() || !c.GetOurs().GetUnknown() || c.GetTheirs().GetBaseMsat() != 9 {
		t.Error(c)
	}
	one, err := client.ListPolicies(t.Context(), &apiv1.ListPoliciesRequest{ChannelId: "07" + strings.Repeat("00", 31)})
	if err != nil || len(one.GetChannels()) != 1 || one.GetChannels()[0].GetShortChannelId() != "" {
		t.Error(one, err)
	}
	if _, err := client.ListPolicies(t.Context(), &apiv1.ListPoliciesRequest{ChannelId: strings.Repeat("11", 32)}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Error(err)
	}
}
