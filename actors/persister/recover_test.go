package persister_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/bboltstore"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/messages"
)

// damaged is a store in which the data of some records and snapshots does not verify.
type damaged struct {
	*memstore.Store
	record, snapshot messages.Owner
}

var errDamaged = &persister.Error{Kind: persister.ErrCorrupt, Op: "scan", Bucket: persister.BucketLog}

func (d damaged) Scan(v persister.Visitor) error { return d.Store.Scan(damager{v, d}) }

type damager struct {
	persister.Visitor
	d damaged
}

func (v damager) Record(r persister.Record) {
	if r.Owner == v.d.record {
		r.Data, r.Err = nil, errDamaged
	}
	v.Visitor.Record(r)
}

func (v damager) Snapshot(s persister.Snapshot) {
	if s.Owner == v.d.snapshot {
		s.Data, s.Err = nil, errDamaged
	}
	v.Visitor.Snapshot(s)
}

// Damage costs its owner only: its Load fails, nothing is written on top of it, the others go on.
func TestCorruptOwnerAlone(t *testing.T) {
	store := memstore.New()
	n := start(t, store)
	n.send(
		messages.Append{Owner: "a", Records: records("1")},
		messages.Append{Owner: "b", Records: records("1"), Snapshot: []byte("S")},
		messages.Append{Owner: "c", Records: records("1")},
	)
	n.run()
	n.kill()
	// The log lacks what a snapshot of d must have covered once: d's snapshot is lost.
	err := store.Commit(&persister.Batch{Append: []persister.Record{{Key: 100, Owner: "d", Seq: 7, Data: []byte("7")}}})
	if err != nil {
		t.Fatal(err)
	}
	n = start(t, damaged{store, "a", "b"})
	for _, o := range []messages.Owner{"a", "b", "d"} {
		f, ok := n.load(o, 4).(messages.LoadFailed)
		if !ok || f.Incarnation != 4 || !errors.Is(f.Err, persister.ErrCorrupt) {
			t.Errorf("load of %s: %+v", o, f)
		}
		n.send(messages.Append{Owner: o, Incarnation: 4, Records: records("2"), Then: then("never"), ReplyTo: probe})
		if r, ok := n.run()[0].(messages.Refused); !ok || !errors.Is(r.Err, persister.ErrCorrupt) {
			t.Errorf("append to %s: %+v", o, r)
		}
	}
	want(t, []any{n.load("c", 1)}, messages.Loaded{Owner: "c", Incarnation: 1, Records: records("1")})
	n.send(messages.ListOwners{ReplyTo: probe})
	want(t, n.run(), messages.OwnersLoaded{Owners: []messages.Owner{"a", "b", "c", "d"}})
	if len(n.stopped) > 0 {
		t.Fatalf("node stopped: %v", n.stopped)
	}
}

// unreadable is a store that cannot even be scanned.
type unreadable struct{ *memstore.Store }

func (unreadable) Scan(persister.Visitor) error { return errDamaged }

func TestUnattributableDamageStopsTheNode(t *testing.T) {
	n := start(t, unreadable{memstore.New()})
	if len(n.stopped) != 1 || !errors.Is(n.stopped[0], persister.ErrCorrupt) {
		t.Fatalf("stopped with %v", n.stopped)
	}
	if f, ok := n.load("a", 1).(messages.LoadFailed); !ok || !errors.Is(f.Err, persister.ErrCorrupt) {
		t.Fatal("loaded from a store that cannot be scanned")
	}
}

// crashOn crashes the persister once, after it handled an Append.
type crashOn struct {
	addr string
	arm  bool
}

func (*crashOn) Before(string, any) {}

func (c *crashOn) After(name string, msg any) {
	if _, ok := msg.(messages.Append); ok && c.arm && name == c.addr {
		c.arm = false
		panic("crash")
	}
}

