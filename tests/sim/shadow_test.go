package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/monitor/record"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// shadow is what is durable in a node's store, followed batch by batch and independently of the monitors.
type shadow struct {
	n        *node
	channels map[ln.ChannelID]*shadowChannel
	order    []ln.ChannelID
}

// shadowChannel is one channel's log, folded.
type shadowChannel struct {
	facts    *facts.Channel
	index    uint64
	updateID uint64
	lastSeq  uint64
	unacked  map[uint64]facts.Event
}

// newShadow reads a store at the start of a life.
func newShadow(n *node) *shadow {
	s := &shadow{n: n, channels: map[ln.ChannelID]*shadowChannel{}}
	scan := &logs{snapshots: map[messages.Owner][]byte{}, records: map[messages.Owner][][]byte{}, through: map[messages.Owner]uint64{}}
	if err := n.store.Scan(scan); err != nil {
		panic(err)
	}
	for _, owner := range scan.owners() {
		if owner == messages.OwnerManager {
			continue
		}
		if err := s.load(owner, scan.snapshots[owner], scan.records[owner]); err != nil {
			n.w.wrong("S10: %s: the store does not restore: %v", n.name, err)
		}
	}
	n.shadow = s
	for _, id := range s.order { // once all channels are there: forwards are of two
		for _, h := range facts.Sorted(s.channels[id].facts.Outbound) {
			s.committed(s.channels[id], h)
		}
	}
	return s
}

// logs collects a scan.
type logs struct {
	snapshots map[messages.Owner][]byte
	through   map[messages.Owner]uint64
	records   map[messages.Owner][][]byte
}

func (l *logs) Snapshot(s persister.Snapshot) {
	l.snapshots[s.Owner], l.through[s.Owner] = s.Data, s.Through
}

func (l *logs) Record(r persister.Record) {
	if r.Seq > l.through[r.Owner] {
		l.records[r.Owner] = append(l.records[r.Owner], r.Data)
	}
}

