package persister_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/messages"
)

func want(t *testing.T, got []any, want ...any) {
	t.Helper()
	if len(got) == 0 && len(want) == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestNothingIsDeliveredBeforeTheCommit(t *testing.T) {
	store := memstore.New()
	n := start(t, store)
	atCommit := -1
	store.OnCommit(func(uint64, *persister.Batch) memstore.Fault {
		atCommit = len(n.sched.turns) // the probe would have been scheduled by a delivery
		return memstore.None
	})
	n.send(&messages.Append{Owner: "a", Incarnation: 1, Records: records("1"), Then: then("one", "two"), ReplyTo: probe})
	want(t, n.run(), "one", "two")
	if atCommit != 0 {
		t.Fatalf("%d deliveries were on their way when the commit ran", atCommit)
	}
}

func TestOneBatchForAllThatCameIn(t *testing.T) {
	store := memstore.New()
	n := start(t, store)
	var expect []any
	for i := range 100 {
		msg := fmt.Sprint(i)
		expect = append(expect, msg)
		n.send(&messages.Append{Owner: messages.Owner(rune('a' + i%7)), Incarnation: 1, Records: records(msg), Then: then(msg)})
	}
	want(t, n.run(), expect...)
	if b := store.Stats().Batches; b != 1 {
		t.Fatalf("%d batches, want 1", b)
	}
	n.send(messages.Append{Owner: "a", Incarnation: 1, Records: records("alone"), Then: then("alone")})
	want(t, n.run(), "alone")
	if b := store.Stats().Batches; b != 2 {
		t.Fatalf("%d batches, want 2: a lone append waits for nothing", b)
	}
	if a, b := n.stats.Appends.Load(), n.stats.Batches.Load(); a != 101 || b != 2 || n.stats.Queued.Load() != 0 {
		t.Fatalf("stats: %d appends, %d batches, %d queued", a, b, n.stats.Queued.Load())
	}
}

func TestBatchesAreBounded(t *testing.T) {
	store := memstore.New()
	n := start(t, store, persister.WithLimits(persister.Limits{BatchAppends: 10, BatchBytes: 1000}))
	sizes := []int{}
	store.OnCommit(func(_ uint64, b *persister.Batch) memstore.Fault {
		sizes = append(sizes, len(b.Append))
		return memstore.None
	})
	for range 25 {
		n.send(&messages.Append{Owner: "a", Records: records("x")})
	}
	n.send(&messages.Append{Owner: "a", Records: [][]byte{make([]byte, 2000)}})
	n.send(&messages.Append{Owner: "a", Records: records("y")})
	n.run()
	if !reflect.DeepEqual(sizes, []int{10, 10, 6, 1}) {
		t.Fatalf("batches of %v records", sizes)
	}
}

func TestAppendWithoutRecordsKeepsItsPlace(t *testing.T) {
	store := memstore.New()
	n := start(t, store)
	n.send(&messages.Append{Owner: "a", Then: then("first")})
	want(t, n.run(), "first")
	if b := store.Stats().Batches; b != 0 {
		t.Fatalf("%d batches for nothing durable", b)
	}
	n.send(
		&messages.Append{Owner: "a", Records: records("1"), Then: then("second")},
		&messages.Append{Owner: "b", Then: then("third")},
		&messages.Append{Owner: "a", Records: records("2"), Then: then("fourth")},
	)
	want(t, n.run(), "second", "third", "fourth")
	if b := store.Stats().Batches; b != 1 {
		t.Fatalf("%d batches, want 1", b)
	}
}

func TestLoadIsBehindEarlierAppends(t *testing.T) {
	n := start(t, memstore.New())
	n.send(
		&messages.Append{Owner: "a", Incarnation: 1, Records: records("1", "2"), Then: then("x")},
		&messages.Load{Owner: "a", Incarnation: 2, ReplyTo: probe},
		&messages.Append{Owner: "a", Incarnation: 1, Records: records("of the dead"), Then: then("never"), ReplyTo: probe},
		&messages.Append{Owner: "a", Incarnation: 2, Records: records("3"), Then: then("y"), ReplyTo: probe},
	)
	got := n.run()
	if len(got) != 4 {
		t.Fatalf("got %+v", got)
	}
	want(t, got[:2], "x", messages.Loaded{Owner: "a", Incarnation: 2, Records: records("1", "2")})
	refused, ok := got[2].(messages.Refused)
	if !ok || refused.Incarnation != 1 || !errors.Is(refused.Err, persister.ErrRefused) {
		t.Fatalf("got %+v, want the append of the dead incarnation refused", got[2])
	}
	want(t, got[3:], "y")
	want(t, []any{n.load("a", 3)}, messages.Loaded{Owner: "a", Incarnation: 3, Records: records("1", "2", "3")})
}

func TestBadAppendsAreRefusedAlone(t *testing.T) {
	n := start(t, memstore.New(), persister.WithLimits(persister.Limits{AppendBytes: 100}))
	bad := []*messages.Append{
		{Owner: "", Records: records("x")},
		{Owner: messages.Owner(make([]byte, 256)), Records: records("x")},
		{Owner: "a", Records: [][]byte{make([]byte, 101)}},
		{Owner: "a", Rows: []messages.Row{{Bucket: "", Key: []byte("k")}}},
		{Owner: "a", Rows: []messages.Row{{Bucket: persister.BucketLog, Key: []byte("k")}}},
		{Owner: "a", Rows: []messages.Row{{Bucket: "b"}}},
		{Owner: "a", Rows: []messages.Row{{Bucket: "b", Key: make([]byte, persister.MaxKey+1)}}},
	}
	n.send(&messages.Append{Owner: "a", Records: records("good"), Then: then("good")})
	for i, a := range bad {
		a.Incarnation, a.Then, a.ReplyTo = uint64(i), then("bad"), probe
		n.send(a)
	}
	n.send(&messages.Append{Owner: "b", Records: records("good"), Then: then("good too")})
	refused, good := 0, []any{}
	for _, m := range n.run() {
		if r, ok := m.(messages.Refused); ok && errors.Is(r.Err, persister.ErrRefused) {
			refused++
			continue
		}
		good = append(good, m)
	}
	want(t, good, "good", "good too")
	if refused != len(bad) {
		t.Fatalf("%d refused, want %d", refused, len(bad))
	}
}

func TestSnapshotSpeaksForAllBefore(t *testing.T) {
	store := memstore.New()
	n := start(t, store)
	n.send(
		&messages.Append{Owner: "a", Records: records("1")},
		&messages.Append{Owner: "a", Records: records("2"), Snapshot: []byte("S2")},
		&messages.Append{Owner: "a", Records: records("3")},
		&messages.Append{Owner: "b", Records: records("b")},
	)
	n.run()
	expect := messages.Loaded{Owner: "a", Incarnation: 1, Snapshot: []byte("S2"), Records: records("3")}
	want(t, []any{n.load("a", 1)}, expect)
	n.kill()

	n = start(t, store)
	n.send(&messages.ListOwners{Incarnation: 9, ReplyTo: probe})
	want(t, n.run(), messages.OwnersLoaded{Incarnation: 9, Owners: []messages.Owner{"a", "b"}})
	want(t, []any{n.load("a", 1)}, expect)
	want(t, []any{n.load("a", 1)}, expect) // from the store this time
	n.send(&messages.Append{Owner: "a", Incarnation: 1, Snapshot: []byte{}}, &messages.Append{Owner: "b", Forget: true})
	n.run()
	want(t, []any{n.load("a", 1)}, messages.Loaded{Owner: "a", Incarnation: 1, Snapshot: []byte{}})
	n.send(&messages.ListOwners{ReplyTo: probe})
	want(t, n.run(), messages.OwnersLoaded{Owners: []messages.Owner{"a"}})
}

func TestRows(t *testing.T) {
	n := start(t, memstore.New())
	row := func(k, v string) messages.Row {
		return messages.Row{Bucket: messages.BucketRevoked, Key: []byte(k), Value: []byte(v)}
	}
	n.send(
		&messages.Append{Owner: "a", Rows: []messages.Row{row("a1", "1"), row("a2", "2"), row("b1", "3"), {Bucket: messages.BucketRevoked, Key: []byte("gone")}}},
		&messages.GetRows{Bucket: messages.BucketRevoked, Key: []byte("a2"), Token: 1, ReplyTo: probe},
		&messages.GetRows{Bucket: messages.BucketRevoked, Key: []byte("a"), Prefix: true, Token: 2, ReplyTo: probe},
		&messages.GetRows{Bucket: messages.BucketRevoked, Key: []byte("a"), Prefix: true, Limit: 1, Token: 3, ReplyTo: probe},
		&messages.GetRows{Bucket: messages.BucketRevoked, Key: []byte("a"), Last: true, Token: 4, ReplyTo: probe},
		&messages.GetRows{Bucket: messages.BucketRevoked, Key: []byte("c"), Last: true, Token: 5, ReplyTo: probe},
		&messages.GetRows{Bucket: "unheard of", Key: []byte("c"), Token: 6, ReplyTo: probe},
		&messages.Append{Owner: "a", Rows: []messages.Row{{Bucket: messages.BucketRevoked, Key: []byte("a2")}}},
		&messages.GetRows{Bucket: messages.BucketRevoked, Key: nil, Prefix: true, Incarnation: 5, Token: 7, ReplyTo: probe},
	)
	want(t, n.run(),
		messages.GotRows{Token: 1, Rows: []messages.Row{row("a2", "2")}},
		messages.GotRows{Token: 2, Rows: []messages.Row{row("a1", "1"), row("a2", "2")}},
		messages.GotRows{Token: 3, Rows: []messages.Row{row("a1", "1")}},
		messages.GotRows{Token: 4, Rows: []messages.Row{row("a2", "2")}},
		messages.GotRows{Token: 5},
		messages.GotRows{Token: 6},
		messages.GotRows{Incarnation: 5, Token: 7, Rows: []messages.Row{row("a1", "1"), row("b1", "3")}},
	)
	n.send(&messages.GetRows{Bucket: persister.BucketLog, ReplyTo: probe})
	if got := n.run()[0].(messages.GotRows); !errors.Is(got.Err, persister.ErrRefused) {
		t.Fatalf("the store's own bucket: %v", got.Err)
	}
}

// A commit that failed is ambiguous: refuse, deliver nothing, stop the node, never try again.
func TestFailedCommitStopsTheNode(t *testing.T) {
	for _, fault := range []memstore.Fault{
		memstore.FailBefore, memstore.FailAfter, memstore.FailEither, memstore.PanicBefore, memstore.PanicAfter, memstore.PanicEither,
	} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			store := memstore.New()
			n := start(t, store)
			commits := 0
			store.OnCommit(func(uint64, *persister.Batch) memstore.Fault {
				commits++
				return fault
			})
			n.send(
				&messages.Append{Owner: "a", Incarnation: 1, Records: records("1"), Then: then("never"), ReplyTo: probe},
				&messages.Append{Owner: "b", Incarnation: 2, Then: then("never"), ReplyTo: probe},
			)
			check := func(got []any, refused int) {
				t.Helper()
				if len(got) != refused {
					t.Fatalf("got %+v", got)
				}
				for _, m := range got {
					if r, ok := m.(messages.Refused); !ok || !errors.Is(r.Err, persister.ErrStoreFailed) || !errors.Is(r.Err, memstore.ErrInjected) && fault < memstore.PanicBefore {
						t.Fatalf("got %+v, want Refused with ErrStoreFailed", m)
					}
				}
			}
			check(n.run(), 2)
			if len(n.stopped) != 1 || !errors.Is(n.stopped[0], persister.ErrStoreFailed) {
				t.Fatalf("node stopped with %v", n.stopped)
			}
			n.send(&messages.Append{Owner: "a", Records: records("2"), Then: then("never"), ReplyTo: probe})
			check(n.run(), 1)
			if f, ok := n.load("a", 5).(messages.LoadFailed); !ok || !errors.Is(f.Err, persister.ErrStoreFailed) {
				t.Fatal("a failed store must not be loaded from")
			}
			if commits != 1 {
				t.Fatalf("%d commits: a failed one was tried again", commits)
			}
			if err := store.Commit(&persister.Batch{}); !errors.Is(err, persister.ErrStoreFailed) {
				t.Fatalf("the store still commits: %v", err)
			}
			n.kill()
			// The disk decides after the restart.
			onDisk := map[int]bool{}
			for _, c := range store.CrashStates() {
				n := start(t, c)
				onDisk[len(n.load("a", 1).(messages.Loaded).Records)] = true
				n.kill()
			}
			legal := map[memstore.Fault]map[int]bool{
				memstore.FailBefore: {0: true}, memstore.PanicBefore: {0: true},
				memstore.FailAfter: {1: true}, memstore.PanicAfter: {1: true},
				memstore.FailEither: {0: true, 1: true}, memstore.PanicEither: {0: true, 1: true},
			}
			if !reflect.DeepEqual(onDisk, legal[fault]) {
				t.Fatalf("records on disk: %v, want %v", onDisk, legal[fault])
			}
		})
	}
}

