package sim

import (
	"fmt"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// checkNetworkOutcomes: each payment ended once, as its payee says (S5, S13, S15, L1, L2, L4).
func (w *world) checkNetworkOutcomes() {
	claimed, lost := make([]map[ln.Hash]uint64, len(w.nodes)), make([]map[ln.Hash]uint64, len(w.nodes))
	times := make([]map[ln.Hash]int, len(w.nodes)) // PaymentClaimed was told
	for i, n := range w.nodes {
		claimed[i], lost[i] = n.told()
		times[i] = map[ln.Hash]int{}
		for _, ev := range n.user.seen {
			k, ok := ev.Kind.(messages.PaymentClaimed)
			if !ok {
				continue
			}
			// That an invoice is paid is the manager's knowledge once its HTLCs are gone: with its records lost, whoever pays it a second time, under
			// another payment id, is taken at his word.
			if times[i][k.Hash]++; times[i][k.Hash] > 1 && !n.lossy {
				w.wrong("S13: %s claimed %s twice", n.name, k.Hash)
			}
		}
		for hash := range lost[i] {
			switch {
			case claimed[i][hash] == 0:
				w.wrong("L2: %s lost %s, which it did not claim", n.name, hash)
			case !n.gone && !w.mayLoseClaim(i, hash):
				w.wrong("L4: %s claimed %s and lost it (%s)", n.name, hash, w.how)
			}
		}
	}
	sent := make([]map[ln.Hash]int, len(w.nodes))
	for i := range sent {
		sent[i] = map[ln.Hash]int{}
	}
	done := map[string]bool{}
	for _, p := range w.payments {
		id := p.msg.PaymentID
		ev, wasSent := p.from.user.seen[sentID(id)]
		_, wasFailed := p.from.user.seen[failedID(id)]
		k, _ := ev.Kind.(messages.PaymentSent)
		mine := wasSent && k.Hash == p.msg.Hash // not of another one with its id
		if once := p.from.name + id.String(); mine && !done[once] {
			done[once] = true
			sent[p.to.index][k.Hash]++
		}
		switch {
		case p.from.gone:
		case wasSent && wasFailed:
			w.wrong("S5: %s: payment %s was sent and failed", p.from.name, id)
		case mine && !p.good:
			w.wrong("%s: payment %s was sent and could not be", p.from.name, id)
		case mine && claimed[p.to.index][k.Hash] == 0 && !p.to.gone:
			w.wrong("L2: %s sent %s, which %s did not claim", p.from.name, id, p.to.name)
		case p.refused != nil && (wasSent || wasFailed) && !w.sharesID(p):
			w.wrong("%s: payment %s was refused (%v) and has an outcome", p.from.name, id, p.refused)
		case p.accepted && !wasSent && !wasFailed && !p.mayVanish():
			w.wrong("L1: %s: payment %s has no outcome", p.from.name, id)
		}
	}
	for i, n := range w.nodes {
		for hash, t := range times[i] {
			if !n.gone && lost[i][hash] == 0 && sent[i][hash] < t && !w.payerGone(i, hash) && !w.lostOnTheWay(hash) {
				w.wrong("L2: %s claimed %s %d times, and it was sent %d times (%s): %s", n.name, hash, t, sent[i][hash], w.how, w.trail(hash))
			}
		}
	}
}

// payerGone tells whether somebody who pays this never came back.
func (w *world) payerGone(payee int, hash ln.Hash) bool {
	for _, p := range w.payments {
		if p.to.index == payee && p.msg.Hash == hash && p.from.gone {
			return true
		}
	}
	return false
}

// lostOnTheWay tells whether somebody paid who was not paid: the payer has its money back. That there was a reason is checked where it is told.
func (w *world) lostOnTheWay(hash ln.Hash) bool {
	for _, n := range w.nodes {
		for _, ev := range n.user.seen {
			if k, ok := ev.Kind.(messages.PaymentForwarded); ok && k.ClaimLost && k.Hash == hash {
				return true
			}
		}
	}
	return false
}

// mayLoseClaim tells whether a payment that was claimed may be lost in part: its HTLCs may have been too small for an output.
func (w *world) mayLoseClaim(payee int, hash ln.Hash) bool {
	if len(w.chainEnds) == 0 {
		return false
	}
	for _, p := range w.payments {
		if p.to.index == payee && p.msg.Hash == hash && p.msg.AmountMsat < 1_000_000 {
			return true
		}
	}
	return false
}

// trail is what all nodes know of a hash, for messages.
func (w *world) trail(hash ln.Hash) (out string) {
	for _, p := range w.payments {
		if p.msg.Hash == hash {
			out += fmt.Sprintf("payment %s of %d msat from %s to %s, raw %v, refused %v, outcome %+v; ", p.msg.PaymentID.String()[:8], p.msg.AmountMsat,
				p.from.name, p.to.name, p.raw, p.refused, p.outcome())
		}
	}
	for _, n := range w.nodes {
		for _, p := range w.payments {
			if x := n.parts[p.msg.PaymentID]; x != nil && p.msg.Hash == hash && p.from == n {
				for _, at := range x.at {
					_, claimed := n.claimed[at]
					_, failed := n.failed[at]
					out += fmt.Sprintf("%s offered %s/%d, claimed %v, failed %v; ", n.name, at.channel.String()[:8], at.id, claimed, failed)
				}
			}
		}
		for in, f := range n.forwards {
			if f.hash == hash {
				_, claimed := n.claimed[f.out]
				_, failed := n.failed[f.out]
				out += fmt.Sprintf("%s forwarded %s/%d to %s/%d, claimed %v, failed %v, %+v; ", n.name, in.channel.String()[:8], in.id,
					f.out.channel.String()[:8], f.out.id, claimed, failed, n.user.seen[forwardedID(in.channel, in.id)].Kind)
			}
		}
		for _, ev := range n.user.seen {
			switch k := ev.Kind.(type) {
			case messages.PaymentClaimed:
				if k.Hash == hash {
					out += fmt.Sprintf("%s claimed %d msat; ", n.name, k.AmountMsat)
				}
			case messages.ClaimLost:
				if k.Hash == hash {
					out += fmt.Sprintf("%s lost %d msat; ", n.name, k.AmountMsat)
				}
			}
		}
	}
	return out
}
