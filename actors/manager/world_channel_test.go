package manager

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// simChannel is a monitor with the channel beside it.
type simChannel struct {
	w  *world
	id ln.ChannelID

	// Durable.
	last    uint64
	events  map[uint64]facts.EventKind
	own     map[uint64]*simOwn
	nextOwn uint64
	in      map[uint64]*simIn
	nextIn  uint64
	chain   simChain
	rows    []messages.Row // of the next event

	// Of the monitor's incarnation.
	inc      uint64
	manager  uint64
	fence    uint64
	reported bool
	down     bool // quarantined

	// Of the channel's incarnation.
	chanFence uint64
	queue     []messages.AddHTLC
}

type simOwn struct {
	add      messages.AddHTLC
	preimage *ln.Preimage
	failed   []byte               // the reason, once the peer failed it
	secrets  []onion.SharedSecret // of the hops
	carries  uint64               // to the payee
}

type simIn struct {
	htlc       facts.HTLCAccepted
	total      uint64 // that the payer says
	resolution *facts.Resolution
	gone       bool
	paid       bool // gone with its preimage
	onward     bool // for somebody else
	known      bool // the preimage, whatever was decided
}

func (c *simChannel) start() {
	if c.chain.archived {
		return
	}
	c.inc, c.manager, c.fence, c.reported = c.w.next(), 0, 0, false
	c.restartChannel()
	c.say(messages.MonitorHello{Channel: c.id, Incarnation: c.inc})
}

// restartChannel: the channel beside the monitor has a new incarnation, which knows no fence.
func (c *simChannel) restartChannel() { c.chanFence, c.queue = 0, nil }

// say: what a monitor says is durable, and goes through the persister.
func (c *simChannel) say(msg any) {
	c.w.send(messages.MonitorAddr(c.id), messages.PersisterAddr, messages.Append{Then: []messages.Delivery{{To: messages.ManagerAddr, Msg: msg}}})
}

// event makes an event durable, and emits it if the newest fence was answered.
func (c *simChannel) event(k facts.EventKind) {
	c.last++
	c.events[c.last] = k
	a := messages.Append{Rows: c.rows}
	c.w.rows, c.rows = append(c.w.rows, c.rows...), nil
	if c.reported {
		a.Then = []messages.Delivery{{To: messages.ManagerAddr, Msg: messages.EmitEvents{
			Channel: c.id, Incarnation: c.inc, Fence: c.fence, Events: []facts.Event{{Seq: c.last, Kind: k}},
		}}}
	}
	if len(a.Rows)+len(a.Then) > 0 {
		c.w.send(messages.MonitorAddr(c.id), messages.PersisterAddr, a)
	}
}

// row is written with the next event: who reads it was told of the event before.
func (c *simChannel) row(r messages.Row) { c.rows = append(c.rows, r) }

func (c *simChannel) summary() messages.ChannelSummary {
	s := messages.ChannelSummary{Channel: c.id, Peer: peerID, Phase: messages.PhaseOpen, HolderMsat: 1 << 40, ShortChannelID: c.w.scidOf(c)}
	if c.w.poor {
		s.HolderMsat = 700
	}
	if c.chain.closed {
		s.Phase = messages.PhaseClosed
		s.Spent = &facts.FundingSpent{Height: c.chain.height}
	}
	return s
}

