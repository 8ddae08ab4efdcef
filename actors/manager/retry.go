package manager

import (
	"fmt"
	"time"

	"github.com/lnactor/lnactor/messages"
)

const (
	// maxAttempts bounds the parts of a payment, those that failed included.
	maxAttempts = 64
	// A payment waits between two searches while an own channel may come back, or take what it refused.
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
	default:
		m.noneFound(p)
	}
}

// noneFound: there was no route for what is missing of a payment.
func (m *Manager) noneFound(p *payment) {
	switch d, ok := m.searchAgain(p); {
	case ok:
		p.pauses++
		p.pause = m.after(d, func() {
			p.pause, p.blocked = nil, ""
			m.lookAt(p)
		})
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

// unseen tells that a part is where nobody can see it: in a quarantined monitor, or in one restored from a copy that may be old. Or that is known to
// have been, so that its outcome is lost.
func (m *Manager) unseen(p *payment) bool {
	for _, a := range p.parts {
		if c := m.channels[a.channel]; a.unknown || c != nil && (c.quarantined || c.summary.Unverified || c.summary.Behind) {
			return true
		}
	}
	return false
}

// searchAgain is how long to wait until another search may find what this one did not, within the deadline; false if there is nothing to wait for. What passes
// by itself is the avoidance of a channel; a channel of ours whose peer is away or that has just restarted; and what a failed part gives back to its
// channel, which is told a moment later than its failure: so the first time anything may pass.
func (m *Manager) searchAgain(p *payment) (d time.Duration, ok bool) {
	if p.pauses == 0 || m.waiting > 0 || m.someDown() {
		d, ok = min(firstPause<<min(p.pauses, 10), lastPause), true
	}
	if at, clears := p.clears(m.now); clears && (!ok || at.Sub(m.now) < d) {
		d, ok = at.Sub(m.now), true
	}
	return min(d, max(p.rec.Terms.Deadline.Sub(m.now), 0)), ok
}

func (m *Manager) someDown() bool {
	for _, c := range m.channels {
		if c.down && c.reported && c.summary.Phase == messages.PhaseOpen {
			return true
		}
	}
	return false
}

// onAbandon stops the retries. Of a payment whose outcome is unknown it is the user's word that it was not made.
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
	case m.allLost(p):
		m.takeAsFailed(p)
		p.behind = append(p.behind, func() { m.answer(msg.ReplyTo, messages.AbandonReply{}) }) // and behind the outcome
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
