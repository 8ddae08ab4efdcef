package monitor

import (
	"errors"
	"slices"

	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// watchDepth is how deep the funding transaction is before we stop to look for it again: no reorganisation reaches below.
const watchDepth = 100

// Session is one incarnation of a monitor among its neighbours.
//
// It emits events to the manager only after the report that answers the newest fence, and the report holds all older ones; so an event comes at
// most once for each report, and never out of order (S8).
type Session struct {
	m           *Monitor
	incarnation uint64
	id          ln.ChannelID

	channel  uint64 // incarnation of the channel that loaded; 0 for none
	manager  uint64 // newest incarnation heard of
	fence    uint64 // newest fence
	reported bool   // the fence was answered: new events are emitted under it
	hello    bool   // the manager was told of this incarnation, and of the channel's, since the last fence
	withheld bool   // the report lacks what an unverified channel does not tell
	wake     uint32 // what chainwatch was asked for, 0 for nothing
	changed  bool   // the summary may differ from the one that the manager has

	asked     asked
	asking    bool // the manager, whether the log may be given up
	granted   bool // it may
	archiving bool // rows are being deleted
	over      bool // the log is gone
}

// Output is what one message leads to. Record, Rows and Then go into one Append (rule 1).
type Output struct {
	Record  *record.Record
	Rows    []record.Row
	Then    []messages.Delivery
	Delete  []messages.Row // rows that are not needed any more
	Forget  bool           // the log ends here
	Refused error          // why something was not done, for the log
	Alarm   string         // what must not happen and did, for the log
}

// Nothing tells whether there is nothing to append.
func (o *Output) Nothing() bool {
	return o.Record == nil && len(o.Rows) == 0 && len(o.Delete) == 0 && !o.Forget && len(o.Then) == 0
}

// NewSession starts an incarnation. What it has to say first is Start's.
func NewSession(m *Monitor, incarnation uint64) *Session {
	return &Session{m: m, incarnation: incarnation, id: m.facts.ID, asked: newAsked()}
}

// Created records a new channel and then starts: funding_signed, or the broadcast of the funding transaction, leave behind the first record
// (rules 2, 3).
func (s *Session) Created(step Step, then []messages.Delivery) (Output, error) {
	o := s.output(step)
	o.Then = append(o.Then, then...)
	start, err := s.start(false)
	o.Then = append(o.Then, start.Then...)
	return o, err
}

// Start tells the neighbours of the incarnation: the manager draws its fence, chainwatch watches from the height that the records have reached,
// and what should be in the chain is handed over again.
func (s *Session) Start() (Output, error) {
	o, err := s.start(true)
	if s.m.frozen {
		o = o.watched(s.id)
	}
	return o, err
}

func (s *Session) start(broadcast bool) (Output, error) {
	var o Output
	s.sayHello(&o)
	err := s.register(&o, broadcast)
	return o, err
}

func (s *Session) sayHello(o *Output) {
	if !s.hello {
		s.hello = true
		o.tell(messages.ManagerAddr, messages.MonitorHello{Channel: s.id, Incarnation: s.incarnation})
	}
}

func (s *Session) register(o *Output, broadcast bool) error {
	f := s.m.facts
	r := messages.ChainRegister{
		Channel: s.id, Incarnation: s.incarnation, Height: f.Height, Hash: f.BlockHash,
		Outpoints: []wire.OutPoint{f.Tx.Funding}, WakeAt: s.m.wakeHeight(), To: messages.MonitorAddr(s.id),
	}
	if f.Funding == nil || f.Height < plus(f.Funding.Height, watchDepth) {
		r.Scripts = [][]byte{s.m.fundingScript()}
	}
	s.wake = r.WakeAt
	o.tell(messages.ChainWatchAddr, r)
	if !broadcast {
		return nil // whoever makes a channel hands its funding transaction over
	}
	casts, err := s.m.Broadcasts()
	if err != nil {
		return err
	}
	s.broadcast(o, casts)
	s.reserve(o)
	s.asked = newAsked() // the chain watcher knows nothing else of ours (rule 3)
	step, err := s.m.Replan()
	if err != nil {
		return err
	}
	rest := s.output(step)
	o.Record, o.Rows = rest.Record, rest.Rows
	o.Then = append(o.Then, rest.Then...)
	return nil
}

// Handle takes a message. An error means that the incarnation is over; a *QuarantineError, the monitor.
func (s *Session) Handle(msg any) (Output, error) {
	if s.over {
		return Output{}, nil
	}
	if s.m.frozen {
		return s.watchOnly(msg)
	}
	o, err := s.handle(msg)
	if err == nil {
		s.archive(&o)
	}
	return o, err
}

func (s *Session) handle(msg any) (Output, error) {
	switch m := msg.(type) {
	case messages.MonitorUpdate:
		return s.update(m)
	case messages.ChannelLoad:
		return s.load(m), nil
	case messages.ChannelFenced:
		return s.fenced(m), nil
	case messages.Fence:
		return s.drawn(m), nil
	case messages.ManagerHello:
		if m.Incarnation > s.manager {
			s.manager, s.reported, s.asking = m.Incarnation, false, false // its fence is on the way
		}
	case messages.AckMonitorEvent:
		return s.output(s.m.Ack(m.Seqs)), nil
	case messages.DecideHTLC:
		return s.decide(m)
	case messages.ForceCloseChannel:
		return s.forceClose(m)
	case messages.SetPolicy:
		return s.setPolicy(m)
	case messages.ExplainHTLC:
		var o Output
		o.tell(m.ReplyTo, messages.HTLCsExplained{HTLCs: s.m.Explain(m.Hash, m.HTLCID)})
		return o, nil
	case messages.TrustRestored:
		return s.trust(m)
	case messages.ArchiveGranted:
		s.granted = s.granted || m.Incarnation == s.incarnation
	case messages.ClaimBuilt:
		return s.built(m)
	case messages.GotRows:
		return s.rows(m)
	case messages.ChainBlock:
		if m.Incarnation == s.incarnation {
			return s.block(m)
		}
	case messages.ChainDisconnected:
		if m.Incarnation == s.incarnation {
			return s.disconnected(m)
		}
	case messages.ChainStarted:
		var o Output
		err := s.register(&o, true)
		return o, err
	}
	return Output{}, nil
}

// update records what the channel did. A stale incarnation's updates are void: the living one loaded without them, and so are their messages.
func (s *Session) update(m messages.MonitorUpdate) (Output, error) {
	switch {
	case m.Incarnation != s.channel || s.channel == 0:
		return Output{}, nil
	case m.Update == nil && m.Commits && s.m.facts.Ended():
		// The channel's copy may hold a commitment that was dropped here, and would now revoke the one that is broadcast (rule 18, S12).
		return Output{Refused: ErrEnded}, nil
	case m.Update == nil:
		return Output{Then: m.Then}, nil
	}
	step, err := s.m.Update(m.UpdateID, m.Update)
	if err != nil {
		return Output{}, s.fatal(err)
	}
	if step.Dropped {
		return s.dropped(m.Update), nil
	}
	o := s.output(step)
	s.committed(&o, m.Update)
	o.Then = append(append(make([]messages.Delivery, 0, len(m.Then)+len(o.Then)), m.Then...), o.Then...)
	return o, nil
}

// committed tells the manager of HTLCs that were offered for others, once they are durable (rule 9): nothing else holds them back from being offered
// again.
func (s *Session) committed(o *Output, u facts.Update) {
	c, ok := u.(facts.CounterpartyCommitment)
	if !ok {
		return
	}
	for i := range c.Adds {
		if h := &c.Adds[i]; h.Source != nil && h.Source.Forward != nil {
			o.tell(messages.ManagerAddr, messages.HTLCCommitted{Channel: s.id, HTLCID: h.ID, Source: *h.Source.Forward})
		}
	}
}

// dropped answers the adds of an update that came too late: the report was before it, and no other will tell of them (L1).
func (s *Session) dropped(u facts.Update) Output {
	o := Output{Refused: ErrEnded}
	if c, ok := u.(facts.CounterpartyCommitment); ok {
		for i := range c.Adds {
			if src := c.Adds[i].Source; src != nil {
				o.tell(messages.ManagerAddr, messages.NotCommitted{Channel: s.id, Fence: s.fence, Source: *src, Why: ErrEnded})
			}
		}
	}
	return o
}

// fatal tells errors that a restart cannot cure.
func (s *Session) fatal(err error) error {
	var gap *GapError
	var invalid *facts.InvalidUpdateError
	if errors.As(err, &gap) || errors.As(err, &invalid) {
		return &QuarantineError{Channel: s.id, Err: err}
	}
	return err
}

// load gives the facts to a new incarnation of the channel, and has the fence drawn again: what the old incarnation was told to add is void.
func (s *Session) load(m messages.ChannelLoad) Output {
	if m.Incarnation <= s.channel {
		return Output{}
	}
	s.channel = m.Incarnation
	var o Output
	o.tell(messages.ChannelAddr(s.id), messages.ChannelLoaded{
		Incarnation: m.Incarnation, UpdateID: s.m.updateID, Facts: s.m.facts.Clone(),
	})
	s.sayHello(&o)
	return o
}

// drawn passes a fence on to the channel. One that cannot add any more, or never could, is not asked.
func (s *Session) drawn(m messages.Fence) Output {
	if m.Fence <= s.fence || m.ManagerIncarnation < s.manager {
		return Output{}
	}
	s.manager, s.fence, s.reported, s.hello = m.ManagerIncarnation, m.Fence, false, false
	if s.channel == 0 || s.m.facts.Ended() {
		return s.report()
	}
	var o Output
	o.tell(messages.ChannelAddr(s.id), messages.ChannelFence{Fence: m.Fence})
	return o
}

// fenced reports: all updates that took adds in were before this message.
func (s *Session) fenced(m messages.ChannelFenced) Output {
	if m.Incarnation != s.channel || m.Fence != s.fence || s.reported {
		return Output{}
	}
	return s.report()
}

func (s *Session) report() Output {
	s.reported, s.changed, s.withheld = true, false, s.m.withheld()
	var o Output
	o.tell(messages.ManagerAddr, s.m.report(s.manager, s.fence, s.incarnation))
	return o
}

// decide records the manager's decision about an inbound HTLC, tells the channel, then answers.
func (s *Session) decide(m messages.DecideHTLC) (Output, error) {
	step, stands, gone, err := s.m.Decide(m.HTLCID, m.Resolution)
	switch {
	case errors.Is(err, ErrNotDecidable) || errors.Is(err, ErrWrongPreimage):
		return Output{Refused: err}, nil
	case err != nil:
		return Output{}, s.fatal(err)
	}
	o := s.output(step)
	if step.Decided != nil {
		o.tell(messages.ChannelAddr(s.id), messages.HTLCDecided{HTLCID: m.HTLCID, Resolution: *step.Decided})
	}
	o.tell(messages.ManagerAddr, messages.InboundDecided{Channel: s.id, HTLCID: m.HTLCID, Resolution: stands, Gone: gone, Buried: s.m.buried()})
	return o, nil
}

func (s *Session) forceClose(m messages.ForceCloseChannel) (Output, error) {
	step, err := s.m.ForceClose(m.Reason, m.Detail)
	if err != nil && !errors.Is(err, ErrBehind) && !errors.Is(err, ErrUnverified) {
		return Output{}, s.fatal(err)
	}
	o := s.output(step)
	o.Refused = err
	o.tell(m.ReplyTo, messages.CloseReply{Err: err})
	return o, nil
}

func (s *Session) block(m messages.ChainBlock) (Output, error) {
	s.asking = false
	if s.wake != 0 && s.wake <= m.Height {
		s.wake = 0 // served
	}
	step, err := s.m.Block(m)
	if err != nil {
		return Output{}, s.fatal(err)
	}
	step.wake(s.m.wakeHeight())
	return s.output(step), nil
}

func (s *Session) disconnected(m messages.ChainDisconnected) (Output, error) {
	step, err := s.m.Disconnect(m.Height, m.Hash)
	if err != nil {
		return Output{}, s.fatal(err)
	}
	s.wake = 0 // what was served may be due again
	step.wake(s.m.wakeHeight())
	return s.output(step), nil
}

// output turns a step into deliveries.
func (s *Session) output(step Step) Output {
	o := Output{Record: step.Record, Rows: step.Rows, Alarm: step.Alarm}
	if s.channel != 0 {
		for _, u := range step.Facts {
			o.tell(messages.ChannelAddr(s.id), messages.MonitorFact{Update: u})
		}
	}
	for _, txid := range step.Withdraw {
		o.tell(messages.ChainWatchAddr, messages.Withdraw{Txid: txid})
	}
	s.broadcast(&o, step.Broadcast)
	s.chain(&o, &step)
	if step.Wake != 0 && (s.wake == 0 || step.Wake < s.wake) {
		s.wake = step.Wake
		o.tell(messages.ChainWatchAddr, messages.ChainWatch{
			Channel: s.id, Incarnation: s.incarnation, FromHeight: s.m.facts.Height, WakeAt: step.Wake,
		})
	}
	if s.reported {
		if slices.ContainsFunc(step.Events, aboutChannel) {
			// Who is told that a channel is ready, or closed, must find it so: its first payment would be refused otherwise.
			o.tell(messages.ManagerAddr, messages.ChannelChanged{Summary: s.m.Summary()})
		}
		if len(step.Events) > 0 {
			o.tell(messages.ManagerAddr, messages.EmitEvents{
				Channel: s.id, Incarnation: s.incarnation, Fence: s.fence, Events: step.Events,
			})
		}
		for _, r := range step.Resolved {
			o.tell(messages.ManagerAddr, messages.InboundResolved{Channel: s.id, HTLCID: r.HTLCID, Fulfilled: r.Fulfilled})
		}
		s.changed = s.changed || step.Record != nil
	}
	s.untold(&o)
	return o
}

// aboutChannel tells the events of a channel's life from those of its HTLCs, which are too many to say the summary with each.
func aboutChannel(e facts.Event) bool {
	switch e.Kind.(type) {
	case facts.ChannelPending, facts.ChannelReady, facts.CommitmentTxConfirmed, facts.HolderForceClosed:
		return true
	}
	return false
}

func (s *Session) broadcast(o *Output, casts []Broadcast) {
	for _, b := range casts {
		if b.Label == labelFunding {
			// The wallet keeps reservations in memory only: until the transaction confirms, its inputs are taken again at every start (rule 22).
			o.tell(messages.FundsAddr, messages.WalletSpends{Channel: s.id, Tx: b.Tx})
		}
		o.tell(messages.ChainWatchAddr, messages.Broadcast{Tx: b.Tx, Label: b.Label, Channel: s.id})
	}
}

// Changed tells whether Flush has something to say.
func (s *Session) Changed() bool { return s.changed && s.reported }

// Flush tells the manager the newest summary. The shell calls it once for all that was in its mailbox.
func (s *Session) Flush() Output {
	var o Output
	if s.Changed() {
		s.changed = false
		o.tell(messages.ManagerAddr, messages.ChannelChanged{Summary: s.m.Summary()})
	}
	return o
}

func (o *Output) tell(to messages.Addr, msg any) {
	if to != "" {
		o.Then = append(o.Then, messages.Delivery{To: to, Msg: msg})
	}
}
