package manager

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// Checks while it runs.

// checkAdd: the payment is durable before its HTLC can be committed to (rule 14).
func (w *world) checkAdd(m messages.AddHTLC) {
	if m.Source.Forward != nil {
		return
	}
	id := m.Source.Payment.PaymentID
	p, ok := w.disk.state().Payments[id]
	if !ok || !slices.ContainsFunc(p.Parts, func(r PartRecord) bool { return r.ID == m.Source.Payment.PartID }) {
		w.fatalf("htlc of payment %s asked for before its record is durable (rule 14)", id)
	}
}

// checkMade: no part is made when the payment's outcome was told (S5, S15), whatever was lost since.
func (w *world) checkMade(a Append) {
	for _, d := range a.Then {
		add, ok := d.Msg.(messages.AddHTLC)
		if !ok {
			continue
		}
		id := add.Source.Payment.PaymentID
		_, sent := w.user.seen[sentID(id)]
		_, failed := w.user.seen[failedID(id)]
		if sent || failed && !w.rolledBack {
			w.fatalf("payment %s: a part is made after its outcome was told (S5, S15)", id)
		}
	}
}

// checkInvoiceRow: the invoice's paid record is durable before the preimage leaves (rule 13).
func (w *world) checkInvoiceRow(c *simChannel, h *simIn) {
	b := w.disk.rows[messages.BucketInvoices][string(h.htlc.Hash[:])]
	if b == nil {
		w.fatalf("preimage given away before the invoice's record is durable (rule 13)")
	}
	if r := must(decodeInvoice(b)); r.Held || !slices.ContainsFunc(r.Parts, func(p InvoicePart) bool { return p.Channel == c.id && p.HTLCID == h.htlc.HTLCID }) {
		w.fatalf("the invoice's record names other htlcs (rule 13)")
	}
}

// checkAck: effect durable, then ack (S2, rule 24).
func (w *world) checkAck(c *simChannel, seq uint64) {
	k := c.events[seq]
	var src *ln.PaymentSource
	switch k := k.(type) {
	case nil:
		return // a repeat
	case facts.Claimed:
		if src = k.Source.Payment; src == nil {
			w.checkOnwardAck(k.Source.Forward, k)
			return
		}
	case facts.Failed:
		if src = k.Source.Payment; src == nil {
			w.checkOnwardAck(k.Source.Forward, k)
			return
		}
	case facts.HTLCAccepted:
		h := c.in[k.HTLCID]
		if h.onward {
			w.checkOnwardAccepted(c, k.HTLCID)
			return
		}
		if h.resolution == nil && !h.gone {
			w.fatalf("acceptance of an undecided htlc acknowledged (S2)")
		}
		if h.resolution.Fulfilled() && (!h.gone || !h.paid && !w.user.handled[fmt.Sprintf("claim-lost/%s/%d", c.id, k.HTLCID)]) {
			w.fatalf("acceptance of a claimed htlc acknowledged before its end was known, or before its loss was handled (S2)")
		}
		if h.resolution.Fulfilled() && !w.user.handled[listID(h.resolution.Parts)] {
			w.fatalf("acceptance acknowledged before PaymentClaimed was handled (S2)")
		}
		w.checkSetDurable(h)
		return
	case facts.CommitmentTxConfirmed, facts.HolderForceClosed:
		if !w.user.handled["channel-closed/"+c.id.String()] || !w.disk.state().Closed[c.id] {
			w.fatalf("close acknowledged before it was handled and recorded (S2)")
		}
		return
	case facts.SpendableOutputs:
		if !c.chain.swept[seq] {
			w.fatalf("outputs acknowledged before they were swept (S2)")
		}
		return
	case facts.ChannelReady:
		if !w.user.handled["channel-ready/"+c.id.String()] {
			w.fatalf("ready acknowledged before it was handled (S2)")
		}
		return
	}
	b := w.disk.rows[messages.BucketPayments][string(src.PaymentID[:])]
	if b == nil {
		w.fatalf("outcome of %s acknowledged before its record is durable (S2)", src.PaymentID)
	}
	rec := must(decodePayment(b))
	_, claimed := k.(facts.Claimed)
	if claimed && rec.Outcome.Preimage == nil && rec.Outcome.Lost != nil && w.user.handled[lostID(rec.ID)] {
		return
	}
	if rec.Outcome == nil || claimed && rec.Outcome.Preimage == nil {
		w.fatalf("outcome of %s acknowledged, but recorded is %+v (S5)", src.PaymentID, rec.Outcome)
	}
	if !w.user.handled[outcomeID(rec)] {
		w.fatalf("outcome of %s acknowledged before the user handled it (S2)", src.PaymentID)
	}
}

