package sim

import (
	"crypto/sha256"
	"maps"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
)

// htlcOf names an HTLC of a node, outbound or inbound.
type htlcOf struct {
	channel ln.ChannelID
	id      uint64
}

// traffic is what is known of a node's HTLCs from its durable records, over all its lives. It is what forwards and parts are judged by.
type traffic struct {
	parts    map[ln.PaymentID]*parts // of payments
	forwards map[htlcOf]*forward     // by the inbound HTLC
	claimed  map[htlcOf]facts.Claimed
	failed   map[htlcOf]facts.Failed
	accepted map[htlcOf]facts.HTLCAccepted
	known    map[ln.Hash]bool // preimages that a durable Claimed told
	fences   map[ln.ChannelID]uint64
	loads    map[ln.ChannelID]uint64 // newest incarnation of each channel
}

func newTraffic() traffic {
	return traffic{
		parts: map[ln.PaymentID]*parts{}, forwards: map[htlcOf]*forward{}, claimed: map[htlcOf]facts.Claimed{}, failed: map[htlcOf]facts.Failed{},
		accepted: map[htlcOf]facts.HTLCAccepted{}, known: map[ln.Hash]bool{}, fences: map[ln.ChannelID]uint64{}, loads: map[ln.ChannelID]uint64{},
	}
}

// clone is for another world that goes on from here. What is in the maps is never changed, but for parts.
func (t traffic) clone() traffic {
	c := traffic{
		parts: map[ln.PaymentID]*parts{}, forwards: maps.Clone(t.forwards), claimed: maps.Clone(t.claimed), failed: maps.Clone(t.failed),
		accepted: maps.Clone(t.accepted), known: maps.Clone(t.known), fences: map[ln.ChannelID]uint64{}, loads: map[ln.ChannelID]uint64{},
	}
	for id, p := range t.parts {
		c.parts[id] = &parts{maps.Clone(p.at), maps.Clone(p.amount)}
	}
	return c
}

// forward is an outbound HTLC that was made for an inbound one.
type forward struct {
	in, out    htlcOf
	hash       ln.Hash
	amountMsat uint64 // that goes out
}

// parts are the outbound HTLCs of a payment, by part id.
type parts struct {
	at     map[uint64]htlcOf
	amount map[htlcOf]uint64
}

// committed notes that an outbound HTLC is durable in its monitor.
func (s *shadow) committed(c *shadowChannel, h *facts.HTLC) {
	if h.Source == nil {
		return
	}
	at := htlcOf{c.facts.ID, h.ID}
	switch {
	case h.Source.Payment != nil:
		s.n.committedPart(at, h)
	case h.Source.Forward != nil:
		s.n.committedForward(at, h)
	}
}

// committedPart guards S15: a part is one HTLC, and no part follows one that was claimed.
func (n *node) committedPart(at htlcOf, h *facts.HTLC) {
	src := h.Source.Payment
	p := n.parts[src.PaymentID]
	if p == nil {
		p = &parts{at: map[uint64]htlcOf{}, amount: map[htlcOf]uint64{}}
		n.parts[src.PaymentID] = p
	}
	if first, ok := p.at[src.PartID]; ok {
		if first != at {
			n.w.wrong("S15: %s: part %d of payment %s is HTLC %v and %v", n.name, src.PartID, src.PaymentID, first, at)
		}
		return
	}
	var live uint64
	for _, other := range p.at {
		if _, ok := n.claimed[other]; ok {
			n.w.wrong("S15: %s: payment %s gets part %d although HTLC %v of it is claimed", n.name, src.PaymentID, src.PartID, other)
		}
		if _, ok := n.failed[other]; !ok {
			live += p.amount[other]
		}
	}
	if most := n.w.mostOf(n, src.PaymentID); most > 0 && live+h.AmountMsat > most {
		n.w.wrong("S15: %s: payment %s has %d msat in live parts and gets %d more, the most is %d", n.name, src.PaymentID, live, h.AmountMsat, most)
	}
	p.at[src.PartID], p.amount[at] = at, h.AmountMsat
}

