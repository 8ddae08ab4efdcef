package manager

import (
	"cmp"
	"slices"
	"time"

	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// Bounds of what is forwarded (BOLT 7, and monitor events "Set time-outs").
const (
	// maxForwardExpiry: what is locked up for longer is not forwarded.
	maxForwardExpiry = 2016

	// maxInboundExpiry is the same for what comes in, to be forwarded or for us: those before us may have taken blocks of their own, and invoices may ask for
	// some. What is kept in memory of an HTLC is kept no longer.
	maxInboundExpiry = 2 * maxForwardExpiry

	// policyGrace is for how long payers may go by a policy that was just changed.
	policyGrace = 10 * time.Minute
)

// forwarding is a node's default policy with what it leaves out, and with no less time than a node needs to learn the fate of an HTLC from the chain.
func forwarding(p facts.Policy) facts.Policy {
	p = p.WithDefaults()
	p.CLTVDelta = max(p.CLTVDelta, facts.MinCLTVDelta)
	return p
}

// policy is what a channel asks for.
func (m *Manager) policy(p facts.Policy) facts.Policy { return p.Or(m.cfg.Forwarding) }

// place keeps the short channel ids by which a channel is named in onions.
func (m *Manager) place(c *channel, s messages.ChannelSummary) {
	now := [2]uint64{s.ShortChannelID, s.Alias}
	if now == c.places {
		return
	}
	for _, scid := range c.places {
		if m.byScid[scid] == s.Channel {
			delete(m.byScid, scid)
		}
	}
	c.places = now
	for _, scid := range now {
		if scid != 0 {
			m.byScid[scid] = s.Channel
		}
	}
}

// way is where an HTLC can go: a channel that takes it, or one that is to be waited for because it has just restarted, or the failure for the payer.
type way struct {
	channel    *channel
	restarting *channel
	failure    lnwire.FailureMessage
	away       bool // nothing but the absence of the next node is in the way
}

// route finds the way of an HTLC: the channel that the payer named or, where that can't take the HTLC, another one with the same peer (BOLT 4,
// non-strict forwarding).
func (m *Manager) route(f *forward) way {
	named := m.outgoing(f)
	if named == nil || named.summary.Channel == f.key.channel {
		return way{failure: &lnwire.FailUnknownNextPeer{}}
	}
	s := &named.summary
	f.sendMsat = cmp.Or(f.sendMsat, f.hop.AmountMsat)
	if failure := m.terms(f, named); failure != nil {
		return way{failure: failure}
	}
	var w way
	consider := func(c *channel) bool {
		switch {
		case !c.reported && !c.quarantined && w.restarting == nil:
			w.restarting = c
		case f.fits(c) && c.down:
			w.away = true
		case f.fits(c):
			w = way{channel: c}
			return true
		}
		return false
	}
	if consider(named) {
		return w
	}
	for _, other := range m.byPeer[s.Peer] {
		if c := m.channels[other]; c != named && other != f.key.channel && consider(c) {
			return w
		}
	}
	switch {
	case w.restarting != nil:
		return way{restarting: w.restarting}
	case s.Phase == messages.PhaseFunding || s.Phase == messages.PhaseClosed:
		w.failure = &lnwire.FailUnknownNextPeer{}
	case s.Phase != messages.PhaseOpen:
		w.failure = m.updated(f, named, lnwire.CodeChannelDisabled)
	default:
		w.failure = m.updated(f, named, lnwire.CodeTemporaryChannelFailure)
	}
	return w
}

// outgoing is the channel that was named, nil if it is none of ours.
func (m *Manager) outgoing(f *forward) *channel {
	if f.out != (ln.ChannelID{}) {
		return m.channels[f.out]
	}
	id, ok := m.byScid[f.hop.NextSCID]
	if !ok {
		return nil // not the channel with the zero id
	}
	return m.channels[id]
}

// fits tells whether a channel looks as if it could take the HTLC when its peer is there. It knows best itself, and says so.
func (f *forward) fits(c *channel) bool {
	s := &c.summary
	free := s.HolderMsat - min(s.HolderMsat, s.Reserves.HolderMsat)
	return c.reported && s.Phase == messages.PhaseOpen && f.sendMsat <= free && f.sendMsat >= s.Reserves.HTLCMinimumMsat &&
		!slices.Contains(f.tried, s.Channel)
}

// terms checks an HTLC against what the channel asks for, and against the height (BOLT 4, "Requirements" of the failure codes; BOLT 7).
func (m *Manager) terms(f *forward, c *channel) lnwire.FailureMessage {
	if f.out != (ln.ChannelID{}) {
		// The interceptor's terms: what it may not do is lose money.
		return m.disregards(f, c, facts.Policy{CLTVDelta: facts.MinCLTVDelta})
	}
	fail := m.disregards(f, c, m.policy(c.summary.Policy))
	if fail != nil && m.now.Sub(c.policyAt) < policyGrace && m.disregards(f, c, m.policy(c.oldPolicy)) == nil {
		return nil // the payer could not know yet
	}
	return fail
}

func (m *Manager) disregards(f *forward, c *channel, p facts.Policy) lnwire.FailureMessage {
	out, expiry := f.hop.AmountMsat, f.hop.CLTVExpiry
	if f.out != (ln.ChannelID{}) {
		out = f.sendMsat
	}
	fee := p.FeeMsat(out)
	switch {
	case out < max(p.HTLCMinimumMsat, c.summary.Reserves.HTLCMinimumMsat):
		return m.updated(f, c, lnwire.CodeAmountBelowMinimum)
	case f.inMsat < out || f.inMsat-out < fee:
		return m.updated(f, c, lnwire.CodeFeeInsufficient)
	case f.expiry < expiry || f.expiry-expiry < uint32(p.CLTVDelta):
		return m.updated(f, c, lnwire.CodeIncorrectCltvExpiry)
	case expiry <= m.height+expiryMargin:
		return m.updated(f, c, lnwire.CodeExpiryTooSoon)
	case expiry > m.height+maxForwardExpiry:
		return &lnwire.FailExpiryTooFar{}
	case p.HTLCMaximumMsat != 0 && out > p.HTLCMaximumMsat:
		return m.updated(f, c, lnwire.CodeTemporaryChannelFailure)
	}
	return nil
}

// updated is a failure with the channel_update that the payer should go by, if there is one by the name that the payer used (BOLT 4).
func (m *Manager) updated(f *forward, c *channel, code lnwire.FailCode) *onion.ForwardFailure {
	out := &onion.ForwardFailure{FailCode: code, CLTVExpiry: f.hop.CLTVExpiry}
	switch code { //nolint:exhaustive // the others carry no amount
	case lnwire.CodeAmountBelowMinimum:
		out.AmountMsat = f.hop.AmountMsat
	case lnwire.CodeFeeInsufficient:
		out.AmountMsat = f.inMsat
	}
	if c == nil {
		return out // the interceptor chose the code
	}
	raw := m.updates[c.summary.Channel][f.hop.NextSCID]
	if raw == nil && !m.askedUpdates {
		m.askedUpdates = true // they come too late for this one; a failure without is legal
		m.tell(messages.GraphAddr, messages.GetOwnUpdates{ReplyTo: messages.ManagerAddr})
	}
	out.Update = raw
	return out
}

// onOwnUpdate keeps the newest channel_update of a channel under one of its names.
func (m *Manager) onOwnUpdate(msg messages.OwnUpdate) {
	if m.archived[msg.Channel] {
		return
	}
	if m.updates[msg.Channel] == nil {
		m.updates[msg.Channel] = map[uint64][]byte{}
	}
	m.updates[msg.Channel][msg.SCID] = msg.Raw
}
