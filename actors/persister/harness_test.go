package persister_test

import (
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/lnactor/lnactor/actors/kit"
	"github.com/lnactor/lnactor/actors/persister"
	"github.com/lnactor/lnactor/messages"
)

// node runs a persister on a turn-by-turn scheduler: nothing happens but in run, on the test's own goroutine.
type node struct {
	t       *testing.T
	sched   *sched
	env     *kit.Env
	stats   persister.Stats
	pid     *actor.PID
	got     []any // what the probe received, in order
	stopped []error
	killed  bool
}

const probe messages.Addr = "probe"

func start(t *testing.T, store persister.Store, opts ...persister.Option) *node {
	t.Helper()
	n := &node{t: t, sched: &sched{}}
	var err error
	n.env, err = kit.NewEnv(system(), "node", kit.Options{Dispatcher: n.sched})
	if err != nil {
		t.Fatal(err)
	}
	n.env.Stop = func(err error) { n.stopped = append(n.stopped, err) }
	t.Cleanup(n.kill)
	_, err = n.env.Spawn(nil, probe, n.env.Props(func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch ctx.Message().(type) {
			case actor.SystemMessage, actor.AutoReceiveMessage, *actor.Started:
			default:
				n.got = append(n.got, ctx.Message())
			}
		})
	}))
	if err != nil {
		t.Fatal(err)
	}
	opts = append([]persister.Option{persister.WithStats(&n.stats)}, opts...)
	n.pid, err = n.env.Spawn(nil, messages.PersisterAddr, persister.New(n.env, store, opts...))
	if err != nil {
		t.Fatal(err)
	}
	n.run()
	return n
}

// send puts messages into the persister's mailbox, as if they had all come in during its last turn.
func (n *node) send(msgs ...any) {
	for _, m := range msgs {
		n.env.Tell(messages.PersisterAddr, m)
	}
}

// run lets every actor work until nothing is left to do, and returns what the probe got.
func (n *node) run() []any {
	n.sched.run()
	got := n.got
	n.got = nil
	return got
}

// kill drops the node. Kill waits for turns that are under way, so none may be left to this goroutine.
func (n *node) kill() {
	if !n.killed {
		n.killed = true
		n.sched.run()
		n.env.Kill()
	}
}

// load asks for an owner and returns the answer.
func (n *node) load(o messages.Owner, incarnation uint64) any {
	n.t.Helper()
	n.send(&messages.Load{Owner: o, Incarnation: incarnation, ReplyTo: probe})
	got := n.run()
	if len(got) == 0 {
		n.t.Fatalf("load of %q: no answer", o)
	}
	return got[len(got)-1]
}

// system is shared: one costs milliseconds.
var system = sync.OnceValue(func() *actor.ActorSystem { return kit.NewSystem(nil) })

// sched is a dispatcher that runs turns when told to.
type sched struct {
	mu    sync.Mutex
	turns []func()
}

func (s *sched) Throughput() int { return 1 << 30 }

func (s *sched) Schedule(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = append(s.turns, f)
}

func (s *sched) run() {
	for {
		s.mu.Lock()
		if len(s.turns) == 0 {
			s.mu.Unlock()
			return
		}
		f := s.turns[0]
		s.turns = s.turns[1:]
		s.mu.Unlock()
		f()
	}
}

func then(msgs ...any) []messages.Delivery {
	var d []messages.Delivery
	for _, m := range msgs {
		d = append(d, messages.Delivery{To: probe, Msg: m})
	}
	return d
}

func records(data ...string) [][]byte {
	var r [][]byte
	for _, d := range data {
		r = append(r, []byte(d))
	}
	return r
}
