package funds

import "github.com/lnactor/lnactor/messages"

const (
	// commitmentTarget is the estimate, in blocks, that commitments follow.
	commitmentTarget = 6

	// minCommitmentFee is what every node relays.
	minCommitmentFee = 253

	// maxCommitmentFee is 10 sat/vB. A commitment only has to be relayed and kept by nodes: what it lacks its anchor pays when it is broadcast, while
	// what it has too much is bound for as long as the channel lives.
	maxCommitmentFee = 2500
)

// tellCommitmentFee tells all channels when the rate has moved by a tenth or more since they were told: estimates change with every block, channels
// need not. They go by larger steps still, see package channel.
func (c *core) tellCommitmentFee() {
	if c.cfg.Estimates == nil || c.fees.state != FeesOK || !c.cfg.Estimates() {
		return
	}
	most := c.cfg.MaxCommitmentFee
	if most == 0 {
		most = maxCommitmentFee
	}
	rate := max(min(c.fees.rate(commitmentTarget), most), minCommitmentFee)
	if last := c.commitmentFee; last != 0 && 10*max(rate, last)-10*min(rate, last) < last {
		return
	}
	c.commitmentFee = rate
	c.tell(messages.MonitorsAddr, messages.CommitmentFee{FeePerKw: rate})
}

// askedCommitmentFee answers a channel that starts.
func (c *core) askedCommitmentFee(m messages.AskCommitmentFee) {
	if c.commitmentFee != 0 {
		c.tell(messages.ChannelAddr(m.Channel), messages.CommitmentFee{FeePerKw: c.commitmentFee})
	}
}
