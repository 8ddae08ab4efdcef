package monitor

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/btcsuite/btcd/chaincfg/chainhash"
	"github.com/btcsuite/btcd/wire"

	"github.com/lnactor/lnactor/actors/monitor/claim"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
)

// Monitor is the durable state of one channel. It changes by its methods only, each of which says in a Step what has to become durable. After
// an error that is not a refusal the Monitor must be thrown away.
type Monitor struct {
	signer   chankeys.Signer
	facts    *facts.Channel
	events   queue
	index    uint64 // of the last record
	updateID uint64 // of the channel's last update, a dropped one included

	accepted map[uint64]uint64            // inbound HTLC -> seq of its unacknowledged HTLCAccepted
	gone     map[uint64]*facts.Resolution // inbound HTLCs resolved while HTLCAccepted is unacknowledged
	spender  *chainhash.Hash              // txid of the last CommitmentTxConfirmed

	resolved     *claim.Resolution // follows from the facts; nil when they changed since
	archiveDepth uint32
	maxDust      uint64      // see LimitDust
	lost         *wire.MsgTx // what closed the channel and left the chain; see lost.go
	lostAt       uint32      // height from which on it is not there
	frozen       bool        // the records are not to be relied on: see watcher.go
	alarmed      uint32      // height of the last alarm; see restored.go
}

// ArchiveAfter sets how deep everything must be before the log is given up.
func (m *Monitor) ArchiveAfter(depth uint32) { m.archiveDepth = max(depth, claim.Irrevocable) }

// Step is what one input to a Monitor leads to. What follows its record may happen only once the record and the rows are durable.
type Step struct {
	Record *record.Record // nil: nothing has to be recorded
	Rows   []record.Row

	Events    []facts.Event     // new ones
	Resolved  []Resolved        // inbound HTLCs that were irrevocably removed, by id
	Facts     []facts.Update    // the monitor's own updates, for the channel's copy of the facts
	Decided   *facts.Resolution // a new decision, for the channel to propose
	Broadcast []Broadcast
	Withdraw  []chainhash.Hash
	Wake      uint32   // a height that the monitor must be told of, 0 for none
	Dropped   bool     // the update, and all that it wanted to say, must not happen
	Released  []uint64 // claims that are over: their coins are free
	Chain     *Chain   // what is asked of the chain and the wallet now; nil if that is as before
	Alarm     string   // what must not happen and did
}

// Resolved is an inbound HTLC that was irrevocably removed.
type Resolved struct {
	HTLCID    uint64
	Fulfilled bool
}

// Broadcast is a transaction for the chain.
type Broadcast struct {
	Tx    *wire.MsgTx
	Label string
}

// Create makes the monitor of a new channel. Its first record is Opened with the event ChannelPending.
func Create(signer chankeys.Signer, o facts.Opened) (*Monitor, Step, error) {
	m := &Monitor{signer: signer, archiveDepth: ArchiveDepth, maxDust: facts.DefaultMaxDustExposureMsat}
	if err := m.open(o); err != nil {
		return nil, Step{}, err
	}
	m.index++
	e := m.events.add(facts.ChannelPending{})
	return m, Step{
		Record: &record.Record{Index: m.index, Updates: []facts.Update{o}, Events: []facts.Event{e}},
		Events: []facts.Event{e},
	}, nil
}

func (m *Monitor) open(o facts.Opened) error {
	if o.Static == nil {
		return errors.New("opened without a static part")
	}
	if err := o.Static.Tx.Check(); err != nil {
		return err
	}
	m.facts = facts.New(o)
	return nil
}

// Restore rebuilds a monitor from what is durable: the newest snapshot, nil if there is none, and the records after it.
func Restore(signer chankeys.Signer, s *record.Snapshot, records []*record.Record) (*Monitor, error) {
	m := &Monitor{signer: signer, archiveDepth: ArchiveDepth, maxDust: facts.DefaultMaxDustExposureMsat}
	if s != nil {
		m.restore(s)
	}
	for _, r := range records {
		if err := m.replay(r); err != nil {
			return nil, &ReplayError{Index: r.Index, Err: err}
		}
	}
	if m.facts == nil {
		return nil, ErrNoChannel
	}
	m.lostAt = m.facts.Height
	return m, nil
}

func (m *Monitor) restore(s *record.Snapshot) {
	m.facts, m.index, m.updateID, m.spender = s.Channel, s.Index, s.UpdateID, s.Spender
	m.events = queue{events: m.unpack(s.Events), last: s.LastSeq}
	for _, e := range m.events.events {
		m.noteAccepted(e)
	}
	for _, g := range s.Gone {
		m.setGone(g.HTLCID, g.Resolution)
	}
}

