package manager

import (
	"fmt"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/internal/onion"
	"github.com/lnactor/lnactor/messages"
)

// HTLCs that the manager is asked to send on, in the world of TestModel.

// simForward is what the world knows of one of them.
type simForward struct {
	n        int // names its preimage
	offered  int // outbound HTLCs that were ever committed to
	claimed  bool
	revealed bool // downstream, by this HTLC
	early    bool // given up while it could be claimed
	out      *simChannel
}

const maxForwards = 12

func forwardHash(n int) ln.Hash         { return hashOf(fmt.Sprintf("forward %d", n)) }
func forwardPreimage(n int) ln.Preimage { return preimageOf(fmt.Sprintf("forward %d", n)) }

// scidOf names the channels in onions.
func (w *world) scidOf(c *simChannel) uint64 { return uint64(slices.Index(w.channels, c) + 1) }

var onwardOnions = map[string][]byte{}

// receiveOnward: an inbound HTLC for somebody else is irrevocably committed. Some can't be forwarded, some are parts of one payment.
func (c *simChannel) receiveOnward() {
	w := c.w
	if len(w.forwards) >= maxForwards || c.down || c.chain.closed {
		return
	}
	n := len(w.forwards)
	if n > 0 && w.rnd.IntN(4) == 0 {
		n-- // the same hash
	}
	scid := uint64(w.rnd.IntN(len(w.channels)) + 1)
	if scid == w.scidOf(c) && w.rnd.IntN(4) > 0 {
		scid = scid%uint64(len(w.channels)) + 1 // some to nowhere, and some back
	}
	expiry := uint32(startHeight + 400)
	if w.rnd.IntN(3) == 0 {
		expiry = startHeight + 110
	}
	session := fmt.Sprintf("onward %d %d %d %d", n, len(w.forwards), scid, expiry)
	if _, ok := onwardOnions[session]; !ok {
		packet := must(onion.Build(privKey(session), []onion.Hop{
			{PubKey: nodeKey.PubKey(), AmountMsat: 1000, CLTVExpiry: expiry - 90, NextSCID: scid},
			{PubKey: peerKey.PubKey(), AmountMsat: 1000, CLTVExpiry: expiry - 90, PaymentSecret: [32]byte{1}, TotalMsat: 1000},
		}, forwardHash(n)))
		onwardOnions[session] = packet[:]
	}
	h := facts.HTLCAccepted{HTLCID: c.nextIn, AmountMsat: 1010, Hash: forwardHash(n), CLTVExpiry: expiry, Onion: onwardOnions[session]}
	c.nextIn++
	c.in[h.HTLCID] = &simIn{htlc: h, onward: true}
	w.forwards[htlcKey{c.id, h.HTLCID}] = &simForward{n: n}
	c.event(h)
}

func keyOf(f *ln.ForwardSource) htlcKey { return htlcKey{f.Channel, f.HTLCID} }

func (w *world) inboundOf(f *ln.ForwardSource) (*simChannel, *simIn) {
	c := w.byAddr[messages.MonitorAddr(f.Channel)]
	return c, c.in[f.HTLCID]
}

// commitOnward: the channel commits to an HTLC for somebody else.
func (c *simChannel) commitOnward(a messages.AddHTLC) {
	src := a.Source.Forward
	f := c.w.forwards[keyOf(src)]
	if f.offered++; f.offered > 1 {
		c.w.fatalf("htlc %v has two outbound HTLCs (S14)", keyOf(src))
	}
	if _, in := c.w.inboundOf(src); in.resolution != nil && !in.resolution.Fulfilled() {
		c.w.fatalf("htlc %v was failed, and goes out all the same (S6)", keyOf(src))
	}
	f.out = c
	id := c.nextOwn
	c.nextOwn++
	c.own[id] = &simOwn{add: a}
	c.w.logf("%s commits to forward %d", c.id, f.n)
	c.say(messages.HTLCCommitted{Channel: c.id, HTLCID: id, Source: *src})
}

