package demo

import (
	"fmt"
	"sync"

	"github.com/lnactor/lnactor"
)

// ledger is what the two users wrote down: what they asked for and every event that they were given. It is the outside view that the nodes'
// durable state must agree with.
type ledger struct {
	mu         sync.Mutex
	attempts   map[lnactor.PaymentID]*attempt
	sent       map[lnactor.Hash]int // payments of an invoice that reached the payee
	claims     map[lnactor.Hash]claim
	proofs     map[lnactor.PaymentID]lnactor.Preimage
	held       map[lnactor.Hash]bool                 // the payee was asked about it
	closing    bool                                  // the channel is to be closed
	ended      map[string]map[lnactor.ChannelID]bool // node -> channels that are resolved
	forwards   map[string]forwards                   // by node
	events     map[string]map[string]string          // node -> event id -> what it said
	redelivery int
	duplicates int
	faults     []string
	changed    chan struct{} // closed and replaced with every event
}

// attempt is one payment id.
type attempt struct {
	payer   string
	hash    lnactor.Hash
	msat    uint64
	feeMsat uint64
	durable bool // Pay returned, or refused the id because it had been used
	outcome outcome
	reason  string
}

// forwards is what a node did for others.
type forwards struct {
	count   int
	feeMsat uint64
}

type outcome int

const (
	pending outcome = iota
	sent
	failed
)

// String is for faults.
func (o outcome) String() string { return [...]string{"pending", "sent", "failed"}[o] }

type claim struct {
	payee string
	msat  uint64
}

func newLedger() *ledger {
	return &ledger{
		attempts: map[lnactor.PaymentID]*attempt{}, sent: map[lnactor.Hash]int{}, claims: map[lnactor.Hash]claim{},
		proofs: map[lnactor.PaymentID]lnactor.Preimage{}, held: map[lnactor.Hash]bool{}, ended: map[string]map[lnactor.ChannelID]bool{}, forwards: map[string]forwards{}, events: map[string]map[string]string{}, changed: make(chan struct{}),
	}
}

func (l *ledger) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// begin is called before Pay: the money may move although no answer ever comes.
func (l *ledger) begin(id lnactor.PaymentID, payer string, hash lnactor.Hash, msat uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[id] = &attempt{payer: payer, hash: hash, msat: msat}
}

// durable is called when the node has said that it will see to the payment.
func (l *ledger) durable(id lnactor.PaymentID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts[id].durable = true
}

