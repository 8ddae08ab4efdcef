package persister_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/messages"
)

// model is what the durable state must be, in the plainest form.
type model struct {
	owners map[messages.Owner]*ownerModel
	rows   map[string]map[string][]byte
}

type ownerModel struct {
	snapshot []byte
	records  [][]byte
}

func newModel() *model {
	return &model{owners: map[messages.Owner]*ownerModel{}, rows: map[string]map[string][]byte{}}
}

func (m *model) apply(a *messages.Append) {
	o := m.owners[a.Owner]
	if o == nil {
		o = &ownerModel{}
	}
	o.records = append(slices.Clip(o.records), a.Records...)
	if a.Snapshot != nil {
		o.snapshot, o.records = a.Snapshot, nil
	}
	if a.Forget {
		o = &ownerModel{}
	}
	m.owners[a.Owner] = o
	if o.snapshot == nil && len(o.records) == 0 {
		delete(m.owners, a.Owner)
	}
	for _, r := range a.Rows {
		if m.rows[r.Bucket] == nil {
			m.rows[r.Bucket] = map[string][]byte{}
		}
		if r.Value == nil {
			delete(m.rows[r.Bucket], string(r.Key))
			continue
		}
		m.rows[r.Bucket][string(r.Key)] = r.Value
	}
}

func (m *model) prefix(bucket, prefix string) (rows []messages.Row) {
	for k, v := range m.rows[bucket] {
		if bytes.HasPrefix([]byte(k), []byte(prefix)) {
			rows = append(rows, messages.Row{Bucket: bucket, Key: []byte(k), Value: v})
		}
	}
	slices.SortFunc(rows, func(a, b messages.Row) int { return bytes.Compare(a.Key, b.Key) })
	return rows
}

var modelOwners = []messages.Owner{messages.OwnerManager, "a", "b", "c", "d", "e", "stuck"}

func randomAppend(r *rand.Rand, i int) *messages.Append {
	a := &messages.Append{Owner: modelOwners[r.IntN(len(modelOwners))], Then: then(i), ReplyTo: probe}
	for n := r.IntN(4); n > 0; n-- {
		data := bytes.Repeat([]byte{byte(i)}, r.IntN(60))
		a.Records = append(a.Records, append(data, fmt.Sprint(i, n)...))
	}
	// One owner never takes a snapshot, so that its records get in the way of trimming.
	if a.Owner != "stuck" && r.IntN(6) == 0 {
		a.Snapshot = fmt.Append([]byte{}, "snapshot", i)
	}
	if a.Owner == "stuck" && r.IntN(8) > 0 {
		a.Records = nil
	}
	if r.IntN(60) == 0 {
		a.Forget = true
	}
	for n := r.IntN(3); n > 0; n-- {
		row := messages.Row{Bucket: fmt.Sprint("rows", r.IntN(2)), Key: []byte{byte(r.IntN(4)), 0xff, byte(r.IntN(4))}}
		if r.IntN(4) > 0 {
			row.Value = []byte(fmt.Sprint(i))
			if r.IntN(10) == 0 {
				row.Value = []byte{}
			}
		}
		a.Rows = append(a.Rows, row)
	}
	return a
}

// TestModel compares the persister over both stores with the model, over restarts and crashes of the store.
func TestModel(t *testing.T) {
	seeds := 60
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("memory/", seed), func(t *testing.T) {
			store := memstore.New()
			runModel(t, uint64(seed), 400, store, func(r *rand.Rand) persister.Store {
				store = store.Crash(r)
				return store
			})
		})
	}
	for seed := range seeds / 15 {
		t.Run(fmt.Sprint("bbolt/", seed), func(t *testing.T) {
			dir := t.TempDir()
			var store *bboltstore.Store
			open := func(*rand.Rand) persister.Store {
				if store != nil {
					if err := store.Close(); err != nil {
						t.Fatal(err)
					}
				}
				var err error
				store, err = bboltstore.Open(dir, bboltstore.Options{MmapSize: 1 << 20, MinFree: -1, CompactBytes: int64(seed%2) - 1})
				if err != nil {
					t.Fatal(err)
				}
				return store
			}
			runModel(t, uint64(seed), 200, open(nil), open)
			store.Close()
		})
	}
}

