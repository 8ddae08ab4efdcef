package manager

import (
	"fmt"
	"time"

	"github.com/lnactor/lnactor/messages"
)

const (
	// maxAttempts bounds the parts of a payment, those that failed included.
	maxAttempts = 64
	// A payment waits between two searches while an own channel may come back.
	firstPause = 250 * time.Millisecond
	lastPause  = 5 * time.Second
)

// lookAt has a payment looked at when all that the step's message says is known.
func (m *Manager) lookAt(p *payment) {
	if !p.touched && !p.starting {
		p.touched = true
		m.touched = append(m.touched, p)
	}
}

// advanceTouched is the end of each step.
func (m *Manager) advanceTouched() {
	for m.settled && len(m.touched) > 0 {
		p := m.touched[0]
		m.touched = m.touched[1:]
		p.touched = false
		m.advance(p)
		if p.checking {
			continue // and touched again
		}
		behind := p.behind
		p.behind = nil
		for _, f := range behind {
			f()
		}
	}
}

// advance makes the parts that are missing, or ends the payment if none will be made and none is left. Nothing is done while a monitor with a part
// is quarantined: it may have been claimed (S6), and then no other part must be made (S15).
func (m *Manager) advance(p *payment) {
	missing := p.missing()
	switch {
	case m.payments[p.rec.ID] != p || p.loading || p.rec.Outcome != nil || p.checking || missing == 0 && len(p.parts) > 0:
		return
	case m.over(p) != "" && len(p.parts) > 0, m.unseen(p):
		return
	case !p.checked:
		m.check(p)
		return
	}
	over := m.over(p)
	switch {
	case over != "":
		m.giveUpOn(p, over)
	case p.search != nil || p.pause != nil:
	case p.blocked == "":
		m.find(p, missing)
	case m.mayPass(p):
		m.wait(p)
	case len(p.parts) == 0:
		m.giveUpOn(p, p.why("no other route: "+p.blocked))
	default:
		p.blocked = "" // the next part that fails makes another search worth while
	}
}

// over says why no part will be made any more, empty if some may be.
func (m *Manager) over(p *payment) string {
	switch {
	case p.rec.Terms == nil || p.stray:
		return p.why("") // only the monitors know it, or know more than we do
	case p.hopeless != "":
		return p.hopeless
	case p.rec.Abandoned:
		return p.why("abandoned")
	case p.next >= maxAttempts:
		return p.why(fmt.Sprintf("given up after %d attempts", p.next))
	case !m.now.Before(p.rec.Terms.Deadline):
		return p.why("no attempt succeeded in time")
	}
	return ""
}

// why adds what the newest part failed of.
func (p *payment) why(what string) string {
	switch {
	case what == "" && p.last == "":
		return "it failed; the reason is in records that were lost"
	case what == "":
		return p.last
	case p.last == "":
		return what
	}
	return p.last + "; " + what
}

// unseen tells that a part is where nobody can see it: in a quarantined monitor, or in one restored from a copy that may be old.
func (m *Manager) unseen(p *payment) bool {
	for _, a := range p.parts {
		if c := m.channels[a.channel]; c != nil && (c.quarantined || c.summary.Unverified || c.summary.Behind) {
			return true
		}
	}
	return false
}

// mayPass tells that there was no route for a reason of our own that may pass: a channel whose peer is away, that has just restarted, or that did not
// take a part. What a failed part gives back to its channel is told a moment later than its failure, so the first time it may always pass.
func (m *Manager) mayPass(p *payment) bool {
	if p.pauses == 0 || len(p.refused) > 0 || m.waiting > 0 {
		return true
	}
	for _, c := range m.channels {
		if c.down && c.reported && c.summary.Phase == messages.PhaseOpen {
			return true
		}
	}
	return false
}

// wait searches again after a while, at the deadline at the latest.
func (m *Manager) wait(p *payment) {
	d := min(firstPause<<min(p.pauses, 10), lastPause, max(p.rec.Terms.Deadline.Sub(m.now), 0))
	p.pauses++
	p.pause = m.after(d, func() {
		p.pause, p.blocked = nil, ""
		p.unlimit(m.self)
		m.lookAt(p)
	})
}

// onAbandon stops the retries.
func (m *Manager) onAbandon(msg messages.AbandonPayment) {
	id := msg.PaymentID
	if p := m.starting[id]; p != nil {
		m.stopSearch(p)
		m.notStarted(p, ErrAbandoned)
		m.answer(msg.ReplyTo, messages.AbandonReply{})
		return
	}
	p := m.payments[id]
	switch {
	case p == nil:
		m.used(id, func(used bool, err error) {
			if err == nil {
				err = ErrNoPayment
				if used {
					err = ErrPaymentOver
				}
			}
			m.tell(msg.ReplyTo, messages.AbandonReply{Err: fmt.Errorf("payment %s: %w", id, err)})
		})
	case p.rec.Outcome != nil:
		m.answer(msg.ReplyTo, messages.AbandonReply{Err: fmt.Errorf("payment %s: %w", id, ErrPaymentOver)})
	case p.rec.Abandoned || !p.durable:
		p.rec.Abandoned = true // one that only monitors know has no new parts anyway
		m.answer(msg.ReplyTo, messages.AbandonReply{})
	default:
		p.rec.Abandoned = true
		m.stopSearch(p)
		w := Append{Records: []Record{PaymentAbandoned{ID: id}}}
		if msg.ReplyTo != "" {
			w.Then = []messages.Delivery{{To: msg.ReplyTo, Msg: messages.AbandonReply{}}}
		}
		m.write(w)
		m.lookAt(p)
	}
}

// touchOwn looks at the payments of a report's HTLCs: what was unknown is known.
func (m *Manager) touchOwn(own []messages.OwnHTLC) {
	for i := range own {
		if src := own[i].Source.Payment; src != nil {
			if p := m.payments[src.PaymentID]; p != nil {
				m.lookAt(p)
			}
		}
	}
}

// neverCommitted: no monitor holds the attempt and none ever will.
func (m *Manager) neverCommitted(a *part) {
	m.giveUp(a, "the node restarted before the payment was committed to; nothing was sent")
}
