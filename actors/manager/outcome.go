package manager

import (
	"bytes"
	"cmp"
	"log/slog"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// feeMsat is what the parts cost that were claimed or may be.
func (p *payment) feeMsat() uint64 {
	var sum uint64
	for i := range p.rec.Parts {
		if p.rec.Parts[i].State != messages.PartFailed {
			sum += p.rec.Parts[i].FeeMsat
		}
	}
	return sum
}

// sent: a part was claimed, so the payment is. The event holds that. What it cost is known once all monitors have told of parts: until then one that
// failed, or that was never committed, counts as if it might be claimed.
func (m *Manager) sent(p *payment, preimage ln.Preimage, events ...ln.EventID) {
	p.events = append(p.events, events...)
	if p.rec.Outcome != nil {
		return
	}
	m.stopSearch(p)
	p.rec.Outcome = &Outcome{Preimage: &preimage, FeeMsat: p.feeMsat()}
	if p.durable && len(p.rec.Parts) == 1 {
		m.tellSent(p)
		return
	}
	m.whenSettled(func() { m.tellSent(p) })
}

// tellSent makes the cost durable first if there is more than the one part: after a restart, when parts that were live have another outcome, it would
// not be the same (S5).
func (m *Manager) tellSent(p *payment) {
	switch {
	case m.payments[p.rec.ID] != p || p.queued:
	case len(p.rec.Parts) > 1:
		p.rec.Outcome.FeeMsat = p.feeMsat()
		m.recordOutcome(p)
	default:
		m.queueOutcome(p)
	}
}

// recordOutcome makes an outcome durable before the user is told (rule 15).
func (m *Manager) recordOutcome(p *payment) {
	w := Append{Records: []Record{PaymentOutcome{ID: p.rec.ID, Outcome: *p.rec.Outcome}}}
	if !p.durable { // known from monitors only
		p.durable = true
		w.Records = []Record{PaymentStarted{Payment: p.rec}}
	}
	if ev := m.enqueueOutcome(p); ev != nil {
		w.Then = []messages.Delivery{m.delivery(ev)}
	}
	m.write(w)
}

// check looks up the outcomes that monitors keep, once for a payment that was there before this incarnation and has parts to be made, or none left.
// Parts may have ended, and the payment been handled, although our records say less (S15, S18): an outcome whose event is gone from a monitor was
// acknowledged, so the user handled it.
func (m *Manager) check(p *payment) {
	id := p.rec.ID
	p.checking = true
	m.lookup(messages.GetRows{Bucket: messages.BucketOutcomes, Key: bytes.Clone(id[:]), Prefix: true}, func(rows []messages.Row, err error) {
		p.checking = false
		defer m.lookAt(p)
		if m.payments[id] != p || p.rec.Outcome != nil {
			return // decided meanwhile
		}
		known, err := decodeOutcomes(rows, err)
		if err != nil {
			p.checking = true
			m.log.Error("outcomes unreadable; the payment waits", slog.String("payment_id", id.String()), slog.Any("error", err))
			m.stuck = append(m.stuck, func() { m.check(p) })
			return
		}
		var wait *channel
		for _, o := range known {
			switch c := m.channels[o.at.channel]; {
			case p.seen[o.at]:
			case c == nil || c.reported:
				p.rec.Outcome = foldOutcomes(known)
				m.finish(p)
				return
			case c.quarantined && o.preimage != nil:
				m.sent(p, *o.preimage) // its event comes back with the monitor
				return
			case !c.quarantined:
				wait = c
			}
		}
		if wait != nil {
			p.checking = true
			wait.later = append(wait.later, func() { m.check(p) })
			return
		}
		p.checked = true
	})
}

// giveUpOn: no part is live or unknown, and none will be made. The payment has failed: durable before the user is told (rule 15), since after a
// restart parts might be made once more, or a deep reorganisation let one be claimed.
func (m *Manager) giveUpOn(p *payment, why string) {
	m.stopSearch(p)
	p.rec.Outcome = &Outcome{Reason: text(why), Unproven: p.unproven}
	m.recordOutcome(p)
}

// queueOutcome tells the user of an outcome that is durable already, in a monitor's event or in our log.
func (m *Manager) queueOutcome(p *payment) {
	if p.rec.Outcome == nil || p.queued {
		return
	}
	if ev := m.enqueueOutcome(p); ev != nil {
		d := m.delivery(ev)
		m.tell(d.To, d.Msg)
	}
}

func sentID(id ln.PaymentID) string   { return "payment-sent/" + id.String() }
func failedID(id ln.PaymentID) string { return "payment-failed/" + id.String() }

// enqueueOutcome makes the user event of a payment's outcome. Handling it finishes the payment.
func (m *Manager) enqueueOutcome(p *payment) *userEvent {
	p.queued = true
	done := func() { m.finish(p) }
	if o := p.rec.Outcome; o.Preimage != nil {
		return m.enqueue(sentID(p.rec.ID), messages.PaymentSent{
			PaymentID: p.rec.ID, Hash: p.rec.Hash, Preimage: *o.Preimage, AmountMsat: p.rec.AmountMsat, FeeMsat: o.FeeMsat,
		}, done)
	}
	return m.enqueue(failedID(p.rec.ID), messages.PaymentFailed{
		PaymentID: p.rec.ID, Hash: p.rec.Hash, AmountMsat: p.rec.AmountMsat, Reason: p.rec.Outcome.Reason, Unproven: p.rec.Outcome.Unproven,
	}, done)
}

// finish records that the outcome was handled, as a tombstone for ever, and then acknowledges the monitor events behind it (rule 24).
func (m *Manager) finish(p *payment) {
	for _, a := range p.parts {
		m.committed(a.channel, partKey{p.rec.ID, a.id})
	}
	m.stopSearch(p)
	p.pause.stop()
	delete(m.payments, p.rec.ID)
	a := Append{
		Rows: []messages.Row{p.row()},
		Then: m.acks(p.events),
	}
	if p.durable {
		a.Records = []Record{PaymentHandled{ID: p.rec.ID}}
	}
	m.write(a)
}

// endedLate: a part ended when its payment was over for the user, as parts do that are claimed behind the first one. The tombstone shows it.
func (m *Manager) endedLate(id ln.EventID, p *payment, part uint64, state messages.PartState) {
	w := Append{Then: m.acks([]ln.EventID{id})}
	if r := p.record(part); r != nil && r.State == messages.PartPending && p.rec.Outcome != nil {
		r.State = state
		w.Rows = []messages.Row{p.row()}
	}
	m.write(w)
}

// row is the tombstone. Nothing is made by its terms any more.
func (p *payment) row() messages.Row {
	rec := p.rec
	rec.Terms, rec.Parts = nil, slices.Clone(rec.Parts)
	for i := range rec.Parts {
		if r := &rec.Parts[i]; r.State == messages.PartPending && rec.Outcome.Preimage == nil {
			r.State = messages.PartFailed // never committed, before a restart
		}
	}
	return messages.Row{Bucket: messages.BucketPayments, Key: bytes.Clone(p.rec.ID[:]), Value: encodePayment(rec)}
}

func (m *Manager) sortedPayments() []*payment {
	out := make([]*payment, 0, len(m.payments))
	for _, id := range sortedKeys(m.payments) {
		out = append(out, m.payments[id])
	}
	return out
}

func sortedParts(parts map[partKey]*part) []*part {
	return slices.SortedFunc(maps.Values(parts), func(a, b *part) int {
		return cmp.Or(bytes.Compare(a.payment.rec.ID[:], b.payment.rec.ID[:]), cmp.Compare(a.id, b.id))
	})
}

func sortIDs[T ~[32]byte](ids []T) {
	slices.SortFunc(ids, func(a, b T) int { x, y := [32]byte(a), [32]byte(b); return bytes.Compare(x[:], y[:]) })
}

func sortedUints[V any](m map[uint64]V) []uint64 { return slices.Sorted(maps.Keys(m)) }

func sortedKeys[T ~[32]byte, V any](m map[T]V) []T {
	out := slices.Collect(maps.Keys(m))
	sortIDs(out)
	return out
}
