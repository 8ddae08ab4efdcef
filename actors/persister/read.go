package persister

import (
	"fmt"

	"github.com/lnactor/lnactor/messages"
)

const (
	defaultRows = 1000
	maxRows     = 100_000
)

// load answers a Load. It is behind every Append of the dead incarnation: those that came are made durable first, those that come later are
// refused. Numbers taken in any other way were reused after restarts.
func (s *shell) load(m *messages.Load) {
	s.flush()
	snapshot, records, err := s.read(m)
	if err != nil {
		s.reply(m.ReplyTo, messages.LoadFailed{Owner: m.Owner, Incarnation: m.Incarnation, Err: err})
		return
	}
	s.reply(m.ReplyTo, messages.Loaded{Owner: m.Owner, Incarnation: m.Incarnation, Snapshot: snapshot, Records: records})
}

func (s *shell) read(m *messages.Load) (snapshot []byte, records [][]byte, err error) {
	if s.failed != nil {
		return nil, nil, s.failed
	}
	if m.Owner == "" || len(m.Owner) > MaxOwner {
		return nil, nil, refusal("load of an owner of %d bytes: want 1 to %d", len(m.Owner), MaxOwner)
	}
	p := s.core.load(m.Owner, m.Incarnation)
	if p.corrupt != nil {
		return nil, nil, p.corrupt
	}
	if p.kept != nil {
		for _, r := range p.kept.records {
			records = append(records, r.data)
		}
		return p.kept.snapshot, records, nil
	}
	err = s.guard("load", func() error {
		if p.snapshot {
			snap, ok, err := s.store.ReadSnapshot(m.Owner)
			if err == nil {
				err = snap.Err
			}
			if err != nil {
				return err
			}
			if !ok {
				return &Error{Kind: ErrCorrupt, Op: "load", Bucket: BucketSnapshots, Key: []byte(m.Owner), Err: fmt.Errorf("snapshot is gone")}
			}
			snapshot = snap.Data
		}
		keys := make([]uint64, len(p.places))
		for i, at := range p.places {
			keys[i] = at.key
		}
		found, err := s.store.ReadLog(keys)
		if err != nil {
			return err
		}
		for i := range found {
			r := &found[i]
			if r.Err != nil {
				return r.Err
			}
			if r.Owner != m.Owner || r.Seq != p.places[i].seq {
				return &Error{
					Kind: ErrCorrupt, Op: "load", Bucket: BucketLog, Key: keyBytes(r.Key),
					Err: fmt.Errorf("record %d of owner %x is there, not %d of %x", r.Seq, string(r.Owner), p.places[i].seq, string(m.Owner)),
				}
			}
			records = append(records, r.Data)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return snapshot, records, nil
}

func (s *shell) list(m *messages.ListOwners) {
	s.flush()
	if s.failed != nil {
		return // an empty list would say that there are no channels; the node is going down
	}
	s.reply(m.ReplyTo, messages.OwnersLoaded{Incarnation: m.Incarnation, Owners: s.core.ownerNames()})
}

// rows answers from what is durable. What waits for the next commit and may be among the rows is made durable first: an answer reflects every
// Append before it.
func (s *shell) rows(m *messages.GetRows) {
	if s.core.queuedRows.touches(m) {
		s.flush()
	}
	rows, err := s.lookup(m)
	s.reply(m.ReplyTo, messages.GotRows{Incarnation: m.Incarnation, Token: m.Token, Rows: rows, Err: err})
}

func (s *shell) lookup(m *messages.GetRows) (rows []messages.Row, err error) {
	if s.failed != nil {
		return nil, s.failed
	}
	if ReservedBucket(m.Bucket) {
		return nil, refusal("rows of bucket %q: want a name of 1 to %d bytes that is not one of the store's own", m.Bucket, MaxBucket)
	}
	err = s.guard("read rows", func() error {
		if m.Prefix && !m.Last {
			limit := m.Limit
			if limit <= 0 {
				limit = defaultRows
			}
			rows, err = s.store.Range(m.Bucket, m.Key, m.After, min(limit, maxRows))
			return err
		}
		get := s.store.Get
		if m.Last {
			get = s.store.Last
		}
		row, ok, err := get(m.Bucket, m.Key)
		if ok {
			rows = []messages.Row{row}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// guard is guard for reads: a value that does not verify is the asker's concern, a store that cannot read stops the node.
func (s *shell) guard(op string, f func() error) error {
	err := guard(op, f)
	if storeDown(err) {
		s.fail(err)
	}
	return err
}
