package sim

import (
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// most is what the transactions of a node may pay in fees, each.
const most = 40_000

// checkEnding looks at a world whose channel is archived: outcomes, money, silence.
func (w *world) checkEnding() {
	if w.rest(); len(w.wrongs) > 0 {
		return
	}
	id := opened().channel
	w.checkOutcomes()
	w.checkMoney(id)
	w.checkArchived(id)
	if len(w.wrongs) == 0 {
		w.checkStillness()
	}
}

// told counts what the user of a node heard about payments to it, by hash.
func (n *node) told() (claimed, lost map[ln.Hash]uint64) {
	claimed, lost = map[ln.Hash]uint64{}, map[ln.Hash]uint64{}
	for _, ev := range n.user.seen {
		switch k := ev.Kind.(type) {
		case messages.PaymentClaimed:
			claimed[k.Hash] += k.AmountMsat
		case messages.ClaimLost:
			lost[k.Hash] += k.AmountMsat
		}
	}
	return claimed, lost
}

// checkOutcomes: each payment ended once, as the payee says and as the chain says (S5, L1, L2).
func (w *world) checkOutcomes() {
	claimed, lost := make([]map[ln.Hash]uint64, len(w.nodes)), make([]map[ln.Hash]uint64, len(w.nodes))
	for i, n := range w.nodes {
		claimed[i], lost[i] = n.told()
		for hash := range lost[i] {
			if claimed[i][hash] == 0 {
				w.wrong("L2: %s lost %s, which it did not claim", n.name, hash)
			}
		}
	}
	for _, p := range w.payments {
		if p.from.gone {
			continue
		}
		id := p.msg.PaymentID
		_, sent := p.from.user.seen[sentID(id)]
		_, failed := p.from.user.seen[failedID(id)]
		got := claimed[p.to.index][p.msg.Hash] > 0 && lost[p.to.index][p.msg.Hash] == 0
		switch {
		case sent && failed:
			w.wrong("S5: %s: payment %s was sent and failed", p.from.name, id)
		case sent && !p.good && w.thief == nil: // a thief claims what an honest payee refuses
			w.wrong("%s: payment %s was sent and could not be", p.from.name, id)
		case sent && claimed[p.to.index][p.msg.Hash] == 0 && !p.to.gone:
			w.wrong("L2: %s sent %s, which %s does not have (claimed %d, lost %d; %s)", p.from.name, id, p.to.name,
				claimed[p.to.index][p.msg.Hash], lost[p.to.index][p.msg.Hash], w.how)
		case got && !sent && !p.to.gone: // who is gone claims nothing any more
			w.wrong("L2: %s has %s, and %s says failed: %v", p.to.name, id, p.from.name, failed)
		case p.accepted && !sent && !failed && !p.mayVanish():
			w.wrong("L1: %s: payment %s has no outcome", p.from.name, id)
		}
	}
	for i, n := range w.nodes {
		for hash := range lost[i] {
			if !n.gone && !w.mayLose(i, hash) {
				w.wrong("L4: %s claimed %s and lost it (%s)", n.name, hash, w.how)
			}
		}
	}
}

// mayLose tells whether a payment that was claimed may be lost: there was no output for it.
func (w *world) mayLose(payee int, hash ln.Hash) bool {
	if h, _, _ := w.closed(w.funding); h != nil && w.stale(h) {
		return true // a revoked commitment lacks it; all that is in there is the victim's instead
	}
	for _, p := range w.payments {
		if p.to.index == payee && p.msg.Hash == hash && p.msg.AmountMsat < 354_000 {
			return true
		}
	}
	return false
}

// checkMoney: the chain says where each satoshi is (S13).
func (w *world) checkMoney(id ln.ChannelID) {
	l := w.ledger(w.funding)
	var left, sum int64
	for _, op := range sortedLeft(l.left) {
		if left += l.left[op]; l.left[op] >= 1000 && !w.nodes[0].gone && !w.nodes[1].gone {
			w.wrong("L5: nobody has taken %s with %d", op, l.left[op])
		}
	}
	var expected [2]int64 // msat
	expected[0], expected[1] = w.began[0], w.began[1]
	for i, n := range w.nodes {
		if n.gone {
			n = w.nodes[1-i] // what the one says of payments tells what the other has
		}
		sign := int64(1)
		if n != w.nodes[i] {
			sign = -1
		}
		claimed, lost := n.told()
		for hash, amount := range claimed {
			if lost[hash] == 0 {
				expected[i] += sign * int64(amount)
			}
		}
		for _, ev := range n.user.seen {
			if k, ok := ev.Kind.(messages.PaymentSent); ok && !w.seenBefore[n.index][ev.ID] {
				expected[i] -= sign * int64(k.AmountMsat)
			}
		}
	}
	for i, n := range w.nodes {
		if got := l.end[i] - l.start[i] + l.fees[i]; got != l.taken[i] {
			w.wrong("S13: %s has %d more than before and paid %d for fees, but took %d out of the channel", n.name, l.end[i]-l.start[i], l.fees[i], l.taken[i])
		}
		sum += l.taken[i]
		// What may be missing are the fee and the anchors of the commitment, what was too small for it, and parts of satoshis.
		if short := expected[i] - l.taken[i]*1000; !n.gone && short > (l.closeFee+left+660+20)*1000 {
			w.wrong("S13: %s should have %d msat of the channel and took %d sat; the close paid %d, %d are left (%s)", n.name, expected[i], l.taken[i], l.closeFee, left, w.how)
		}
		if l.fees[i] > int64(l.count[i])*most {
			w.wrong("%s paid %d for %d transactions", n.name, l.fees[i], l.count[i])
		}
	}
	if sum+l.others+left+l.closeFee != l.capacity {
		w.wrong("S13: %d and %d were taken, %d are left, the fee was %d: that is not the capacity %d", l.taken[0], l.taken[1], left, l.closeFee, l.capacity)
	}
	for i, n := range w.nodes {
		if k, ok := n.user.seen["channel-resolved/"+id.String()].Kind.(messages.ChannelResolved); ok && int64(k.Closed.SweptSat) != l.taken[i] {
			w.wrong("S13: %s says %+v, and took %d", n.name, k.Closed, l.taken[i])
		}
	}
}

// checkArchived: the log is gone, a row says what became of the channel, and the user knows (S17, L5).
func (w *world) checkArchived(id ln.ChannelID) {
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		if _, ok, err := n.store.Get(messages.BucketClosed, id[:]); err != nil || !ok {
			w.wrong("L5: %s keeps no row of the closed channel: %v", n.name, err)
		}
		if rows, err := n.store.Range(messages.BucketRevoked, id[:], nil, 10); err != nil || len(rows) > 0 {
			w.wrong("L5: %s keeps %d rows of revoked commitments: %v", n.name, len(rows), err)
		}
		for _, what := range []string{"channel-closed/", "channel-resolved/"} {
			if !n.user.knows(what+id.String()) && !n.lossy {
				w.wrong("L1: %s did not hear %s%s", n.name, what, id)
			}
		}
	}
}

// checkStillness: after everything restarts bring nothing up again (L8), and nothing is broadcast.
func (w *world) checkStillness() {
	w.stormEnd = w.sim.Now()
	cast := w.broadcast
	told := make([]map[string]int, len(w.nodes))
	for i, n := range w.nodes {
		told[i] = map[string]int{}
		for id, c := range n.user.count {
			told[i][id] = c
		}
		if !n.gone {
			w.sim.Crash(n.name)
		}
	}
	w.pass(2 * time.Second)
	w.mine(1)
	w.pass(time.Second)
	for i, n := range w.nodes {
		for id, c := range n.user.count {
			if c != told[i][id] {
				w.wrong("L8: %s hears of %s again", n.name, id)
			}
		}
	}
	if w.broadcast != cast && len(w.chain.Mempool()) > 0 {
		w.wrong("L8: %d transactions are broadcast after all is over", w.broadcast-cast)
	}
	if why := w.quiet(); why != "" {
		w.wrong("L3: no rest after a restart: %s", why)
	}
}