// mostOf is what all live parts of a payment may have together, 0 if nobody here made it.
func (w *world) mostOf(n *node, id ln.PaymentID) (most uint64) {
	for _, p := range w.payments {
		if p.from == n && p.msg.PaymentID == id {
			most = max(most, p.msg.AmountMsat+p.msg.MaxFeeMsat)
		}
	}
	return most
}

// committedForward guards S14 and rules 7 to 9: an inbound HTLC that is irrevocably committed, and was not decided otherwise, has one outbound HTLC
// over all restarts.
func (n *node) committedForward(at htlcOf, h *facts.HTLC) {
	src := h.Source.Forward
	in := htlcOf{src.Channel, src.HTLCID}
	if first := n.forwards[in]; first != nil {
		if first.out != at {
			n.w.wrong("S14: %s: inbound HTLC %v is forwarded as %v and as %v", n.name, in, first.out, at)
		}
		return
	}
	n.forwards[in] = &forward{in: in, out: at, hash: h.Hash, amountMsat: h.AmountMsat}
	if n.embedder != nil {
		n.embedder.forwarded(n.forwards[in])
	}
	if _, ok := n.accepted[in]; !ok {
		n.w.wrong("rule 8: %s: HTLC %v is forwarded as %v and was never accepted", n.name, in, at)
	}
	c := n.shadow.channels[in.channel]
	if c == nil {
		n.w.wrong("S14: %s: HTLC %v is forwarded as %v, its channel is gone", n.name, in, at)
		return
	}
	if x := c.facts.Inbound[in.id]; x == nil || x.Resolution != nil {
		n.w.wrong("S6: %s: HTLC %v is forwarded as %v although it is decided", n.name, in, at)
	}
}

// happened notes a durable event.
func (n *node) happened(channel ln.ChannelID, e facts.Event) {
	switch k := e.Kind.(type) {
	case facts.Claimed:
		n.claimed[htlcOf{channel, k.HTLCID}] = k
		n.known[k.Hash] = true
	case facts.Failed:
		n.failed[htlcOf{channel, k.HTLCID}] = k
	case facts.HTLCAccepted:
		n.accepted[htlcOf{channel, k.HTLCID}] = k
	}
}

// decides guards a decision about an inbound HTLC that is durable now: a forward is claimed with a preimage that a durable event told (rule 10), and
// failed when the one downstream can't be claimed any more (rule 12, S6, S7).
func (n *node) decides(c *shadowChannel, u facts.Decided) {
	in := htlcOf{c.facts.ID, u.HTLCID}
	f := n.forwards[in]
	if f == nil {
		return
	}
	if p := u.Resolution.Preimage; p != nil {
		if hash := ln.Hash(sha256.Sum256(p[:])); !n.known[hash] {
			n.w.guard("rule 10: %s: HTLC %v is claimed, and no durable event has told the preimage", n.name, in)
		}
		return
	}
	_, failed := n.failed[f.out]
	if n.restore != nil && n.restore.done && uint32(n.w.chain.Height())+3 >= n.accepted[in].CLTVExpiry {
		return // it went on after the backup, and the node can't know: the inbound channel is saved
	}
	if _, claimed := n.claimed[f.out]; claimed && !failed {
		n.w.wrong("S7: %s: HTLC %v is failed although %v was claimed downstream", n.name, in, f.out)
	} else if !failed {
		n.w.guard("S6: %s: HTLC %v is failed while %v can be claimed downstream (rule 12)", n.name, in, f.out)
	}
}

// ackedForward guards the acknowledgement of what became of a forward downstream.
func (n *node) ackedForward(src *ln.ForwardSource, claimed bool, lacks func(string)) {
	c := n.shadow.channels[src.Channel]
	if claimed && !n.user.knows(forwardedID(src.Channel, src.HTLCID)) {
		lacks("PaymentForwarded was handled")
	}
	if c == nil {
		return // archived: nothing is left to be done there
	}
	h := c.facts.Inbound[src.HTLCID]
	switch {
	case h == nil, h.Fate != facts.FateOpen, h.State == facts.RcvdRemoveRevocation: // gone
	case claimed && c.facts.Ended() && h.Preimage != nil: // it claims on chain
	case !claimed && c.facts.Spent != nil && n.w.wasDeep(c.facts.Spent.Txid, 6):
	default:
		lacks("the removal of the inbound HTLC is irrevocable (rule 11)")
	}
}
