package manager

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/actors/persister/memstore"
	"github.com/lnactor/lnactor/internal/facts"
	"github.com/lnactor/lnactor/internal/ln"
	"github.com/lnactor/lnactor/messages"
)

// node is a manager's actor with probes for neighbours.
type node struct {
	t       *testing.T
	env     *kit.Env
	kill    func()
	mu      sync.Mutex
	got     map[messages.Addr][]any
	stopped error
	crash   func(actor string, msg any)
}

func (n *node) Before(actor string, msg any) {
	if n.crash != nil {
		n.crash(actor, msg)
	}
}
func (n *node) After(string, any) {}

// startNode must run in a synctest bubble. A nil store leaves the persister to the test.
func startNode(t *testing.T, store persister.Store) *node {
	t.Helper()
	n := &node{t: t, got: map[messages.Addr][]any{}}
	n.env = must(kit.NewEnv(kit.NewSystem(nil), "node", kit.Options{Faults: n, Stop: func(err error) { n.stopped = err }}))
	n.kill = sync.OnceFunc(n.env.Kill)
	t.Cleanup(n.kill)
	probes := []messages.Addr{
		messages.MonitorsAddr, messages.ChainWatchAddr, messages.EventsAddr, "api",
		messages.MonitorAddr(channelID("c1")), messages.ChannelAddr(channelID("c1")),
	}
	if store == nil {
		probes = append(probes, messages.PersisterAddr)
	} else {
		must(n.env.Spawn(nil, messages.PersisterAddr, persister.New(n.env, store)))
	}
	for _, at := range probes {
		must(n.env.Spawn(nil, at, n.env.Props(func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				switch ctx.Message().(type) {
				case *actor.Started, actor.SystemMessage, actor.AutoReceiveMessage:
				default:
					n.mu.Lock()
					n.got[at] = append(n.got[at], ctx.Message())
					n.mu.Unlock()
				}
			})
		})))
	}
	must(n.env.Spawn(nil, messages.ManagerAddr, n.env.Props(Producer(n.env, testConfig()))))
	synctest.Wait()
	return n
}

func (n *node) tell(msgs ...any) {
	for _, m := range msgs {
		n.env.Tell(messages.ManagerAddr, m)
	}
	synctest.Wait()
}

// take returns what an address got since the last time.
func (n *node) take(at messages.Addr) []any {
	n.mu.Lock()
	defer n.mu.Unlock()
	got := n.got[at]
	delete(n.got, at)
	return got
}

func last[T any](t *testing.T, got []any) T {
	t.Helper()
	for _, m := range slices.Backward(got) {
		if m, ok := m.(T); ok {
			return m
		}
	}
	var zero T
	t.Fatalf("no %T among %v", zero, got)
	return zero
}

// settle plays Monitors, chainwatch and the one channel.
func (n *node) settle(own []messages.OwnHTLC, events ...facts.Event) (fence uint64) {
	n.t.Helper()
	inc := last[messages.ManagerHello](n.t, n.take(messages.MonitorsAddr)).Incarnation
	c := channelID("c1")
	n.tell(messages.ChainTip{Height: startHeight}, messages.MonitorList{ManagerIncarnation: inc, Channels: []ln.ChannelID{c}})
	f := last[messages.Fence](n.t, n.take(messages.MonitorAddr(c)))
	n.tell(messages.MonitorReport{
		ManagerIncarnation: inc, Fence: f.Fence, Channel: c, Own: own, Events: events,
		Summary: messages.ChannelSummary{Channel: c, Peer: peerID, Phase: messages.PhaseOpen, HolderMsat: 1 << 40},
	})
	return f.Fence
}

func payOf(name string) messages.Pay {
	return messages.Pay{PaymentID: paymentID(name), Hash: hashOf(name), AmountMsat: 1000, Payee: peerID, ReplyTo: "api", Deadline: time.Now()}
}

// A payment over a crash of the manager alone, and then of the whole process.
func TestActorRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		n := startNode(t, store)
		n.settle(nil)
		n.tell(payOf("p1"))
		if r := last[messages.PayReply](t, n.take("api")); r.Err != nil {
			t.Fatal(r.Err)
		}
		add := last[messages.AddHTLC](t, n.take(messages.ChannelAddr(channelID("c1"))))

		n.crash = func(_ string, msg any) {
			if _, ok := msg.(messages.NotCommitted); ok {
				n.crash = nil
				panic("injected")
			}
		}
		n.tell(messages.NotCommitted{Channel: channelID("c1"), Fence: add.Fence, Source: add.Source, Why: errors.New("no")})
		if n.crash != nil {
			t.Fatal("no crash")
		}
		// It loaded again: the attempt is missing in the report, so it failed; that is on disk before it is told.
		n.settle(nil)
		ev := last[messages.UserEvents](t, n.take(messages.EventsAddr))
		if len(ev.Events) != 1 || ev.Events[0].ID != failedID(paymentID("p1")) {
			t.Fatalf("%+v", ev)
		}

		n.kill()
		n = startNode(t, store.Clone())
		again := last[messages.UserEvents](t, n.take(messages.EventsAddr))
		if len(again.Events) != 1 || again.Events[0] != ev.Events[0] {
			t.Fatalf("%+v, told before: %+v", again, ev)
		}
		n.settle(nil)
		n.tell(messages.UserEventHandled{ID: ev.Events[0].ID}, payOf("p1"))
		if r := last[messages.PayReply](t, n.take("api")); !errors.Is(r.Err, ErrPaymentIDUsed) {
			t.Fatal(r.Err)
		}
	})
}

