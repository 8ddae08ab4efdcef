package facts

import "github.com/lnactor/lnactor/internal/commitment"

// Dust tells whether an amount has no output on a side's commitment: fees take it when that commitment confirms. With anchors and no fee on HTLC
// transactions the dust limit alone counts, so no fee rate changes what is dust (BOLT 3, Trimmed Outputs).
func (c *Channel) Dust(holderOwns bool, amountMsat uint64) bool {
	return commitment.Trimmed(&c.Tx, holderOwns, msat(amountMsat))
}

// DustMsat sums up the live HTLCs without an output on a side's commitment.
func (c *Channel) DustMsat(holderOwns bool) (sum uint64) {
	for _, side := range []map[uint64]*HTLC{c.Outbound, c.Inbound} {
		for _, h := range side { // sums do not depend on the order
			if c.Dust(holderOwns, h.AmountMsat) {
				sum += h.AmountMsat
			}
		}
	}
	return sum
}
