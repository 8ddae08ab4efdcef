package lnactor

import (
	"bytes"
	"errors"
	"slices"

	"github.com/lnactor/lnactor/actors/monitor"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// logs is where the records of each owner are.
type logs struct {
	lastKey uint64
	owners  map[messages.Owner]*ownerLog
}

type ownerLog struct {
	seq     uint64 // of the last record
	through uint64 // of the snapshot
	keys    []uint64
	damage  error
}

func readLogs(s persister.Store) (*logs, error) {
	l := &logs{owners: map[messages.Owner]*ownerLog{}}
	return l, s.Scan(l)
}

func (l *logs) of(o messages.Owner) *ownerLog {
	if l.owners[o] == nil {
		l.owners[o] = &ownerLog{}
	}
	return l.owners[o]
}

// Snapshot implements persister.Visitor.
func (l *logs) Snapshot(s persister.Snapshot) {
	o := l.of(s.Owner)
	o.through, o.damage = s.Through, errors.Join(o.damage, s.Err)
	o.seq = max(o.seq, s.Through)
}

// Record implements persister.Visitor.
func (l *logs) Record(r persister.Record) {
	l.lastKey = max(l.lastKey, r.Key)
	o := l.of(r.Owner)
	if r.Seq <= o.through {
		return // the snapshot speaks for it
	}
	o.seq, o.damage = max(o.seq, r.Seq), errors.Join(o.damage, r.Err)
	o.keys = append(o.keys, r.Key)
}

// channels are the owners that are channels, in order.
func (l *logs) channels() (ids []ChannelID) {
	for o := range l.owners {
		if o != messages.OwnerManager && len(o) == len(ChannelID{}) {
			ids = append(ids, ChannelID([]byte(o)))
		}
	}
	slices.SortFunc(ids, func(a, b ChannelID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}

// read gives what a monitor would load.
func (l *logs) read(s persister.Store, owner messages.Owner) (snapshot []byte, records [][]byte, err error) {
	o := l.owners[owner]
	if o.damage != nil {
		return nil, nil, o.damage
	}
	snap, found, err := s.ReadSnapshot(owner)
	if err == nil && found {
		snapshot, err = snap.Data, snap.Err
	}
	if err != nil {
		return nil, nil, err
	}
	list, err := s.ReadLog(o.keys)
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(list, func(a, b persister.Record) int { return int(int64(a.Seq) - int64(b.Seq)) })
	for i := range list {
		if list[i].Err != nil {
			return nil, nil, list[i].Err
		}
		records = append(records, list[i].Data)
	}
	return snapshot, records, nil
}

// mark makes the record that marks a channel.
func (l *logs) mark(s persister.Store, owner messages.Owner, seqs uint64) ([]byte, error) {
	snapshot, records, err := l.read(s, owner)
	if err != nil {
		return nil, err
	}
	return monitor.MarkRestored(snapshot, records, seqs)
}