// settleOnward: an outbound HTLC of a forward comes nearer to its end.
func (c *simChannel) settleOnward(id uint64) {
	h, w := c.own[id], c.w
	src := h.add.Source.Forward
	f := w.forwards[keyOf(src)]
	failed := facts.Failed{HTLCID: id, Hash: h.add.Hash, Source: h.add.Source, AmountMsat: h.add.AmountMsat}
	switch {
	case h.preimage != nil:
		delete(c.own, id) // its removal is irrevocable
	case h.failed != nil && f.early:
		delete(c.own, id) // told before
	case h.failed != nil:
		delete(c.own, id)
		failed.Resolution.Reason = h.failed
		c.event(failed)
	case w.rnd.IntN(2) == 0:
		p := forwardPreimage(f.n)
		h.preimage, f.claimed, f.revealed = &p, true, true
		c.event(facts.Claimed{HTLCID: id, Hash: h.add.Hash, Source: h.add.Source, AmountMsat: h.add.AmountMsat, Preimage: p, OnChain: c.chain.closed})
	case c.chain.closed && !f.early && w.rnd.IntN(3) == 0:
		f.early = true
		failed.Local = facts.InboundExpiring
		c.event(failed)
	case c.chain.closed:
		c.timeOutOnward(id)
	default:
		h.failed = make([]byte, 292)
	}
}

func (c *simChannel) timeOutOnward(id uint64) {
	h := c.own[id]
	delete(c.own, id)
	if !c.w.forwards[keyOf(h.add.Source.Forward)].early {
		c.event(facts.Failed{HTLCID: id, Hash: h.add.Hash, Source: h.add.Source, AmountMsat: h.add.AmountMsat, Local: facts.OnChainTimeout})
	}
}

// checkOnwardDecision: S6, S7.
func (c *simChannel) checkOnwardDecision(id uint64, r facts.Resolution) {
	w, k := c.w, htlcKey{c.id, id}
	f, h := w.forwards[k], c.in[id]
	if r.Preimage != nil {
		if *r.Preimage != forwardPreimage(f.n) || !w.revealedSomewhere(f.n) {
			w.fatalf("preimage of htlc %v given before it was revealed", k)
		}
		h.known = true
		return
	}
	for _, o := range w.channels {
		saved := o.down && w.height+earlyMargin >= h.htlc.CLTVExpiry
		for _, own := range o.own {
			if s := own.add.Source.Forward; s != nil && keyOf(s) == k && !f.early && !saved {
				w.fatalf("htlc %v failed upstream while it is live downstream (S6)", k)
			}
		}
		for _, a := range o.queue {
			if s := a.Source.Forward; s != nil && keyOf(s) == k && !o.down {
				w.fatalf("htlc %v failed upstream while it may be committed to (S6)", k)
			}
		}
	}
}

func (w *world) revealedSomewhere(n int) bool {
	for _, f := range w.forwards {
		if f.n == n && f.revealed {
			return true
		}
	}
	return false
}

// checkOnwardAck: the ack table of forwards (S2).
func (w *world) checkOnwardAck(src *ln.ForwardSource, kind facts.EventKind) {
	c, in := w.inboundOf(src)
	if _, claimed := kind.(facts.Claimed); claimed {
		if !w.user.handled[forwardedID(keyOf(src))] {
			w.fatalf("claim of htlc %v acknowledged before PaymentForwarded was handled (S2)", keyOf(src))
		}
		if !in.gone {
			w.fatalf("claim of htlc %v acknowledged before the inbound one is gone (S2, rule 11)", keyOf(src))
		}
		return
	}
	if !in.gone && !(c.chain.closed && w.height >= c.chain.height+burial-1 && in.resolution != nil) {
		w.fatalf("failure of htlc %v acknowledged before the inbound one is gone (S2)", keyOf(src))
	}
}

