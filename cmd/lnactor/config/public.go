package config

import (
	"encoding/hex"
	"fmt"

	"github.com/btcsuite/btcd/btcutil"

	"github.com/lnactor/lnactor"
)

// Public is what the node tells everybody of itself.
func (c *Config) Public() (lnactor.PublicInfo, error) {
	p := lnactor.PublicInfo{Alias: c.Text("public.alias"), Addresses: c.List("public.addresses")}
	raw, err := hex.DecodeString(c.Text("public.color"))
	if err != nil || len(raw) != len(p.Color) {
		return p, fmt.Errorf("%q is not a colour of six hexadecimal digits", c.Text("public.color"))
	}
	p.Color = [3]byte(raw)
	return p, nil
}

// policyKeys are the settings behind the fields that a policy's check names.
var policyKeys = map[string]string{
	"fee_proportional_millionths": "forwarding.ppm", "cltv_expiry_delta": "forwarding.cltv-delta", "htlc_minimum_msat": "forwarding.min-htlc-msat",
	"htlc_maximum_msat": "forwarding.max-htlc-sat", "max_in_flight_msat": "forwarding.max-in-flight-sat",
}

// Forwarding is the policy of channels that have none of their own.
func (c *Config) Forwarding() (lnactor.ForwardingPolicy, error) {
	delta := c.Number("forwarding.cltv-delta")
	p := lnactor.ForwardingPolicy{
		BaseMsat: c.Number("forwarding.base-msat"), PropMillionths: c.Number("forwarding.ppm"), CLTVDelta: uint16(min(delta, 1<<16-1)),
		HTLCMinimumMsat: uint64(c.Number("forwarding.min-htlc-msat")), HTLCMaximumMsat: 1000 * uint64(c.Number("forwarding.max-htlc-sat")),
		MaxInFlightMsat:     1000 * uint64(c.Number("forwarding.max-in-flight-sat")),
		MaxDustExposureMsat: 1000 * uint64(c.Number("forwarding.max-dust-sat")),
	}
	if delta == 0 { // the node would take its default for it
		return p, &lnactor.PolicyError{Field: "cltv_expiry_delta", Least: lnactor.MinCLTVDelta, Most: lnactor.MaxCLTVDelta}
	}
	return p, p.Check(btcutil.MaxSatoshi)
}
