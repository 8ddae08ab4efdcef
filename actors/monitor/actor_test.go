package monitor

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/chankeys"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/messages"
)

// node is a monitor's actor over the real persister, with recorders in place of its other neighbours. It runs in a synctest bubble.
type node struct {
	*harness
	t     *testing.T
	env   *kit.Env
	store *memstore.Store

	mu       sync.Mutex
	got      map[messages.Addr][]any
	failures []error
	forgot   []uint32 // channel key indexes
}

// forgetting tells which keys were let go.
type forgetting struct {
	chankeys.Signer
	n *node
}

func (k forgetting) Forget(index uint32) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	k.n.forgot = append(k.n.forgot, index)
}

// start is a process on a store.
func start(t *testing.T, h *harness, store *memstore.Store, create *messages.CreateChannel, cfg Config) *node {
	t.Helper()
	n := &node{harness: h, t: t, store: store, got: map[messages.Addr][]any{}}
	env, err := kit.NewEnv(kit.NewSystem(nil), "alice", kit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n.env = env
	id := h.opened.Static.ID
	n.spawn(messages.PersisterAddr, persister.New(env, store))
	for _, at := range []messages.Addr{messages.ManagerAddr, messages.ChainWatchAddr, messages.ChannelAddr(id), "user", "opening", "peer"} {
		n.spawn(at, env.Props(func() actor.Actor { return n.recorder(at) }))
	}
	cfg.CheckWrites = true
	child := Props(env, forgetting{holderKeys, n}, id, cfg, create)
	n.spawn("supervisor", env.Props(func() actor.Actor { return &parent{n: n, child: child} }))
	synctest.Wait()
	return n
}

func (n *node) spawn(at messages.Addr, props *actor.Props) {
	n.t.Helper()
	if _, err := n.env.Spawn(nil, at, props); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) recorder(at messages.Addr) actor.Actor {
	return actor.ReceiveFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case actor.SystemMessage, actor.AutoReceiveMessage:
		default:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.got[at] = append(n.got[at], m)
		}
	})
}

// parent restarts the monitor at once, unless it is to be quarantined.
type parent struct {
	n     *node
	child *actor.Props
}

func (p *parent) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Started); ok {
		if _, err := p.n.env.Spawn(ctx, messages.MonitorAddr(p.n.opened.Static.ID), p.child); err != nil {
			panic(err)
		}
	}
}

func (p *parent) HandleFailure(_ *actor.ActorSystem, s actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	err, _ := reason.(error)
	p.n.mu.Lock()
	p.n.failures = append(p.n.failures, err)
	p.n.mu.Unlock()
	var q interface{ Quarantine() bool }
	if errors.As(err, &q) && q.Quarantine() {
		s.StopChildren(child)
		return
	}
	s.RestartChildren(child)
}

// kill drops the process: what is in memory is gone.
func (n *node) kill() {
	n.t.Helper()
	n.env.Kill()
	synctest.Wait()
}

// send hands messages to the monitor and waits until all is quiet.
func (n *node) send(msgs ...any) {
	for _, m := range msgs {
		n.env.Tell(messages.MonitorAddr(n.opened.Static.ID), m)
	}
	synctest.Wait()
}

// take returns what an actor was told since the last time.
func (n *node) take(at messages.Addr) []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer delete(n.got, at)
	return n.got[at]
}

func (n *node) toChannel() []any { return n.take(messages.ChannelAddr(n.opened.Static.ID)) }

func only[M any](t *testing.T, msgs []any) M {
	t.Helper()
	var found []M
	for _, m := range msgs {
		if v, ok := m.(M); ok {
			found = append(found, v)
		}
	}
	if len(found) != 1 {
		var zero M
		t.Fatalf("got %d of %T in %s, want one", len(found), zero, types(msgs))
	}
	return found[0]
}

func types(msgs []any) (out []string) {
	for _, m := range msgs {
		out = append(out, fmt.Sprintf("%T", m))
	}
	return out
}

func creation(h *harness) *messages.CreateChannel {
	return &messages.CreateChannel{Opened: h.opened, Then: []messages.Delivery{{To: "opening", Msg: "then"}}}
}

