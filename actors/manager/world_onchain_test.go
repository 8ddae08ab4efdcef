package manager

import (
	"bytes"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// simChain is what a channel's end on chain made durable in its monitor.
type simChain struct {
	closed   bool
	height   uint32 // of the transaction that closed it
	handed   int    // SpendableOutputs events made
	swept    map[uint64]bool
	timedOut map[uint64]simOwn // own HTLCs that failed on chain
	archived bool
	unlisted bool // Monitors knows that
}

// fundsSim is the wallet's actor: it remembers nothing over a crash.
type fundsSim struct{ sweeps map[ln.EventID]bool }

func (w *world) funds(msg any) {
	switch m := msg.(type) {
	case messages.SweepOutputs:
		if len(m.Outputs) != 1 || m.Outputs[0].ValueSat != m.Event.Seq {
			w.fatalf("%s: the outputs of another event are to be swept", m.Event)
		}
		w.fundsSim.sweeps[m.Event] = true
	case messages.SweepDone:
		if c := w.byAddr[messages.MonitorAddr(m.Event.Channel)]; !c.chain.swept[m.Event.Seq] {
			w.fatalf("%s is done before it is swept", m.Event)
		}
		delete(w.fundsSim.sweeps, m.Event)
	}
}

func (w *world) restartFunds() {
	w.logf("funds actor crashes")
	w.fundsSim.sweeps = map[ln.EventID]bool{}
	w.send(messages.FundsAddr, messages.ManagerAddr, messages.FundsStarted{})
}

// onChain: something happens to a channel on chain.
func (c *simChannel) onChain() {
	if c.down || c.chain.archived {
		return
	}
	switch n := c.w.rnd.IntN(6); {
	case !c.chain.closed && (c == c.w.lastOpen() || n > 2 || c.w.calm && c.w.rnd.IntN(24) > 0): // one stays open, the others for a while
	case !c.chain.closed:
		c.commit() // so that some are live when it closes
		c.chain = simChain{closed: true, height: c.w.height, swept: map[uint64]bool{}, timedOut: map[uint64]simOwn{}}
		c.w.logf("%s is closed", c.id)
		if n == 0 {
			c.event(facts.HolderForceClosed{Reason: facts.CloseByUser})
		}
		c.event(facts.CommitmentTxConfirmed{Spend: facts.SpendCounterparty})
		if c.reported {
			c.say(messages.ChannelChanged{Summary: c.summary()})
		}
	case n == 0 && c.chain.handed < 3:
		c.handOver()
	case n < 4:
		c.reorganise()
	case n < 5 || len(c.chain.timedOut) > 0 && c.w.rnd.IntN(3) > 0:
		c.sweep()
	default:
		c.archive()
	}
}

// lastOpen is the channel that a payment takes last.
func (w *world) lastOpen() *simChannel {
	return slices.MaxFunc(w.channels, func(a, b *simChannel) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// handOver: outputs are for the wallet. Their value names the event.
func (c *simChannel) handOver() {
	c.chain.handed++
	c.event(facts.SpendableOutputs{Outputs: []facts.SpendableOutput{{ValueSat: c.last + 1}}})
}

// sweep: the wallet swept what it was given, irrevocably.
func (c *simChannel) sweep() {
	for _, seq := range slices.Sorted(maps.Keys(c.events)) {
		if _, ok := c.events[seq].(facts.SpendableOutputs); ok && c.w.fundsSim.sweeps[ln.EventID{Channel: c.id, Seq: seq}] && !c.chain.swept[seq] {
			c.chain.swept[seq] = true
			if c.reported {
				c.say(messages.OutputsSwept{Channel: c.id, Seq: seq})
			}
			return
		}
	}
}

// timeOut: an own HTLC can't be claimed any more.
func (c *simChannel) timeOut(id uint64) {
	h := c.own[id]
	delete(c.own, id)
	c.w.carried[h.add.Source.Payment.PaymentID] -= h.carries
	c.chain.timedOut[id] = *h
	c.outcome(id, h, nil)
	c.event(facts.Failed{HTLCID: id, Hash: h.add.Hash, Source: h.add.Source, AmountMsat: h.add.AmountMsat, Local: facts.OnChainTimeout})
}

// reorganise: a time-out is irrevocable, then a deep reorganisation lets the payee claim what had timed out, or shows an outcome once more.
func (c *simChannel) reorganise() {
	if ids := slices.Sorted(maps.Keys(c.own)); len(ids) > 0 && c.own[ids[0]].preimage == nil && c.own[ids[0]].failed == nil {
		if c.own[ids[0]].add.Source.Forward != nil {
			c.timeOutOnward(ids[0])
			return
		}
		c.timeOut(ids[0])
		return
	}
	ids := slices.Sorted(maps.Keys(c.chain.timedOut))
	if len(ids) == 0 || c.last > 60 {
		return
	}
	id := ids[c.w.rnd.IntN(len(ids))]
	h := c.chain.timedOut[id]
	payment := h.add.Source.Payment.PaymentID
	if h.preimage == nil && c.w.rnd.IntN(2) == 0 {
		c.event(facts.Failed{HTLCID: id, Hash: h.add.Hash, Source: h.add.Source, AmountMsat: h.add.AmountMsat, Local: facts.OnChainTimeout})
		return
	}
	p := c.w.preimageOf(payment)
	h.preimage = &p
	c.chain.timedOut[id] = h
	c.w.late[payment] = true
	c.outcome(id, &h, &p)
	c.event(facts.Claimed{HTLCID: id, Hash: h.add.Hash, Source: h.add.Source, AmountMsat: h.add.AmountMsat, Preimage: p, OnChain: true})
}

func (c *simChannel) outcome(id uint64, h *simOwn, p *ln.Preimage) {
	c.row(outcomeRow(c.id, id, h.add.Source.Payment.PaymentID, h.add.Hash, h.add.AmountMsat, p))
}

// archive asks whether the log may be given up, when nothing is left (rule 23).
func (c *simChannel) archive() {
	if c.archivable() {
		c.w.send(messages.MonitorAddr(c.id), messages.ManagerAddr, messages.MayArchive{Channel: c.id, Incarnation: c.inc})
	}
}

func (c *simChannel) archivable() bool {
	if !c.chain.closed || c.chain.archived || len(c.events) > 0 || len(c.own) > 0 {
		return false
	}
	for _, h := range c.in {
		if !h.gone {
			return false
		}
	}
	return true
}

// granted: the manager says that nothing names the channel any more.
func (c *simChannel) granted(m messages.ArchiveGranted) {
	if m.Incarnation != c.inc || !c.archivable() {
		return
	}
	c.checkUnnamed()
	c.w.logf("%s is archived", c.id)
	c.chain.archived = true
	c.w.disk.put(closedRow(c.id, c.last))
	c.say(messages.ChannelArchived{Channel: c.id})
}