// While it loads, the manager keeps requests up to a bound, refuses the rest, and drops what comes again by itself; answers to a dead incarnation
// are dropped (rule 4).
func TestActorLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, nil)
		load := last[messages.Load](t, n.take(messages.PersisterAddr))
		for i := range maxWaiting {
			n.env.Tell(messages.ManagerAddr, messages.AwaitReady{ReplyTo: messages.Addr(fmt.Sprint("nobody ", i))})
		}
		n.tell(messages.MonitorHello{Channel: channelID("c1")}, messages.UserEventHandled{ID: "x"}, payOf("p1"))
		if r := last[messages.PayReply](t, n.take("api")); !errors.Is(r.Err, ErrStarting) {
			t.Fatal(r.Err)
		}
		n.tell(messages.Loaded{Owner: messages.OwnerManager, Incarnation: load.Incarnation - 1})
		if got := n.take(messages.MonitorsAddr); len(got) > 0 {
			t.Fatalf("started on what a dead incarnation loaded: %v", got)
		}
		n.tell(messages.Loaded{Owner: messages.OwnerManager, Incarnation: load.Incarnation})
		if got := n.take(messages.MonitorAddr(channelID("c1"))); len(got) > 0 {
			t.Fatalf("a hello was kept: %v", got)
		}
		last[messages.ManagerHello](t, n.take(messages.MonitorsAddr))
		// A refused append: memory is ahead of the disk.
		n.tell(messages.Refused{Incarnation: load.Incarnation, Err: errors.New("no")})
		if again := last[messages.Load](t, n.take(messages.PersisterAddr)); again.Incarnation <= load.Incarnation {
			t.Fatal("it goes on")
		}
		n.tell(messages.Refused{Incarnation: load.Incarnation, Err: errors.New("no")})
		if got := n.take(messages.PersisterAddr); len(got) > 0 {
			t.Fatalf("restarted for a dead incarnation: %v", got)
		}
	})
}

func TestActorCorruptRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, nil)
		load := last[messages.Load](t, n.take(messages.PersisterAddr))
		n.tell(messages.Loaded{Owner: messages.OwnerManager, Incarnation: load.Incarnation, Records: [][]byte{{1, 2, 3}}})
		if !errors.Is(n.stopped, ErrRecords) {
			t.Fatalf("stopped with %v", n.stopped)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, nil)
		load := last[messages.Load](t, n.take(messages.PersisterAddr))
		bad := errors.New("checksum")
		n.tell(messages.LoadFailed{Incarnation: load.Incarnation, Err: bad})
		if !errors.Is(n.stopped, bad) {
			t.Fatalf("stopped with %v", n.stopped)
		}
	})
}

// A snapshot says exactly what the records up to and including its own Append say.
func TestActorSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, nil)
		load := last[messages.Load](t, n.take(messages.PersisterAddr))
		n.tell(messages.Loaded{Incarnation: load.Incarnation})
		n.tell(messages.GotRows{Incarnation: load.Incarnation, Token: 1})
		fence := n.settle(nil)

		state, snapshots, since, most := newState(), 0, 0, 0
		pump := func() {
			for more := true; more; {
				more = false
				for _, msg := range n.take(messages.PersisterAddr) {
					more = true
					switch m := msg.(type) {
					case messages.GetRows:
						n.tell(messages.GotRows{Incarnation: m.Incarnation, Token: m.Token})
					case messages.Append:
						for _, b := range m.Records {
							state.fold(must(DecodeRecord(b)))
						}
						since += len(m.Records)
						most = max(most, since)
						if m.Snapshot != nil {
							snapshots++
							since = 0
							if !bytes.Equal(m.Snapshot, EncodeState(state)) {
								t.Fatalf("snapshot %d differs from its records", snapshots)
							}
						}
						for _, d := range m.Then {
							n.env.Tell(d.To, d.Msg)
						}
					}
				}
				synctest.Wait()
			}
		}
		for i := range 300 {
			name := fmt.Sprint("snapshot ", i)
			n.tell(payOf(name))
			pump()
			src := source(name)
			n.tell(messages.NotCommitted{Channel: channelID("c1"), Fence: fence, Source: src, Why: errors.New("no")})
			if i%3 != 0 { // every third outcome stays unhandled
				n.tell(messages.UserEventHandled{ID: failedID(paymentID(name))})
			}
			pump()
		}
		if snapshots < 2 || len(state.Payments) != 100 {
			t.Fatalf("%d snapshots, %d payments", snapshots, len(state.Payments))
		}
		if most > snapshotEvery+4*101+1 {
			t.Fatalf("%d records without a snapshot", most)
		}
	})
}