func TestActorCreatesReportsAndRestores(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, store := newHarness(t, true), memstore.New()
		id := h.opened.Static.ID
		n := start(t, h, store, creation(h), Config{})
		equal(t, "opening", n.take("opening"), []any{"then"})
		hello := only[messages.MonitorHello](t, n.take(messages.ManagerAddr))
		register := only[messages.ChainRegister](t, n.take(messages.ChainWatchAddr))

		n.send(messages.Fence{Channel: id, ManagerIncarnation: 1, Fence: 1})
		report := only[messages.MonitorReport](t, n.take(messages.ManagerAddr))
		equal(t, "incarnation", report.Incarnation, hello.Incarnation)
		equal(t, "events", kindsOf(report.Events), []string{"1 facts.ChannelPending"})

		n.send(messages.ChainBlock{Incarnation: register.Incarnation, Height: 103, Tip: 103, Matches: []messages.ChainMatch{{Tx: h.funding, TxIndex: 1, Height: 101}}})
		n.send(messages.ChannelLoad{Channel: id, Incarnation: 1000})
		loaded := only[messages.ChannelLoaded](t, n.toChannel())
		if !loaded.Facts.HolderReady {
			t.Fatal("loaded facts are old")
		}
		n.send(messages.MonitorUpdate{
			Channel: id, Incarnation: 1000, UpdateID: 1, Update: facts.CounterpartyReady{NextPoint: h.peerPoint(1)},
			Then: []messages.Delivery{{To: "peer", Msg: "behind it"}},
		})
		equal(t, "peer", n.take("peer"), []any{"behind it"})
		said := n.take(messages.ManagerAddr)
		equal(t, "events", kindsOf(only[messages.EmitEvents](t, said).Events), []string{"2 facts.ChannelReady"})
		// Who is told that the channel is ready may pay at once: the summary that says so comes first.
		before := slices.IndexFunc(said, func(m any) bool {
			c, ok := m.(messages.ChannelChanged)
			return ok && c.Summary.Phase == messages.PhaseOpen
		})
		event := slices.IndexFunc(said, func(m any) bool { _, ok := m.(messages.EmitEvents); return ok })
		if before < 0 || before > event {
			t.Fatalf("ChannelReady is told before the channel is open: %T", said)
		}
		n.kill()

		// The same disk, a new process: the same events under the same ids.
		n = start(t, h, store, nil, Config{})
		only[messages.MonitorHello](t, n.take(messages.ManagerAddr))
		n.send(messages.Fence{Channel: id, ManagerIncarnation: 2, Fence: 9})
		report = only[messages.MonitorReport](t, n.take(messages.ManagerAddr))
		equal(t, "events", kindsOf(report.Events), []string{"1 facts.ChannelPending", "2 facts.ChannelReady"})
		n.send(messages.AckMonitorEvent{Channel: id, Seqs: []uint64{1, 2}})
		n.kill()

		n = start(t, h, store, nil, Config{})
		n.send(messages.Fence{Channel: id, ManagerIncarnation: 3, Fence: 10})
		if report = only[messages.MonitorReport](t, n.take(messages.ManagerAddr)); len(report.Events) != 0 {
			t.Fatalf("acknowledged and back again: %v", kindsOf(report.Events))
		}
		equal(t, "failures", n.failures, []error(nil))
		n.kill()
	})
}

// TestActorAlarms: what must not happen and did reaches the people who look at the node, not the log alone.
func TestActorAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, store := newHarness(t, true), memstore.New()
		n := start(t, h, store, creation(h), Config{})
		inc := only[messages.ChainRegister](t, n.take(messages.ChainWatchAddr)).Incarnation
		n.send(messages.ChainBlock{Incarnation: inc, Height: 103, Tip: 103, Matches: []messages.ChainMatch{{Tx: h.funding, TxIndex: 1, Height: 101}}})
		if newest, _ := n.env.Alarms(); newest != nil {
			t.Fatalf("too early: %+v", newest)
		}
		n.send(messages.ChainDisconnected{Incarnation: inc, Height: 100, Hash: blockHash(100)})
		newest, raised := n.env.Alarms()
		if len(newest) != 1 || raised != 1 || newest[0].Channel != h.opened.Static.ID || newest[0].What == "" {
			t.Errorf("%d alarms: %+v", raised, newest)
		}
		n.kill()
	})
}

