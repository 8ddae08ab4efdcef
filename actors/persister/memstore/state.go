package memstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// state is what a disk would hold. Values are never changed once they are in it, so copies share them.
type state struct {
	log       []persister.Record // ascending keys
	snapshots map[messages.Owner]persister.Snapshot
	rows      map[string][]row // per bucket, ascending keys
	lastKey   uint64
	commits   uint64
}

type row struct {
	key   string
	value []byte
}

func newState() *state {
	return &state{snapshots: make(map[messages.Owner]persister.Snapshot), rows: make(map[string][]row)}
}

func (s *state) clone() *state {
	c := &state{
		log:       slices.Clone(s.log),
		snapshots: make(map[messages.Owner]persister.Snapshot, len(s.snapshots)),
		rows:      make(map[string][]row, len(s.rows)),
		lastKey:   s.lastKey,
		commits:   s.commits,
	}
	for k, v := range s.snapshots {
		c.snapshots[k] = v
	}
	for k, v := range s.rows {
		c.rows[k] = slices.Clone(v)
	}
	return c
}

func (s *state) find(key uint64) (int, bool) {
	return slices.BinarySearchFunc(s.log, key, func(r persister.Record, key uint64) int {
		switch {
		case r.Key < key:
			return -1
		case r.Key > key:
			return 1
		}
		return 0
	})
}

// prepare reports what of the batch cannot be applied, so that apply cannot fail half way.
func (s *state) prepare(b *persister.Batch) error {
	if err := b.Check(s.lastKey); err != nil {
		return err
	}
	for _, m := range b.Moves {
		if _, ok := s.find(m.From); !ok {
			return fmt.Errorf("%w: move of key %d, which is not in the log", persister.ErrBadBatch, m.From)
		}
	}
	return nil
}

func (s *state) apply(b *persister.Batch) {
	gone := make(map[uint64]bool, len(b.Moves)+len(b.Trim))
	for _, m := range b.Moves {
		i, _ := s.find(m.From)
		r := s.log[i]
		r.Key = m.To
		gone[m.From] = true
		s.append(r)
	}
	for _, r := range b.Append {
		r.Data = slices.Clone(r.Data)
		s.append(r)
	}
	for _, k := range b.Trim {
		gone[k] = true
	}
	if len(gone) > 0 {
		s.log = slices.DeleteFunc(s.log, func(r persister.Record) bool { return gone[r.Key] })
	}
	for _, o := range b.Forget {
		delete(s.snapshots, o)
	}
	for _, snap := range b.Snapshots {
		snap.Data = slices.Clone(snap.Data)
		s.snapshots[snap.Owner] = snap
	}
	for i := range b.Rows {
		s.put(&b.Rows[i])
	}
	s.commits++
}

func (s *state) append(r persister.Record) {
	s.log = append(s.log, r)
	s.lastKey = r.Key
}

func (s *state) put(r *messages.Row) {
	rows := s.rows[r.Bucket]
	i, found := search(rows, string(r.Key))
	switch {
	case r.Value == nil && found:
		rows = slices.Delete(rows, i, i+1)
	case r.Value == nil:
		return
	case found:
		rows[i].value = slices.Clone(r.Value)
	default:
		rows = slices.Insert(rows, i, row{string(r.Key), slices.Clone(r.Value)})
	}
	s.rows[r.Bucket] = rows
}

func search(rows []row, key string) (int, bool) {
	return slices.BinarySearchFunc(rows, key, func(r row, key string) int { return strings.Compare(r.key, key) })
}

func (s *state) prefix(bucket, prefix, after string, limit int) []messages.Row {
	rows := s.rows[bucket]
	i, found := search(rows, max(prefix, after))
	if found && after != "" && rows[i].key == after {
		i++
	}
	var out []messages.Row
	for ; i < len(rows) && len(out) < limit && strings.HasPrefix(rows[i].key, prefix); i++ {
		out = append(out, rows[i].row(bucket))
	}
	return out
}

func (s *state) last(bucket, prefix string) (messages.Row, bool) {
	rows := s.rows[bucket]
	// The first key at or after prefix that does not begin with it; keys with the prefix are contiguous.
	i, _ := slices.BinarySearchFunc(rows, prefix, func(r row, prefix string) int {
		if strings.HasPrefix(r.key, prefix) || r.key < prefix {
			return -1
		}
		return 1
	})
	if i == 0 || !strings.HasPrefix(rows[i-1].key, prefix) {
		return messages.Row{}, false
	}
	return rows[i-1].row(bucket), true
}

func (r row) row(bucket string) messages.Row {
	return messages.Row{Bucket: bucket, Key: []byte(r.key), Value: slices.Clone(r.value)}
}
