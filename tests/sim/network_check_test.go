package sim

import (
	"slices"
	"time"

	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// finishNetwork lets the network come to rest and checks everything.
func (w *world) finishNetwork() {
	if w.rest(); len(w.wrongs) > 0 {
		return
	}
	w.checkNetwork()
	if len(w.wrongs) == 0 {
		w.checkUsableNetwork()
	}
	if len(w.wrongs) == 0 {
		w.checkSilentNetwork()
	}
}

// checkNetwork looks at a network at rest.
func (w *world) checkNetwork() {
	w.checkNetworkOutcomes()
	w.checkForwards()
	w.checkParts()
	w.checkNetworkMoney()
	w.checkCourses()
}

// checkForwards: a forward ended, was claimed upstream exactly if it was downstream, and the user was told so once, with the right amounts.
func (w *world) checkForwards() {
	for _, n := range w.nodes {
		told := map[htlcOf]messages.PaymentForwarded{}
		for _, ev := range n.user.seen {
			k, ok := ev.Kind.(messages.PaymentForwarded)
			if !ok {
				continue
			}
			in := htlcOf{k.InChannel, k.InHTLCID}
			if _, twice := told[in]; twice {
				w.wrong("L1: %s: the forward of %v is told twice, under two ids", n.name, in)
			}
			told[in] = k
			if n.forwards[in] == nil {
				w.wrong("L1: %s: a forward of %v is told that never was: %+v", n.name, in, k)
			}
		}
		for in, f := range n.forwards {
			_, claimed := n.claimed[f.out]
			_, failed := n.failed[f.out]
			k, known := told[in]
			switch {
			case n.gone:
			case !claimed && known && n.known[f.hash] && k.OutAmountMsat == 0: // the preimage is known from another HTLC of the hash (S7)
			case claimed != known:
				w.wrong("L1: %s: forward %v to %v: claimed %v, PaymentForwarded told %v: %s", n.name, in, f.out, claimed, known, w.trail(f.hash))
			case !claimed && !failed:
				w.wrong("L3: %s: forward %v to %v has no outcome", n.name, in, f.out)
			case claimed:
				w.checkForwarded(n, f, k)
			}
		}
	}
}

// checkForwarded: the fee is what the two HTLCs differ by, and at least what the node asks for.
func (w *world) checkForwarded(n *node, f *forward, k messages.PaymentForwarded) {
	in := n.accepted[f.in].AmountMsat
	if k.OutAmountMsat != f.amountMsat || k.InAmountMsat != in || k.OutChannel != f.out.channel || k.OutHTLCID != f.out.id || k.Hash != f.hash {
		w.wrong("S13: %s: forward %+v of %d msat is told as %+v", n.name, f, in, k)
	}
	least := n.leastFee(f.out.channel, f.amountMsat)
	if n.embedder != nil && n.embedder.decision[f.in].Out != (ln.ChannelID{}) {
		least = 0 // whoever chose the channel sees to the fee
	}
	if in < f.amountMsat+least || !k.ClaimLost && k.FeeMsat != in-f.amountMsat {
		w.wrong("S13: %s: forward %v earns %d msat and tells %d, its policy asks for %d", n.name, f.in, int64(in)-int64(f.amountMsat), k.FeeMsat, least)
	}
	if k.ClaimLost && !w.mayLoseForward(n, f) {
		w.wrong("L4: %s paid for HTLC %v and was not paid (%s)", n.name, f.in, w.how)
	}
}

// mayLoseForward: an HTLC without an output in the commitment that confirmed is nobody's, whoever has the preimage.
func (w *world) mayLoseForward(n *node, f *forward) bool {
	return len(w.chainEnds) > 0 && n.accepted[f.in].AmountMsat < 1_000_000
}

// checkParts: what a payment cost is what it says, within its limit, and no part is left without an outcome.
func (w *world) checkParts() {
	for _, n := range w.nodes {
		if n.gone {
			continue
		}
		for id, p := range n.parts {
			var paid uint64
			for _, at := range p.at {
				_, claimed := n.claimed[at]
				if _, failed := n.failed[at]; !claimed && !failed {
					w.wrong("L1: %s: HTLC %v of payment %s has no outcome", n.name, at, id)
				}
				if claimed {
					paid += p.amount[at]
				}
			}
			k, sent := n.user.seen[sentID(id)].Kind.(messages.PaymentSent)
			switch {
			case !sent && paid > 0:
				w.wrong("L2: %s: payment %s paid %d msat and is not called sent", n.name, id, paid)
			case sent && paid == 0:
				w.wrong("L2: %s: payment %s is called sent, and no part of it was claimed", n.name, id)
			case sent && (paid < k.AmountMsat && !w.paidTwice(k.Hash) || paid > max(w.mostOf(n, id), k.AmountMsat)):
				w.wrong("S15: %s: payment %s of %d msat cost %d, the most is %d: %s", n.name, id, k.AmountMsat, paid, w.mostOf(n, id), w.trail(k.Hash))
			case sent && w.tellsCost(n, k.Hash) && paid != k.AmountMsat+k.FeeMsat:
				w.wrong("S5: %s: payment %s of %d msat cost %d and is told with a fee of %d: %s", n.name, id, k.AmountMsat, paid, k.FeeMsat, w.trail(k.Hash))
			}
		}
	}
}

// tellsCost: what a payment is told to cost is what it costs, unless a record is lost or a part ends otherwise than the one that was told first.
func (w *world) tellsCost(n *node, hash ln.Hash) bool {
	raw := slices.ContainsFunc(w.payments, func(p *payment) bool { return p.msg.Hash == hash && p.raw })
	return !raw && !n.lossy && n.restore == nil && len(w.chainEnds) == 0 && !w.paidTwice(hash)
}

// paidTwice tells whether two payments are for one invoice. Whoever forwards a part of the second one and knows the preimage from the first may keep
// it: the payer has the proof that it paid for, for less.
func (w *world) paidTwice(hash ln.Hash) bool {
	count := 0
	for _, p := range w.payments {
		if p.msg.Hash == hash {
			count++
		}
	}
	return count > 1
}

// gain is what a node should have more than when the world began, in msat: what was claimed from payments to it and from forwards, less what its own
// payments and its forwards were claimed for.
func (n *node) gain() (msat int64) {
	claimed, lost := n.told()
	for hash, amount := range claimed {
		if lost[hash] == 0 {
			msat += int64(amount)
		}
	}
	for _, p := range n.parts {
		for _, at := range p.at {
			if _, ok := n.claimed[at]; ok {
				msat -= int64(p.amount[at])
			}
		}
	}
	for in, f := range n.forwards {
		if _, ok := n.claimed[f.out]; ok {
			msat -= int64(f.amountMsat)
		}
		if k, ok := n.user.seen[forwardedID(in.channel, in.id)].Kind.(messages.PaymentForwarded); ok && !k.ClaimLost {
			msat += int64(n.accepted[in].AmountMsat)
		}
	}
	return msat
}

// checkNetworkMoney: each node has, in its channels to the msat and in the chain to the satoshi, what its payments and forwards say (S13).
func (w *world) checkNetworkMoney() {
	off := make([]int64, len(w.nodes))
	for i, n := range w.nodes {
		for _, id := range n.shadow.order {
			f := n.shadow.channels[id].facts
			if f.Ended() {
				continue
			}
			far := w.nodeOf(f.Peer)
			c := far.shadow.channels[id]
			if c == nil || n.gone || far.gone {
				continue
			}
			g := c.facts
			if f.HolderMsat != g.CounterpartyMsat || g.HolderMsat != f.CounterpartyMsat {
				w.wrong("S13: %s: %s has %d/%d, %s %d/%d", id, n.name, f.HolderMsat, f.CounterpartyMsat, far.name, g.HolderMsat, g.CounterpartyMsat)
			}
			if f.HolderMsat+f.CounterpartyMsat != uint64(f.Tx.Capacity)*1000 {
				w.wrong("S13: %s: %d + %d are not the capacity", id, f.HolderMsat, f.CounterpartyMsat)
			}
			off[i] += int64(f.HolderMsat)
		}
	}
	if len(w.chainEnds) > 0 {
		w.checkChainMoney(off)
		return
	}
	for i, n := range w.nodes {
		if want := w.began[i] + n.gain(); off[i] != want {
			w.wrong("S13: %s has %d msat in its channels, it should be %d", n.name, off[i], want)
		}
	}
}

// checkChainMoney is the same for networks some of whose channels ended on chain.
func (w *world) checkChainMoney(off []int64) {
	l := w.ledger(w.fundings...)
	var left, sum int64
	for _, op := range sortedLeft(l.left) {
		if left += l.left[op]; l.left[op] >= 1000 && !w.anyGone() {
			w.wrong("L5: nobody has taken %s with %d", op, l.left[op])
		}
	}
	for i, n := range w.nodes {
		if got := l.end[i] - l.start[i] + l.fees[i]; got != l.taken[i] {
			w.wrong("S13: %s has %d more than before and paid %d for fees, but took %d out of channels", n.name, l.end[i]-l.start[i], l.fees[i], l.taken[i])
		}
		sum += l.taken[i]
		// What may be missing are the fees and the anchors of the commitments, what was too small for them, and parts of satoshis.
		spare := (l.closeFee + left + int64(l.closes)*(660+50)) * 1000
		want, has := w.began[i]+n.gain(), off[i]+l.taken[i]*1000
		if !n.gone && (want-has > spare || has-want > spare) {
			w.wrong("S13: %s should have %d msat, and has %d in channels and took %d sat; %d closes paid %d, %d are left (%s)",
				n.name, want, off[i], l.taken[i], l.closes, l.closeFee, left, w.how)
		}
		if l.fees[i] > int64(l.count[i])*most {
			w.wrong("%s paid %d for %d transactions", n.name, l.fees[i], l.count[i])
		}
	}
	if sum+l.others+left+l.closeFee != l.capacity {
		w.wrong("S13: %d were taken, %d are left, the fees were %d: that is not the capacity %d", sum, left, l.closeFee, l.capacity)
	}
}

func (w *world) anyGone() bool {
	for _, n := range w.nodes {
		if n.gone {
			return true
		}
	}
	return false
}

// checkUsableNetwork: every open channel carries a payment (L3).
func (w *world) checkUsableNetwork() {
	w.claimAll = true
	for _, n := range w.nodes {
		n.user.holds = nil
	}
	w.pass(3 * time.Second) // long enough to connect again
	var fresh []*payment
	ask := func(from, to int) {
		p := w.netPayment(from, to, 1_000_000, payGood)
		p.firm = true
		fresh = append(fresh, p)
		p.ask()
	}
	for _, l := range w.links {
		a, b := w.nodes[l[0]], w.nodes[l[1]]
		if w.sim.Rand().IntN(2) == 0 { // one way is enough here: another seed tries the other
			a, b = b, a
		}
		if a.canPayTo(b, 30_000_000) {
			ask(a.index, b.index)
		}
	}
	if !w.until(func() bool { return w.quiet() == "" }, patience) {
		w.wrong("L3: after all, a payment does not get through: %s", w.quiet())
		return
	}
	for _, p := range fresh {
		if _, ok := p.outcome().(messages.PaymentSent); !ok {
			w.wrong("L3: after all, a payment from %s to %s ends with %+v, refused: %v", p.from.name, p.to.name, p.outcome(), p.refused)
		}
	}
	w.checkNetwork()
}

// canPayTo tells whether a node can send so much to a peer in one open channel, beyond the reserve.
func (n *node) canPayTo(to *node, msat uint64) bool {
	for _, id := range n.shadow.order {
		f := n.shadow.channels[id].facts
		if f.Peer == to.id && f.Open() && n.w.usable(id) && f.HolderMsat > f.Counterparty.ReserveSat*1000+msat {
			return true
		}
	}
	return false
}

// checkSilentNetwork: after everything was handled, restarts bring nothing up again (L8), and what restores is what was there (S10).
func (w *world) checkSilentNetwork() {
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
	if !w.until(func() bool { return w.quiet() == "" }, patience) {
		w.wrong("L3: no rest after a restart: %s", w.quiet())
		return
	}
	for i, n := range w.nodes {
		for id, c := range n.user.count {
			if c != told[i][id] {
				w.wrong("L8: %s hears of %s again", n.name, id)
			}
		}
		for _, id := range n.shadow.order {
			if f := n.shadow.channels[id].facts; (f.ForceClose != nil || f.ProvenBehind) && !w.chainEnds[id] {
				w.wrong("L7: %s: %s ended with %+v", n.name, id, f.ForceClose)
			}
		}
	}
	w.checkNetworkMoney()
}