// Scenario 20, the monitor's part: the first write never completes, so nothing that rests on it is sent, and after the crash there is no channel.
func TestActorFirstWriteNeverCompletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, store := newHarness(t, true), memstore.New()
		store.OnCommit(func(uint64, *persister.Batch) memstore.Fault { return memstore.FailBefore })
		n := start(t, h, store, creation(h), Config{})
		if got := n.take("opening"); len(got) != 0 {
			t.Fatalf("left before it was durable: %v", got)
		}
		n.kill()

		n = start(t, h, memstore.New(), nil, Config{})
		if len(n.failures) != 1 || !errors.Is(n.failures[0], ErrNoChannel) {
			t.Fatalf("failures: %v", n.failures)
		}
		n.kill()
	})
}

// Scenario 21: the channel is quarantined, the process lives, and the records stay as they were.
func TestActorQuarantinesAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, store := newHarness(t, true), memstore.New()
		id := h.opened.Static.ID
		n := start(t, h, store, creation(h), Config{})
		n.send(messages.ChannelLoad{Channel: id, Incarnation: 50})
		n.send(messages.MonitorUpdate{
			Channel: id, Incarnation: 50, UpdateID: 2, Update: facts.HolderShutdown{Script: []byte{1}},
			Then: []messages.Delivery{{To: "peer", Msg: "shutdown"}},
		})
		if len(n.failures) != 1 {
			t.Fatalf("failures: %v", n.failures)
		}
		gap := wantErr[*GapError](t, n.failures[0])
		equal(t, "gap", *gap, GapError{Channel: id, Want: 1, Got: 2})
		equal(t, "peer", n.take("peer"), []any(nil))
		n.kill()
		n = start(t, h, store, nil, Config{})
		equal(t, "failures", n.failures, []error(nil))
		n.kill()
	})
}

// What comes while the monitor loads is kept or comes again: the channel's load, the newest fence, requests of users.
func TestActorKeepsWhatComesWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, true)
		id := h.opened.Static.ID
		var sent []messages.Append
		env, err := kit.NewEnv(kit.NewSystem(nil), "alice", kit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var load messages.Load
		p, err := env.Spawn(nil, messages.PersisterAddr, env.Props(func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				switch m := ctx.Message().(type) {
				case messages.Load:
					load = m
				case messages.Append:
					sent = append(sent, m)
				}
			})
		}))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := env.Spawn(nil, messages.MonitorAddr(id), Props(env, holderKeys, id, Config{}, creation(h)))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []any{
			messages.Fence{Channel: id, ManagerIncarnation: 1, Fence: 4},
			messages.ChannelLoad{Channel: id, Incarnation: 20},
			messages.ChannelLoad{Channel: id, Incarnation: 21},
			messages.Fence{Channel: id, ManagerIncarnation: 1, Fence: 5},
			messages.AckMonitorEvent{Channel: id, Seqs: []uint64{1}},
		} {
			env.Tell(messages.MonitorAddr(id), m)
		}
		for range maxRequests + 1 {
			env.Tell(messages.MonitorAddr(id), messages.ForceCloseChannel{Reason: facts.CloseByUser, ReplyTo: "user"})
		}
		env.Tell(messages.MonitorAddr(id), messages.Loaded{Owner: load.Owner, Incarnation: load.Incarnation + 77}) // for another incarnation
		synctest.Wait()
		if len(sent) != 1 || !errors.Is(sent[0].Then[0].Msg.(messages.CloseReply).Err, ErrBusy) {
			t.Fatalf("one request too many should be refused, got %+v", sent)
		}
		env.Tell(load.ReplyTo, messages.Loaded{Owner: load.Owner, Incarnation: load.Incarnation})
		env.Tell(load.ReplyTo, messages.GotRows{Incarnation: load.Incarnation}) // it is not archived
		synctest.Wait()
		var then []any
		for _, a := range sent[1:] {
			for _, d := range a.Then {
				then = append(then, d.Msg)
			}
		}
		equal(t, "loaded", only[messages.ChannelLoaded](t, then).Incarnation, uint64(21))
		equal(t, "fence", only[messages.ChannelFence](t, then).Fence, uint64(5))
		only[messages.MonitorHello](t, then)
		replies := 0
		for _, m := range then {
			if r, ok := m.(messages.CloseReply); ok && r.Err == nil {
				replies++
			}
		}
		equal(t, "replies", replies, maxRequests)
		env.System.Root.Stop(pid)
		env.System.Root.Stop(p)
		synctest.Wait()
		env.Close()
	})
}

