package facts

import "fmt"

// Policy is what this node asks for forwarding over a channel, and the limits it keeps there itself. It is set per channel at run time (PolicySet)
// and durable in the channel's monitor; the zero Policy of a channel means that the node's default counts.
type Policy struct {
	BaseMsat            uint32 // for each HTLC (BOLT 7, fee_base_msat)
	PropMillionths      uint32 // of the amount that goes out (fee_proportional_millionths)
	CLTVDelta           uint16 // blocks between the inbound and the outbound expiry (cltv_expiry_delta)
	HTLCMinimumMsat     uint64 // least amount of an HTLC that is forwarded over the channel
	HTLCMaximumMsat     uint64 // most; 0: what the channel can carry
	MaxInFlightMsat     uint64 // of all HTLCs that we offer; 0: what the counterparty takes
	MaxDustExposureMsat uint64 // in HTLCs without an output on either commitment; 0: the node's default
}

// Defaults of a node that does not say.
const (
	DefaultCLTVDelta           = 80
	DefaultMaxDustExposureMsat = 5_000_000
)

// WithDefaults is a node's policy with what it does not say.
func (p Policy) WithDefaults() Policy {
	if p.CLTVDelta == 0 {
		p.CLTVDelta = DefaultCLTVDelta
	}
	if p.MaxDustExposureMsat == 0 {
		p.MaxDustExposureMsat = DefaultMaxDustExposureMsat
	}
	return p
}

// Limits of a Policy.
const (
	// MinCLTVDelta is what a node needs to get an HTLC back on chain in time (monitor events, "Set time-outs").
	MinCLTVDelta = 46
	// MaxCLTVDelta is more than what senders accept for a whole route.
	MaxCLTVDelta = 2016
	// MaxPropMillionths is a fee as large as the amount: more is a mistake, since nobody pays it.
	MaxPropMillionths = 1_000_000
)

// PolicyError says which part of a Policy is out of its bounds.
type PolicyError struct {
	Field string // in the words of BOLT 7 where it has one
	Value uint64
	Least uint64
	Most  uint64
}

func (e *PolicyError) Error() string {
	return fmt.Sprintf("a policy with %s %d: it must be from %d to %d", e.Field, e.Value, e.Least, e.Most)
}

// IsDefault tells whether the node's default counts.
func (p Policy) IsDefault() bool { return p == Policy{} }

// Check tells whether a policy makes sense for a channel of a capacity. The zero Policy does.
func (p Policy) Check(capacitySat uint64) error {
	if p.IsDefault() {
		return nil
	}
	capacity := capacitySat * 1000
	for _, e := range []PolicyError{
		{"fee_proportional_millionths", uint64(p.PropMillionths), 0, MaxPropMillionths},
		{"cltv_expiry_delta", uint64(p.CLTVDelta), MinCLTVDelta, MaxCLTVDelta},
		{"htlc_minimum_msat", p.HTLCMinimumMsat, 0, capacity},
		{"htlc_maximum_msat", p.HTLCMaximumMsat, p.HTLCMinimumMsat, capacity},
		{"max_in_flight_msat", p.MaxInFlightMsat, p.HTLCMinimumMsat, capacity},
	} {
		unset := e.Value == 0 && (e.Field == "htlc_maximum_msat" || e.Field == "max_in_flight_msat")
		if !unset && (e.Value < e.Least || e.Value > e.Most) {
			return &e
		}
	}
	return nil
}

// Or is the policy that counts: the channel's own, or the node's default.
func (p Policy) Or(node Policy) Policy {
	if p.IsDefault() {
		return node
	}
	if p.MaxDustExposureMsat == 0 {
		p.MaxDustExposureMsat = node.MaxDustExposureMsat
	}
	return p
}

// FeeMsat is what forwarding so much costs (BOLT 7).
func (p Policy) FeeMsat(forwardMsat uint64) uint64 {
	// Two steps, so that no amount that exists overflows.
	whole, rest := forwardMsat/1_000_000, forwardMsat%1_000_000
	return uint64(p.BaseMsat) + whole*uint64(p.PropMillionths) + rest*uint64(p.PropMillionths)/1_000_000
}
