package facts

import "github.com/lnactor/lnactor/internal/ln"

// HTLC is a live HTLC: in at least one commitment that may still confirm.
type HTLC struct {
	ID         uint64 // assigned by the side that offered it, from 0 upwards (BOLT 2)
	AmountMsat uint64
	Hash       ln.Hash
	CLTVExpiry uint32
	State      State
	Onion      []byte     // outbound: until the counterparty revoked, to send it again; inbound: as long as it lives
	Source     *ln.Source // outbound only

	// Preimage, once known, stays for as long as the HTLC lives, whatever else is decided (S4, S7): an outbound HTLC is then claimed, an inbound
	// one can be claimed on chain.
	Preimage *ln.Preimage
	// Resolution is how the HTLC leaves the commitments. Of an outbound HTLC it comes with the holder commitment that lacks it. Of an inbound
	// HTLC it is our decision, durable before it is sent (rules 12, 13), and final.
	Resolution *Resolution

	Fate        Fate // on chain, once irrevocable
	FailedEarly bool // outbound, of a forward: reported as failed before its fate was known
}

// Resolution ends an HTLC. Exactly one of Preimage, Reason and Malformed is set.
type Resolution struct {
	Preimage  *ln.Preimage
	Reason    []byte     // of update_fail_htlc: the encrypted onion error
	Malformed *Malformed // of update_fail_malformed_htlc
	// Parts of the multi-part set that this preimage claims, this HTLC included (rule 13); only for HTLCs that pay this node.
	Parts []Part
	// Settled: an interceptor gave the preimage, so nothing was paid for it, and nobody else tells what becomes of the HTLC.
	Settled bool
}

// Malformed is what update_fail_malformed_htlc says (BOLT 2).
type Malformed struct {
	OnionSHA256 [32]byte
	Code        uint16 // with the BADONION bit
}

// Part names one inbound HTLC of a set.
type Part struct {
	Channel ln.ChannelID
	HTLCID  uint64
}

// Fulfilled tells whether the HTLC ends with its preimage.
func (r *Resolution) Fulfilled() bool { return r != nil && r.Preimage != nil }

// FeeUpdate is an update_fee on its way into both commitments. It takes the states of an HTLC's way in.
type FeeUpdate struct {
	FeePerKw uint32
	State    State
}
