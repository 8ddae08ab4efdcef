package manager

import (
	"fmt"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// found makes parts of the routes, unless something happened while they were looked for.
func (m *Manager) found(p *payment, routes []route.Route) {
	switch id := p.rec.ID; {
	case p.starting && m.payments[id] != nil:
		m.notStarted(p, ErrPaymentIDUsed) // a monitor that came back told of it meanwhile
		return
	case p.starting && m.overdue(p):
		m.notStarted(p, ErrDeadline)
		return
	case !p.starting && (m.payments[id] != p || m.over(p) != "" || m.unseen(p)):
		m.lookAt(p)
		return
	}
	missing, left := p.missing(), p.feeLeft()
	var good []route.Route
	for i := range routes {
		r := &routes[i]
		if c := m.channels[r.Channel]; c == nil || !c.reported || c.down {
			continue
		}
		if missing < r.AmountMsat() || left < r.FeeMsat || p.next+uint64(len(good)) >= maxAttempts {
			break // parts that are found to be live since
		}
		missing, left = missing-r.AmountMsat(), left-r.FeeMsat
		good = append(good, *r)
	}
	if len(good) == 0 {
		m.noRoute(p, route.ErrNoPath)
		return
	}
	if err := m.launch(p, good); err != nil {
		if p.starting {
			m.notStarted(p, err)
			return
		}
		p.hopeless = err.Error()
	}
	m.lookAt(p)
}

// launch makes parts. They are durable before their HTLCs can be committed to and before the caller is told (rule 14).
func (m *Manager) launch(p *payment, routes []route.Route) error {
	var parts []PartRecord
	var w Append
	for i := range routes {
		r := &routes[i]
		part := PartRecord{
			ID: p.next + uint64(i), Channel: r.Channel, AmountMsat: r.AmountMsat(), FeeMsat: r.FeeMsat, Hops: r.Hops, State: messages.PartPending, //nolint:gosec // an index
		}
		add, err := m.add(p, &part)
		if err != nil {
			return err
		}
		parts = append(parts, part)
		w.Then = append(w.Then, messages.Delivery{To: messages.ChannelAddr(r.Channel), Msg: add})
	}
	p.rec.Parts = append(p.rec.Parts, parts...)
	p.next += uint64(len(parts))
	for i := range parts {
		c := m.channels[parts[i].Channel]
		m.recallInTime(m.attempt(p, parts[i], c.fence), parts[i].Hops[0].Expiry)
		c.reserve(parts[i].Hops[0].AmountMsat)
	}
	p.pauses, p.blocked = 0, ""
	started := p.starting
	if started {
		m.noLongerStarting(p)
		p.starting, p.durable, p.checked = false, true, true
		m.payments[p.rec.ID] = p
		w.Records = []Record{PaymentStarted{Payment: p.rec}}
		if p.reply != "" {
			w.Then = append(w.Then, messages.Delivery{To: p.reply, Msg: messages.PayReply{}})
		}
	} else {
		w.Records = []Record{PartsStarted{ID: p.rec.ID, Parts: parts}}
	}
	m.write(w)
	if started {
		m.answerEarly(p, nil)
	}
	return nil
}

// A part may wait in its channel for as long as the peer likes, which takes its time to revoke. It is taken back when the payment's time is over, or its own,
// unless it is known to be committed; if it is, and we do not know, the channel does nothing.
const (
	leastWait  = 5 * time.Second // whatever the deadline
	partMargin = 6               // blocks before its expiry
)

func (m *Manager) recallInTime(a *part, expiry uint32) {
	recall := func() {
		key := partKey{a.payment.rec.ID, a.id}
		if m.attempts[a.channel][key] != a {
			return
		}
		// Behind the AddHTLC, which may wait for its record.
		m.write(Append{Then: []messages.Delivery{{To: messages.ChannelAddr(a.channel), Msg: messages.RecallHTLC{
			Fence: a.fence, PaymentID: a.payment.rec.ID, PartID: a.id,
		}}}})
	}
	a.late = m.after(max(a.payment.rec.Terms.Deadline.Sub(m.now), leastWait), recall)
	a.near = m.at(max(expiry-min(expiry, partMargin), m.height+1), recall)
}

// add makes the HTLC of a part.
func (m *Manager) add(p *payment, part *PartRecord) (messages.AddHTLC, error) {
	// The key derives from the part, so it needs no record of its own. The time is in it for one case: a part whose record was lost, and that never
	// came further than to the peer, must not share its key with the one that takes its number.
	secret := m.cfg.Derive(fmt.Sprintf("lnactor/session/%s/%d/%d", p.rec.ID, part.ID, m.now.UnixNano()))
	session, _ := btcec.PrivKeyFromBytes(secret[:])
	t := p.rec.Terms
	var hops []onion.Hop
	var path []ln.NodeID
	for i := range part.Hops {
		node := part.Hops[i].To
		key, err := btcec.ParsePubKey(node[:])
		if err != nil {
			return messages.AddHTLC{}, fmt.Errorf("node %s of the route: %w", node, err)
		}
		h := onion.Hop{PubKey: key, AmountMsat: part.Hops[i].AmountMsat, CLTVExpiry: part.Hops[i].Expiry}
		if last := i == len(part.Hops)-1; last {
			h.PaymentSecret, h.TotalMsat, h.Metadata, h.Keysend = t.Secret, p.rec.AmountMsat, t.Metadata, t.Keysend
		} else {
			next := &part.Hops[i+1]
			h.AmountMsat, h.CLTVExpiry, h.NextSCID = next.AmountMsat, next.Expiry, next.SCID
		}
		hops, path = append(hops, h), append(path, node)
	}
	packet, err := onion.Build(session, hops, p.rec.Hash)
	if err != nil {
		return messages.AddHTLC{}, err
	}
	return messages.AddHTLC{
		Fence: m.channels[part.Channel].fence, AmountMsat: part.Hops[0].AmountMsat, Hash: p.rec.Hash, CLTVExpiry: part.Hops[0].Expiry, Onion: packet[:],
		Source: ln.Source{Payment: &ln.PaymentSource{
			PaymentID: p.rec.ID, PartID: part.ID, SessionKey: secret, Path: path, TotalMsat: p.rec.AmountMsat, PartMsat: part.AmountMsat,
		}},
	}, nil
}

// onNotCommitted: the channel refused an attempt under its current fence, so no monitor ever holds it.
func (m *Manager) onNotCommitted(msg messages.NotCommitted) {
	if c := m.channels[msg.Channel]; c != nil && msg.Down && msg.Fence == c.fence {
		c.down = true // as its ChannelLink is about to tell
	}
	src := msg.Source.Payment
	if src == nil {
		m.forwardNotCommitted(msg)
		return
	}
	a := m.attempts[msg.Channel][partKey{src.PaymentID, src.PartID}]
	if a == nil || a.fence != msg.Fence {
		return // decided by a report already
	}
	p := a.payment
	if r := p.record(a.id); r != nil && len(r.Hops) > 0 {
		h := &r.Hops[0]
		if !msg.Down {
			p.avoidAWhile(edgeOf(h), h.AmountMsat-1, m.now, withOurs)
		}
		if c := m.channels[msg.Channel]; c != nil {
			c.release(h.AmountMsat)
		}
	}
	m.giveUp(a, fmt.Sprintf("not sent: %v", msg.Why))
}

// giveUp ends an attempt that was never committed.
func (m *Manager) giveUp(a *part, why string) {
	p := a.payment
	m.committed(a.channel, partKey{p.rec.ID, a.id})
	delete(p.parts, a.id)
	p.fail(a.id, why)
	m.lookAt(p)
}

// fail takes note why a part failed.
func (p *payment) fail(id uint64, why string) {
	if r := p.record(id); r != nil {
		r.State, r.Reason = messages.PartFailed, text(why)
	}
	if p.last == "" || id >= p.lastID {
		p.last, p.lastID = why, id
	}
}

// missing is what no live part carries.
func (p *payment) missing() uint64 {
	missing := p.rec.AmountMsat
	for _, a := range p.parts { // a sum does not depend on the order
		missing -= min(missing, a.amount)
	}
	return missing
}

// feeLeft is what new parts may cost.
func (p *payment) feeLeft() uint64 {
	left := p.rec.Terms.MaxFeeMsat
	for id := range p.parts {
		if r := p.record(id); r != nil {
			left -= min(left, r.FeeMsat)
		}
	}
	return left
}
