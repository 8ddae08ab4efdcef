package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lnactor/lnactor"
)

// audit closes the books: what the users wrote down, what passed between the actors and what the nodes say must agree.
func (r *run) audit(ctx context.Context, before map[string]Balance) {
	ctx, cancel := context.WithTimeout(ctx, stalled)
	defer cancel()
	rep := &r.report
	rep.Seconds = float64(r.now().Milliseconds()) / 1000
	rep.Payments.Requested = r.opts.Payments
	if rep.OnChain != nil {
		rep.Payments.Requested += rep.OnChain.Held.Claimed + rep.OnChain.Held.Returned
	}
	r.ledger.count(&rep.Payments, &rep.Events)
	for _, s := range r.sides {
		s.tally.add(&rep.Events)
		rep.Faults = append(rep.Faults, s.tally.found()...)
		one := NodeReport{Crashes: r.saboteur.on(s.name)}
		s.tally.add(&one.Events)
		r.ledger.node(s.name, &one)
		rep.Nodes[s.name] = one
	}
	rep.Crashes.Planned = r.opts.Crashes
	r.saboteur.count(&rep.Crashes)
	rep.Faults = append(rep.Faults, r.saboteur.found()...)

	moves, faults := r.ledger.close(&rep.Payments)
	rep.Faults = append(rep.Faults, faults...)

	if rep.OnChain != nil {
		r.auditClosed()
	} else {
		r.auditOpen(ctx, before, moves)
	}
	if rep.Events.Unacked > 0 {
		r.fault("%d of %d emitted events were never acknowledged", rep.Events.Unacked, rep.Events.Emitted)
	}
	slices.Sort(rep.Faults)
	rep.Faults = slices.Compact(rep.Faults)
	rep.OK = len(rep.Faults) == 0
}

// auditClosed takes over what the course found: the channel is gone, all money is on chain.
func (r *run) auditClosed() {
	for _, s := range r.sides {
		side := r.report.OnChain.Sides[s.name]
		r.report.Balances[s.name] = Two{Before: r.start[s.name], After: Balance{OnChainSat: side.WalletAfterSat}}
	}
}

// auditOpen holds the balances against the payments, and the two views of the channel against each other.
func (r *run) auditOpen(ctx context.Context, before map[string]Balance, moves map[string]int64) {
	rep := &r.report
	after, err := r.balances(ctx)
	if err != nil {
		r.fault("the nodes do not tell their balances: %v", err)
	}
	for _, s := range r.sides {
		b, a := before[s.name], after[s.name]
		rep.Balances[s.name] = Two{Before: b, After: a}
		if want := int64(b.ChannelMsat) + moves[s.name]; int64(a.ChannelMsat) != want {
			r.fault("%s: has %d msat in its channels and should have %d", s.name, a.ChannelMsat, want)
		}
		if a.OnChainSat != b.OnChainSat {
			r.fault("%s: has %d sat on chain and had %d", s.name, a.OnChainSat, b.OnChainSat)
		}
	}
	r.auditChannels(ctx)
}

// auditChannels compares both sides' views of each channel with each other and with its capacity.
func (r *run) auditChannels(ctx context.Context) {
	for i, l := range r.links {
		r.auditChannel(ctx, r.ends(l), r.channels[i])
	}
}

func (r *run) auditChannel(ctx context.Context, ends [2]*side, id lnactor.ChannelID) {
	var views [2]lnactor.Channel
	for i, s := range ends {
		c, err := r.view(ctx, s, id)
		if err != nil {
			r.fault("%s: does not tell about the channel with %s: %v", s.name, ends[1-i].name, err)
			return
		}
		views[i] = c
		if c.Phase != lnactor.PhaseOpen {
			r.fault("%s: the channel with %s is %s", s.name, ends[1-i].name, c.Phase)
		}
		if !atRest(c) {
			r.fault("%s: the channel with %s holds %d events without an acknowledgement, %d outbound and %d inbound HTLCs",
				s.name, ends[1-i].name, c.UnackedEvents, c.OutboundHTLCs, c.InboundHTLCs)
		}
		if sum := c.HolderMsat + c.CounterpartyMsat; atRest(c) && sum != c.CapacitySat*1000 {
			r.fault("%s: the balances of the channel with %s add up to %d msat and its capacity is %d sat", s.name, ends[1-i].name, sum, c.CapacitySat)
		}
	}
	if a, b := views[0], views[1]; atRest(a) && atRest(b) && (a.HolderMsat != b.CounterpartyMsat || b.HolderMsat != a.CounterpartyMsat) {
		r.fault("%s sees %d and %d msat in the channel, %s %d and %d",
			ends[0].name, a.HolderMsat, a.CounterpartyMsat, ends[1].name, b.CounterpartyMsat, b.HolderMsat)
	}
}

// waitsFor says what a stuck run waits for.
func (r *run) waitsFor() string {
	var parts []string
	p := r.progress()
	parts = append(parts, fmt.Sprintf("%d of %d invoices paid", p.Done, p.Of))
	if open := p.Payments.Attempted - p.Payments.Sent - p.Payments.Failed; open > 0 {
		parts = append(parts, fmt.Sprintf("%d payments without an outcome", open))
	}
	if open := p.Payments.Sent - p.Payments.Claimed; open > 0 {
		parts = append(parts, fmt.Sprintf("%d sent and not claimed", open))
	}
	if p.Events.Unacked > 0 {
		parts = append(parts, fmt.Sprintf("%d events not acknowledged", p.Events.Unacked))
	}
	return strings.Join(parts, ", ")
}
