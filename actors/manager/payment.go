package manager

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// payment is an outbound payment whose outcome the user has not handled.
type payment struct {
	rec     PaymentRecord
	durable bool // PaymentStarted was written
	parts   map[uint64]*part
	events  []ln.EventID // to acknowledge once the user handled the outcome
	queued  bool         // the user event is queued

	// failed: parts whose failure a monitor told before anything else of them. It may have been told to the user by an earlier incarnation of ours,
	// so a claim of such a part comes too late to change the outcome.
	failed map[uint64]bool

	// loading: an HTLC of it was told by a monitor, and whether it is known is being looked up. All that the monitors say waits for that.
	loading bool
	waiters []func(p *payment, over bool)
}

// part is an attempt. It is live until an outcome is known.
type part struct {
	payment *payment
	id      uint64
	channel ln.ChannelID
	fence   uint64 // that it was asked for under
	missing bool   // the report behind a later fence lacks it
	asked   bool   // its fate is being looked up
}

type partKey struct {
	payment ln.PaymentID
	part    uint64
}

// restore takes up a payment of the log. Its parts were asked for under no fence of this incarnation.
func (m *Manager) restore(r PaymentRecord) {
	p := &payment{rec: r, durable: true, parts: map[uint64]*part{}}
	m.payments[r.ID] = p
	if r.Outcome != nil {
		return
	}
	for _, pr := range r.Parts {
		m.attempt(p, pr.ID, pr.Channel, 0)
	}
}

func (m *Manager) attempt(p *payment, id uint64, channel ln.ChannelID, fence uint64) {
	a := &part{payment: p, id: id, channel: channel, fence: fence}
	p.parts[id] = a
	if m.attempts[channel] == nil {
		m.attempts[channel] = map[partKey]*part{}
	}
	m.attempts[channel][partKey{p.rec.ID, id}] = a
}

// committed: the part is in a monitor, its outcome will come as an event.
func (m *Manager) committed(channel ln.ChannelID, key partKey) {
	if delete(m.attempts[channel], key); len(m.attempts[channel]) == 0 {
		delete(m.attempts, channel)
	}
}

// onOwn: a live HTLC of ours in a report, whose outcome is not among the events there.
func (m *Manager) onOwn(channel ln.ChannelID, h messages.OwnHTLC) {
	src := *h.Source.Payment
	m.committed(channel, partKey{src.PaymentID, src.PartID})
	m.withPayment(src, h.Hash, func(p *payment, over bool) {
		switch {
		case over:
		case h.Preimage != nil && !p.queued:
			// Claimed, and the event is acknowledged: the user handled PaymentSent. Records that say less were lost (S18).
			p.rec.Outcome = &Outcome{Preimage: h.Preimage}
			m.finish(p)
		case h.Preimage == nil && p.parts[src.PartID] == nil && p.rec.Outcome == nil:
			p.parts[src.PartID] = &part{payment: p, id: src.PartID, channel: channel}
		}
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
		m.maybeSettle()
	})
}

// onClaimed: a part of ours was claimed. One claimed part means that the payment is sent, unless its failure was told before.
func (m *Manager) onClaimed(id ln.EventID, ev facts.Claimed) {
	src := *ev.Source.Payment
	m.committed(id.Channel, partKey{src.PaymentID, src.PartID})
	m.withPayment(src, ev.Hash, func(p *payment, over bool) {
		o := p.rec.Outcome
		switch {
		case p.failed[src.PartID], o != nil && o.Preimage == nil:
			m.whenSettled(func() { m.late(id, ev, p) })
		case over:
			m.ackBehind(id) // handled before: the record says so
		default:
			delete(p.parts, src.PartID)
			m.sent(id, ev.Preimage, p)
		}
	})
}

// sent: a part was claimed, so the payment is.
func (m *Manager) sent(id ln.EventID, preimage ln.Preimage, p *payment) {
	p.events = append(p.events, id)
	p.rec.Outcome = &Outcome{Preimage: &preimage}
	m.queueOutcome(p)
}

// onFailed: a part of ours can never be claimed any more.
func (m *Manager) onFailed(id ln.EventID, ev facts.Failed) {
	src := *ev.Source.Payment
	m.committed(id.Channel, partKey{src.PaymentID, src.PartID})
	m.withPayment(src, ev.Hash, func(p *payment, over bool) {
		if over {
			m.ackBehind(id)
			return
		}
		delete(p.parts, src.PartID)
		p.events = append(p.events, id)
		if p.rec.Outcome == nil {
			if p.failed == nil {
				p.failed = map[uint64]bool{}
			}
			p.failed[src.PartID] = true
		}
		// Other parts may be in monitors that have not reported: a payment has failed when no part is live, claimed or unknown.
		m.whenSettled(func() {
			if p.rec.Outcome == nil && len(p.parts) == 0 {
				p.rec.Outcome = &Outcome{Reason: text(reasonOf(src, ev))}
			}
			m.queueOutcome(p)
		})
	})
}

