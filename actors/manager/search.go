package manager

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/lightningnetwork/lnd/lnwallet/chainfee"
	"github.com/lightningnetwork/lnd/lnwire"

	"github.com/lnactor/lnactor/internal/commitment"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// Routes come from three places, the first that has one counts: the payee is a peer with channels to it; the graph's actor; and if that is not
// there, or does not answer, the route hints alone. The graph's actor may be restarting, and what it holds may be lost with it, so it is asked again.
const (
	askAgain = 3 * time.Second
	askTimes = 4
)

// search is a question to the graph.
type search struct {
	id    uint64
	req   route.Request
	asked int
	again *clockAlarm
}

// find looks for routes for a payment, or for what is missing of it. What follows comes with found or noRoute, maybe within the call.
func (m *Manager) find(p *payment, amount uint64) {
	req := m.routeRequest(p, amount)
	if found := m.direct(p, &req); found != nil {
		m.found(p, found)
		return
	}
	for _, id := range sortedKeys(m.channels) {
		if l, ok := m.local(m.channels[id], req.MostMsat); ok {
			req.Local = append(req.Local, l)
		}
	}
	var have uint64
	for i := range req.Local {
		have += min(req.Local[i].SendMsat, 1<<56)
	}
	if !m.cfg.Graph || have < amount {
		m.findAlone(p, &req)
		return
	}
	m.lastSearch++
	p.search = &search{id: m.lastSearch, req: req}
	m.searches[p.search.id] = p
	m.ask(p)
}

// ask asks the graph, and again after a while.
func (m *Manager) ask(p *payment) {
	s := p.search
	if s.asked++; s.asked > askTimes || s.asked > 1 && !m.now.Before(p.rec.Terms.Deadline) {
		m.log.Warn("the channel graph does not answer; looking for a route without it", slog.String("payment_id", p.rec.ID.String()))
		m.stopSearch(p)
		m.findAlone(p, &s.req)
		return
	}
	m.tell(messages.GraphAddr, messages.FindRoutes{ID: s.id, Request: s.req, ReplyTo: messages.ManagerAddr})
	s.again.stop()
	s.again = m.after(askAgain, func() { m.ask(p) })
}

// graphStarted: what the graph was asked may be lost.
func (m *Manager) graphStarted() {
	for id := range m.searches { // each is told by itself, and the graph answers by id
		p := m.searches[id]
		p.search.asked = 0
	}
	for _, p := range m.searching() {
		m.ask(p)
	}
}

func (m *Manager) stopSearch(p *payment) {
	if p.search != nil {
		delete(m.searches, p.search.id)
		p.search.again.stop()
		p.search = nil
	}
}

// findAlone looks for routes without the gossiped graph.
func (m *Manager) findAlone(p *payment, req *route.Request) {
	routes, err := m.finder.Find(m.noGraph, nil, req, m.now)
	if err != nil {
		m.noRoute(p, err)
		return
	}
	m.found(p, routes)
}

// onRoutes takes the graph's answer.
func (m *Manager) onRoutes(msg messages.RoutesFound) {
	p := m.searches[msg.ID]
	if p == nil {
		return // answered before, or not wanted any more
	}
	m.stopSearch(p)
	if msg.Err != nil {
		m.noRoute(p, msg.Err)
		return
	}
	m.found(p, msg.Routes)
}

// routeRequest is what a search is made of, but for the first hops.
func (m *Manager) routeRequest(p *payment, amount uint64) route.Request {
	t := p.rec.Terms
	final := t.MinFinalCLTVDelta + expirySlack
	req := route.Request{
		Self: m.self, Target: p.rec.Payee, AmountMsat: amount, Height: m.height, FinalDelta: final, MaxDelay: max(maxDelay, final),
		MaxFeeMsat: t.MaxFeeMsat, MaxParts: t.MaxParts, MinPart: m.cfg.MinPartMsat, Hints: t.Hints, MostMsat: p.limits(m.now),
	}
	for id := range p.parts { // sums do not depend on the order
		req.MaxParts--
		r := p.record(id)
		if r == nil {
			continue
		}
		req.MaxFeeMsat -= min(req.MaxFeeMsat, r.FeeMsat)
		for i := 1; i < len(r.Hops); i++ {
			if req.LessMsat == nil {
				req.LessMsat = map[route.Edge]uint64{}
			}
			req.LessMsat[edgeOf(&r.Hops[i])] += r.Hops[i].AmountMsat
		}
	}
	return req
}

func edgeOf(h *route.Hop) route.Edge { return route.Edge{SCID: h.SCID, From: h.From} }

// maxDelay is how many blocks a payment may be locked, as other implementations have it.
const maxDelay = 2016

// direct pays a peer over channels to it, which costs no fee: over the one that has the most to send, or over several. Nil if that can't be.
func (m *Manager) direct(p *payment, req *route.Request) []route.Route {
	var locals []route.Local
	best := -1
	for _, id := range m.byPeer[req.Target] {
		l, ok := m.local(m.channels[id], req.MostMsat)
		if !ok {
			continue
		}
		locals = append(locals, l)
		if best < 0 || l.SendMsat > locals[best].SendMsat {
			best = len(locals) - 1
		}
	}
	if best < 0 {
		return nil
	}
	if l := &locals[best]; l.SendMsat >= req.AmountMsat && l.MinMsat <= req.AmountMsat {
		return []route.Route{{Channel: l.Channel, Hops: []route.Hop{{
			SCID: l.SCID, From: m.self, To: req.Target, AmountMsat: req.AmountMsat, Expiry: req.Height + req.FinalDelta,
		}}}}
	}
	if req.MaxParts < 2 || len(locals) < 2 {
		return nil
	}
	alone := *req
	alone.Local, alone.Hints = locals, nil
	routes, err := m.finder.Find(m.noGraph, nil, &alone, m.now)
	if err != nil {
		return nil
	}
	return routes
}

