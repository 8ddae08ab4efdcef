package manager

import (
	"bytes"
	"log/slog"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// payment is an outbound payment whose outcome the user has not handled.
type payment struct {
	rec     PaymentRecord
	durable bool             // PaymentStarted was written
	parts   map[uint64]*part // without an outcome
	events  []ln.EventID     // to acknowledge once the user handled the outcome
	queued  bool             // the user event is queued
	seen    map[htlcKey]bool // HTLCs whose outcome a monitor told to this incarnation: nobody has handled it

	// failed: parts whose failure a monitor told before anything else of them, of a payment that our log does not have. It may have been told to the
	// user by an incarnation that had it, so a claim of such a part comes too late to change the outcome.
	failed map[uint64]bool
	behind []func() // claims of such parts, and answers: behind what follows from what was told

	// loading: an HTLC of it was told by a monitor, and whether it is known is being looked up. All that the monitors say waits for that.
	loading bool
	waiters []func(p *payment, over bool)

	// New parts, see retry.go.
	starting bool          // no part was made yet: nothing of the payment is durable
	reply    messages.Addr // of Pay, while starting
	early    []any         // other calls about it, while starting
	due      *clockAlarm   // it is refused, while starting
	next     uint64        // id of the next part
	stray    bool          // a monitor knows of a part that the record lacks: the record is an old one, and no part is made by it
	checked  bool          // the outcomes that monitors keep were looked up, so no other part has an outcome that was handled
	checking bool
	touched  bool // to be advanced at the end of the step
	search   *search
	pause    *clockAlarm // until the next search
	pauses   int
	unproven bool   // a person said that the parts whose outcome is unknown were not claimed
	hopeless string // the payee said that no part will do
	blocked  string // why no route was found, the last time
	last     string // why the newest part failed
	lastID   uint64 // of that part
	avoided  map[route.Edge]*avoidance
	chances  map[uint64]bool // channels whose policy was corrected once
}

// part is an attempt. It is live until an outcome is known.
type part struct {
	payment *payment
	id      uint64
	channel ln.ChannelID
	amount  uint64      // that arrives
	fence   uint64      // that it was asked for under
	missing bool        // the report behind a later fence lacks it
	unknown bool        // its monitor can't say what became of it, and never will
	late    *clockAlarm // it is recalled, unless it is known to be committed
	near    *blockAlarm // likewise
}

type partKey struct {
	payment ln.PaymentID
	part    uint64
}

// snapshot is the record as the log has it: what became of parts is the monitors' to tell.
func (p *payment) snapshot() PaymentRecord {
	r := p.rec
	r.Parts = slices.Clone(r.Parts)
	for i := range r.Parts {
		r.Parts[i].State, r.Parts[i].Reason = messages.PartPending, ""
	}
	return r
}

// record is what the log has of a part, nil if there is nothing. A payment has a few dozen at most.
func (p *payment) record(id uint64) *PartRecord {
	for i := range p.rec.Parts {
		if p.rec.Parts[i].ID == id {
			return &p.rec.Parts[i]
		}
	}
	return nil
}

// known takes note that a monitor has a part. One that the record lacks is made up from what the monitor knows of it.
func (p *payment) known(channel ln.ChannelID, src *ln.PaymentSource, htlcMsat uint64) {
	if p.record(src.PartID) != nil {
		return
	}
	p.next, p.stray = max(p.next, src.PartID+1), true
	amount := src.PartMsat
	if amount == 0 {
		amount = htlcMsat
	}
	p.rec.Parts = append(p.rec.Parts, PartRecord{
		ID: src.PartID, Channel: channel, AmountMsat: amount, FeeMsat: htlcMsat - min(htlcMsat, amount), State: messages.PartPending,
	})
}

// told takes note of an event about a part.
func (p *payment) told(at htlcKey, src *ln.PaymentSource, htlcMsat uint64) {
	p.known(at.channel, src, htlcMsat)
	if p.seen == nil {
		p.seen = map[htlcKey]bool{}
	}
	p.seen[at] = true
}

// restore takes up a payment of the log. Its parts were asked for under no fence of this incarnation.
func (m *Manager) restore(r PaymentRecord) {
	r.Parts = slices.Clone(r.Parts)
	p := &payment{rec: r, durable: true, parts: map[uint64]*part{}}
	m.payments[r.ID] = p
	for i := range r.Parts {
		pr := &r.Parts[i]
		p.next = max(p.next, pr.ID+1)
		pr.State, pr.Reason = messages.PartPending, ""
		if pr.AmountMsat == 0 {
			pr.AmountMsat = r.AmountMsat // of a release that made single parts
		}
		for j := range pr.Hops[:min(len(pr.Hops), 1)] {
			pr.Hops[j].From = m.self
		}
		if r.Outcome == nil {
			m.attempt(p, *pr, 0)
		}
	}
}

func (m *Manager) attempt(p *payment, r PartRecord, fence uint64) *part {
	a := &part{payment: p, id: r.ID, channel: r.Channel, amount: r.AmountMsat, fence: fence}
	p.parts[r.ID] = a
	if m.attempts[r.Channel] == nil {
		m.attempts[r.Channel] = map[partKey]*part{}
	}
	m.attempts[r.Channel][partKey{p.rec.ID, r.ID}] = a
	return a
}

// committed: the part is in a monitor, its outcome will come as an event.
func (m *Manager) committed(channel ln.ChannelID, key partKey) {
	if a := m.attempts[channel][key]; a != nil {
		a.late.stop()
		a.near.stop()
	}
	if delete(m.attempts[channel], key); len(m.attempts[channel]) == 0 {
		delete(m.attempts, channel)
	}
}

// onOwn: a live HTLC of ours in a report, whose outcome is not among the events there.
func (m *Manager) onOwn(channel ln.ChannelID, h messages.OwnHTLC) {
	src := *h.Source.Payment
	m.committed(channel, partKey{src.PaymentID, src.PartID})
	m.withPayment(src, h.Hash, func(p *payment, over bool) {
		if over {
			return
		}
		p.known(channel, &src, h.AmountMsat)
		switch {
		case h.Preimage != nil && !p.queued:
			// Claimed, and the event is acknowledged: the user handled PaymentSent. Records that say less were lost (S18).
			p.rec.Outcome = &Outcome{Preimage: h.Preimage, FeeMsat: p.feeMsat()}
			m.finish(p)
		case h.Preimage == nil && p.parts[src.PartID] == nil && p.rec.Outcome == nil:
			p.parts[src.PartID] = &part{payment: p, id: src.PartID, channel: channel, amount: p.record(src.PartID).AmountMsat}
		}
		m.lookAt(p)
	})
}

// withPayment calls then with the payment that an HTLC belongs to. One that no record knows is made up from the HTLC (S18). It is over if its
// outcome was handled before: then it is what its row says.
func (m *Manager) withPayment(src ln.PaymentSource, hash ln.Hash, then func(p *payment, over bool)) {
	p := m.payments[src.PaymentID]
	switch {
	case p == nil:
		p = &payment{
			rec:     PaymentRecord{ID: src.PaymentID, Hash: hash, AmountMsat: src.TotalMsat},
			parts:   map[uint64]*part{},
			loading: true, waiters: []func(*payment, bool){then},
		}
		if n := len(src.Path); n > 0 {
			p.rec.Payee = src.Path[n-1]
		}
		m.payments[src.PaymentID] = p
		m.load(p)
	case p.loading:
		p.waiters = append(p.waiters, then)
	default:
		then(p, false)
	}
}

// load looks for the tombstone of a payment that only a monitor knows. While it does, the payment id is refused and nothing is settled.
func (m *Manager) load(p *payment) {
	id := p.rec.ID
	m.loads++
	m.lookup(messages.GetRows{Bucket: messages.BucketPayments, Key: bytes.Clone(id[:])}, func(rows []messages.Row, err error) {
		m.loads--
		rec := p.rec
		if err == nil && len(rows) > 0 {
			rec, err = decodePayment(rows[0].Value)
		}
		if err != nil {
			m.log.Error("payment record unreadable; its events wait", slog.String("payment_id", id.String()), slog.Any("error", err))
			m.stuck = append(m.stuck, func() { m.load(p) })
			m.maybeSettle()
			return
		}
		waiters := p.waiters
		p.loading, p.waiters = false, nil
		if len(rows) > 0 {
			p.rec = rec
			delete(m.payments, id)
		}
		for _, then := range waiters {
			then(p, m.payments[id] != p) // also once one of them has finished it
		}
		m.lookAt(p)
		m.maybeSettle()
	})
}

// onClaimed: a part of ours was claimed. One claimed part means that the payment is sent, unless it was told as failed: then our log says so, if it was
// not lost.
func (m *Manager) onClaimed(id ln.EventID, ev facts.Claimed) {
	src := *ev.Source.Payment
	m.committed(id.Channel, partKey{src.PaymentID, src.PartID})
	m.withPayment(src, ev.Hash, func(p *payment, over bool) {
		o := p.rec.Outcome
		switch {
		case p.failed[src.PartID], o != nil && o.Preimage == nil:
			m.whenSettled(func() {
				p.behind = append(p.behind, func() { m.late(id, ev, p) })
				m.lookAt(p)
			})
		case over:
			m.endedLate(id, p, src.PartID, messages.PartClaimed) // handled before: the record says so
		default:
			p.told(htlcKey{id.Channel, ev.HTLCID}, &src, ev.AmountMsat)
			delete(p.parts, src.PartID)
			m.passed(p, src.PartID)
			m.sent(p, ev.Preimage, id)
		}
	})
}

// onFailed: a part of ours can never be claimed any more, or nobody can say whether it was.
func (m *Manager) onFailed(id ln.EventID, ev facts.Failed) {
	src := *ev.Source.Payment
	m.committed(id.Channel, partKey{src.PaymentID, src.PartID})
	m.withPayment(src, ev.Hash, func(p *payment, over bool) {
		if over {
			m.endedLate(id, p, src.PartID, messages.PartFailed)
			return
		}
		p.told(htlcKey{id.Channel, ev.HTLCID}, &src, ev.AmountMsat)
		p.events = append(p.events, id)
		if ev.Local == facts.OutcomeUnknown && p.rec.Outcome == nil {
			m.partUnknown(p, src.PartID, id.Channel)
			return
		}
		delete(p.parts, src.PartID)
		if p.rec.Outcome == nil && !p.durable {
			if p.failed == nil {
				p.failed = map[uint64]bool{}
			}
			p.failed[src.PartID] = true
		}
		m.learnFrom(p, src, ev)
		m.lookAt(p)
	})
}

// partUnknown: the channel of a part was closed by something newer than its records. The part may have been claimed after the backup was made that the
// node goes on from, so no other part must be made (S15), and the payment has not failed (S5): it is shown as unknown until it is abandoned, or until a
// preimage is found on chain.
func (m *Manager) partUnknown(p *payment, id uint64, channel ln.ChannelID) {
	a := p.parts[id]
	if a == nil {
		a = &part{payment: p, id: id, channel: channel, amount: p.record(id).AmountMsat}
		p.parts[id] = a
	}
	a.unknown = true
	m.stopSearch(p)
	m.atRisk(channel, "whether a payment was made is not known, and this node will not find out: ask the payee. It is not tried again. If it was not made, abandon it",
		slog.String("payment_id", p.rec.ID.String()), slog.String("payment_hash", p.rec.Hash.String()))
	m.lookAt(p)
}

// lost tells that nobody here will find out what became of a part: such a one, or one that was asked for and that is not in the records of a channel which
// are proven to be old, or can't be verified any more.
func (m *Manager) lost(a *part) bool {
	c := m.channels[a.channel]
	if a.unknown || c == nil || !c.reported || m.attempts[a.channel][partKey{a.payment.rec.ID, a.id}] != a {
		return a.unknown
	}
	return a.fence < c.fence && (c.summary.Behind || c.summary.Unverified && c.summary.Spent != nil)
}

// allLost tells that all parts that are left are such parts.
func (m *Manager) allLost(p *payment) bool {
	for _, a := range p.parts {
		if !m.lost(a) {
			return false
		}
	}
	return len(p.parts) > 0
}

const unknownPart = "the backup that this node was restored from is older than what became of its channel: whether it was paid is not known"

// takeAsFailed: the user says that a payment whose outcome is unknown was not made.
func (m *Manager) takeAsFailed(p *payment) {
	for _, id := range sortedUints(p.parts) {
		m.committed(p.parts[id].channel, partKey{p.rec.ID, id})
		delete(p.parts, id)
		p.fail(id, unknownPart)
	}
	p.rec.Abandoned, p.unproven = true, true
	m.lookAt(p)
}