// reasonOf reads why a part failed.
func reasonOf(src ln.PaymentSource, ev facts.Failed) string {
	switch r := ev.Resolution; {
	case ev.Local == facts.OnChainTimeout:
		return "the channel was closed and the payment timed out on chain"
	case r.Malformed != nil:
		return fmt.Sprintf("the first hop could not read the onion (BOLT 4 code %#x)", r.Malformed.Code)
	default:
		path := make([]*btcec.PublicKey, 0, len(src.Path))
		for _, n := range src.Path {
			k, err := btcec.ParsePubKey(n[:])
			if err != nil {
				return "it failed for a reason that cannot be read"
			}
			path = append(path, k)
		}
		session, _ := btcec.PrivKeyFromBytes(src.SessionKey[:])
		f, err := onion.DecryptFailure(session, path, r.Reason)
		if err != nil {
			return "it failed for a reason that cannot be read"
		}
		return fmt.Sprintf("hop %d answered %s", f.Hop+1, f.Code)
	}
}

// onNotCommitted: the channel refused an attempt under its current fence, so no monitor ever holds it.
func (m *Manager) onNotCommitted(msg messages.NotCommitted) {
	src := msg.Source.Payment
	if src == nil {
		m.forwardNotCommitted(msg)
		return
	}
	a := m.attempts[msg.Channel][partKey{src.PaymentID, src.PartID}]
	if a == nil || a.fence != msg.Fence {
		return // decided by a report already
	}
	m.giveUp(a, fmt.Sprintf("not sent: %v", msg.Why))
}

// neverCommitted: no monitor holds the attempt and none ever will. It may have ended and been forgotten by older records of ours: the outcomes
// that monitors keep tell (S15, S18).
func (m *Manager) neverCommitted(a *part) {
	if a.asked {
		return
	}
	a.asked = true
	id := a.payment.rec.ID
	m.lookup(messages.GetRows{Bucket: messages.BucketOutcomes, Key: id[:], Prefix: true}, func(rows []messages.Row, err error) {
		if m.payments[id] != a.payment || a.payment.queued || a.payment.parts[a.id] != a {
			return // decided meanwhile
		}
		known, err := decodeOutcomes(rows, err)
		switch {
		case err != nil:
			a.asked = false
			m.log.Error("outcomes unreadable; the payment waits", slog.String("payment_id", id.String()), slog.Any("error", err))
			m.stuck = append(m.stuck, func() { m.neverCommitted(a) })
		case len(known) > 0:
			m.committed(a.channel, partKey{id, a.id})
			a.payment.rec.Outcome = foldOutcomes(known)
			m.finish(a.payment) // acknowledged, so the user handled it
		default:
			m.giveUp(a, "the node restarted before the payment was committed to; nothing was sent")
		}
	})
}

// giveUp ends an attempt that was never committed. When it was the last one the payment has failed: durable before the user is told (rule 15).
func (m *Manager) giveUp(a *part, reason string) {
	p := a.payment
	m.committed(a.channel, partKey{p.rec.ID, a.id})
	delete(p.parts, a.id)
	if len(p.parts) > 0 || p.rec.Outcome != nil {
		return
	}
	p.rec.Outcome = &Outcome{Reason: text(reason)}
	w := Append{Records: []Record{PaymentOutcome{ID: p.rec.ID, Outcome: *p.rec.Outcome}}}
	if ev := m.enqueueOutcome(p); ev != nil {
		w.Then = []messages.Delivery{m.delivery(ev)}
	}
	m.write(w)
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
			PaymentID: p.rec.ID, Hash: p.rec.Hash, Preimage: *o.Preimage, AmountMsat: p.rec.AmountMsat,
		}, done)
	}
	return m.enqueue(failedID(p.rec.ID), messages.PaymentFailed{
		PaymentID: p.rec.ID, Hash: p.rec.Hash, AmountMsat: p.rec.AmountMsat, Reason: p.rec.Outcome.Reason,
	}, done)
}

// finish records that the outcome was handled, as a tombstone for ever, and then acknowledges the monitor events behind it (rule 24).
func (m *Manager) finish(p *payment) {
	for _, a := range p.parts {
		m.committed(a.channel, partKey{p.rec.ID, a.id})
	}
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

// row is the tombstone.
func (p *payment) row() messages.Row {
	return messages.Row{Bucket: messages.BucketPayments, Key: bytes.Clone(p.rec.ID[:]), Value: encodePayment(p.rec)}
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

func sortedKeys[T ~[32]byte, V any](m map[T]V) []T {
	out := slices.Collect(maps.Keys(m))
	sortIDs(out)
	return out
}
