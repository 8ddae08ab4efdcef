package manager

import (
	"crypto/sha256"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
	"github.com/lnactor/lnactor/messages"
)

// Bounds of what an invoice may ask for. An expiry further away than two weeks is a mistake or worse; no invoice's text is longer.
const (
	maxFinalCLTVDelta = 2016
	maxBolt11         = 8192
)

// What a call leaves open.
const (
	defaultParts = 16
	defaultTime  = time.Minute
	longestTime  = 24 * time.Hour
)

// onPay starts a payment, unless its id was ever used.
func (m *Manager) onPay(msg messages.Pay) {
	var err error
	switch {
	case m.payments[msg.PaymentID] != nil:
		err = ErrPaymentIDUsed
	case m.starting[msg.PaymentID] != nil:
		m.waitForStart(m.starting[msg.PaymentID], msg)
		return
	case len(m.payments)+len(m.starting) >= m.cfg.MaxPayments || m.overloaded():
		err = ErrBusy
	case msg.AmountMsat == 0:
		err = ErrAmount
	case msg.MinFinalCLTVDelta > maxFinalCLTVDelta:
		err = fmt.Errorf("%w: %d blocks to the final expiry", ErrInvoice, msg.MinFinalCLTVDelta)
	case len(msg.Bolt11) > maxBolt11 || !utf8.ValidString(msg.Bolt11):
		err = fmt.Errorf("%w: it is too long or no text", ErrInvoice)
	case msg.Keysend != nil && ln.Hash(sha256.Sum256(msg.Keysend[:])) != msg.Hash:
		err = fmt.Errorf("%w: the preimage is not the hash's", ErrInvoice)
	}
	if err != nil {
		m.answer(msg.ReplyTo, messages.PayReply{Err: err})
		return
	}
	p := &payment{
		rec: PaymentRecord{
			ID: msg.PaymentID, Hash: msg.Hash, AmountMsat: msg.AmountMsat, Payee: msg.Payee, Bolt11: msg.Bolt11, Terms: m.termsOf(&msg),
		},
		parts: map[uint64]*part{}, starting: true, reply: msg.ReplyTo,
	}
	m.starting[msg.PaymentID] = p
	m.used(msg.PaymentID, func(used bool, err error) {
		if err == nil && used {
			err = ErrPaymentIDUsed
		}
		if err != nil {
			m.notStarted(p, err)
			return
		}
		m.startPayment(p)
	})
}

// termsOf a call are those it asks for, bounded.
func (m *Manager) termsOf(msg *messages.Pay) *Terms {
	t := &Terms{
		Secret: msg.Secret, Metadata: msg.Metadata, MinFinalCLTVDelta: msg.MinFinalCLTVDelta, Hints: msg.Hints, Keysend: msg.Keysend,
		MaxFeeMsat: msg.MaxFeeMsat, MaxParts: 1, Deadline: msg.Deadline,
	}
	if msg.MPP {
		t.MaxParts = msg.MaxParts
		if t.MaxParts <= 0 {
			t.MaxParts = defaultParts
		}
		t.MaxParts = min(t.MaxParts, maxAttempts)
	}
	if last := m.now.Add(longestTime); t.Deadline.After(last) {
		t.Deadline = last
	}
	return t
}

// answer tells what memory knows behind all that was written before: a payment that is under way but not durable may still be lost with us, and
// whoever was told of it would wait for its outcome for ever (rule 14).
func (m *Manager) answer(to messages.Addr, msg any) {
	if to != "" {
		m.write(Append{Then: []messages.Delivery{{To: to, Msg: msg}}})
	}
}

func (m *Manager) notStarted(p *payment, err error) {
	if m.starting[p.rec.ID] != p {
		return // abandoned
	}
	m.stopSearch(p)
	m.noLongerStarting(p)
	m.tell(p.reply, messages.PayReply{Err: err})
	m.answerEarly(p, err)
}

func (m *Manager) noLongerStarting(p *payment) {
	p.due.stop()
	delete(m.starting, p.rec.ID)
}

// maxEarly calls about one payment wait until it is durable or refused. Whoever waits for long asks again, so the oldest gives way.
const maxEarly = 32

// waitForStart keeps a call about a payment that is neither durable nor refused. No answer would be true: it may be lost with us, and it may be paid.
func (m *Manager) waitForStart(p *payment, msg any) {
	if len(p.early) == maxEarly {
		for _, d := range refusal(p.early[0], ErrBusy) {
			m.tell(d.To, d.Msg)
		}
		p.early = p.early[1:]
	}
	p.early = append(p.early, msg)
}

// answerEarly answers them. Another call to pay it is told why it was refused, and may be repeated: the id is unused.
func (m *Manager) answerEarly(p *payment, refused error) {
	early := p.early
	p.early = nil
	for _, msg := range early {
		switch msg := msg.(type) {
		case messages.Pay:
			err := refused
			if err == nil {
				err = ErrPaymentIDUsed
			}
			m.answer(msg.ReplyTo, messages.PayReply{Err: err})
		case messages.GetPayment:
			m.onGetPayment(msg)
		}
	}
}

// used looks a payment id up among the tombstones, and among the outcomes that monitors keep should the tombstones be lost (S15, S18).
func (m *Manager) used(id ln.PaymentID, then func(bool, error)) {
	m.lookup(messages.GetRows{Bucket: messages.BucketPayments, Key: id[:]}, func(rows []messages.Row, err error) {
		if err != nil || len(rows) > 0 {
			then(len(rows) > 0, err)
			return
		}
		m.lookup(messages.GetRows{Bucket: messages.BucketOutcomes, Key: id[:], Prefix: true, Limit: 1}, func(rows []messages.Row, err error) {
			then(len(rows) > 0, err)
		})
	})
}

