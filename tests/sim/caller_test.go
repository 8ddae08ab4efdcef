package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/actors/manager"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// payment is what a caller wants paid. It asks until it has an answer, whatever crashes.
type payment struct {
	w        *world
	from, to *node
	msg      messages.Pay
	good     bool // nothing is wrong with it, so it may be claimed

	attempts int
	accepted bool // durable, says the node: an outcome must come
	maybe    bool // the id is used, says the node, perhaps by an earlier attempt: it is asked where the payment stands
	refused  error
	firm     bool // made after all records were lost
	raw      bool // sent past the manager

	abandoned bool // says the node
}

// kinds of payments.
const (
	payGood = iota
	payDust
	payWrongSecret
	payWrongHash
	payExpired
	payTooLittle
	payTooMuch
	payTwice  // an invoice that another payment pays as well
	paySameID // an id that another payment has as well
	payKinds
)

func (w *world) iv(n int) (iv [16]byte) {
	binary.BigEndian.PutUint64(iv[:], w.seed+1)
	binary.BigEndian.PutUint64(iv[8:], uint64(n)+1)
	return iv
}

func paymentID(n int) (id ln.PaymentID) {
	binary.BigEndian.PutUint32(id[:], uint32(n)+1)
	id[31] = 1
	return id
}

// newPayment makes a payment and its invoice, in a world of two nodes.
func (w *world) newPayment(from int, amountMsat uint64, kind int) *payment {
	return w.newPaymentTo(from, 1-from, amountMsat, kind)
}

// newPaymentTo makes a payment from one node to another.
func (w *world) newPaymentTo(from, to int, amountMsat uint64, kind int) *payment {
	p := &payment{w: w, from: w.nodes[from], to: w.nodes[to], good: true}
	w.payments = append(w.payments, p)
	number := len(w.payments) - 1
	if kind == payTwice || kind == paySameID {
		if other := w.otherPayment(p); other == nil {
			kind = payGood
		} else if kind == payTwice {
			p.msg = other.msg
			p.msg.PaymentID = paymentID(number)
			p.good, p.to = other.good, other.to
			return p
		}
	}
	params := invoice.Params{
		AmountMsat: amountMsat, Now: w.sim.Now(), IV: w.iv(number), Signer: p.to.invoicer, Chain: regtest.Params(),
		MinFinalCLTVDelta: uint16(w.finalDelta()),
	}
	switch kind {
	case payExpired:
		params.Now = w.begin.Add(-3 * time.Hour)
		p.good = false
	case payTooLittle:
		params.AmountMsat = amountMsat * 3
		p.good = false
	}
	inv, err := invoice.New(p.to.invoices, params)
	if err != nil {
		panic(err)
	}
	p.msg = messages.Pay{
		PaymentID: paymentID(number), Hash: inv.Hash, AmountMsat: amountMsat, Payee: p.to.id, Secret: inv.Secret,
		MinFinalCLTVDelta: w.finalDelta(), Bolt11: inv.Bolt11,
	}
	switch kind {
	case payWrongSecret:
		p.msg.Secret[0] ^= 1
		p.good = false
	case payWrongHash:
		p.msg.Hash[0] ^= 1
		p.good = false
	case paySameID:
		p.msg.PaymentID = w.otherPayment(p).msg.PaymentID
	}
	return p
}

// otherPayment is an earlier payment of the same node.
func (w *world) otherPayment(p *payment) *payment {
	for _, o := range w.payments {
		if o != p && o.from == p.from && !o.raw {
			return o
		}
	}
	return nil
}

// ask asks the node to pay, and asks again until it answers.
func (p *payment) ask() {
	if p.answered() {
		return
	}
	if p.attempts > 0 && p.outcome() != nil {
		p.accepted = true // the answer was lost, but the user has heard of it
		return
	}
	p.attempts++
	w := p.w
	probe := w.sim.Probe(fmt.Sprintf("pay/%d/%d", w.indexOf(p), p.attempts))
	probe.On = func(msg any) {
		switch m := msg.(type) {
		case messages.PayReply:
			p.answer(m.Err)
		case messages.PaymentReply:
			p.maybe = false
			if m.Known {
				p.accepted = true
			}
		}
	}
	if p.maybe {
		probe.Send(p.from.name, messages.ManagerAddr, messages.GetPayment{PaymentID: p.msg.PaymentID, ReplyTo: probe.Addr()})
	} else {
		msg := p.msg
		msg.ReplyTo = probe.Addr()
		probe.Send(p.from.name, messages.ManagerAddr, msg)
	}
	w.sim.After(300*time.Millisecond, "ask again", p.ask)
}

func (w *world) indexOf(p *payment) int {
	for i, o := range w.payments {
		if o == p {
			return i
		}
	}
	return -1
}

func (p *payment) answered() bool { return p.accepted || p.refused != nil }

func (p *payment) answer(err error) {
	switch {
	case err == nil:
		p.accepted, p.maybe, p.refused = true, false, nil
	case p.accepted || p.refused != nil:
	case errors.Is(err, manager.ErrPaymentIDUsed):
		p.maybe = true
	default:
		p.refused = err
	}
}

// open says why the payment is not at its end, empty if it is (L1).
func (p *payment) open() string {
	switch {
	case p.raw && p.from.restore != nil:
		return ""
	case p.raw:
		if _, committed := p.from.parts[p.msg.PaymentID]; committed && p.outcome() == nil {
			return fmt.Sprintf("raw payment %s of %s has no outcome", p.msg.PaymentID, p.from.name)
		}
		return ""
	case !p.answered():
		return fmt.Sprintf("payment %s was not answered", p.msg.PaymentID)
	case !p.accepted:
		return ""
	case p.outcome() != nil:
		return ""
	case p.mayVanish(), p.from.restore != nil && !p.firm: // the backup may not know of it
		return ""
	}
	return fmt.Sprintf("payment %s of %s has no outcome", p.msg.PaymentID, p.from.name)
}

// mayVanish: the manager's records were lost before the payment was in any commitment. Nobody knows of it, and nothing was paid.
func (p *payment) mayVanish() bool {
	_, committed := p.from.parts[p.msg.PaymentID]
	return p.from.lossy && !committed && !p.firm
}

// outcome is the user event that ended the payment, nil if there is none.
func (p *payment) outcome() messages.UserEventKind {
	if ev, ok := p.from.user.seen[sentID(p.msg.PaymentID)]; ok {
		return ev.Kind
	}
	if ev, ok := p.from.user.seen[failedID(p.msg.PaymentID)]; ok {
		return ev.Kind
	}
	return nil
}

func sentID(id ln.PaymentID) string   { return "payment-sent/" + id.String() }
func failedID(id ln.PaymentID) string { return "payment-failed/" + id.String() }

// forwardedID is that of PaymentForwarded, by the inbound HTLC.
func forwardedID(channel ln.ChannelID, htlc uint64) string {
	return fmt.Sprintf("payment-forwarded/%s/%d", channel, htlc)
}
