package monitor

import (
	"fmt"

	"github.com/lnactor/lnactor/internal/facts"
)

// A channel that the peer made and never funded costs the peer nothing, and would be kept for ever: the manager admits only so many of them. So it is
// given up after the time that BOLT 2 names. The peer may publish its funding transaction later all the same: then the channel is closed by the peer's
// commitment alone, and what that pays to us is what the peer chose to push. A channel that we fund is never given up: our money is in it.

// FundingTimeout is after how many blocks a fundee forgets a channel whose funding transaction is in no block (BOLT 2).
const FundingTimeout = 2016

// unfunded tells whether the peer funds the channel and nothing of it ever counted: there is nothing that a commitment could spend.
func (m *Monitor) unfunded() bool {
	f := m.facts
	return !f.Tx.HolderIsFunder && f.Funding == nil && !f.HolderReady && !f.WasSpent && len(f.OnChain.Claims) == 0
}

// unfundedUntil is the height at which that ends the channel, 0 for never: a funding transaction that a reorganisation took out will be back.
func (m *Monitor) unfundedUntil() uint32 {
	if !m.unfunded() || m.facts.WasFunded || m.facts.OpenedHeight == 0 { // made when the chain's height was not known
		return 0
	}
	return plus(m.facts.OpenedHeight, FundingTimeout)
}

// giveUpUnfunded is the decision to end a channel that was not funded in time, nil if there is none to make. Nothing is broadcast for it.
func (m *Monitor) giveUpUnfunded() facts.Update {
	if at := m.unfundedUntil(); at == 0 || m.facts.Height < at || m.facts.ForceClose != nil {
		return nil
	}
	return facts.ForceClosed{
		Reason: facts.CloseByFundingTimeout, Detail: fmt.Sprintf("its funding transaction is in none of the %d blocks since it was made", FundingTimeout),
	}
}

// forgettable tells whether the log of an unfunded channel may end: it was given up, or the user closed it and nothing in it is ours. One that was
// closed for another reason waits for its time: a peer could have as many rows written as it likes otherwise.
func (m *Monitor) forgettable() bool {
	f := m.facts
	if f.ForceClose == nil {
		return false
	}
	at := m.unfundedUntil()
	return at != 0 && f.Height >= at || f.ForceClose.Reason == facts.CloseByUser && f.HolderMsat == 0
}
