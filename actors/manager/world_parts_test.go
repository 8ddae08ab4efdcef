package manager

import (
	"fmt"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// receive: somebody pays an invoice, or a part of one that may be split. Payers do not care what others pay.
func (w *world) receive() {
	i := w.invoices[w.rnd.IntN(len(w.invoices))]
	amounts, total := []uint64{i.amount}, i.amount
	if i.mpp {
		amounts = [][]uint64{{400, 600}, {300, 300, 400}, {600, 600}, {1000}, {500}, {500}, {200, 300, 300, 300}}[w.rnd.IntN(7)]
		if w.rnd.IntN(12) == 0 {
			total = 1100 // a payer that pays more, or does not know what it wants
		}
	}
	for _, amount := range amounts {
		if c := w.channels[w.rnd.IntN(len(w.channels))]; !c.down && c.nextIn < 12 && !c.chain.closed {
			c.receive(i, amount, total)
		}
	}
}

// cancel: the user takes an invoice back, or tries to.
func (w *world) cancel() {
	i := w.invoices[w.rnd.IntN(len(w.invoices))]
	w.logf("cancel %s", i.name)
	w.send("api", messages.ManagerAddr, messages.CancelInvoice{Hash: i.Hash, ReplyTo: messages.Addr("api/cancel/" + i.name)})
}

// onCancelled: from here on nobody can pay it, and nobody has (unless records are lost).
func (w *world) onCancelled(name string, r messages.CancelReply) {
	for _, i := range w.invoices {
		if i.name != name || r.Err != nil {
			continue
		}
		rows := w.disk.rows[messages.BucketInvoices][string(i.Hash[:])]
		if rows == nil || !must(decodeInvoice(rows)).Cancelled {
			w.fatalf("%s is said to be cancelled before that is durable", name)
		}
		if len(w.claimed[i.Hash]) > 0 && !w.rolledBack {
			w.fatalf("%s is said to be cancelled, and was claimed", name)
		}
		w.cancelled[i.Hash] = !w.rolledBack // what is known of a claim may be lost with the records
	}
}

// receive: an inbound HTLC is irrevocably committed.
func (c *simChannel) receive(i testInvoice, amount, total uint64) {
	w := c.w
	expiry := w.height + 60
	key := fmt.Sprintf("%s/%d/%d/%d", i.name, amount, total, expiry)
	if onions[key] == nil {
		onions[key] = i.pays(amount, total, expiry, key)
	}
	h := facts.HTLCAccepted{HTLCID: c.nextIn, AmountMsat: amount, Hash: i.Hash, CLTVExpiry: expiry, Onion: onions[key]}
	c.nextIn++
	c.in[h.HTLCID] = &simIn{htlc: h, total: total}
	w.logf("%s gets htlc %d: %d of %d for %s", c.id, h.HTLCID, amount, total, i.name)
	c.event(h)
}

var onions = map[string][]byte{}

func listID(parts []facts.Part) string {
	s := set{}
	for _, p := range parts {
		s.list = append(s.list, InvoicePart{Channel: p.Channel, HTLCID: p.HTLCID})
	}
	return s.id("payment-claimed")
}

func (w *world) htlcAt(p facts.Part) *simIn {
	return w.byAddr[messages.MonitorAddr(p.Channel)].in[p.HTLCID]
}

// checkClaim: the list of a claim is that of a whole set, this part included (rule 13).
func (w *world) checkClaim(c *simChannel, h *simIn, r facts.Resolution) {
	sum, in := uint64(0), false
	for _, p := range r.Parts {
		o := w.htlcAt(p)
		in = in || o == h
		if o.htlc.Hash != h.htlc.Hash || o.total != h.total {
			w.fatalf("htlc %s/%d is claimed together with one of another payment (rule 13)", c.id, h.htlc.HTLCID)
		}
		sum += o.htlc.AmountMsat
	}
	if !in || sum < h.total || sum > 2000 {
		w.fatalf("htlc %s/%d is claimed in a set of %d msat, %d were promised; it is in it: %v (rule 13)", c.id, h.htlc.HTLCID, sum, h.total, in)
	}
}

// claim: the decision to claim became durable.
func (w *world) claim(_ *simChannel, h *simIn) {
	if w.cancelled[h.htlc.Hash] {
		w.fatalf("an invoice is claimed after it was cancelled")
	}
	sets := w.claimed[h.htlc.Hash]
	if sets == nil {
		sets = map[string][]facts.Part{}
		w.claimed[h.htlc.Hash] = sets
	}
	parts := h.resolution.Parts
	sets[listID(parts)] = parts
	for _, p := range parts {
		w.listed[htlcKey{p.Channel, p.HTLCID}] = true
	}
}

// checkSetDurable: a claimed HTLC's event is all that a part that is not decided yet may have to be claimed by.
func (w *world) checkSetDurable(h *simIn) {
	if !h.resolution.Fulfilled() || h.onward {
		return
	}
	for _, p := range h.resolution.Parts {
		if o := w.htlcAt(p); o.resolution == nil && !o.gone {
			w.fatalf("a claim is acknowledged, and htlc %d of its set is not decided (rule 13)", p.HTLCID)
		}
	}
}

// checkClaimed: what the user is told is the whole set, and a monitor has it (S3).
func (w *world) checkClaimed(id string, k messages.PaymentClaimed) {
	parts, ok := w.claimed[k.Hash][id]
	if !ok {
		w.fatalf("%s is told, and no monitor has it (rule 15)", id)
	}
	sum := uint64(0)
	for i, p := range parts {
		h := w.htlcAt(p)
		sum += h.htlc.AmountMsat
		if want := (messages.PaymentPart{Channel: p.Channel, HTLCID: p.HTLCID, AmountMsat: h.htlc.AmountMsat}); k.Parts[i] != want {
			w.fatalf("%s: part %+v, want %+v", id, k.Parts[i], want)
		}
	}
	if k.AmountMsat != sum {
		w.fatalf("%s: %d msat, want %d", id, k.AmountMsat, sum)
	}
}

// checkSets: at the end each set is claimed as a whole, or what is missing is told (S13, S18).
func (w *world) checkSets() {
	for hash, sets := range w.claimed {
		if len(sets) > 1 && !w.rolledBack {
			w.fatalf("invoice %s was paid by %d sets (rule 13)", hash, len(sets))
		}
		for _, id := range slices.Sorted(maps.Keys(sets)) {
			if !w.user.handled[id] {
				w.fatalf("%s was not told", id)
			}
			for _, p := range sets[id] {
				if h := w.htlcAt(p); !h.resolution.Fulfilled() && !h.gone {
					w.fatalf("%s is claimed in part only: htlc %d is %+v (S18)", id, p.HTLCID, h.resolution)
				}
			}
		}
	}
	for _, c := range w.channels {
		for id, h := range c.in {
			if h.onward {
				continue
			}
			if h.resolution == nil && !h.gone {
				w.fatalf("htlc %d is not decided (S13)", id)
			}
			lost := w.user.handled[fmt.Sprintf("claim-lost/%s/%d", c.id, id)]
			if want := w.listed[htlcKey{c.id, id}] && !h.paid; lost != want && !(lost && w.rolledBack) {
				w.fatalf("htlc %s/%d: decided %v, paid %v, told that it is lost %v", c.id, id, h.resolution, h.paid, lost)
			}
		}
	}
	for id := range w.user.handled {
		if ev := w.user.seen[id]; ev.ID != "" {
			if k, ok := ev.Kind.(messages.PaymentClaimed); ok && w.claimed[k.Hash][id] == nil {
				w.fatalf("%s was told of a set that nobody claimed", id)
			}
		}
	}
}