func (c *simChannel) report() {
	c.reported = true
	r := messages.MonitorReport{ManagerIncarnation: c.manager, Fence: c.fence, Channel: c.id, Incarnation: c.inc, Summary: c.summary()}
	for _, seq := range slices.Sorted(maps.Keys(c.events)) {
		r.Events = append(r.Events, facts.Event{Seq: seq, Kind: c.events[seq]})
		if c.chain.swept[seq] {
			r.Swept = append(r.Swept, seq)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.own)) {
		h := c.own[id]
		if src := h.add.Source.Forward; src != nil && c.w.forwards[keyOf(src)].early {
			continue // its outcome was told
		}
		r.Own = append(r.Own, messages.OwnHTLC{HTLCID: id, Hash: h.add.Hash, AmountMsat: h.add.AmountMsat, Source: h.add.Source, Preimage: h.preimage})
	}
	waits := c.waits()
	for _, id := range slices.Sorted(maps.Keys(c.in)) {
		if h := c.in[id]; !h.gone || waits[id] {
			r.Inbound = append(r.Inbound, messages.InboundHTLC{
				HTLCID: id, Hash: h.htlc.Hash, AmountMsat: h.htlc.AmountMsat, CLTVExpiry: h.htlc.CLTVExpiry, Resolution: h.resolution, Resolved: h.gone, Fulfilled: h.paid,
			})
		}
	}
	c.say(r)
}

func (c *simChannel) waits() map[uint64]bool {
	out := map[uint64]bool{}
	for _, k := range c.events {
		if a, ok := k.(facts.HTLCAccepted); ok {
			out[a.HTLCID] = true
		}
	}
	return out
}

// handle is a message to the monitor or the channel.
func (c *simChannel) handle(msg any) {
	if c.down || c.chain.archived {
		return
	}
	switch m := msg.(type) {
	case messages.ManagerHello:
		if m.Incarnation > c.manager {
			c.manager, c.reported = m.Incarnation, false
		}
	case messages.Fence:
		if m.Fence > c.fence && m.ManagerIncarnation >= c.manager {
			c.manager, c.fence, c.reported = m.ManagerIncarnation, m.Fence, false
			c.chanFence, c.queue = m.Fence, nil
			c.report()
		}
	case messages.AckMonitorEvent:
		for _, seq := range m.Seqs {
			c.w.checkAck(c, seq)
			delete(c.events, seq)
		}
	case messages.DecideHTLC:
		c.decide(m)
	case messages.ArchiveGranted:
		c.granted(m)
	case messages.RecallHTLC:
		c.recall(m)
	case messages.AddHTLC:
		if m.Fence == c.chanFence {
			c.w.checkAdd(m)
			c.queue = append(c.queue, m)
			if c.chain.closed {
				c.refuse()
			}
		}
	}
}

func (c *simChannel) decide(m messages.DecideHTLC) {
	h := c.in[m.HTLCID]
	if m.Resolution.Preimage != nil && !h.gone {
		if sha256.Sum256(m.Resolution.Preimage[:]) != [32]byte(h.htlc.Hash) {
			c.w.fatalf("wrong preimage given for htlc %d", m.HTLCID)
		}
		if !h.onward {
			c.w.checkInvoiceRow(c, h)
			c.w.checkClaim(c, h, m.Resolution)
		}
	}
	if h.onward && !h.gone {
		c.checkOnwardDecision(m.HTLCID, m.Resolution)
	}
	if h.resolution == nil && !h.gone {
		r := m.Resolution
		h.resolution = &r
		if r.Fulfilled() && !h.onward {
			c.w.claim(c, h)
		}
	}
	stands := h.resolution
	if h.onward && h.gone && !c.waits()[m.HTLCID] {
		stands = nil // not known any more
	}
	c.say(messages.InboundDecided{Channel: c.id, HTLCID: m.HTLCID, Resolution: stands, Gone: h.gone, Buried: c.chain.closed && c.w.height >= c.chain.height+burial-1})
}

// Things that happen.

// commit: the channel commits to what waits.
func (c *simChannel) commit() {
	if c.chain.closed {
		c.refuse()
	}
	for _, a := range c.queue {
		if a.Source.Forward != nil {
			c.commitOnward(a)
			continue
		}
		id := a.Source.Payment.PaymentID
		payloads, secrets := peel(a)
		h := &simOwn{add: a, secrets: secrets, carries: payloads[len(payloads)-1].AmountMsat}
		c.w.committed[id]++
		if c.w.carried[id] += h.carries; c.w.carried[id] > payAmount {
			c.w.fatalf("payment %s has HTLCs of %d msat (S15)", id, c.w.carried[id])
		}
		c.w.logf("%s commits to %s part %d", c.id, id, a.Source.Payment.PartID)
		c.own[c.nextOwn] = h
		c.nextOwn++
	}
	c.queue = nil
}

