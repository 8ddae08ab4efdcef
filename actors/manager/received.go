package manager

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// What was received is listed from rows of their own, the newest first. Each is written and deleted in the append of the invoice's row, so it costs
// no sync, and a list reads as many rows as it shows.

const (
	defaultList = 100
	receivedKey = 8 + len(ln.Hash{})
)

// invoiceRows are the rows of a set that is complete.
func (m *Manager) invoiceRows(s *set, held bool) []messages.Row {
	if s.at.IsZero() {
		s.at = m.now
	}
	rec := InvoiceRecord{Parts: s.list, Held: held, Records: s.records, At: s.at}
	if !held {
		rec.Preimage = s.preimage
	}
	return rowsOf(s.hash, rec)
}

func rowsOf(hash ln.Hash, rec InvoiceRecord) []messages.Row {
	return []messages.Row{
		{Bucket: messages.BucketInvoices, Key: bytes.Clone(hash[:]), Value: encodeInvoice(rec)},
		{Bucket: messages.BucketReceived, Key: listKey(hash, rec.At), Value: encodeReceived(rec)},
	}
}

// noRows let the hash be paid by others.
func (s *set) noRows() []messages.Row {
	rows := []messages.Row{{Bucket: messages.BucketInvoices, Key: bytes.Clone(s.hash[:])}}
	if !s.at.IsZero() {
		rows = append(rows, messages.Row{Bucket: messages.BucketReceived, Key: listKey(s.hash, s.at)})
	}
	return rows
}

// listKey sorts the newest first.
func listKey(hash ln.Hash, at time.Time) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, receivedKey), ^uint64(at.UnixNano())), hash[:]...) //nolint:gosec // after 1970
}

func receivedState(held, cancelled bool) messages.ReceivedState {
	switch {
	case cancelled:
		return messages.InvoiceCancelled
	case held:
		return messages.ReceivedHeld
	}
	return messages.ReceivedClaimed
}

func (m *Manager) onListReceived(msg messages.ListReceived) {
	limit := msg.Limit
	if limit <= 0 {
		limit = defaultList
	}
	q := messages.GetRows{Bucket: messages.BucketReceived, Prefix: true, After: msg.After, Limit: limit + 1}
	m.lookup(q, func(rows []messages.Row, err error) {
		out := messages.ReceivedList{Err: err}
		if len(rows) > limit {
			rows = rows[:limit]
			out.Next = rows[limit-1].Key
		}
		for _, row := range rows {
			r, err := decodeReceived(row)
			if err != nil {
				out.Err = err
				break
			}
			m.addDeadline(&r)
			out.Payments = append(out.Payments, r)
		}
		m.tell(msg.ReplyTo, out)
	})
}

func (m *Manager) onGetReceived(msg messages.GetReceived) {
	m.lookup(messages.GetRows{Bucket: messages.BucketInvoices, Key: msg.Hash[:]}, func(rows []messages.Row, err error) {
		var rec InvoiceRecord
		if err == nil && len(rows) > 0 {
			rec, err = decodeInvoice(rows[0].Value)
		}
		out := messages.ReceivedReply{Err: err, Known: err == nil && len(rows) > 0}
		if out.Known {
			out.Payment = messages.Received{Hash: msg.Hash, State: receivedState(rec.Held, rec.Cancelled), Parts: len(rec.Parts), At: rec.At}
			for _, p := range rec.Parts {
				out.Payment.AmountMsat += p.AmountMsat
			}
			m.addDeadline(&out.Payment)
		}
		m.tell(msg.ReplyTo, out)
	})
}

// addDeadline says until when a payment is held, which follows from its HTLCs and is in no row.
func (m *Manager) addDeadline(r *messages.Received) {
	if s := m.sets[r.Hash]; s != nil && s.phase == held && r.State == messages.ReceivedHeld {
		r.Deadline = s.deadline
	}
}

// onCancel refuses all payments of a hash from now on. What is decided stays decided; parts that wait for others are failed. The answer and the
// failures are behind the row, so whoever heard of either finds it cancelled after a crash.
func (m *Manager) onCancel(msg messages.CancelInvoice) {
	m.withSet(msg.Hash, func(s *set) {
		switch s.phase {
		case held:
			m.tell(msg.ReplyTo, messages.CancelReply{Err: fmt.Errorf("%w: %s", ErrInvoiceHeld, msg.Hash)})
			return
		case claimed:
			m.tell(msg.ReplyTo, messages.CancelReply{Err: fmt.Errorf("%w: %s", ErrInvoicePaid, msg.Hash)})
			return
		case gathering, failed, cancelled:
		}
		a := Append{Then: []messages.Delivery{{To: msg.ReplyTo, Msg: messages.CancelReply{}}}}
		if s.phase != cancelled {
			at := s.at // of a row that a restored backup brought back
			if at.IsZero() {
				at = m.now
			}
			a.Rows = rowsOf(s.hash, InvoiceRecord{Cancelled: true, At: at})
			for _, h := range s.parts {
				if !h.decided {
					a.Then = append(a.Then, m.decision(h, m.failure(h, m.unknownPayment(h))))
				}
				h.set = nil
			}
			s.calm()
			parts := s.parts
			s.phase, s.parts, s.row, s.at = cancelled, nil, true, at
			for _, h := range parts {
				if h.decided {
					m.done(h) // gone on chain
				}
			}
		}
		m.write(a)
	})
}