// With the log of a channel the keys that were derived for it are let go, and not before.
func TestActorForgetsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, false)
		h.opened.HolderMsat, h.opened.CounterpartyMsat = 0, capacity*1000
		h.opened.HolderSig = h.peerSig(facts.New(h.opened))
		n := start(t, h, memstore.New(), creation(h), Config{})
		id := h.opened.Static.ID
		n.send(messages.ForceCloseChannel{Reason: facts.CloseByUser, ReplyTo: "user"}, messages.AckMonitorEvent{Channel: id, Seqs: []uint64{1, 2, 3}})
		inc := only[messages.MayArchive](t, n.take(messages.ManagerAddr)).Incarnation
		if len(n.forgot) != 0 {
			t.Fatal("forgotten before the log has ended")
		}
		n.send(messages.ArchiveGranted{Channel: id, Incarnation: inc})
		only[messages.ChannelArchived](t, n.take(messages.ManagerAddr))
		if len(n.forgot) != 1 || n.forgot[0] != h.opened.Static.KeyIndex || len(n.failures) != 0 {
			t.Fatalf("forgot %v, failures %v", n.forgot, n.failures)
		}
		n.kill()
	})
}

// The log does not grow with history: a snapshot takes the place of the records, and restores to the same.
func TestActorSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, store := newHarness(t, true), memstore.New()
		id := h.opened.Static.ID
		n := start(t, h, store, creation(h), Config{SnapshotEvery: 4})
		inc := only[messages.ChainRegister](t, n.take(messages.ChainWatchAddr)).Incarnation
		for i := range uint32(200) {
			n.send(messages.ChainBlock{Incarnation: inc, Height: 101 + i, Tip: 101 + i})
		}
		n.kill()
		var owner counter
		if err := store.Scan(&owner); err != nil {
			t.Fatal(err)
		}
		if !owner.snapshot || owner.records > 60 {
			t.Fatalf("snapshot %v, %d records after it", owner.snapshot, owner.records)
		}
		n = start(t, h, store, nil, Config{SnapshotEvery: 4})
		n.send(messages.ChannelLoad{Channel: id, Incarnation: 90})
		equal(t, "height", only[messages.ChannelLoaded](t, n.toChannel()).Facts.Height, uint32(300))
		n.kill()
	})
}

type counter struct {
	snapshot bool
	through  uint64
	records  int
}

func (c *counter) Snapshot(s persister.Snapshot) { c.snapshot, c.through = true, s.Through }
func (c *counter) Record(r persister.Record) {
	if r.Seq > c.through {
		c.records++
	}
}

// Bytes that do not decode quarantine the channel with what is wrong; nothing is written on top of them.
func TestActorQuarantinesWhatDoesNotDecode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, store := newHarness(t, true), memstore.New()
		n := start(t, h, store, creation(h), Config{})
		n.env.Tell(messages.PersisterAddr, messages.Append{
			Owner: messages.Owner(h.opened.Static.ID[:]), Incarnation: ^uint64(0), Records: [][]byte{{0xff, 0xff}},
		})
		synctest.Wait()
		n.kill()
		n = start(t, h, store, nil, Config{})
		if len(n.failures) != 1 {
			t.Fatalf("failures: %v", n.failures)
		}
		wantErr[*QuarantineError](t, n.failures[0])
		equal(t, "chain", n.take(messages.ChainWatchAddr), []any(nil))
		n.kill()
	})
}