// replay takes in one record. Events are what the record says, whatever this version would make of its updates.
func (m *Monitor) replay(r *record.Record) error {
	if r.Index != m.index+1 && !r.Mark() {
		return fmt.Errorf("it follows record %d", m.index)
	}
	m.index++
	if r.UpdateID != 0 {
		// An update that was dropped because the channel had ended has an id but no record.
		if next := m.updateID + 1; r.UpdateID < next || r.UpdateID > next && (m.facts == nil || !m.facts.Ended()) {
			return fmt.Errorf("update %d where %d should be", r.UpdateID, next)
		}
		m.updateID = r.UpdateID
	}
	for _, u := range r.Updates {
		if o, ok := u.(facts.Opened); ok && m.facts == nil {
			if err := m.open(o); err != nil {
				return err
			}
			continue
		}
		if m.facts == nil {
			return errors.New("the channel was not opened before it")
		}
		ch, err := m.facts.Apply(u)
		if err != nil {
			return err
		}
		m.noteResolved(ch.Resolved)
		if u, ok := u.(facts.Restored); ok {
			if m.events.last > math.MaxUint64-u.Jump() {
				return errors.New("no numbers of events are left")
			}
			m.events.last += u.Jump()
		}
	}
	if m.facts == nil {
		return errors.New("the channel was not opened before it")
	}
	for _, e := range m.unpack(r.Events) {
		if e.Seq != m.events.last+1 {
			return fmt.Errorf("event %d where %d should be", e.Seq, m.events.last+1)
		}
		m.events.events = append(m.events.events, e)
		m.events.last = e.Seq
		m.note(e)
	}
	for _, seq := range r.Acked {
		m.ack(seq)
	}
	return nil
}

// Snapshot is the monitor's state. It shares bytes that never change, and is written before the monitor's next step.
func (m *Monitor) Snapshot() *record.Snapshot {
	s := &record.Snapshot{
		Index: m.index, UpdateID: m.updateID, LastSeq: m.events.last, Channel: m.facts, Events: m.pack(m.events.all()), Spender: m.spender,
	}
	for id, r := range m.gone {
		s.Gone = append(s.Gone, record.Gone{HTLCID: id, Resolution: r})
	}
	slices.SortFunc(s.Gone, func(a, b record.Gone) int { return cmp.Compare(a.HTLCID, b.HTLCID) })
	return s
}

// pack leaves out the onions that the live HTLCs hold anyway: they are most of what a received payment writes.
func (m *Monitor) pack(events []facts.Event) []facts.Event {
	out := events
	for i, e := range events {
		k, ok := e.Kind.(facts.HTLCAccepted)
		if !ok || m.facts.Inbound[k.HTLCID] == nil {
			continue
		}
		if &out[0] == &events[0] {
			out = slices.Clone(events)
		}
		k.Onion = nil
		out[i].Kind = k
	}
	return out
}

// unpack is the inverse of pack.
func (m *Monitor) unpack(events []facts.Event) []facts.Event {
	for i, e := range events {
		if k, ok := e.Kind.(facts.HTLCAccepted); ok && k.Onion == nil {
			if h := m.facts.Inbound[k.HTLCID]; h != nil {
				k.Onion = h.Onion
				events[i].Kind = k
			}
		}
	}
	return events
}

// note remembers what an event means for later ones.
func (m *Monitor) note(e facts.Event) {
	m.noteAccepted(e)
	if k, ok := e.Kind.(facts.CommitmentTxConfirmed); ok {
		m.spender = &k.Txid
	}
}

func (m *Monitor) noteAccepted(e facts.Event) {
	if k, ok := e.Kind.(facts.HTLCAccepted); ok {
		if m.accepted == nil {
			m.accepted = make(map[uint64]uint64)
		}
		m.accepted[k.HTLCID] = e.Seq
	}
}

// noteResolved keeps what became of inbound HTLCs that the manager may still have to decide about.
func (m *Monitor) noteResolved(resolved []*facts.HTLC) {
	for _, h := range resolved {
		if _, waits := m.accepted[h.ID]; waits {
			m.setGone(h.ID, h.Resolution)
		}
	}
}

func (m *Monitor) setGone(id uint64, r *facts.Resolution) {
	if m.gone == nil {
		m.gone = make(map[uint64]*facts.Resolution)
	}
	m.gone[id] = r
}

// ack deletes an event, if it is there.
func (m *Monitor) ack(seq uint64) {
	e := m.events.get(seq)
	if e == nil {
		return
	}
	if k, ok := e.Kind.(facts.HTLCAccepted); ok {
		delete(m.accepted, k.HTLCID)
		delete(m.gone, k.HTLCID)
	}
	m.events.remove(seq)
}