func runModel(t *testing.T, seed uint64, steps int, store persister.Store, restart func(*rand.Rand) persister.Store) {
	r := rand.New(rand.NewPCG(seed, 1))
	limits := persister.WithLimits(persister.Limits{BatchAppends: 1 + r.IntN(20), TrimBytes: 1 + r.IntN(2000), MoveBytes: 1 + r.IntN(4000)})
	m := newModel()
	n := start(t, store, limits)
	incarnation := uint64(0)
	for i := range steps {
		var expect []any
		for range 1 + r.IntN(6) {
			a := randomAppend(r, i)
			a.Incarnation = incarnation
			n.send(a)
			m.apply(a)
			expect = append(expect, i)
		}
		if got := n.run(); !cmp.Equal(got, expect) {
			t.Fatalf("step %d: %s", i, cmp.Diff(expect, got))
		}
		if len(n.stopped) > 0 {
			t.Fatalf("step %d: node stopped: %v", i, n.stopped)
		}
		switch r.IntN(30) {
		case 0:
			n.kill()
			store = restart(r)
			n = start(t, store, limits)
			incarnation = 0
			checkOwners(t, n, m)
		case 1:
			o := modelOwners[r.IntN(len(modelOwners))]
			checkOwner(t, n, m, o, incarnation)
		}
	}
	n.kill()
	n = start(t, restart(r), limits)
	checkOwners(t, n, m)
	for _, o := range modelOwners {
		checkOwner(t, n, m, o, 1)
		checkOwner(t, n, m, o, 1) // once from the scan, once from the store
	}
	checkRows(t, n, m)
	// The log holds at most the live records, as much again, and slack in proportion to the limits.
	if live, dead := n.stats.LiveBytes.Load(), n.stats.DeadBytes.Load(); dead > live+20_000 {
		t.Fatalf("%d dead bytes beside %d live ones: the log grows with history", dead, live)
	}
}

func checkOwners(t *testing.T, n *node, m *model) {
	t.Helper()
	owners := []messages.Owner{}
	for o := range m.owners {
		if o != messages.OwnerManager {
			owners = append(owners, o)
		}
	}
	slices.Sort(owners)
	n.send(messages.ListOwners{ReplyTo: probe})
	if got := n.run(); !cmp.Equal(got, []any{messages.OwnersLoaded{Owners: owners}}) {
		t.Fatalf("owners: %v, want %v", got, owners)
	}
}

func checkOwner(t *testing.T, n *node, m *model, o messages.Owner, incarnation uint64) {
	t.Helper()
	expect := messages.Loaded{Owner: o, Incarnation: incarnation}
	if om := m.owners[o]; om != nil {
		expect.Snapshot, expect.Records = om.snapshot, om.records
		if len(expect.Records) == 0 {
			expect.Records = nil
		}
	}
	if got := n.load(o, incarnation); !cmp.Equal(got, any(expect)) {
		t.Fatalf("owner %q: %s", o, cmp.Diff(any(expect), got))
	}
}

func checkRows(t *testing.T, n *node, m *model) {
	t.Helper()
	for _, bucket := range []string{"rows0", "rows1", "rows2"} {
		for _, prefix := range []string{"", "\x00", "\x01\xff", "\x03", "\xff", "\x02\xff\x01"} {
			rows := m.prefix(bucket, prefix)
			n.send(messages.GetRows{Bucket: bucket, Key: []byte(prefix), Prefix: true, ReplyTo: probe})
			n.send(messages.GetRows{Bucket: bucket, Key: []byte(prefix), Last: true, ReplyTo: probe})
			last := rows
			if len(rows) > 0 {
				last = rows[len(rows)-1:]
			}
			expect := []any{messages.GotRows{Rows: rows}, messages.GotRows{Rows: last}}
			if got := n.run(); !cmp.Equal(got, expect) {
				t.Fatalf("rows of %s with prefix %x: %s", bucket, prefix, cmp.Diff(expect, got))
			}
		}
	}
}