// local is a channel as a first hop; false if nothing can be sent over it now.
func (m *Manager) local(c *channel, limits map[route.Edge]uint64) (route.Local, bool) {
	s := &c.summary
	if !c.reported || c.down || s.Phase != messages.PhaseOpen || s.Unverified || s.Behind {
		return route.Local{}, false
	}
	l := route.Local{Channel: s.Channel, SCID: localSCID(s), Peer: s.Peer, SendMsat: c.sendable(), MinMsat: s.Reserves.HTLCMinimumMsat}
	if most, ok := limits[route.Edge{SCID: l.SCID, From: m.self}]; ok {
		l.SendMsat = min(l.SendMsat, most)
	}
	return l, l.SendMsat > 0
}

// localSCID tells a channel of ours from all others, whatever it is called by others.
func localSCID(s *messages.ChannelSummary) uint64 {
	switch {
	case s.ShortChannelID != 0:
		return s.ShortChannelID
	case s.Alias != 0:
		return s.Alias
	}
	var scid uint64
	for _, b := range s.Channel[:8] {
		scid = scid<<8 | uint64(b)
	}
	return scid
}

// sendable is about what can be sent over the channel now; the channel itself knows it better, and refuses what is too much. As funder we keep the
// fee of twice the rate and one more HTLC, as the channel does.
func (c *channel) sendable() uint64 {
	s := &c.summary
	keep := s.Reserves.HolderMsat + c.asked
	if s.HolderIsFunder {
		fee := commitment.CommitFee(chainfee.SatPerKWeight(2*s.FeePerKw), s.OutboundHTLCs+s.InboundHTLCs+2) + commitment.AnchorsAmount
		keep += uint64(lnwire.NewMSatFromSatoshis(fee))
	}
	free := s.HolderMsat - min(s.HolderMsat, keep)
	for _, most := range []uint64{s.Reserves.MaxInFlightMsat, s.Policy.MaxInFlightMsat} {
		if most != 0 {
			free = min(free, most-min(most, s.OutboundMsat+c.asked))
		}
	}
	return free
}

// noRoute: nothing was found.
func (m *Manager) noRoute(p *payment, err error) {
	if !p.starting {
		p.blocked = strings.TrimPrefix(err.Error(), "route: ")
		m.lookAt(p)
		return
	}
	if wait := m.unreported(); wait != nil && m.parked < maxParked {
		// One that has just restarted may do.
		wait.later = append(wait.later, m.park(func() { m.startPayment(p) }))
		return
	}
	m.notStarted(p, m.refusalOf(p, err))
}

// unreported is a channel whose report is on its way, nil if there is none.
func (m *Manager) unreported() *channel {
	if m.waiting == 0 {
		return nil
	}
	for _, id := range sortedKeys(m.channels) {
		if c := m.channels[id]; !c.reported && !c.quarantined {
			return c
		}
	}
	return nil
}

// refusalOf says why a payment can't begin.
func (m *Manager) refusalOf(p *payment, err error) error {
	payee, amount := p.rec.Payee, p.rec.AmountMsat
	usable, toPayee, down, best := 0, 0, false, uint64(0)
	var least uint64
	for _, id := range m.byPeer[payee] {
		c := m.channels[id]
		down = down || c.reported && c.down
		if l, ok := m.local(c, nil); ok {
			toPayee++
			best = max(best, l.SendMsat)
			if least == 0 || l.MinMsat < least {
				least = l.MinMsat
			}
		}
	}
	if !errors.Is(err, route.ErrNoPath) || toPayee == 0 {
		best = 0
		for _, c := range m.channels { // a maximum does not depend on the order
			if l, ok := m.local(c, nil); ok {
				usable++
				best = max(best, l.SendMsat)
			}
		}
	}
	switch {
	case errors.Is(err, route.ErrRequest):
		return fmt.Errorf("%w: %w", ErrAmount, err)
	case toPayee > 0 && amount < least:
		return fmt.Errorf("%w: the peer takes no less than %d msat", ErrAmount, least)
	case toPayee == 0 && down:
		return fmt.Errorf("%w: the peer %s is not connected", ErrNoChannel, payee)
	case usable+toPayee == 0, errors.Is(err, route.ErrNoPath) && toPayee == 0 && !m.cfg.Graph:
		return fmt.Errorf("%w (payee %s)", ErrNoChannel, payee)
	case errors.Is(err, route.ErrBalance), errors.Is(err, route.ErrNoPath) && toPayee > 0 && best < amount:
		return &BalanceError{Payee: payee, NeedMsat: amount, HaveMsat: best}
	}
	return fmt.Errorf("%w (payee %s)", err, payee)
}

// searching are the payments that wait for the graph, in the order of their questions.
func (m *Manager) searching() []*payment {
	var out []*payment
	for _, id := range sortedUints(m.searches) {
		out = append(out, m.searches[id])
	}
	return out
}

func (c *channel) reserve(msat uint64) { c.asked += msat }

func (c *channel) release(msat uint64) { c.asked -= min(c.asked, msat) }
