package facts

import (
	"errors"
	"math"
	"testing"
)

// TestPolicyCheck: the bounds hold at their edges.
func TestPolicyCheck(t *testing.T) {
	const capacity = 1_000_000
	good := Policy{BaseMsat: 1, PropMillionths: 1_000_000, CLTVDelta: 46, HTLCMinimumMsat: 5, HTLCMaximumMsat: 5, MaxInFlightMsat: 5, MaxDustExposureMsat: 1}
	for name, p := range map[string]Policy{
		"the default": {}, "no limits": {CLTVDelta: 2016}, "tight": good,
		"all of the channel": {CLTVDelta: 46, HTLCMinimumMsat: capacity * 1000, HTLCMaximumMsat: capacity * 1000},
	} {
		if err := p.Check(capacity); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for field, change := range map[string]func(*Policy){
		"fee_proportional_millionths": func(p *Policy) { p.PropMillionths++ },
		"cltv_expiry_delta":           func(p *Policy) { p.CLTVDelta = 45 },
		"htlc_minimum_msat":           func(p *Policy) { p.HTLCMinimumMsat = capacity*1000 + 1 },
		"htlc_maximum_msat":           func(p *Policy) { p.HTLCMaximumMsat = 4 },
		"max_in_flight_msat":          func(p *Policy) { p.MaxInFlightMsat = 4 },
	} {
		p := good
		change(&p)
		var e *PolicyError
		if err := p.Check(capacity); !errors.As(err, &e) || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, p := range []Policy{{BaseMsat: 1}, {CLTVDelta: 2017}, {CLTVDelta: 46, HTLCMaximumMsat: capacity*1000 + 1}} {
		if p.Check(capacity) == nil {
			t.Errorf("%+v", p)
		}
	}
}

// TestPolicyOr: the whole policy of a channel counts, or the node's.
func TestPolicyOr(t *testing.T) {
	node := Policy{BaseMsat: 1000, CLTVDelta: 80, HTLCMinimumMsat: 7, MaxDustExposureMsat: 9}
	if got := (Policy{}).Or(node); got != node {
		t.Errorf("%+v", got)
	}
	own := Policy{CLTVDelta: 50}
	if got := own.Or(node); got != (Policy{CLTVDelta: 50, MaxDustExposureMsat: 9}) {
		t.Errorf("%+v", got)
	}
}

// TestPolicyFee: no amount overflows, and the fee is rounded down.
func TestPolicyFee(t *testing.T) {
	p := Policy{BaseMsat: 3, PropMillionths: 1_000_000}
	if got := p.FeeMsat(21_000_000 * 1e11); got != 21_000_000*1e11+3 {
		t.Error(got)
	}
	p.PropMillionths = 1
	if got := p.FeeMsat(1_999_999); got != 4 {
		t.Error(got)
	}
	p.PropMillionths = math.MaxUint32
	if got := p.FeeMsat(1_000_001); got != 3+math.MaxUint32+4294 {
		t.Error(got)
	}
}