// startPayment looks for the first routes.
func (m *Manager) startPayment(p *payment) {
	switch {
	case m.starting[p.rec.ID] != p: // abandoned
	case m.payments[p.rec.ID] != nil:
		m.notStarted(p, ErrPaymentIDUsed) // a monitor that came back told of it meanwhile
	case m.self == p.rec.Payee:
		m.notStarted(p, route.ErrSelf)
	case m.overdue(p):
		m.notStarted(p, ErrDeadline)
	default:
		if p.due == nil {
			p.due = m.after(p.rec.Terms.Deadline.Sub(m.now)+1, func() { m.notStarted(p, ErrDeadline) })
		}
		m.find(p, p.rec.AmountMsat)
	}
}

// overdue tells that it is too late to begin a payment: whoever asked for it may have been told that there was no answer, and have paid otherwise. One
// that is given no time at all may have its first attempt at once.
func (m *Manager) overdue(p *payment) bool { return m.now.After(p.rec.Terms.Deadline) }

// onGetPayment looks under what is under way, then among the tombstones, then among the outcomes that monitors keep should those be lost.
func (m *Manager) onGetPayment(msg messages.GetPayment) {
	if p := m.payments[msg.PaymentID]; p != nil {
		m.answer(msg.ReplyTo, messages.PaymentReply{Known: true, Payment: m.info(p)})
		return
	}
	if p := m.starting[msg.PaymentID]; p != nil {
		m.waitForStart(p, msg)
		return
	}
	id := msg.PaymentID
	m.lookup(messages.GetRows{Bucket: messages.BucketPayments, Key: id[:]}, func(rows []messages.Row, err error) {
		if err != nil {
			m.tell(msg.ReplyTo, messages.PaymentReply{Err: err})
			return
		}
		if len(rows) > 0 {
			rec, err := decodePayment(rows[0].Value)
			m.tell(msg.ReplyTo, messages.PaymentReply{Known: err == nil, Payment: finished(rec), Err: err})
			return
		}
		m.lookup(messages.GetRows{Bucket: messages.BucketOutcomes, Key: id[:], Prefix: true}, func(rows []messages.Row, err error) {
			known, err := decodeOutcomes(rows, err)
			if err != nil || len(known) == 0 {
				m.tell(msg.ReplyTo, messages.PaymentReply{Err: err})
				return
			}
			rec := PaymentRecord{ID: id, Hash: known[0].hash, AmountMsat: known[0].totalMsat, Outcome: foldOutcomes(known)}
			m.tell(msg.ReplyTo, messages.PaymentReply{Known: true, Payment: finished(rec)})
		})
	})
}

func (m *Manager) onListPayments(msg messages.ListPayments) {
	limit := msg.Limit
	if limit <= 0 {
		limit = defaultList
	}
	var out messages.PaymentList
	if len(msg.After) == 0 {
		for _, p := range m.sortedPayments() {
			out.Payments = append(out.Payments, m.info(p))
		}
	}
	q := messages.GetRows{Bucket: messages.BucketPayments, Prefix: true, After: msg.After, Limit: limit + 1}
	m.lookup(q, func(rows []messages.Row, err error) {
		out.Err = err
		if len(rows) > limit {
			rows = rows[:limit]
			out.Next = rows[limit-1].Key
		}
		for _, row := range rows {
			rec, err := decodePayment(row.Value)
			if err != nil {
				out.Err = err
				break
			}
			out.Payments = append(out.Payments, finished(rec))
		}
		m.answer(msg.ReplyTo, out)
	})
}

func (m *Manager) info(p *payment) messages.PaymentInfo {
	out := finished(p.rec)
	out.FeeMsat = p.feeMsat()
	if o := p.rec.Outcome; o != nil {
		out.FeeMsat = o.FeeMsat
	}
	if p.loading {
		out.Status = messages.PaymentUnknown
	}
	if p.rec.Outcome == nil {
		for _, a := range p.parts {
			if c := m.channels[a.channel]; a.unknown || c != nil && (c.quarantined || c.summary.Unverified || c.summary.Behind) {
				out.Status = messages.PaymentUnknown
			}
			if m.lost(a) {
				out.Reason = unknownPart
			}
		}
	}
	return out
}

func finished(r PaymentRecord) messages.PaymentInfo {
	out := messages.PaymentInfo{PaymentID: r.ID, Hash: r.Hash, AmountMsat: r.AmountMsat, Payee: r.Payee, Status: messages.PaymentPending}
	out.Abandoned = r.Abandoned
	if t := r.Terms; t != nil {
		out.MaxFeeMsat, out.Deadline = t.MaxFeeMsat, t.Deadline
	}
	for _, p := range r.Parts {
		out.Parts = append(out.Parts, messages.OutboundPart(p))
	}
	switch {
	case r.Outcome == nil:
	case r.Outcome.Preimage != nil:
		out.Status, out.Preimage, out.FeeMsat = messages.PaymentIsSent, *r.Outcome.Preimage, r.Outcome.FeeMsat
	default:
		out.Status, out.Reason, out.Unproven = messages.PaymentIsFailed, r.Outcome.Reason, r.Outcome.Unproven
		if r.Outcome.Lost != nil {
			out.Lost, out.Preimage = true, *r.Outcome.Lost
		}
	}
	return out
}
