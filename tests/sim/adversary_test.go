package sim

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
)

// TestSimulationAdversary: bob is honest for a while; then somebody with his keys broadcasts whatever bob ever held, claims, pins and replaces, while
// alice crashes and the chain is reorganised. She loses nothing but fees.
func TestSimulationAdversary(t *testing.T) { robberySuite.test(t) }

var robberySuite = suite{
	name: "adversary", seeds: 30, from: opened, run: robbery, check: (*world).checkRobbery,
	plan: func(r *rand.Rand) plan {
		p := drawOnChain(r)
		p.archiveDepth = uint32(6 + r.IntN(4))
		return p
	},
}

func robbery(w *world, r *rand.Rand) {
	w.closing, w.delta = true, uint32(27+r.IntN(3))
	w.holdPayments(r)
	w.traffic(r)
	w.traffic(r) // so that there are old commitments to choose from
	id := w.nodes[0].shadow.order[0]
	w.until(w.calm, w.plan.storm+time.Second)
	if r.IntN(2) == 0 {
		w.pass(time.Second) // all is at rest but what is held
	}
	w.noteNumber(id)
	w.lose(1)
	t := newThief(w, r)
	w.how = fmt.Sprintf("thief with commitment %v of %d, miner %v, pinner %v, eager %d", t.close != nil, len(w.held[1]), t.miner, t.pinner, t.eager)
	if t.close != nil {
		w.how += fmt.Sprintf(", number %d", t.close.tx.Number)
	}
	w.thief = t
	w.defend(id, t)
}

// noteNumber takes down which of bob's commitments alice can punish.
func (w *world) noteNumber(id ln.ChannelID) {
	w.oldest = w.nodes[0].shadow.channels[id].facts.CounterpartyNumber
}

// stale tells whether a commitment is a revoked one of bob's.
func (w *world) stale(h *held) bool { return h.owner == 1 && h.tx.Number < w.oldest }

// defend lets blocks come until alice is done with the channel.
func (w *world) defend(id ln.ChannelID, t *thief) {
	r := t.r
	storms := r.IntN(3) > 0
	alice := w.nodes[0]
	decideAt, closeBy := w.chain.Height()+int32(r.IntN(8)), w.chain.Height()+int32(r.IntN(25))
	last := w.chain.Height() + 240
	for w.chain.Height() < last && len(w.wrongs) == 0 && !(w.archived() && w.quiet() == "") {
		if c := alice.shadow.channels[id]; c != nil && c.facts.Spent == nil {
			w.oldest = c.facts.CounterpartyNumber
		}
		calm := 150 * time.Millisecond
		if storms {
			w.stormEnd = w.sim.Now().Add(time.Duration(r.Int64N(int64(200 * time.Millisecond))))
			calm = 700 * time.Millisecond
		}
		w.maySleep(r, storms)
		if w.onlyDepth() && t.reorgs == 0 && len(t.options()) == 0 {
			w.mine(5)
		} else {
			t.mine(t.act())
		}
		w.deepen()
		w.pass(w.stormEnd.Sub(w.sim.Now()))
		w.pass(calm)
		if w.chain.Height() >= decideAt {
			decideAt = 1 << 30
			w.decideHeld(r)
		}
		if w.chain.Height() >= closeBy {
			closeBy = 1 << 30
			w.forceClose(0, id)
		}
	}
	if !w.archived() && len(w.wrongs) == 0 {
		w.wrong("L5: not archived after %d blocks (%s): %s", w.chain.Height()-w.startHeight, w.how, w.whatIsLeft())
	}
	w.stormEnd = w.sim.Now()
}

// checkRobbery is checkEnding, and that alice has all that she has a right to.
func (w *world) checkRobbery() {
	if w.checkEnding(); len(w.wrongs) > 0 {
		return
	}
	h, txid, _ := w.closed(w.funding)
	if h == nil {
		w.wrong("the channel was closed by %s, which nobody ever held", txid)
		return
	}
	l := w.ledger(w.funding)
	due, spare := w.due(h), int64(0)
	for _, op := range sortedLeft(l.left) {
		if l.left[op] < 1000 {
			spare += l.left[op]
		}
	}
	if l.taken[0] < due-spare {
		w.wrong("alice took %d out of the channel, %d are hers (%s); commitment %d of %s confirmed, revoked: %v", l.taken[0], due, w.how,
			h.tx.Number, identities[h.owner].name, w.stale(h))
	}
}

// due is what alice has a right to, given what confirmed and which preimages the thief has shown.
func (w *world) due(h *held) (sum int64) {
	if w.stale(h) {
		for i, out := range h.tx.Tx.TxOut {
			if i != h.tx.OwnerAnchorIndex && i != h.tx.OtherAnchorIndex {
				sum += out.Value
			}
		}
		return sum
	}
	index := h.tx.ToOtherIndex
	if h.owner == 0 {
		index = h.tx.ToOwnerIndex
	}
	if index >= 0 {
		sum = h.tx.Tx.TxOut[index].Value
	}
	claimed, lost := w.nodes[0].told()
	for i := range h.tx.HTLCs {
		x := &h.tx.HTLCs[i]
		value := int64(x.Amount.ToSatoshis())
		if x.Offered == (h.owner == 0) {
			if !w.shown(h, wire.OutPoint{Hash: h.tx.Txid, Index: x.OutputIndex}, x.Hash) {
				sum += value
			}
		} else if claimed[x.Hash] > 0 && lost[x.Hash] == 0 {
			sum += value
		}
	}
	return sum
}

// shown tells whether the thief took an HTLC of alice's, and with what right: then her payment must be sent.
func (w *world) shown(h *held, op wire.OutPoint, hash ln.Hash) bool {
	spender, ok := w.chain.Spender(op)
	if !ok {
		return false
	}
	tx, _, err := w.chain.Tx(spender)
	if err != nil {
		w.wrong("%s: %v", spender, err)
		return false
	}
	preimage := w.preimageFor(1, hash)
	if preimage == nil {
		return false
	}
	for _, in := range tx.TxIn {
		for _, item := range in.Witness {
			if in.PreviousOutPoint == op && len(item) == 32 && ln.Preimage(item) == *preimage {
				for _, p := range w.payments {
					if p.msg.Hash == hash && p.from.index == 0 && !p.from.user.knows(sentID(p.msg.PaymentID)) {
						w.wrong("L2: the thief has shown the preimage of %s, and alice does not call it sent", p.msg.PaymentID)
					}
				}
				return true
			}
		}
	}
	return false
}

// preimageFor is the preimage of an invoice of a node's, nil if it has none for this hash.
func (w *world) preimageFor(payee int, hash ln.Hash) *ln.Preimage {
	for _, p := range w.payments {
		if p.to.index != payee {
			continue
		}
		if preimage, of := identities[payee].invoices.Preimage(invoice.Secret(p.msg.Secret)); of == hash {
			return &preimage
		}
	}
	return nil
}