// checkOnwardAccepted is that of HTLCAccepted.
func (w *world) checkOnwardAccepted(c *simChannel, id uint64) {
	if h := c.in[id]; h.resolution == nil && !h.gone && w.forwards[htlcKey{c.id, id}].offered == 0 {
		w.fatalf("acceptance of %s/%d acknowledged: it was neither forwarded nor decided (rule 9)", c.id, id)
	}
}

// checkOnwardEnd: each one is settled once, and what downstream took was claimed upstream or told as lost (S13, L2).
func (w *world) checkOnwardEnd() {
	for k, f := range w.forwards {
		c := w.byAddr[messages.MonitorAddr(k.channel)]
		h := c.in[k.id]
		if !h.gone {
			w.fatalf("htlc %v is not resolved (L1): decided %v, offered %d", k, h.resolution, f.offered)
		}
		ev, told := w.user.seen[forwardedID(k)]
		switch {
		case f.claimed && !told:
			w.fatalf("htlc %v was claimed downstream, and nobody was told", k)
		case !told:
			continue
		}
		p := ev.Kind.(messages.PaymentForwarded)
		if !f.claimed && !h.paid || p.ClaimLost == h.paid {
			w.fatalf("htlc %v: claimed downstream %v, paid %v, told lost %v", k, f.claimed, h.paid, p.ClaimLost)
		}
		if f.claimed && !h.paid && !f.early && !c.chain.closed && !w.wasQuarantined {
			w.fatalf("htlc %v was paid and not claimed, though nothing went wrong (L4)", k)
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(w.forwards), compareKeys) {
		if f := w.forwards[k]; f.offered > 1 {
			w.fatalf("htlc %v went out twice (S14)", k)
		}
	}
}

// checkUnnamed: no HTLC and no event of another monitor, whose end is open, names the channel as its inbound one (rule 23). An acknowledgement may be on
// its way, and what was given up early may be claimed yet: for these the rows of what became of the inbound HTLCs are kept.
func (c *simChannel) checkUnnamed() {
	for _, o := range c.w.channels {
		for _, h := range o.own {
			s := h.add.Source.Forward
			if s != nil && s.Channel == c.id && h.preimage == nil && !c.w.forwards[keyOf(s)].early {
				c.w.fatalf("%s is archived while an HTLC of %s names it (rule 23)", c.id, o.id)
			}
		}
		for _, k := range o.events {
			claimed, ok := k.(facts.Claimed)
			if s := claimed.Source.Forward; ok && s != nil && s.Channel == c.id && !c.w.user.handled[forwardedID(keyOf(s))] && !c.w.forwards[keyOf(s)].early {
				c.w.fatalf("%s is archived while an event of %s names it (rule 23)", c.id, o.id)
			}
		}
	}
}

// interceptOne: the interceptor decides about something that it was asked, maybe long ago.
func (w *world) interceptOne() {
	if len(w.intercepted) == 0 {
		return
	}
	q := w.intercepted[0]
	w.intercepted = w.intercepted[1:]
	d := messages.DecideIntercepted{Channel: q.Channel, HTLCID: q.HTLCID, Action: messages.InterceptForward, ReplyTo: "api"}
	switch f := w.forwards[htlcKey{q.Channel, q.HTLCID}]; w.rnd.IntN(8) {
	case 0:
		d.Action, d.Code = messages.InterceptFail, 0
	case 1:
		d.Action, d.Preimage, f.revealed = messages.InterceptSettle, forwardPreimage(f.n), true
	case 2:
		if q.Deadline > startHeight+50 {
			w.intercepted = append(w.intercepted, q) // later
		}
		return // or never
	case 3, 4:
		d.Out, d.ForwardMsat = w.channels[w.rnd.IntN(len(w.channels))].id, 900
		w.intercepted = append(w.intercepted, q) // it may be no good
	}
	w.send(messages.InterceptorAddr, messages.ManagerAddr, d)
}