func (c *simChannel) refuse() {
	for _, a := range c.queue {
		c.w.send(messages.ChannelAddr(c.id), messages.ManagerAddr, messages.NotCommitted{
			Channel: c.id, Fence: a.Fence, Source: a.Source, Why: fmt.Errorf("no"),
		})
	}
	c.queue = nil
}

func (w *world) preimageOf(id ln.PaymentID) ln.Preimage {
	return id32[ln.Preimage]("preimage " + id.String())
}

// settle: the peer ends an own HTLC, in two steps.
func (c *simChannel) settle() {
	ids := slices.Sorted(maps.Keys(c.own))
	if len(ids) == 0 {
		return
	}
	id := ids[c.w.rnd.IntN(len(ids))]
	h := c.own[id]
	src := h.add.Source
	if src.Forward != nil {
		c.settleOnward(id)
		return
	}
	switch {
	case h.preimage != nil:
		delete(c.own, id) // its removal is irrevocable
	case h.failed != nil:
		delete(c.own, id)
		c.w.carried[src.Payment.PaymentID] -= h.carries
		c.row(outcomeRow(c.id, id, src.Payment.PaymentID, h.add.Hash, h.add.AmountMsat, nil))
		c.event(facts.Failed{HTLCID: id, Hash: h.add.Hash, Source: src, AmountMsat: h.add.AmountMsat, Resolution: facts.Resolution{Reason: h.failed}})
	case c.w.rnd.IntN(2) == 0:
		p := c.w.preimageOf(src.Payment.PaymentID)
		h.preimage = &p
		c.row(outcomeRow(c.id, id, src.Payment.PaymentID, h.add.Hash, h.add.AmountMsat, &p))
		c.event(facts.Claimed{HTLCID: id, Hash: h.add.Hash, Source: src, AmountMsat: h.add.AmountMsat, Preimage: p})
	case c.chain.closed:
		c.timeOut(id)
	default:
		h.failed = c.w.failure(h)
	}
}

// remove: a decided inbound HTLC leaves irrevocably; on chain also one that is not decided, and not always as it was decided.
func (c *simChannel) remove() {
	for _, id := range slices.Sorted(maps.Keys(c.in)) {
		h := c.in[id]
		if h.gone || h.resolution == nil && !c.chain.closed {
			continue
		}
		h.gone, h.paid = true, h.resolution.Fulfilled()
		if c.chain.closed {
			h.paid = (h.paid || h.known) && c.w.rnd.IntN(2) == 0
		}
		if h.paid {
			c.w.disk.put(fateRow(c.id, id, h.htlc.Hash, h.htlc.AmountMsat))
		}
		if c.reported {
			c.say(messages.InboundResolved{Channel: c.id, HTLCID: id, Fulfilled: h.paid})
		}
		return
	}
}

func (w *world) unacked() (out []string) {
	for _, c := range w.channels {
		for _, seq := range slices.SortedFunc(maps.Keys(c.events), cmp.Compare) {
			out = append(out, fmt.Sprintf("%s/%d %T", c.id, seq, c.events[seq]))
		}
	}
	return out
}

// recall refuses one that waits.
func (c *simChannel) recall(m messages.RecallHTLC) {
	for i, a := range c.queue {
		if p := a.Source.Payment; p != nil && p.PaymentID == m.PaymentID && p.PartID == m.PartID && m.Fence == c.chanFence {
			c.queue = slices.Delete(c.queue, i, i+1)
			c.w.logf("%s gives %s part %d back", c.id, m.PaymentID, m.PartID)
			c.w.send(messages.ChannelAddr(c.id), messages.ManagerAddr, messages.NotCommitted{Channel: c.id, Fence: a.Fence, Source: a.Source, Why: fmt.Errorf("recalled")})
			return
		}
	}
}
