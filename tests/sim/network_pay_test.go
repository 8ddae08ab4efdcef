package sim

import (
	"crypto/sha256"
	"math/rand/v2"
	"slices"

	"github.com/lnactor/lnactor/actors/chainwatch/regtest"
	"github.com/lnactor/lnactor/internal/invoice"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/route"
)

// Kinds of payments that only networks have.
const (
	netParts      = payKinds + iota // as many parts as it takes
	netKeysend                      // without an invoice
	netAmountless                   // the payer says how much
	netNobody                       // to a node that does not exist
	netNoFee                        // the payer pays no fee
	netKinds
)

// drawPayment makes a payment between two nodes of the network, of any kind, and starts it.
func (w *world) drawPayment(r *rand.Rand) {
	from, to := w.drawPair(r)
	kind := payGood
	switch r.IntN(8) {
	case 0, 1:
		kind = netParts
	case 2, 3, 4:
		kind = r.IntN(netKinds)
	}
	if kind == paySameID && w.plan.loseRecords != nil {
		kind = payGood // nobody remembers an id that was in no commitment
	}
	p := w.netPayment(from, to, netAmount(r, kind), kind)
	if r.IntN(2) == 0 && kind != netParts && kind != netNobody && kind != paySameID && kind != netKeysend {
		w.sendRaw(p, r)
		return
	}
	if w.plan.courses {
		p.maybeAbandon(r)
	}
	p.ask()
}

// drawPair is two nodes, more often than not without a channel between them.
func (w *world) drawPair(r *rand.Rand) (from, to int) {
	for try := 0; ; try++ {
		from = r.IntN(len(w.nodes))
		to = (from + 1 + r.IntN(len(w.nodes)-1)) % len(w.nodes)
		if try >= 2 || !slices.Contains(w.links, [2]int{from, to}) && !slices.Contains(w.links, [2]int{to, from}) {
			return from, to
		}
	}
}

func netAmount(r *rand.Rand, kind int) uint64 {
	if kind == netParts {
		return 100_000_000 + r.Uint64N(500_000_000)
	}
	switch r.IntN(8) {
	case 0:
		return 1 + r.Uint64N(354_000) // dust
	case 1:
		return 200_000_000 + r.Uint64N(400_000_000) // perhaps more than there is
	case 2:
		return 10_000_000 + r.Uint64N(100_000_000)
	}
	return 1_000_000 + r.Uint64N(10_000_000)
}

// netPayment makes a payment across the network.
func (w *world) netPayment(from, to int, amountMsat uint64, kind int) *payment {
	base := kind
	if kind >= payKinds {
		base = payGood
	}
	p := w.newPaymentTo(from, to, amountMsat, base)
	m := &p.msg
	m.MaxFeeMsat = 50_000 + amountMsat/20
	m.Hints = w.hints(p.to)
	switch kind {
	case netParts:
		m.MPP = true
		inv, err := invoice.New(p.to.invoices, invoice.Params{
			AmountMsat: amountMsat, Now: w.sim.Now(), IV: w.iv(w.indexOf(p)), Signer: p.to.invoicer, Chain: regtest.Params(),
			MinFinalCLTVDelta: uint16(w.finalDelta()), MPP: true,
		})
		if err != nil {
			panic(err)
		}
		m.Hash, m.Secret, m.Bolt11 = inv.Hash, inv.Secret, inv.Bolt11
	case netKeysend:
		preimage := ln.Preimage(sha256.Sum256(m.Secret[:]))
		m.Keysend, m.Hash, m.Bolt11 = &preimage, sha256.Sum256(preimage[:]), ""
	case netAmountless:
		inv, err := invoice.New(p.to.invoices, invoice.Params{
			Now: w.sim.Now(), IV: w.iv(w.indexOf(p)), Signer: p.to.invoicer, Chain: regtest.Params(), MinFinalCLTVDelta: uint16(w.finalDelta()),
		})
		if err != nil {
			panic(err)
		}
		m.Hash, m.Secret, m.Bolt11 = inv.Hash, inv.Secret, inv.Bolt11
	case netNobody:
		m.Payee, m.Hints, m.Bolt11 = stranger.id, nil, ""
		p.good = false
	case netNoFee:
		m.MaxFeeMsat = 0
	}
	return p
}

// stranger has no channel with anybody.
var stranger = newIdentity("stranger", 99)

// hints are the ways to a node over its private channels.
func (w *world) hints(n *node) (hints [][]route.Hint) {
	for _, id := range n.shadow.order {
		f := n.shadow.channels[id].facts
		if f.Announce || !f.Open() {
			continue
		}
		far := w.nodeOf(f.Peer)
		p := far.policy()
		hints = append(hints, []route.Hint{{
			Node: far.id, SCID: f.Alias, BaseMsat: p.BaseMsat, PropMillionths: p.PropMillionths, CLTVDelta: p.CLTVDelta,
		}})
	}
	return hints
}