func TestOrderlyStopLosesNothing(t *testing.T) {
	store := memstore.New()
	n := start(t, store)
	n.send(&messages.Append{Owner: "a", Records: records("1"), Then: then("done")})
	n.env.System.Root.Poison(n.pid)
	want(t, n.run(), "done")
	n.kill()
	want(t, []any{start(t, store).load("a", 1)}, messages.Loaded{Owner: "a", Incarnation: 1, Records: records("1")})
}

// A lookup commits what it may depend on, and nothing else: a batch is not cut short by who reads.
func TestLookupsOfOtherRowsWaitForNoCommit(t *testing.T) {
	store := memstore.New()
	n := start(t, store)
	id := func(first byte, more ...byte) []byte {
		return append(append([]byte{first}, make([]byte, 31)...), more...)
	}
	row := messages.Row{Bucket: messages.BucketOutcomes, Key: id(1, 7), Value: []byte("v")}
	n.send(
		&messages.Append{Owner: "a", Records: records("1"), Rows: []messages.Row{row}, Then: then("durable")},
		&messages.GetRows{Bucket: messages.BucketOutcomes, Key: id(2), Prefix: true, Token: 1, ReplyTo: probe},
		&messages.GetRows{Bucket: messages.BucketPayments, Key: id(1), Token: 2, ReplyTo: probe},
		&messages.GetRows{Bucket: messages.BucketPayments, Prefix: true, Token: 3, ReplyTo: probe},
		&messages.GetRows{Bucket: messages.BucketOutcomes, Key: id(1), Prefix: true, Token: 4, ReplyTo: probe},
		&messages.Append{Owner: "a", Records: records("2"), Then: then("durable too")},
		&messages.GetRows{Bucket: messages.BucketOutcomes, Key: id(1, 7), Token: 5, ReplyTo: probe},
		&messages.Append{Owner: "a", Rows: []messages.Row{{Bucket: messages.BucketOutcomes, Key: id(1, 7)}}},
		&messages.GetRows{Bucket: messages.BucketOutcomes, Last: true, Token: 6, ReplyTo: probe},
	)
	rows := []messages.Row{row}
	want(t, n.run(),
		messages.GotRows{Token: 1}, messages.GotRows{Token: 2}, messages.GotRows{Token: 3},
		"durable", messages.GotRows{Token: 4, Rows: rows},
		messages.GotRows{Token: 5, Rows: rows}, // nothing that it may depend on waits
		"durable too", messages.GotRows{Token: 6},
	)
	if b := store.Stats().Batches; b != 2 {
		t.Fatalf("%d batches, want 2", b)
	}
}
