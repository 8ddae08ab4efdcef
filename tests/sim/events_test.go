package sim

import (
	"fmt"
	"reflect"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
	"github.com/lnactor/lnactor/supervisor/sim"
)

// eventOf names an event of a node.
type eventOf struct {
	node int
	id   ln.EventID
}

// emitted notes an event that is durable or was told: its id never names another one (S8).
func (w *world) emitted(n *node, id ln.EventID, e facts.Event) {
	key := eventOf{n.index, id}
	if before, ok := w.events[key]; ok {
		if !sameEvent(before, e) {
			w.guard("S8: %s: event %s was %+v, now it is %+v", n.name, id, before, e)
		}
		if len(onionOf(e)) == 0 {
			return
		}
	}
	w.events[key] = e
}

// sameEvent compares events. Records leave out an onion that the HTLC beside it holds.
func sameEvent(a, b facts.Event) bool {
	x, ok := a.Kind.(facts.HTLCAccepted)
	y, too := b.Kind.(facts.HTLCAccepted)
	if ok && too && (len(x.Onion) == 0 || len(y.Onion) == 0) {
		x.Onion, y.Onion = nil, nil
		return a.Seq == b.Seq && reflect.DeepEqual(x, y)
	}
	return reflect.DeepEqual(a, b)
}

func onionOf(e facts.Event) []byte {
	k, _ := e.Kind.(facts.HTLCAccepted)
	return k.Onion
}

// observe looks at a message that an actor is about to handle.
func (w *world) observe(p sim.Point) {
	n := w.node(p.Node)
	switch m := p.Msg.(type) {
	case messages.Append:
		for _, d := range m.Then {
			w.observeThen(n, d.Msg)
			if add, ok := d.Msg.(messages.AddHTLC); ok {
				n.adds(add)
			}
		}
	case *messages.Append:
		for _, d := range m.Then {
			w.observeThen(n, d.Msg)
			if add, ok := d.Msg.(messages.AddHTLC); ok {
				n.adds(add)
			}
		}
	case messages.ChannelLoad:
		n.loads[m.Channel] = m.Incarnation
	case messages.Fence:
		n.fences[m.Channel] = m.Fence
	case messages.EmitEvents:
		for _, e := range m.Events {
			w.told(n, m.Channel, e)
		}
	case messages.MonitorReport:
		for _, e := range m.Events {
			w.told(n, m.Channel, e)
		}
	case messages.AckMonitorEvent:
		for _, seq := range m.Seqs {
			w.acked(n, ln.EventID{Channel: m.Channel, Seq: seq})
		}
	}
}

// observeThen looks at what a monitor asks the persister to deliver: an event that is durably acknowledged is never emitted again (L8). All that
// the monitor said before the acknowledgement is in front of it in the persister's mailbox.
func (w *world) observeThen(n *node, msg any) {
	var channel ln.ChannelID
	var events []facts.Event
	switch m := msg.(type) {
	case messages.EmitEvents:
		channel, events = m.Channel, m.Events
	case messages.MonitorReport:
		channel, events = m.Channel, m.Events
	default:
		return
	}
	c := n.shadow.channels[channel]
	for _, e := range events {
		if c == nil || e.Seq > c.lastSeq {
			continue
		}
		if _, ok := c.unacked[e.Seq]; !ok {
			w.guard("L8: %s: event %d of %s (%T) is emitted although its acknowledgement is durable", n.name, e.Seq, channel, e.Kind)
		}
	}
}

// told: the manager is told of an event, which must be durable (S1).
func (w *world) told(n *node, channel ln.ChannelID, e facts.Event) {
	c := n.shadow.channels[channel]
	if c == nil && n.closed[channel] {
		return // it waited in the manager's mailbox while the channel was archived
	}
	if c == nil || c.lastSeq < e.Seq {
		w.guard("S1: %s: event %d of %s is emitted and not durable", n.name, e.Seq, channel)
	}
	if _, ok := e.Kind.(facts.HTLCAccepted); ok && len(onionOf(e)) == 0 {
		w.guard("S8: %s: event %d of %s is emitted without its onion", n.name, e.Seq, channel)
	}
	w.emitted(n, ln.EventID{Channel: channel, Seq: e.Seq}, e)
}

// acked: the manager acknowledges an event, so its effect must be durable (S2, rule 24).
func (w *world) acked(n *node, id ln.EventID) {
	e, ok := w.events[eventOf{n.index, id}]
	if !ok {
		w.guard("S2: %s: acknowledges %s, which was never emitted", n.name, id)
		return
	}
	lacks := func(what string) { w.guard("S2: %s: acknowledges %s (%T) before %s", n.name, id, e.Kind, what) }
	switch k := e.Kind.(type) {
	case facts.Claimed:
		w.ackedOutcome(n, k.Source, true, lacks)
	case facts.Failed:
		w.ackedOutcome(n, k.Source, false, lacks)
	case facts.HTLCAccepted:
		c := n.shadow.channels[id.Channel]
		if c == nil {
			break // archived
		}
		h := c.facts.Inbound[k.HTLCID]
		switch {
		case n.forwards[htlcOf{id.Channel, k.HTLCID}] != nil: // rule 9
		case h == nil || h.Fate != facts.FateOpen: // gone
		case h.Resolution == nil:
			lacks("a decision is durable")
		case h.Resolution.Fulfilled() && !n.user.claimed[k.Hash]:
			lacks("PaymentClaimed was handled")
		}
	case facts.ChannelPending:
		if !n.user.knows("channel-pending/" + id.Channel.String()) {
			lacks("ChannelPending was handled")
		}
	case facts.ChannelReady:
		if !n.user.knows("channel-ready/" + id.Channel.String()) {
			lacks("ChannelReady was handled")
		}
	case facts.SpendableOutputs:
		for _, o := range k.Outputs {
			if spender, ok := w.chain.Spender(o.Output); o.Kind != facts.SpendableAnchor && (!ok || !w.wasDeep(spender, 6)) {
				lacks(fmt.Sprintf("its output %v of kind %d is spent for good (%v, %d deep, now %d)", o.Output, o.Kind, ok, w.depth[spender], w.chain.Confirmations(spender)))
			}
		}
	case facts.CommitmentTxConfirmed, facts.HolderForceClosed:
		if !n.user.knows("channel-closed/" + id.Channel.String()) {
			lacks("ChannelClosed was handled")
		}
	}
}

func (w *world) ackedOutcome(n *node, src ln.Source, sent bool, lacks func(string)) {
	if src.Forward != nil {
		n.ackedForward(src.Forward, sent, lacks)
		return
	}
	id := src.Payment.PaymentID
	if !n.user.knows(sentID(id)) && (sent || !n.user.knows(failedID(id))) {
		lacks("the user handled the outcome")
	}
	if _, ok, err := n.store.Get(messages.BucketPayments, id[:]); err == nil && !ok {
		lacks("the payment's record says so")
	}
}