// When the actor crashes, but not the store, what was not committed is lost with it, and the index comes from the store, not from memory. What the
// same incarnations send after it would leave a gap, so it is refused until they load again.
func TestActorCrashLosesOnlyWhatWaited(t *testing.T) {
	store := memstore.New()
	sched := &sched{}
	crash := &crashOn{addr: "node/" + string(messages.PersisterAddr)}
	env, err := kit.NewEnv(system(), "node", kit.Options{Dispatcher: sched, Faults: crash})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, sched: sched, env: env}
	t.Cleanup(n.kill)
	env.Stop = func(err error) { n.stopped = append(n.stopped, err) }
	spawn := func(at messages.Addr, p actor.Producer, props *actor.Props) {
		if props == nil {
			props = env.Props(p)
		}
		if _, err := env.Spawn(nil, at, props); err != nil {
			t.Fatal(err)
		}
	}
	spawn(probe, func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started:
			default:
				n.got = append(n.got, ctx.Message())
			}
		})
	}, nil)
	spawn(messages.PersisterAddr, nil, persister.New(env, store))
	n.send(messages.Load{Owner: "a", Incarnation: 5, ReplyTo: probe}, messages.Append{Owner: "a", Incarnation: 5, Records: records("1"), Then: then("x")})
	want(t, n.run(), messages.Loaded{Owner: "a", Incarnation: 5}, "x")

	crash.arm = true
	n.send(
		messages.Append{Owner: "a", Incarnation: 5, Records: records("lost"), Then: then("never")},
		messages.Append{Owner: "a", Incarnation: 5, Records: records("a gap"), Then: then("never"), ReplyTo: probe},
		messages.Append{Owner: "a", Incarnation: 4, Records: records("stale"), Then: then("never"), ReplyTo: probe},
	)
	got := n.run()
	if len(got) != 2 {
		t.Fatalf("got %+v", got)
	}
	for i, m := range got {
		if r, ok := m.(messages.Refused); !ok || r.Incarnation != uint64(5-i) {
			t.Fatalf("the crash made a dead incarnation's append acceptable: %+v", m)
		}
	}
	next := env.NextIncarnation() // as every start of an actor takes one
	want(t, []any{n.load("a", next)}, messages.Loaded{Owner: "a", Incarnation: next, Records: records("1")})
	n.send(messages.Append{Owner: "a", Incarnation: next, Records: records("2"), Then: then("y")})
	want(t, n.run(), "y")
	next = env.NextIncarnation()
	want(t, []any{n.load("a", next)}, messages.Loaded{Owner: "a", Incarnation: next, Records: records("1", "2")})
	if len(n.stopped) > 0 {
		t.Fatalf("node stopped: %v", n.stopped)
	}
}

// BenchmarkRestart opens a store with 10,000 owners of 100 records of 300 bytes each and loads every owner.
func BenchmarkRestart(b *testing.B) {
	const owners, each = 10_000, 100
	dir := b.TempDir()
	store, err := bboltstore.Open(dir, bboltstore.Options{MinFree: -1, NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	key := uint64(0)
	for seq := uint64(1); seq <= each; seq++ {
		batch := &persister.Batch{}
		for o := range owners {
			key++
			batch.Append = append(batch.Append, persister.Record{Key: key, Owner: messages.Owner(fmt.Sprintf("%032d", o)), Seq: seq, Data: make([]byte, 300)})
		}
		if err := store.Commit(batch); err != nil {
			b.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		began := time.Now()
		store, err := bboltstore.Open(dir, bboltstore.Options{MinFree: -1})
		if err != nil {
			b.Fatal(err)
		}
		opened := time.Since(began)
		sched := &sched{}
		env, err := kit.NewEnv(system(), "restart", kit.Options{Dispatcher: sched})
		if err != nil {
			b.Fatal(err)
		}
		loaded := 0
		probeActor := actor.ReceiveFunc(func(ctx actor.Context) {
			if l, ok := ctx.Message().(messages.Loaded); ok {
				loaded += len(l.Records)
			}
		})
		for at, props := range map[messages.Addr]*actor.Props{
			probe: env.Props(func() actor.Actor { return probeActor }), messages.PersisterAddr: persister.New(env, store),
		} {
			if _, err := env.Spawn(nil, at, props); err != nil {
				b.Fatal(err)
			}
		}
		sched.run()
		scanned := time.Since(began)
		for o := range owners {
			env.Tell(messages.PersisterAddr, messages.Load{Owner: messages.Owner(fmt.Sprintf("%032d", o)), Incarnation: 1, ReplyTo: probe})
		}
		sched.run()
		if loaded != owners*each {
			b.Fatalf("%d records loaded", loaded)
		}
		b.ReportMetric(opened.Seconds(), "s-open")
		b.ReportMetric((scanned - opened).Seconds(), "s-scan")
		b.ReportMetric((time.Since(began) - scanned).Seconds(), "s-load")
		env.Kill()
		_ = store.Close()
	}
}