func (l *logs) owners() []messages.Owner {
	all := map[messages.Owner]bool{}
	for o := range l.snapshots {
		all[o] = true
	}
	for o := range l.records {
		all[o] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// load restores a channel as its monitor does.
func (s *shadow) load(owner messages.Owner, snapshot []byte, log [][]byte) error {
	var snap *record.Snapshot
	var err error
	if snapshot != nil {
		if snap, err = record.ReadSnapshot(snapshot); err != nil {
			return err
		}
	}
	records := make([]*record.Record, len(log))
	for i, b := range log {
		if records[i], err = record.Read(b); err != nil {
			return err
		}
	}
	m, err := monitor.Restore(s.n.signer, snap, records)
	if err != nil {
		return err
	}
	c := s.channel(owner)
	c.take(m.Snapshot())
	for _, seq := range slices.Sorted(maps.Keys(c.unacked)) {
		s.n.happened(c.facts.ID, c.unacked[seq])
	}
	s.n.noteChain(c.facts)
	return nil
}

func (s *shadow) channel(owner messages.Owner) *shadowChannel {
	id := ln.ChannelID([]byte(owner))
	c := s.channels[id]
	if c == nil {
		c = &shadowChannel{unacked: map[uint64]facts.Event{}}
		s.channels[id] = c
		s.order = append(s.order, id)
		slices.SortFunc(s.order, func(a, b ln.ChannelID) int { return bytes.Compare(a[:], b[:]) })
	}
	return c
}

func (c *shadowChannel) take(snap *record.Snapshot) {
	c.facts, c.index, c.updateID, c.lastSeq = snap.Channel.Clone(), snap.Index, snap.UpdateID, snap.LastSeq
	clear(c.unacked)
	for _, e := range snap.Events {
		c.unacked[e.Seq] = e
	}
}

// onCommit is the store's hook: what goes wrong with a commit, and what is durable if nothing does.
func (n *node) onCommit(_ uint64, b *persister.Batch) memstore.Fault {
	if f := n.w.commitFault(n); f != memstore.None {
		return f
	}
	n.shadow.commit(b)
	return memstore.None
}

// commit takes in a batch that is durable now.
func (s *shadow) commit(b *persister.Batch) {
	through := map[messages.Owner]uint64{}
	for _, snap := range b.Snapshots {
		if snap.Owner == messages.OwnerManager {
			continue
		}
		read, err := record.ReadSnapshot(snap.Data)
		if err != nil {
			s.n.w.wrong("S10: %s: snapshot does not read: %v", s.n.name, err)
			continue
		}
		through[snap.Owner] = snap.Through
		c := s.channel(snap.Owner)
		before := c.facts
		c.take(read) // the records of this batch that it covers are not written
		s.n.noteChain(c.facts)
		for _, e := range read.Events {
			s.n.happened(c.facts.ID, e)
		}
		s.n.w.hold(s.n, c)
		s.n.w.endings(s.n, before, c)
		for _, h := range facts.Sorted(c.facts.Outbound) {
			s.committed(c, h)
		}
	}
	for _, r := range b.Append {
		if r.Owner == messages.OwnerManager || r.Seq <= through[r.Owner] {
			continue
		}
		if err := s.record(s.channel(r.Owner), r.Data); err != nil {
			s.n.w.wrong("S11: %s: record %d of %x: %v", s.n.name, r.Seq, string(r.Owner), err)
		}
	}
	for _, o := range b.Forget {
		s.forget(o)
	}
	for _, r := range b.Rows {
		if r.Bucket == messages.BucketClosed { // records that no snapshot covers leave without a word in Forget
			s.forget(messages.Owner(r.Key))
		}
	}
}

// forget: the channel is archived, or was never more than an attempt.
func (s *shadow) forget(o messages.Owner) {
	id := ln.ChannelID([]byte(o))
	c := s.channels[id]
	if o == messages.OwnerManager || c == nil {
		return
	}
	if len(c.unacked) > 0 || c.facts != nil && c.live() > s.n.w.leftBehind(s.n, c) {
		s.n.w.wrong("S17: %s: a channel with unacknowledged events or live HTLCs is forgotten", s.n.name)
	}
	s.n.closed[id] = true
	delete(s.channels, id)
	s.order = slices.DeleteFunc(s.order, func(other ln.ChannelID) bool { return other == id })
}

// record folds one record in (S11).
func (s *shadow) record(c *shadowChannel, data []byte) error {
	r, err := record.Read(data)
	if err != nil {
		return err
	}
	if r.Index != c.index+1 {
		return fmt.Errorf("its index is %d after %d", r.Index, c.index)
	}
	c.index = r.Index
	if r.UpdateID != 0 {
		if r.UpdateID <= c.updateID || r.UpdateID != c.updateID+1 && !c.facts.Ended() {
			return fmt.Errorf("update %d after %d", r.UpdateID, c.updateID)
		}
		c.updateID = r.UpdateID
	}
	for _, u := range r.Updates {
		if o, ok := u.(facts.Opened); ok && c.facts == nil {
			c.facts = facts.New(o)
			continue
		}
		if e, ok := u.(facts.HTLCEnded); ok {
			s.n.w.ending(s.n, c, e.Outbound, e.HTLCID)
		}
		if _, err := c.facts.Apply(u); err != nil {
			return err
		}
		switch u := u.(type) {
		case facts.HolderCommitment:
			s.n.w.hold(s.n, c)
		case facts.ClaimSigned:
			s.n.claims[u.Tx.TxHash()] = true
		case facts.FundingSpent:
			s.n.spenders[u.Txid] = true
			if s.n.index == 0 && s.n.w.thief != nil { // bob's last revocation may have come since it was noted
				s.n.w.oldest = c.facts.CounterpartyNumber
			}
		case facts.OutputsSpendable:
			for _, o := range u.Outputs {
				s.n.spendable[o] = true
			}
		case facts.CounterpartyCommitment:
			for i := range u.Adds {
				s.committed(c, &u.Adds[i])
			}
		case facts.Decided:
			s.n.decides(c, u)
		case facts.ForceClosed:
			if s.n.w.plan.forceCloses {
				break
			}
			s.n.w.wrong("L7: %s closes %s: %v %s", s.n.name, c.facts.ID, u.Reason, u.Detail)
		}
	}
	for _, e := range r.Events {
		if e.Seq != c.lastSeq+1 {
			return fmt.Errorf("event %d after %d", e.Seq, c.lastSeq)
		}
		c.lastSeq = e.Seq
		c.unacked[e.Seq] = e
		s.n.happened(c.facts.ID, e)
		s.n.w.emitted(s.n, ln.EventID{Channel: c.facts.ID, Seq: e.Seq}, e)
	}
	for _, seq := range r.Acked {
		delete(c.unacked, seq)
	}
	return nil
}

// live counts the HTLCs whose fate is open.
func (c *shadowChannel) live() (n int) {
	for _, m := range []map[uint64]*facts.HTLC{c.facts.Outbound, c.facts.Inbound} {
		for _, h := range m {
			if h.Fate == facts.FateOpen {
				n++
			}
		}
	}
	return n
}

// busy says what is not at rest in the store, empty for nothing (L3).
func (s *shadow) busy() string {
	for _, id := range s.order {
		c := s.channels[id]
		f := c.facts
		switch {
		case len(c.unacked) > 0:
			seqs := slices.Sorted(maps.Keys(c.unacked))
			return fmt.Sprintf("events %v of %s not acknowledged, the first is %T", seqs, id, c.unacked[seqs[0]].Kind)
		case len(f.Outbound)+len(f.Inbound) > 0 && !f.Ended():
			return fmt.Sprintf("%d outbound and %d inbound HTLCs live in %s", len(f.Outbound), len(f.Inbound), id)
		case len(f.FeeUpdates) > 0 && !f.Ended():
			return "an update_fee is under way"
		case f.Unrevoked && !f.Ended():
			return "a commitment is not acknowledged"
		}
	}
	return ""
}
