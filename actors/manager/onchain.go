package manager

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// A channel that was closed on chain ends in three steps: its last outputs go to the wallet (SpendableOutputs), their sweep becomes irrevocable
// (OutputsSwept), and when nothing is left the monitor gives up its log (ChannelArchived).

// sweep hands outputs to the wallet. It holds them in memory only, so it is told with every report, and again when its actor has restarted: until
// the monitor says that they are irrevocably spent, the event is all that is durable of them.
func (m *Manager) sweep(id ln.EventID, k facts.SpendableOutputs) {
	m.sweeps[id] = k.Outputs
	m.tell(messages.FundsAddr, messages.SweepOutputs{Event: id, Outputs: k.Outputs})
}

// swept: the outputs of an event are irrevocably spent, so there is nothing more to remember them for.
func (m *Manager) swept(id ln.EventID) {
	delete(m.sweeps, id)
	m.ack(id)
	m.tell(messages.FundsAddr, messages.SweepDone{Event: id})
}

// resweep tells a new incarnation of the wallet's actor what is not swept.
func (m *Manager) resweep() {
	for _, id := range m.sortedSweeps() {
		m.tell(messages.FundsAddr, messages.SweepOutputs{Event: id, Outputs: m.sweeps[id]})
	}
}

func (m *Manager) sortedSweeps() []ln.EventID {
	return slices.SortedFunc(maps.Keys(m.sweeps), func(a, b ln.EventID) int {
		return cmp.Or(bytes.Compare(a.Channel[:], b.Channel[:]), cmp.Compare(a.Seq, b.Seq))
	})
}

// onArchived forgets a channel. It has no unacknowledged event and no live HTLC (S17): an attempt that still names it was never committed, or is
// among the outcomes that are kept.
func (m *Manager) onArchived(id ln.ChannelID) {
	m.archived[id] = true
	if c := m.channels[id]; c != nil {
		delete(m.channels, id)
		if !c.reported && !c.quarantined {
			m.waiting--
		}
		if c.quarantined {
			m.quarantined--
		}
		count(&m.doubtful, &c.doubtful, false)
		count(&m.withheld, &c.withheld, false)
		m.place(c, messages.ChannelSummary{Channel: id})
		m.countUnfunded(c.summary, -1)
		m.usable(c.summary.Peer, id, false)
		if m.settled {
			m.reconcile(id)
			m.touchChannel(id)
		}
		m.goOn(c)
		m.maybeSettle()
	}
	m.archivedForwards(id)
	m.reportResolved(id)
}

func resolvedID(id ln.ChannelID) string { return "channel-resolved/" + id.String() }

// reportResolved tells the user that a closed channel is archived. That ChannelClosed was handled is kept until this was handled too: with the row
// of the archive it is all that is needed to tell it again after a crash.
func (m *Manager) reportResolved(id ln.ChannelID) {
	switch {
	case !m.closed[id] || m.users[resolvedID(id)] != nil:
		return
	case m.cfg.DecodeClosed == nil:
		delete(m.closed, id)
		return
	}
	m.lookup(messages.GetRows{Bucket: messages.BucketClosed, Key: id[:]}, func(rows []messages.Row, err error) {
		if !m.closed[id] {
			return
		}
		var c messages.ClosedChannel
		if err == nil && len(rows) > 0 {
			c, err = m.cfg.DecodeClosed(rows[0])
		}
		switch {
		case err != nil:
			m.log.Error("archived channel unreadable; its end is not reported yet", slog.String("channel_id", id.String()), slog.Any("error", err))
			m.stuck = append(m.stuck, func() { m.reportResolved(id) })
		case len(rows) == 0:
			m.forgetClosed(id) // neither a log nor a row: somebody else removed it
		default:
			m.queue(resolvedID(id), messages.ChannelResolved{Closed: c}, func() { m.forgetClosed(id) })
		}
	})
}

func (m *Manager) forgetClosed(id ln.ChannelID) {
	delete(m.closed, id)
	m.write(Append{Records: []Record{ResolvedHandled{Channel: id}}})
}

func (m *Manager) onListClosed(msg messages.ListClosed) {
	if m.cfg.DecodeClosed == nil {
		m.tell(msg.ReplyTo, messages.ClosedList{Err: fmt.Errorf("%w: no reader for archived channels", ErrRecords)})
		return
	}
	limit := msg.Limit
	if limit <= 0 {
		limit = defaultList
	}
	q := messages.GetRows{Bucket: messages.BucketClosed, Prefix: true, After: msg.After, Limit: limit + 1}
	m.lookup(q, func(rows []messages.Row, err error) {
		out := messages.ClosedList{Err: err}
		if len(rows) > limit {
			rows = rows[:limit]
			out.Next = rows[limit-1].Key
		}
		for _, row := range rows {
			c, err := m.cfg.DecodeClosed(row)
			if err != nil {
				out.Err = err
				break
			}
			out.Channels = append(out.Channels, c)
		}
		m.tell(msg.ReplyTo, out)
	})
}

func lostID(id ln.PaymentID) string { return "payment-lost/" + id.String() }

// late: an HTLC was claimed whose failure was told. That takes a reorganisation deeper than what counts as irrevocable (S16). The user may have
// acted on PaymentFailed, so that stands (S5); that the money is gone is told besides, and kept in the payment's row.
//
// It is called when all monitors have reported, behind what follows from the failure.
func (m *Manager) late(id ln.EventID, ev facts.Claimed, p *payment) {
	o := p.rec.Outcome
	switch {
	case o == nil:
		m.sent(p, ev.Preimage, id) // other parts are live, so no failure of the payment was told
		return
	case o.Preimage != nil || o.Lost != nil:
		m.ackWith(p, id)
		return
	}
	m.atRisk(id.Channel, "a payment was claimed on chain after it had failed for good: a reorganisation deeper than 6 blocks; the money is gone",
		slog.String("payment_id", p.rec.ID.String()), slog.String("event_id", id.String()))
	if u := m.users[lostID(p.rec.ID)]; u != nil {
		before := u.handled
		u.handled = func() {
			before()
			m.ackWith(p, id)
		}
		return
	}
	m.queue(lostID(p.rec.ID), messages.PaymentLost{
		PaymentID: p.rec.ID, Hash: p.rec.Hash, Preimage: ev.Preimage, AmountMsat: ev.AmountMsat, Channel: id.Channel, HTLCID: ev.HTLCID,
	}, func() {
		p.rec.Outcome = &Outcome{Reason: o.Reason, Lost: &ev.Preimage}
		if m.payments[p.rec.ID] != p {
			m.write(Append{Rows: []messages.Row{p.row()}})
		} // else it is in the row that PaymentFailed makes
		m.ackWith(p, id)
	})
}

// ackWith acknowledges an event behind the row of its payment: the one that is to be written, or the one that is or may be on its way.
func (m *Manager) ackWith(p *payment, id ln.EventID) {
	if m.payments[p.rec.ID] == p {
		p.events = append(p.events, id)
		return
	}
	m.ackBehind(id)
}