func outcomeID(r PaymentRecord) string {
	if r.Outcome.Preimage != nil {
		return sentID(r.ID)
	}
	return failedID(r.ID)
}

// checkTold: one outcome a payment, equal in all repeats (S5), and durable before it is told (rule 15).
func (w *world) checkTold(ev messages.UserEvent) {
	w.logf("user is told %s", ev.ID)
	switch k := ev.Kind.(type) {
	case messages.PaymentSent:
		if _, failed := w.user.seen[failedID(k.PaymentID)]; failed && !w.rolledBack {
			w.fatalf("payment %s is sent and failed (S5)", k.PaymentID)
		}
		if sha256.Sum256(k.Preimage[:]) != [32]byte(k.Hash) {
			w.fatalf("sent with a wrong preimage")
		}
	case messages.PaymentFailed:
		if _, sent := w.user.seen[sentID(k.PaymentID)]; sent && !(w.rolledBack && w.late[k.PaymentID]) {
			w.fatalf("payment %s is failed and sent (S5)", k.PaymentID)
		}
		if w.liveSomewhere(k.PaymentID) {
			w.fatalf("payment %s failed while it may be claimed (S3, S6)", k.PaymentID)
		}
		w.checkFailureDurable(k.PaymentID)
	case messages.PaymentClaimed:
		w.checkClaimed(ev.ID, k)
	case messages.PaymentLost:
		if !w.late[k.PaymentID] {
			w.fatalf("payment %s was not claimed late", k.PaymentID)
		}
	case messages.ChannelResolved:
		if c := w.byAddr[messages.MonitorAddr(k.Closed.Channel)]; !c.chain.archived || k.Closed.SweptSat != c.last {
			w.fatalf("%s is resolved before it is archived, or not as its row says", c.id)
		}
	}
	if _, insight := ev.Kind.(messages.HTLCHandlingFailed); insight {
		w.user.seen[ev.ID] = ev
		return // what it knows depends on what was restarted
	}
	if old, ok := w.user.seen[ev.ID]; ok && !reflect.DeepEqual(old, ev) && !w.rolledBack {
		w.fatalf("a repeat differs: %+v, then %+v (S5)", old, ev)
	}
	w.user.seen[ev.ID] = ev
}

func (w *world) liveSomewhere(id ln.PaymentID) bool {
	for _, c := range w.channels {
		for _, h := range c.own {
			if p := h.add.Source.Payment; p != nil && p.PaymentID == id {
				return true
			}
		}
		for _, a := range c.queue {
			if p := a.Source.Payment; p != nil && p.PaymentID == id {
				return true
			}
		}
	}
	return false
}

func (w *world) checkFailureDurable(id ln.PaymentID) {
	if p, ok := w.disk.state().Payments[id]; ok && p.Outcome != nil {
		return
	}
	if _, ok := w.disk.rows[messages.BucketPayments][string(id[:])]; ok {
		return
	}
	for _, c := range w.channels {
		for _, k := range c.events {
			if f, ok := k.(facts.Failed); ok && f.Source.Payment != nil && f.Source.Payment.PaymentID == id {
				return
			}
		}
	}
	w.fatalf("failure of %s told, but nothing durable says so (S3, rule 15)", id)
}
