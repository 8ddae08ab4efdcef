package manager

import (
	"github.com/lnactor/lnactor/messages"
)

// maxParked bounds the requests that wait for something: callers beyond it are refused.
const maxParked = 4096

// request handles what the API or a peer asks for. It waits until every monitor has reported: an answer from half of the channels would be wrong
// (a payment id that one of them knows, S15), and an opening could spend coins that a monitor has yet to reserve.
func (m *Manager) request(msg any) {
	var f func()
	switch msg := msg.(type) {
	case messages.Pay:
		if msg.Deadline.IsZero() {
			msg.Deadline = m.now.Add(defaultTime) // however long it waits here
		}
		f = func() { m.onPay(msg) }
	case messages.AbandonPayment:
		f = func() { m.onAbandon(msg) }
	case messages.GetPayment:
		f = func() { m.onGetPayment(msg) }
	case messages.ListPayments:
		f = func() { m.onListPayments(msg) }
	case messages.ClaimHeld:
		f = func() { m.onClaimHeld(msg) }
	case messages.CancelInvoice:
		f = func() { m.onCancel(msg) }
	case messages.GetReceived:
		f = func() { m.onGetReceived(msg) }
	case messages.ListReceived:
		f = func() { m.onListReceived(msg) }
	case messages.DecideIntercepted:
		f = func() { m.onIntercepted(msg) }
	case messages.RequestOpen:
		f = func() { m.onRequestOpen(msg) }
	case messages.InboundOpen:
		f = func() { m.onInboundOpen(msg) }
	case messages.ListChannels:
		m.onListChannels(msg)
		return
	case messages.ListClosed:
		m.onListClosed(msg)
		return
	case messages.AwaitReady:
		m.onAwaitReady(msg)
		return
	default:
		return
	}
	switch {
	case m.settled:
		f()
	case m.parked >= maxParked:
		for _, d := range refusal(msg, ErrStarting) {
			m.tell(d.To, d.Msg)
		}
	default:
		m.requests = append(m.requests, m.park(f))
	}
}

// park counts a request that waits.
func (m *Manager) park(f func()) func() {
	m.parked++
	return func() {
		m.parked--
		f()
	}
}

// isRequest tells what comes from outside and never comes again by itself.
func isRequest(msg any) bool {
	switch msg.(type) {
	case messages.Pay, messages.AbandonPayment, messages.GetPayment, messages.ListPayments, messages.ClaimHeld, messages.DecideIntercepted, messages.RequestOpen, messages.InboundOpen,
		messages.CancelInvoice, messages.GetReceived, messages.ListReceived, messages.ListChannels, messages.ListClosed, messages.AwaitReady:
		return true
	}
	return false
}

// refusal answers a request with an error.
func refusal(msg any, err error) []messages.Delivery {
	var d messages.Delivery
	switch msg := msg.(type) {
	case messages.Pay:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.PayReply{Err: err}}
	case messages.AbandonPayment:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.AbandonReply{Err: err}}
	case messages.GetPayment:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.PaymentReply{Err: err}}
	case messages.ListPayments:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.PaymentList{Err: err}}
	case messages.ListClosed:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.ClosedList{Err: err}}
	case messages.ClaimHeld:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.ClaimReply{Err: err}}
	case messages.CancelInvoice:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.CancelReply{Err: err}}
	case messages.GetReceived:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.ReceivedReply{Err: err}}
	case messages.ListReceived:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.ReceivedList{Err: err}}
	case messages.DecideIntercepted:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.InterceptReply{Err: err}}
	case messages.RequestOpen:
		d = messages.Delivery{To: msg.ReplyTo, Msg: messages.OpenReply{Err: err}}
	case messages.InboundOpen:
		d = refuseOpen(msg, err)
	}
	if d.To == "" {
		return nil
	}
	return []messages.Delivery{d}
}
