package manager

import (
	"fmt"
	"unicode/utf8"

	"github.com/btcsuite/btcd/btcec/v2"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// Bounds of what an invoice may ask for. An expiry further away than two weeks is a mistake or worse; no invoice's text is longer.
const (
	maxFinalCLTVDelta = 2016
	maxBolt11         = 8192
)

// onPay starts a payment, unless its id was ever used.
func (m *Manager) onPay(msg messages.Pay) {
	var err error
	switch {
	case m.payments[msg.PaymentID] != nil || m.starting[msg.PaymentID]:
		err = ErrPaymentIDUsed
	case len(m.payments)+len(m.starting) >= m.cfg.MaxPayments || len(m.users) >= m.cfg.MaxUnhandled:
		err = ErrBusy
	case msg.AmountMsat == 0:
		err = ErrAmount
	case msg.MinFinalCLTVDelta > maxFinalCLTVDelta:
		err = fmt.Errorf("%w: %d blocks to the final expiry", ErrInvoice, msg.MinFinalCLTVDelta)
	case len(msg.Bolt11) > maxBolt11 || !utf8.ValidString(msg.Bolt11):
		err = fmt.Errorf("%w: it is too long or no text", ErrInvoice)
	}
	if err != nil {
		m.answer(msg.ReplyTo, messages.PayReply{Err: err})
		return
	}
	m.starting[msg.PaymentID] = true
	m.used(msg.PaymentID, func(used bool, err error) {
		if err == nil && used {
			err = ErrPaymentIDUsed
		}
		if err != nil {
			m.notStarted(msg, err)
			return
		}
		m.startPayment(msg)
	})
}

// answer tells what memory knows behind all that was written before: a payment that is under way but not durable may still be lost with us, and
// whoever was told of it would wait for its outcome for ever (rule 14).
func (m *Manager) answer(to messages.Addr, msg any) {
	if to != "" {
		m.write(Append{Then: []messages.Delivery{{To: to, Msg: msg}}})
	}
}

func (m *Manager) notStarted(msg messages.Pay, err error) {
	delete(m.starting, msg.PaymentID)
	m.tell(msg.ReplyTo, messages.PayReply{Err: err})
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

func (m *Manager) startPayment(msg messages.Pay) {
	if m.payments[msg.PaymentID] != nil {
		m.notStarted(msg, ErrPaymentIDUsed) // a monitor that came back told of it meanwhile
		return
	}
	c, wait, err := m.choose(msg)
	if wait != nil && m.parked < maxParked {
		wait.later = append(wait.later, m.park(func() { m.startPayment(msg) }))
		return
	}
	if err != nil {
		m.notStarted(msg, err)
		return
	}
	add, err := m.add(msg)
	if err != nil {
		m.notStarted(msg, err)
		return
	}
	delete(m.starting, msg.PaymentID)
	add.Fence = c.fence
	id := c.summary.Channel
	p := &payment{
		durable: true,
		rec: PaymentRecord{
			ID: msg.PaymentID, Hash: msg.Hash, AmountMsat: msg.AmountMsat, Payee: msg.Payee, Bolt11: msg.Bolt11,
			Parts: []PartRecord{{ID: 0, Channel: id}},
		},
		parts: map[uint64]*part{},
	}
	m.payments[msg.PaymentID] = p
	m.attempt(p, 0, id, c.fence)
	// The payment is durable before its HTLC can be committed to and before the caller is told (rule 14).
	then := []messages.Delivery{{To: messages.ChannelAddr(id), Msg: add}}
	if msg.ReplyTo != "" {
		then = append(then, messages.Delivery{To: msg.ReplyTo, Msg: messages.PayReply{}})
	}
	m.write(Append{Records: []Record{PaymentStarted{Payment: p.rec}}, Then: then})
}

// choose takes the channel to the payee that has the most to send. If none will do, but one has just restarted, that one is to be waited for.
func (m *Manager) choose(msg messages.Pay) (best, wait *channel, err error) {
	var have uint64
	down := false
	for _, id := range m.byPeer[msg.Payee] {
		c := m.channels[id]
		if !c.reported {
			if wait == nil && !c.quarantined {
				wait = c
			}
			continue
		}
		if c.down {
			down = true
			continue
		}
		s := c.summary
		free := s.HolderMsat - min(s.HolderMsat, s.Reserves.HolderMsat)
		if best == nil || free > have {
			best, have = c, free
		}
	}
	switch {
	case best == nil && down:
		return nil, wait, fmt.Errorf("%w: the peer %s is not connected", ErrNoChannel, msg.Payee)
	case best == nil:
		return nil, wait, fmt.Errorf("%w (payee %s)", ErrNoChannel, msg.Payee)
	case have < msg.AmountMsat:
		return nil, wait, &BalanceError{Payee: msg.Payee, NeedMsat: msg.AmountMsat, HaveMsat: have}
	case msg.AmountMsat < best.summary.Reserves.HTLCMinimumMsat:
		return nil, wait, fmt.Errorf("%w: the peer takes no less than %d msat", ErrAmount, best.summary.Reserves.HTLCMinimumMsat)
	}
	return best, nil, nil
}

// add makes the HTLC of a payment's only part.
func (m *Manager) add(msg messages.Pay) (messages.AddHTLC, error) {
	payee, err := btcec.ParsePubKey(msg.Payee[:])
	if err != nil {
		return messages.AddHTLC{}, fmt.Errorf("payee: %w", err)
	}
	// The key derives from the payment, so it needs no record of its own; it is never used for another onion because the id is not.
	secret := m.cfg.Derive(fmt.Sprintf("lnactor/session/%s/%d", msg.PaymentID, 0))
	session, _ := btcec.PrivKeyFromBytes(secret[:])
	expiry := m.height + msg.MinFinalCLTVDelta + expirySlack
	packet, err := onion.Build(session, []onion.Hop{{
		PubKey: payee, AmountMsat: msg.AmountMsat, CLTVExpiry: expiry,
		PaymentSecret: msg.Secret, TotalMsat: msg.AmountMsat, Metadata: msg.Metadata,
	}}, msg.Hash)
	if err != nil {
		return messages.AddHTLC{}, err
	}
	return messages.AddHTLC{
		AmountMsat: msg.AmountMsat, Hash: msg.Hash, CLTVExpiry: expiry, Onion: packet[:],
		Source: ln.Source{Payment: &ln.PaymentSource{
			PaymentID: msg.PaymentID, SessionKey: secret, Path: []ln.NodeID{msg.Payee}, TotalMsat: msg.AmountMsat,
		}},
	}, nil
}

// onGetPayment looks under what is under way, then among the tombstones, then among the outcomes that monitors keep should those be lost.
func (m *Manager) onGetPayment(msg messages.GetPayment) {
	if p := m.payments[msg.PaymentID]; p != nil {
		m.answer(msg.ReplyTo, messages.PaymentReply{Known: true, Payment: m.info(p)})
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
		limit = 100
	}
	var out messages.PaymentList
	for _, p := range m.sortedPayments() {
		out.Payments = append(out.Payments, m.info(p))
	}
	m.lookup(messages.GetRows{Bucket: messages.BucketPayments, Prefix: true, Limit: limit}, func(rows []messages.Row, err error) {
		out.Err = err
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
	if p.loading {
		out.Status = messages.PaymentUnknown
	}
	if p.rec.Outcome == nil {
		for _, a := range p.parts {
			if c := m.channels[a.channel]; c != nil && (c.quarantined || c.summary.Unverified || c.summary.Behind) {
				out.Status = messages.PaymentUnknown
			}
		}
	}
	return out
}

func finished(r PaymentRecord) messages.PaymentInfo {
	out := messages.PaymentInfo{PaymentID: r.ID, Hash: r.Hash, AmountMsat: r.AmountMsat, Payee: r.Payee, Status: messages.PaymentPending}
	switch {
	case r.Outcome == nil:
	case r.Outcome.Preimage != nil:
		out.Status, out.Preimage = messages.PaymentIsSent, *r.Outcome.Preimage
	default:
		out.Status, out.Reason = messages.PaymentIsFailed, r.Outcome.Reason
		if r.Outcome.Lost != nil {
			out.Lost, out.Preimage = true, *r.Outcome.Lost
		}
	}
	return out
}