// record takes an event that a node gave to its user. It is idempotent by the event's id, as every user's handler should be.
func (l *ledger) record(node string, ev lnactor.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	said := saying(ev.Kind)
	if l.events[node] == nil {
		l.events[node] = map[string]string{}
	}
	if before, known := l.events[node][ev.ID]; known {
		l.redelivery++
		if before != said {
			l.fault("%s: event %s said %s and says %s now", node, ev.ID, before, said)
		}
		return
	}
	l.events[node][ev.ID] = said
	switch k := ev.Kind.(type) {
	case lnactor.PaymentSent:
		l.end(node, k.PaymentID, sent, "")
		if a := l.attempts[k.PaymentID]; a != nil {
			a.feeMsat = k.FeeMsat
		}
		l.proofs[k.PaymentID] = k.Preimage
	case lnactor.PaymentFailed:
		l.end(node, k.PaymentID, failed, k.Reason)
	case lnactor.PaymentClaimed:
		if _, again := l.claims[k.Hash]; again {
			l.duplicates++
			l.fault("%s: invoice %s was claimed twice", node, k.Hash)
			break
		}
		l.claims[k.Hash] = claim{node, k.AmountMsat}
	case lnactor.PaymentForwarded:
		f := l.forwards[node]
		l.forwards[node] = forwards{f.count + 1, f.feeMsat + k.FeeMsat}
		if k.ClaimLost {
			l.fault("%s: %T %+v", node, k, k)
		}
	case lnactor.PaymentClaimable:
		l.held[k.Hash] = true
	case lnactor.ChannelClosed:
		if !l.closing {
			l.fault("%s: the channel was closed (%+v)", node, k)
		}
	case lnactor.ChannelResolved:
		if l.ended[node] == nil {
			l.ended[node] = map[lnactor.ChannelID]bool{}
		}
		l.ended[node][k.Closed.Channel] = true
	case lnactor.PaymentLost, lnactor.ClaimLost:
		l.fault("%s: %T %+v", node, k, k)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// saying is an event in words, without addresses of memory.
func saying(kind any) string {
	if k, ok := kind.(lnactor.ChannelClosed); ok && k.Force != nil {
		force := *k.Force
		k.Force = nil
		return fmt.Sprintf("%T%+v%+v", k, k, force)
	}
	if k, ok := kind.(lnactor.HTLCHandlingFailed); ok { // for insight: told again after a restart, it lacks what no record holds
		k.NextSCID, k.OutChannel, k.Reason = 0, lnactor.ChannelID{}, ""
		return fmt.Sprintf("%T%+v", k, k)
	}
	return fmt.Sprintf("%T%+v", kind, kind)
}

func (l *ledger) end(node string, id lnactor.PaymentID, as outcome, reason string) {
	a := l.attempts[id]
	switch {
	case a == nil || a.payer != node:
		l.fault("%s: outcome of a payment %s that it never made", node, id)
		return
	case a.outcome != pending:
		l.duplicates++
		l.fault("%s: payment %s has two outcomes", node, id)
		return
	}
	a.durable, a.outcome, a.reason = true, as, reason
	if as != sent {
		return
	}
	if l.sent[a.hash]++; l.sent[a.hash] > 1 {
		l.duplicates++
		l.fault("%s: invoice %s was paid twice", node, a.hash)
	}
}

// outcome is how a payment ended; wait closes when there may be more to know.
func (l *ledger) outcome(id lnactor.PaymentID) (_ outcome, reason string, wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.attempts[id]
	return a.outcome, a.reason, l.changed
}

// claimed tells whether an invoice is paid, from the payee's side.
func (l *ledger) claimed(hash lnactor.Hash) (yes bool, wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, yes = l.claims[hash]
	return yes, l.changed
}

// count fills in what is known so far.
func (l *ledger) count(p *Payments, e *Events) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.attempts {
		if a.durable {
			p.Attempted++
		}
		switch a.outcome {
		case sent:
			p.Sent++
		case failed:
			p.Failed++
		case pending:
		}
	}
	for _, f := range l.forwards {
		p.Forwarded += f.count
	}
	p.Claimed, p.Duplicates, e.Redelivery = len(l.claims), l.duplicates, l.redelivery
}

// close finds what is missing at the end, and moves is what each node's channel balance must have changed by, in msat.
func (l *ledger) close(p *Payments) (moves map[string]int64, faults []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, a := range l.attempts {
		switch {
		case a.outcome == pending && a.durable:
			p.Lost++
			l.fault("%s: payment %s has no outcome", a.payer, id)
		case a.outcome == sent:
			if c, ok := l.claims[a.hash]; !ok {
				p.Lost++
				l.fault("%s: payment %s was sent and is not claimed", a.payer, id)
			} else if c.msat != a.msat {
				l.fault("%s: payment %s sent %d msat, and %d were claimed", a.payer, id, a.msat, c.msat)
			}
		}
	}
	for hash, c := range l.claims {
		if l.sent[hash] == 0 {
			p.Lost++
			l.fault("%s: invoice %s was claimed, and its payer was not told", c.payee, hash)
		}
	}
	return l.sums(), l.faults
}

// moves is what each node's balance has changed by so far, in msat.
func (l *ledger) moves() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sums()
}

func (l *ledger) sums() map[string]int64 {
	moves := map[string]int64{}
	for _, a := range l.attempts {
		if a.outcome == sent {
			moves[a.payer] -= int64(a.msat + a.feeMsat) //nolint:gosec // below the capacity
		}
	}
	for node, f := range l.forwards {
		moves[node] += int64(f.feeMsat) //nolint:gosec // below the capacity
	}
	for _, c := range l.claims {
		moves[c.payee] += int64(c.msat) //nolint:gosec // below the capacity
	}
	return moves
}

// node fills in what one node's user saw.
func (l *ledger) node(name string, r *NodeReport) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.attempts {
		switch {
		case a.payer != name:
		case a.outcome == sent:
			r.Sent++
			r.PaidMsat += a.feeMsat
		case a.outcome == failed:
			r.Failed++
		}
	}
	for _, c := range l.claims {
		if c.payee == name {
			r.Claimed++
		}
	}
	r.Forwarded, r.EarnedMsat = l.forwards[name].count, l.forwards[name].feeMsat
}

// expectClose: from here on the channel may be closed.
func (l *ledger) expectClose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
}

// proof is the preimage of a payment that was sent.
func (l *ledger) proof(id lnactor.PaymentID) lnactor.Preimage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.proofs[id]
}

// holds tells whether the payee was asked about the payment of an invoice.
func (l *ledger) holds(hash lnactor.Hash) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[hash]
}

// resolved tells whether a node said that all money of a channel is where it belongs.
func (l *ledger) resolved(node string, channel lnactor.ChannelID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[node][channel]
}
