package sim

import (
	"time"

	"github.com/lnactor/lnactor/messages"
)

// finish lets the world come to rest and checks everything.
func (w *world) finish() {
	w.rest()
	if len(w.wrongs) > 0 {
		return
	}
	w.checkPayments()
	w.checkBalances()
	if len(w.wrongs) == 0 {
		w.checkUsable()
	}
	if len(w.wrongs) == 0 {
		w.checkSilence()
	}
}

// checkPayments: one outcome each, the same on both sides (S5, S15, L1, L2).
func (w *world) checkPayments() {
	claimed := make([]map[[32]byte]int, len(w.nodes))
	for i, n := range w.nodes {
		claimed[i] = map[[32]byte]int{}
		for _, ev := range n.user.seen {
			if k, ok := ev.Kind.(messages.PaymentClaimed); ok {
				claimed[i][k.Hash]++
				// That an invoice is paid is the manager's knowledge once the HTLC is gone: with its records lost, whoever pays it a second
				// time, under another payment id, is taken at his word.
				if claimed[i][k.Hash] > 1 && !n.lossy {
					w.wrong("S13: %s claimed %s twice", n.name, k.Hash)
				}
			}
		}
	}
	sent := make([]map[[32]byte]int, len(w.nodes)) // by payee
	for i := range sent {
		sent[i] = map[[32]byte]int{}
	}
	for _, p := range w.payments {
		id := p.msg.PaymentID
		_, wasSent := p.from.user.seen[sentID(id)]
		_, wasFailed := p.from.user.seen[failedID(id)]
		switch {
		case wasSent && wasFailed:
			w.wrong("S5: %s: payment %s was sent and failed", p.from.name, id)
		case wasSent && !p.good && !w.sharesID(p):
			w.wrong("%s: payment %s was sent and could not be", p.from.name, id)
		case p.refused != nil && (wasSent || wasFailed) && !w.sharesID(p):
			w.wrong("%s: payment %s was refused (%v) and has an outcome", p.from.name, id, p.refused)
		}
		if ev, ok := p.from.user.seen[sentID(id)]; ok {
			k, _ := ev.Kind.(messages.PaymentSent)
			if k.Hash == p.msg.Hash {
				sent[p.to.index][k.Hash]++
			}
			if claimed[p.to.index][k.Hash] == 0 {
				w.wrong("L2: %s sent %s, which %s did not claim", p.from.name, id, p.to.name)
			}
		}
	}
	for i, n := range w.nodes {
		for hash, times := range claimed[i] {
			if sent[i][hash] < times {
				w.wrong("L2: %s claimed %x %d times, and it was sent %d times", n.name, hash, times, sent[i][hash])
			}
		}
	}
}

// sharesID tells whether another payment of the node has the same id.
func (w *world) sharesID(p *payment) bool {
	for _, o := range w.payments {
		if o != p && o.from == p.from && o.msg.PaymentID == p.msg.PaymentID {
			return true
		}
	}
	return false
}

// checkBalances: what was paid is what moved, to the msat, and both sides agree (S13).
func (w *world) checkBalances() {
	a, b := w.nodes[0], w.nodes[1]
	var toAlice, toBob uint64
	for _, n := range w.nodes {
		for _, ev := range n.user.seen {
			if k, ok := ev.Kind.(messages.PaymentClaimed); ok {
				if n == a {
					toAlice += k.AmountMsat
				} else {
					toBob += k.AmountMsat
				}
			}
		}
	}
	var aliceMsat, bobMsat, wantAlice uint64
	channels := 0
	for _, id := range a.shadow.order {
		x, y := a.shadow.channels[id], b.shadow.channels[id]
		if y == nil {
			continue // its opening did not reach the other side's disk
		}
		f, g := x.facts, y.facts
		if f.HolderMsat != g.CounterpartyMsat || g.HolderMsat != f.CounterpartyMsat {
			w.wrong("S13: %s: alice has %d/%d, bob %d/%d", id, f.HolderMsat, f.CounterpartyMsat, g.HolderMsat, g.CounterpartyMsat)
		}
		if f.HolderMsat+f.CounterpartyMsat != uint64(f.Tx.Capacity)*1000 {
			w.wrong("S13: %s: %d + %d are not the capacity", id, f.HolderMsat, f.CounterpartyMsat)
		}
		if f.FeePerKw != g.FeePerKw {
			w.wrong("%s: fee rates %d and %d", id, f.FeePerKw, g.FeePerKw)
		}
		aliceMsat += f.HolderMsat
		bobMsat += g.HolderMsat
		wantAlice += capacitySat*1000 - pushMsat
		channels++
	}
	if want := wantAlice + toAlice - toBob; channels > 0 && aliceMsat != want {
		w.wrong("S13: alice has %d msat, %d were claimed and %d sent: it should be %d", aliceMsat, toAlice, toBob, want)
	}
}

// checkUsable: every open channel carries a payment each way (L3).
func (w *world) checkUsable() {
	open := 0
	for _, id := range w.nodes[0].shadow.order {
		if w.usable(id) {
			open++
		}
	}
	if open == 0 {
		return
	}
	w.claimAll = true
	w.pass(3 * time.Second) // long enough to connect again
	var fresh []*payment
	for from, n := range w.nodes {
		if !n.canPay(20_000_000) {
			continue
		}
		p := w.newPayment(from, 1_000_000, payGood)
		p.firm = true
		fresh = append(fresh, p)
		p.ask()
	}
	if !w.until(func() bool { return w.quiet() == "" }, patience) {
		w.wrong("L3: after all, a payment does not get through: %s", w.quiet())
		return
	}
	for _, p := range fresh {
		if _, ok := p.outcome().(messages.PaymentSent); !ok {
			w.wrong("L3: after all, a payment from %s ends with %+v, refused: %v", p.from.name, p.outcome(), p.refused)
		}
	}
	w.checkPayments()
	w.checkBalances()
}

// canPay tells whether a node has more than this in one of its channels, beyond the reserve.
func (n *node) canPay(msat uint64) bool {
	for _, id := range n.shadow.order {
		f := n.shadow.channels[id].facts
		if f.Open() && f.HolderMsat > f.Counterparty.ReserveSat*1000+msat {
			return true
		}
	}
	return false
}

// checkSilence: after everything was handled, restarts bring nothing up again (L8), and what restores is what was there (S10).
func (w *world) checkSilence() {
	told := make([]map[string]int, len(w.nodes))
	for i, n := range w.nodes {
		told[i] = map[string]int{}
		for id, c := range n.user.count {
			told[i][id] = c
		}
		w.sim.Crash(n.name)
	}
	w.pass(2 * time.Second)
	if !w.until(func() bool { return w.quiet() == "" }, patience) {
		w.wrong("L3: no rest after a restart: %s", w.quiet())
		return
	}
	for i, n := range w.nodes {
		for id, c := range n.user.count {
			// An opening that only one side knows ends with the next connection, so that is news.
			if before := told[i][id]; c != before && (before > 0 || !w.plan.forceCloses) {
				w.wrong("L8: %s hears of %s again", n.name, id)
			}
		}
		for _, id := range n.shadow.order {
			if f := n.shadow.channels[id].facts; f.ForceClose != nil && !w.plan.forceCloses || f.ProvenBehind {
				w.wrong("L7: %s: %s ended with %+v", n.name, id, f.ForceClose)
			}
		}
	}
	w.checkBalances()
}
