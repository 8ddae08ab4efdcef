package facts

// Policy is what this node asks for forwarding over a channel, and the limits it keeps there itself. It is set per channel at run time (PolicySet)
// and durable in the channel's monitor; the zero Policy of a channel means that the node's default counts.
type Policy struct {
	BaseMsat            uint32 // for each HTLC (BOLT 7, fee_base_msat)
	PropMillionths      uint32 // of the amount that goes out (fee_proportional_millionths)
	CLTVDelta           uint16 // blocks between the inbound and the outbound expiry (cltv_expiry_delta)
	HTLCMinimumMsat     uint64 // least amount of an HTLC forwarded over the channel
	HTLCMaximumMsat     uint64 // most; 0: what the channel can carry
	MaxInFlightMsat     uint64 // of all HTLCs that we offer; 0: what the counterparty takes
	MaxDustExposureMsat uint64 // in HTLCs without an output on either commitment; 0: the node's default
}

// FeeMsat is what forwarding so much costs (BOLT 7).
func (p Policy) FeeMsat(forwardMsat uint64) uint64 {
	// Two steps, so that no amount that exists overflows.
	whole, rest := forwardMsat/1_000_000, forwardMsat%1_000_000
	return uint64(p.BaseMsat) + whole*uint64(p.PropMillionths) + rest*uint64(p.PropMillionths)/1_000_000
}
